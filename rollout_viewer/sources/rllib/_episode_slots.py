"""The episodes that one EnvRunner records, one at a time in each slot.

A slot is an env of the recording. It takes the next episode that begins once the driver
has asked for one, and hands its rows over in blocks. Knows RLlib's episodes and
vector environments by what they can do. Knows no driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._cache.block_builder import BlockBuilder
from rollout_viewer._errors import warn_once
from rollout_viewer.sources._spaces import observation_data, one_action, parts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_viewer._recording.sealed_block import SealedBlock
    from rollout_viewer.sources._spaces import Part


class Slot:
    """One env of the recording."""

    def __init__(self) -> None:
        self.blocks: list[SealedBlock] = []
        self.builder = BlockBuilder(self._add)
        self._newest: SealedBlock | None = None
        # Of the runner's env whose episode is recorded; None: it waits.
        self.env_index: int | None = None
        self.is_wanted = False

    def _add(self, block: SealedBlock) -> None:
        """Keep a block; one comes again where a call was interrupted."""
        if block is not self._newest:
            self.blocks.append(block)
            self._newest = block


class EpisodeSlots:
    """The slots of one EnvRunner.

    Args:
        count: How many.
        segment: Of their episodes.
    """

    def __init__(self, count: int, segment: str) -> None:
        self._slots = [Slot() for _ in range(count)]
        self._segment = segment
        self._labels: Mapping[str, Any] = {}
        self._parts: list[Part] | None = None
        self._pictures: Any = None
        self._last_index = -1

    def want(self, labels: Mapping[str, Any]) -> None:
        """Record one more episode in each slot, with these labels."""
        self._labels = labels
        for slot in self._slots:
            slot.is_wanted = True

    def begin(
        self, env: Any, env_index: int, episode: Any, labels: Mapping[str, Any]
    ) -> None:
        """Record an episode that was reset, if a slot waits for one."""
        slot = self._of(env_index)
        if slot is not None:  # the earlier one was cut off
            slot.env_index = None
        slot = next(
            (s for s in self._slots if s.is_wanted and s.env_index is None), None
        )
        if slot is None:
            return
        slot.env_index, slot.is_wanted = env_index, False
        self._add(
            slot,
            env,
            episode,
            reset=[True],
            episode_info={
                0: {"segment": self._segment, "labels": {**self._labels, **labels}}
            },
        )

    def step(self, env: Any, env_index: int, episode: Any) -> None:
        """Record a step of an episode, if that is recorded."""
        slot = self._of(env_index)
        if slot is None:
            return
        is_over = bool(episode.is_terminated), bool(episode.is_truncated)
        self._add(
            slot,
            env,
            episode,
            reward=[_sum_of(episode.get_rewards(-1))],
            terminated=[is_over[0]],
            truncated=[is_over[1]],
            action=one_action(_of_agents(episode.get_actions(-1))),
        )
        if any(is_over):
            slot.env_index = None

    def give_up(self, env_index: int) -> None:
        """Record no more of an episode."""
        slot = self._of(env_index)
        if slot is not None:
            slot.env_index = None

    def take(self) -> list[tuple[int, SealedBlock]]:
        """Return (slot, block) of what is complete: full blocks, and ended episodes."""
        taken = []
        for number, slot in enumerate(self._slots):
            if slot.env_index is None:
                slot.builder.seal()
            taken += [(number, block) for block in slot.blocks]
            slot.blocks.clear()
        return taken

    def _of(self, env_index: int) -> Slot | None:
        return next((s for s in self._slots if s.env_index == env_index), None)

    def _add(self, slot: Slot, env: Any, episode: Any, **row: Any) -> None:
        assert slot.env_index is not None
        picture = self._picture(env, slot.env_index)
        observation = episode.get_observations(-1)
        if self._parts is None:
            self._parts = parts_of(getattr(env, "single_observation_space", None))
        data = observation_data(observation, self._parts, ())
        slot.builder.append(
            None if picture is None else picture[None],
            data=data and {name: value[None] for name, value in data.items()},
            **row,
        )

    def _picture(self, env: Any, index: int) -> np.ndarray[Any, Any] | None:
        envs = getattr(env, "envs", None)
        if envs is not None:
            picture = envs[index].render()
        else:  # each in a process of its own: all are asked at once
            if index <= self._last_index or self._pictures is None:
                self._pictures = env.call("render")
            self._last_index = index
            picture = self._pictures[index]
        if picture is None:
            warn_once(
                "RLlibCallback: expected pictures, got none from render(): rows are "
                "recorded without them. Configure the environment with "
                'env_config={"render_mode": "rgb_array"}.'
            )
            return None
        return np.asarray(picture)


def _sum_of(rewards: Any) -> float:
    """Return a step's reward: of several agents their sum."""
    if isinstance(rewards, dict):
        return float(sum(rewards.values()))
    return float(rewards)


def _of_agents(actions: Any) -> Any:
    return (
        tuple(actions[k] for k in sorted(actions))
        if isinstance(actions, dict)
        else actions
    )
