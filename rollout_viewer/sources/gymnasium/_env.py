"""A Gymnasium `Env` that records each call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsBytes, SupportsFloat

import gymnasium
import numpy as np

from rollout_viewer._errors import UnsupportedEnvError
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recorder.vector_reward import one_reward
from rollout_viewer._recording.step_row import (
    BEGINS,
    RESET,
    STEP,
    TERMINATED,
    TRUNCATED,
    Kind,
)
from rollout_viewer._replay.episode_start import START
from rollout_viewer._replay.probe import insert_probes
from rollout_viewer._replay.skipped_picture import picture_skipper, skip_nothing
from rollout_viewer.sources._batched_calls import newest, reset_info
from rollout_viewer.sources._batched_env import check_is_one, inferred_num_envs
from rollout_viewer.sources._observation_check import ObservationCheck
from rollout_viewer.sources._rollout_env import RolloutBatchedEnv
from rollout_viewer.sources._shared_arrays import BOOLS, ENDED, KINDS
from rollout_viewer.sources._spaces import observation_data, one_action, parts_of
from rollout_viewer.sources._wrapper import RecordingWrapper
from rollout_viewer.sources.gymnasium._batched_env import RecordedBatchedEnv
from rollout_viewer.sources.gymnasium._env_info import (
    check_is_open,
    check_renders,
    env_info,
    render,
    resets_itself,
)
from rollout_viewer.sources.gymnasium._later import ResetStarts, recipe_of_env

if TYPE_CHECKING:
    from rollout_viewer._recording.step_row import Mask
    from rollout_viewer.sources._adapters import Later
    from rollout_viewer.sources._rollout_env import RolloutEnv

    EnvWrapper = gymnasium.Wrapper[Any, Any, Any, Any]
else:
    # Gymnasium's parameters differ between releases.
    EnvWrapper = gymnasium.Wrapper


class RecordedEnv(RecordingWrapper, EnvWrapper):
    """An `Env` that records its pictures, rewards, ends, actions and observations.

    Observations are recorded as ``data["obs"]``, those of a Dict or Tuple space as
    ``data["obs.<key>"]``: numbers, up to 64 kB, no images. With a list render mode the
    newest picture of a list is recorded, and `render` returns the pictures recorded
    since its last call.

    Where the first observation is a batch of its space's, the environment is recorded
    as a batch: every call then is one of a `RecordedBatchedEnv`.

    Args:
        env: Made with ``render_mode="rgb_array"``.
        later: Its pictures are rendered later; it need not render itself.
        **options: Of `Recorder`.

    Raises:
        RenderError: It cannot render images, or is closed.
        UnsupportedEnvError: With `later`, it cannot be made again.
    """

    _batch: RecordedBatchedEnv | None = None
    # Of the episode that the next reset begins.
    _next_start: SupportsBytes | None = None
    _starts: ResetStarts | None = None
    _first_obs: Any = None

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        *,
        later: Later | None = None,
        **options: Any,
    ) -> None:
        super().__init__(env)
        if later is None:
            check_renders(env)
        else:
            check_is_open(env)
            options["recipe"] = recipe_of_env(env, later)
        self._parts = parts_of(env.observation_space)
        # Only whether it has parts is asked for, in each step.
        has_parts = getattr(env.action_space, "spaces", None) is not None
        self._action_parts = env.action_space if has_parts else None
        self._is_list_mode = str(env.render_mode).endswith("_list")
        self._resets_itself = resets_itself(env)
        self.recorder = Recorder(1, **env_info(env), **options)
        self._check: ObservationCheck | None = None
        self._skip_picture = skip_nothing
        self._is_simple = False
        if later is not None:
            self._starts = ResetStarts(env)
            self._skip_picture = picture_skipper(env)
            names = [part.name for part in self._parts]
            probes = insert_probes([env])
            self._check = ObservationCheck(names, probes)
            # The whole observation is one array, and nothing else is compared.
            self._is_simple = names == ["obs"] and not probes
        self._begins = np.zeros(1, np.bool_)
        self._has_ended = False
        self._rendered_row = self.recorder.cache.num_rows
        self._was_reset = False

    @property
    def begins(self) -> Mask:  # type: ignore[override]  # a batch has its own
        """Bool (B,): the last observation is the first of an episode."""
        return self._begins if self._batch is None else self._batch.begins

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._rendered_row = self.recorder.cache.num_rows  # the cache may be a new one

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset the environment; records the first row of an episode."""
        if self._batch is not None:
            return self._batch.reset(seed=seed, options=options)
        self._next_start = self._start(seed, options)
        obs, info = self.env.reset(seed=seed, options=options)
        if seed is None and options is None and self._put_reset(obs, info):
            return obs, info
        self._record_call("reset", self._record_reset, obs, seed, options, info)
        return obs, info

    def _put_reset(self, obs: Any, info: Any) -> bool:
        """Record a reset if it is like those before; return whether it is."""
        buffer = self.recorder.buffer
        if buffer is None or not self._was_reset:
            return False
        self._has_ended, self._begins[0] = False, True
        num_rows = len(buffer.rows)
        try:
            return buffer.put_reset(obs, info, self._next_start)
        except Exception as error:  # of a listener, or of a handler of signals
            if not self._survives("reset", -1, error):
                raise
            return len(buffer.rows) > num_rows

    def _record_reset(
        self, obs: Any, seed: int | None, options: dict[str, Any] | None, info: Any
    ) -> None:
        num_envs = None
        if not self._was_reset:
            self._was_reset = True
            num_envs = inferred_num_envs(obs, self.observation_space)
        if num_envs is not None:
            self._check_not_later(num_envs)
            batch = self._record_as_batch(num_envs, obs)
            batch.record_reset(obs, seed, options, info)
            return
        self._has_ended = False
        self._begins[:] = True
        if (
            self._is_simple
            and seed is None
            and options is None
            and type(obs) is np.ndarray
        ):
            start = None if self._next_start is None else bytes(self._next_start)
            values = {"obs": obs}
            if self.recorder.add_one(RESET, BEGINS, None, None, values, info, start):
                return
        self.recorder.add(
            [Kind.RESET],
            self._pictures,
            data=self._data(obs),
            infos={0: {**reset_info(seed, options), **self._start_info()}},
            step_info=[info] if info else None,
        )

    def _start(
        self, seed: int | None, options: dict[str, Any] | None
    ) -> SupportsBytes | None:
        """Return from where the episode that a reset begins can be replayed."""
        if self._starts is None:
            return None
        return self._starts.of_next(self.recorder.recipe_number, seed, options)

    def _start_info(self) -> dict[str, bytes]:
        return {} if self._next_start is None else {START: bytes(self._next_start)}

    def _check_not_later(self, num_envs: int) -> None:
        if self._check is not None:
            raise UnsupportedEnvError(
                "record: expected one environment for render='later', got a batch of "
                f"{num_envs} in one. Record with render='now'."
            )

    def _before_step(self) -> None:
        if self._resets_itself and self._has_ended:
            self._next_start = self._start(None, None)

    def step(
        self, action: Any
    ) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step the environment; records a row."""
        if self._batch is not None:
            return self._batch.step(action)
        if self._resets_itself:
            self._before_step()
        result = self.env.step(action)
        if (buffer := self.recorder.buffer) is not None and not self._has_ended:
            obs, reward, terminated, truncated, info = result
            if type(terminated) in BOOLS and type(truncated) in BOOLS:
                flags = 0
                if terminated or truncated:
                    flags = _flags(terminated, truncated)
                    self._has_ended = True
                # Before the row is there: what follows it depends on this.
                self._begins[0] = False
                num_rows = len(buffer.rows)
                try:
                    is_put = buffer.put(action, obs, reward, flags, info)
                except Exception as error:  # of a listener, or of a handler of signals
                    if not self._survives("step", -1, error):
                        raise
                    is_put = len(buffer.rows) > num_rows
                if is_put:
                    if self._skip_picture is not skip_nothing:
                        self._skip_picture()
                    return result
                if flags:
                    self._has_ended = False  # as it was
        if not (self._is_simple and self._record_like_last(action, *result)):
            self._record_call("step", self._record_step, action, *result)
        return result

    def _record_like_last(
        self,
        action: Any,
        obs: Any,
        reward: Any,
        terminated: Any,
        truncated: Any,
        info: Any,
    ) -> bool:
        """Record a step if it is like the last one: only its numbers are copied.

        Nearly all are, where pictures are rendered later. False: nothing was recorded.
        """
        if not (
            type(terminated) in BOOLS
            and type(truncated) in BOOLS
            and type(obs) is np.ndarray
            and not self._has_ended
        ):
            return False
        flags = _flags(terminated, truncated)
        recorder = self.recorder
        num_calls = recorder.num_calls
        # Before the row is there: what follows it depends on this.
        self._begins[0], self._has_ended = False, bool(flags)
        try:
            values = {"obs": obs}
            if not recorder.add_one(STEP, flags, reward, action, values, info):
                self._has_ended = False  # as it was
                return False
        except Exception as error:
            if not self._survives("step", num_calls, error):
                raise
        self._skip_picture()
        return True

    def _record_step(
        self,
        action: Any,
        obs: Any,
        reward: Any,
        terminated: Any,
        truncated: Any,
        info: Any,
    ) -> None:
        if self._skip_picture is not skip_nothing:
            self._skip_picture()
        if type(terminated) not in BOOLS:
            check_is_one(terminated, self.env)
        begins = self._resets_itself and self._has_ended
        self._has_ended = bool(terminated or truncated)
        self._begins[0] = begins
        self.recorder.add(
            KINDS[RESET if begins else STEP],
            self._pictures,
            reward=one_reward(reward),
            terminated=ENDED[bool(terminated)],
            truncated=ENDED[bool(truncated)],
            action=one_action(action, self._action_parts),
            data=self._data(obs),
            infos={0: self._start_info()} if begins else None,
            step_info=[info] if info else None,
        )

    def render(self) -> Any:
        """Return what the environment renders."""
        if self._batch is not None or not self._is_list_mode:
            return self.env.render()
        # The recorder has emptied the environment's own list.
        rows = range(self._rendered_row, self.recorder.cache.num_rows)
        self._rendered_row = rows.stop
        return [
            self.recorder.cache[row, 0]
            for row in rows
            if self.recorder.cache.has_picture(row, 0)
        ]

    def close(self) -> None:
        """Write the recording to its file, then close the environment."""
        self._finish(self.env.close)

    def check_open(self) -> None:
        """Raise RenderError if this or an environment within was closed."""
        check_is_open(self) if self.recorder.renders_later else check_renders(self)

    def reset_ended(self, ended: Mask) -> Any:
        """Reset an ended episode if the environment does not reset itself.

        Returns:
            The new observation, or None.
        """
        if self._batch is not None:
            return self._batch.reset_ended(ended)
        return self.reset()[0] if ended[0] and not self._resets_itself else None

    def rollout_env(self) -> RolloutEnv:
        """Return what `rollout` steps: this, or its batch."""
        if self._batch is None:
            return super().rollout_env()
        return RolloutBatchedEnv(self, self._first_obs)

    def _record_as_batch(self, num_envs: int, obs: Any) -> RecordedBatchedEnv:
        batch = RecordedBatchedEnv(self.env, num_envs, recorder=self.recorder)
        self._batch, self.num_envs, self._first_obs = batch, num_envs, obs
        return batch

    def _pictures(self) -> list[Any]:
        return [newest(render(self.env))]

    def _data(self, obs: Any) -> dict[str, Any] | None:
        data = observation_data(obs, self._parts, [1]) if self._parts else None
        return data if self._check is None else self._check.of_one(data, obs)


def _flags(terminated: Any, truncated: Any) -> int:
    return (TERMINATED if terminated else 0) | (TRUNCATED if truncated else 0)
