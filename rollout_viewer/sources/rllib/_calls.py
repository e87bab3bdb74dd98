"""What RLlib calls, in the driver and in each EnvRunner. The only module with Ray."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from ray.rllib.callbacks.callbacks import RLlibCallback as Callback

from rollout_viewer._errors import warn_once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollout_viewer.sources.rllib._episode_slots import EpisodeSlots


class Calls(Callback):  # type: ignore[misc]  # Ray is an extra
    """The callback of an Algorithm or of an EnvRunner.

    Args:
        owner: The `RLlibCallback` that made it.
    """

    def __init__(self, owner: Any) -> None:
        self._owner = owner

    # -- in a runner

    def on_episode_start(
        self,
        *,
        episode: Any,
        env_runner: Any = None,
        env: Any = None,
        env_index: int,
        **_: Any,
    ) -> None:
        """Record the episode, if one is wanted."""
        with _guarded("an episode's begin"):
            labels = {
                "worker": int(env_runner.worker_index or 0),
                "policy_version": int(getattr(env_runner, "_weights_seq_no", 0)),
            }
            slots = self._owner.slots_of(env_runner)
            with _given_up(slots, env_index):
                slots.begin(env, env_index, episode, labels)

    def on_episode_step(
        self,
        *,
        episode: Any,
        env_runner: Any = None,
        env: Any = None,
        env_index: int,
        **_: Any,
    ) -> None:
        """Record a row of the episode."""
        with _guarded("a step"):
            slots = self._owner.slots_of(env_runner)
            with _given_up(slots, env_index):
                slots.step(env, env_index, episode)

    # -- in the driver

    def on_algorithm_init(self, *, algorithm: Any, **_: Any) -> None:
        """Ask for the first episodes."""
        with _guarded("the first episodes"):
            self._owner.collect(algorithm, is_evaluation=False)
            self._owner.collect(algorithm, is_evaluation=True)

    def on_train_result(self, *, algorithm: Any, **_: Any) -> None:
        """File the training's episodes."""
        with _guarded("the episodes of an iteration"):
            self._owner.collect(algorithm, is_evaluation=False)

    def on_evaluate_end(self, *, algorithm: Any, **_: Any) -> None:
        """File the evaluation's episodes."""
        with _guarded("the episodes of an evaluation"):
            self._owner.collect(algorithm, is_evaluation=True)


@contextlib.contextmanager
def _guarded(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        warn_once(
            f"RLlibCallback: expected to record {what}, got {error!r}. Training "
            "continues."
        )


@contextlib.contextmanager
def _given_up(slots: EpisodeSlots, env_index: int) -> Iterator[None]:
    """Record no more of an episode of which a row could not be recorded."""
    try:
        yield
    except Exception:
        slots.give_up(env_index)
        raise
