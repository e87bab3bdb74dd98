"""A Gymnasium `VectorEnv` that records each call."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.vector import (
    AsyncVectorEnv,
    AutoresetMode,
    SyncVectorEnv,
    VectorEnv,
    VectorWrapper,
)

from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._replay.column_env import columns
from rollout_viewer._replay.recipe import NATIVE
from rollout_viewer.sources._batched_calls import (
    NEXT_STEP,
    SAME_STEP,
    BatchedCalls,
    newest,
)
from rollout_viewer.sources._batched_env import parts_of_each
from rollout_viewer.sources._later_rows import LaterRows, check_records_all
from rollout_viewer.sources._rollout_env import RolloutBatchedEnv
from rollout_viewer.sources._usual_calls import UsualCalls
from rollout_viewer.sources.gymnasium._async_states import async_states
from rollout_viewer.sources.gymnasium._env_info import (
    check_is_open,
    check_renders,
    env_info,
    render,
)
from rollout_viewer.sources.gymnasium._later import (
    has_own_state,
    recipe_of_vector,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_viewer._recording.step_row import Mask
    from rollout_viewer._replay.recipe import Recipe
    from rollout_viewer.sources._adapters import Later

    _VectorWrapper = VectorWrapper[Any, Any, Any, Any, Any]
else:
    # Gymnasium's parameters differ between releases.
    _VectorWrapper = VectorWrapper


# Among the bytes of bools: finding it is faster than `np.any`, and a
# number is found faster than bytes.
_TRUE = 1


class VectorCalls(BatchedCalls, _VectorWrapper):
    """The calls of a `VectorEnv`, with its spaces, pictures and seeds."""

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        _VectorWrapper.__init__(self, env)
        mode = (env.metadata or {}).get("autoreset_mode", AutoresetMode.NEXT_STEP)
        parts = parts_of_each(env, env.num_envs)
        self._set_up_calls(AutoresetMode(mode).value, parts)

    def __del__(self) -> None:
        """Leave the environment open; `VectorEnv.__del__` would close it."""

    def _render_env(self) -> Any:
        return render(self.env, self.num_envs, self._pictured_envs())

    def _pictures(self) -> list[Any]:
        pictured = self._pictured_envs()
        if pictured is None or type(self.env) is not SyncVectorEnv:
            return super()._pictures()
        # Rendering costs the most: only the recorded ones.
        frames: list[Any] = [None] * self.num_envs
        for env in pictured:
            frames[env] = newest(render(self.env.envs[env]))
        return frames

    def _seeds(self, seed: Any, mask: Mask) -> dict[int, Any]:
        # Native vector environments have one generator for all.
        is_each = isinstance(self.env.unwrapped, (SyncVectorEnv, AsyncVectorEnv))
        if seed is not None and np.ndim(seed) == 0 and is_each:
            return {env: seed + env for env in np.flatnonzero(mask).tolist()}
        return super()._seeds(seed, mask)


# What `check_records_all` says of them.
_NATIVE = (
    "a batch that one class steps, and resets in the call that ends an episode, since "
    "there is no env to ask in this process",
    "Make it with vectorization_mode='sync', use",
)


class LaterVectorCalls(LaterRows, VectorCalls):
    """The calls of a `VectorEnv` whose pictures may be rendered later."""

    def _set_up_recipe(self, later: Later, options: Mapping[str, Any]) -> Recipe:
        """Return how its envs are made again, and note their states from now on.

        Args:
            later: How its pictures are rendered.
            options: Of the recorder.

        Raises:
            UnsupportedEnvError: They cannot be made again.
            ValueError: The recorder leaves out what a replay needs.
        """
        check_is_open(self.env)
        recipe = recipe_of_vector(self.env, later)
        is_same_step = self._mode == SAME_STEP
        envs = getattr(self.env, "envs", ())
        self._set_up_later(envs, is_same_step=is_same_step)
        self._has_columns = is_native = recipe.kind == NATIVE
        is_async_arcade = isinstance(self.env, AsyncVectorEnv) and has_own_state(recipe)
        is_seen = self._resets is not None or not is_same_step
        self._has_states = is_seen and not is_async_arcade
        if not self._has_states:
            with self._left_on_error():
                check_records_all(options, *(_NATIVE if is_native else ()))
        return recipe

    def _before_reset(self, mask: Mask) -> None:
        super()._before_reset(mask)
        if self._check is not None and not self._has_columns:
            self._note_states(self._states_of(np.flatnonzero(mask).tolist()))

    def _reset_env(self, seed: Any, options: Any) -> tuple[Any, Any]:
        result = super()._reset_env(seed, options)
        if self._has_columns:
            self._note_states(columns(self.env, range(self.num_envs)))
        return result

    def _step_env(self, actions: Any) -> tuple[Any, Any, Any, Any, Any]:
        # These envs are reset by this call.
        if (
            self._check is not None
            and self._mode == NEXT_STEP
            and self._has_states
            and _TRUE in self._has_ended.tobytes()
        ):
            envs = self._has_ended.nonzero()[0].tolist()
            if self._has_columns:
                result = super()._step_env(actions)
                self._note_states(columns(self.env, envs))
                return result
            self._note_states(self._states_of(envs))
        return super()._step_env(actions)

    def _states_of(self, numbers: list[int]) -> dict[int, dict[str, Any]]:
        """Return the states of envs that are reset next."""
        if self._envs and self._known_envs.is_of(getattr(self.env, "envs", None)):
            return self._known_envs.states(numbers)
        return async_states(self.env, numbers)


class RecordedVectorEnv(UsualCalls, LaterVectorCalls):
    """A `VectorEnv` that records pictures, rewards, ends, actions, observations.

    By ``env.metadata["autoreset_mode"]``:

    - NEXT_STEP: the call after an end is a reset.
    - SAME_STEP: the call that ends an episode makes two rows. The last picture is
      recorded where ``final_obs`` is that picture, else marked as missing.
    - DISABLED: ``reset(options={"reset_mask": mask})`` resets some envs; the others are
      idle in that row.

    Args:
        env: Made with ``render_mode="rgb_array"``. `render` returns one picture for
            each env, or, where ``metadata["shared_picture"]`` is True, one of them all.
        later: Its pictures are rendered later; it need not render itself.
        **options: Of `Recorder`.

    Raises:
        RenderError: It cannot render images, or is closed.
        UnsupportedEnvError: With `later`, its envs cannot be made again.
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        *,
        later: Later | None = None,
        **options: Any,
    ) -> None:
        super().__init__(env)
        if later is None:
            check_renders(env)
        else:
            options["recipe"] = self._set_up_recipe(later, options)
        with self._left_on_error():
            about = env_info(env, autoreset_mode=self._mode)
            self.recorder = Recorder(env.num_envs, **about, **options)
        if later is not None:
            self._set_up_usual()

    def _next_resets(self) -> Mask | None:
        envs = self.env.unwrapped
        if self._mode != NEXT_STEP or not isinstance(envs, SyncVectorEnv):
            return None
        resets: Mask | None = getattr(envs, "_autoreset_envs", None)
        return None if resets is None else resets.copy()

    def close(self, **kwargs: Any) -> None:
        """Write the recording to its file, then close the environments."""
        self._leave_later()
        self._finish(functools.partial(self.env.close, **kwargs))

    def check_open(self) -> None:
        """Raise RenderError if this or an environment within was closed."""
        check_is_open(self) if self.recorder.renders_later else check_renders(self)

    def rollout_env(self) -> RolloutBatchedEnv:
        """Return what `rollout` steps."""
        return RolloutBatchedEnv(self)
