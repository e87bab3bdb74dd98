"""Gymnasium: wrappers for `Env` and `VectorEnv` that record what passes through.

They tell the recorder what each call was to each env, in all three autoreset
modes, and hand everything else on unchanged. Know nothing of caches or files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium.vector import (
    AsyncVectorEnv,
    AutoresetMode,
    SyncVectorEnv,
    VectorEnv,
    VectorWrapper,
)

from rollout_viewer._errors import FrameError, RenderError
from rollout_viewer._frames import split_frames
from rollout_viewer._recorder import Recorder
from rollout_viewer._rows import Kind
from rollout_viewer.sources._wrapper import RecordingWrapper

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from rollout_viewer._rows import Mask

    _Wrapper = gymnasium.Wrapper[Any, Any, Any, Any]
    _VectorWrapper = VectorWrapper[Any, Any, Any, Any, Any]
else:
    # Gymnasium's parameters differ between releases.
    _Wrapper, _VectorWrapper = gymnasium.Wrapper, VectorWrapper

# Observations up to this size are kept as data["obs"]; larger ones are pictures or
# would outweigh them.
MAX_OBS_BYTES = 64_000
_NO_PICTURES = (None, "human", "ansi", "ansi_list")


def wrap(env: Any, **options: Any) -> RecordedEnv | RecordedVectorEnv | None:
    """Return `env` in the wrapper of its kind; None where it is of neither."""
    if isinstance(env, VectorEnv):
        return RecordedVectorEnv(env, **options)
    if isinstance(env, gymnasium.Env):
        return RecordedEnv(env, **options)
    return None


class _Recording(RecordingWrapper):
    """What both wrappers offer beside their environment."""

    def check_open(self) -> None:
        """Raise RenderError if this or an environment within was closed."""
        check_renders(self)


class RecordedEnv(_Wrapper, _Recording):
    """An `Env` that records its pictures, rewards, ends, actions and observations.

    Observations are kept as ``data["obs"]`` where they are one array of numbers up
    to 64 kB and no image. With a list render mode the newest picture of a list is
    recorded, and `render` returns those that were recorded since it was last asked.

    Args:
        env: Made with ``render_mode="rgb_array"``.
        **options: Of `Recorder`.

    Raises:
        RenderError: It gives no pictures, or is closed.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], **options: Any) -> None:
        super().__init__(env)
        check_renders(env)
        self.recorder = Recorder(1, **_about(env), **options)
        self._obs_shape = _small_shape(env.observation_space)
        self._is_list_mode = str(env.render_mode).endswith("_list")
        self._resets_itself = _resets_itself(env)
        self.begins = np.zeros(1, np.bool_)
        self._has_ended = False
        self._rendered_row = self.cache.num_rows

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._rendered_row = self.cache.num_rows  # the cache may be a new one

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset the environment; records the first row of an episode."""
        obs, info = self.env.reset(seed=seed, options=options)
        self._has_ended = False
        self.begins[:] = True
        self.recorder.add(
            [Kind.RESET],
            self._pictures,
            data=self._data(obs),
            infos={0: _info(seed, options)},
        )
        return obs, info

    def step(
        self, action: Any
    ) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step the environment; records a row."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        kind = Kind.RESET if self._resets_itself and self._has_ended else Kind.STEP
        self._has_ended = bool(terminated or truncated)
        self.begins[:] = kind is Kind.RESET
        self.recorder.add(
            [kind],
            self._pictures,
            reward=[float(reward)],
            terminated=[bool(terminated)],
            truncated=[bool(truncated)],
            action=_one_action(action),
            data=self._data(obs),
        )
        return obs, reward, terminated, truncated, info

    def render(self) -> Any:
        """Return what the environment renders."""
        if not self._is_list_mode:
            return self.env.render()
        # The environment's own list went to the recording, frame by frame.
        rows = range(self._rendered_row, self.cache.num_rows)
        self._rendered_row = rows.stop
        return [self.cache[row, 0] for row in rows if self.cache.has_picture(row, 0)]

    def close(self) -> None:
        """Write the recording to its file, then close the environment."""
        try:
            self.recorder.finish()
        finally:
            self.is_closed = True
            self.env.close()

    def reset_ended(self, ended: Mask) -> Any:
        """Reset if the episode ended and that is left to the caller.

        Returns:
            The new observation, or None.
        """
        return self.reset()[0] if ended[0] and not self._resets_itself else None

    def _pictures(self) -> list[Any]:
        return [_newest(_render(self.env))]

    def _data(self, obs: Any) -> dict[str, Any] | None:
        return _kept(obs, self._obs_shape, [1])


class RecordedVectorEnv(_VectorWrapper, _Recording):
    """A `VectorEnv` that records pictures, rewards, ends, actions, observations.

    Understands the autoreset modes of ``env.metadata["autoreset_mode"]``:
    NEXT_STEP (the call after an end is a reset), SAME_STEP (the call that ends
    gives two rows; the terminal picture is recorded where ``final_obs`` is it, else
    marked as missing) and DISABLED (``reset(options={"reset_mask": mask})``; the
    others are idle in that row).

    Args:
        env: Made with ``render_mode="rgb_array"``. `render` returns one picture for
            each env, or one of them all.
        **options: Of `Recorder`.

    Raises:
        RenderError: It gives no pictures, or is closed.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], **options: Any) -> None:
        super().__init__(env)
        check_renders(env)
        self._mode = AutoresetMode(
            (env.metadata or {}).get("autoreset_mode", AutoresetMode.NEXT_STEP)
        )
        self.recorder = Recorder(
            env.num_envs, **_about(env, autoreset_mode=self._mode.value), **options
        )
        self._obs_shape = _small_shape(env.single_observation_space)
        self._has_ended = np.zeros(env.num_envs, np.bool_)
        self.begins = np.zeros(env.num_envs, np.bool_)

    def __del__(self) -> None:
        """Leave the environment open: VectorEnv's own would close it."""

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset all environments, or those of ``options["reset_mask"]``."""
        # Before the call: SyncVectorEnv takes the mask out of the options.
        mask = np.ones(self.num_envs, np.bool_)
        if options is not None and "reset_mask" in options:
            mask = np.array(options["reset_mask"], np.bool_)
        shown = {k: v for k, v in (options or {}).items() if k != "reset_mask"}
        obs, info = self.env.reset(seed=seed, options=options)
        self._has_ended &= ~mask
        self.begins |= mask
        self.recorder.add(
            np.where(mask, Kind.RESET, Kind.IDLE),
            self._pictures,
            data=self._data(obs),
            infos={env: _info(s, shown) for env, s in self._seeds(seed, mask).items()},
        )
        return obs, info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step all environments; records a row, or two."""
        result = obs, reward, terminated, truncated, info = self.env.step(actions)
        ended = np.logical_or(as_mask(terminated), as_mask(truncated))
        kind = np.full(self.num_envs, Kind.STEP, np.uint8)
        pictures, data = self._pictures, self._data(obs)
        is_two_rows = self._mode is AutoresetMode.SAME_STEP and bool(ended.any())
        if self._mode is AutoresetMode.NEXT_STEP:
            kind[self._has_ended] = Kind.RESET
            ended &= ~self._has_ended
        elif is_two_rows:
            call = _SameStep(self._pictures, obs, info, ended)
            kind[ended] = Kind.TERMINAL_MISSING
            kind[call.shown()] = Kind.STEP
            pictures = call.terminal
            if data is not None:
                data = {"obs": call.final_obs()}
        self.begins = ended if is_two_rows else kind == Kind.RESET
        self._has_ended = ended
        self.recorder.add(
            kind,
            pictures,
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            action=actions,
            data=data,
        )
        if is_two_rows:
            self.recorder.add(
                np.where(ended, Kind.RESET, Kind.IDLE),
                call.rendered,
                data=self._data(obs),
                is_same_call=True,
            )
        return result

    def close(self, **kwargs: Any) -> None:
        """Write the recording to its file, then close the environments."""
        try:
            self.recorder.finish()
        finally:
            self.is_closed = True
            self.env.close(**kwargs)

    def reset_ended(self, ended: Mask) -> Any:
        """Reset the envs that ended, where that is left to the caller.

        Returns:
            The new observations, or None.
        """
        if self._mode is not AutoresetMode.DISABLED or not ended.any():
            return None
        return self.reset(options={"reset_mask": np.array(ended)})[0]

    def _pictures(self) -> list[Any]:
        chosen = self.recorder.envs
        if chosen is not None and type(self.env) is SyncVectorEnv:
            # Rendering is what costs: only those that are recorded.
            frames: list[Any] = [None] * self.num_envs
            for env in chosen:
                frames[env] = _newest(_render(self.env.envs[env]))
            return frames
        rendered = _render(self.env)
        if isinstance(rendered, (list, tuple)):
            return [_newest(one) for one in rendered]
        return split_frames(rendered)

    def _data(self, obs: Any) -> dict[str, Any] | None:
        return _kept(obs, self._obs_shape, [self.num_envs])

    def _seeds(self, seed: Any, mask: Mask) -> dict[int, Any]:
        """Return the seed of each env that is reset."""
        envs: list[int] = np.flatnonzero(mask).tolist()
        if seed is None or np.ndim(seed) == 0:
            # Native vector environments have one generator for all.
            is_each = isinstance(self.env.unwrapped, (SyncVectorEnv, AsyncVectorEnv))
            return {e: seed + e if seed is not None and is_each else seed for e in envs}
        # One for each env, or (ALE) one for each that is reset.
        seeds = [seed[e] for e in envs] if len(seed) == self.num_envs else seed
        return dict(zip(envs, seeds, strict=True))


class _SameStep:
    """One call that ended some envs and reset them at once: two rows of pictures."""

    def __init__(
        self,
        render: Callable[[], list[Any]],
        obs: Any,
        info: dict[str, Any] | list[dict[str, Any]],
        ended: Mask,
    ) -> None:
        self._render = render
        self._obs = obs
        self._ended = ended
        self._final = _final_observations(info, np.flatnonzero(ended).tolist())
        self._rendered: list[Any] | None = None
        self._shown: dict[int, Any] = {}

    def rendered(self) -> list[Any]:
        """Return what was rendered after the call: the reset envs' first pictures."""
        if self._rendered is None:
            self._rendered = self._render()
        return self._rendered

    def shown(self) -> list[int]:
        """Return the ended envs whose ``final_obs`` is their terminal picture.

        It is where the observation that came with it, of the new episode, is what
        the env renders now.
        """
        images = {env: one for env, one in self._final.items() if _is_image(one)}
        if images and len(self.rendered()) == len(self._ended):
            for env, image in images.items():
                if np.array_equal(self._obs[env], self.rendered()[env]):
                    self._shown[env] = image
        return list(self._shown)

    def terminal(self) -> list[Any]:
        """Return the pictures of the row that ended, None where there is none."""
        if len(self.rendered()) != len(self._ended):
            return self.rendered()  # one of them all
        return [
            self._shown.get(env) if ended else picture
            for env, (ended, picture) in enumerate(
                zip(self._ended, self.rendered(), strict=True)
            )
        ]

    def final_obs(self) -> Any:
        """Return the observations with the terminal ones in their places."""
        final = np.array(_numpy(self._obs))
        for env, obs in self._final.items():
            if obs is not None:
                final[env] = obs
        return final


def _final_observations(
    info: dict[str, Any] | list[dict[str, Any]], envs: list[int]
) -> dict[int, Any]:
    """Return the ``final_obs`` of `envs`; empty where the environment gives none."""
    if isinstance(info, list):  # one for each env: Gymnasium's DictInfoToList
        return {e: info[e]["final_obs"] for e in envs if "final_obs" in info[e]}
    final_obs = info.get("final_obs")
    return {} if final_obs is None else {e: final_obs[e] for e in envs}


def check_renders(env: Any) -> None:
    """Raise RenderError where `env` cannot give pictures.

    Raises:
        RenderError: Its render_mode is none that returns pictures, or it is known to
            be closed.
    """
    name = _name(env)
    if _is_closed(env):
        raise RenderError(
            f"record: expected an open environment, got {name}, which was closed. "
            "Make a new one."
        )
    if env.render_mode in _NO_PICTURES:
        make = "gymnasium.make(..., render_mode='rgb_array')"
        if isinstance(env, VectorEnv):
            make = (
                "gymnasium.make_vec(..., vectorization_mode='sync', "
                "render_mode='rgb_array')"
            )
        raise RenderError(
            f"record: expected an environment with render_mode 'rgb_array', got {name} "
            f"with render_mode={env.render_mode!r}. Make it with {make}."
        )


def _is_closed(env: Any) -> bool:
    """Tell whether `env` or one that it wraps is known to be closed.

    Some keep no trace of it: bare environments that never rendered, and
    Gymnasium's native vector CartPole.
    """
    while True:
        # Of VectorEnv, of ours, and of the checker that gymnasium.make wraps around.
        marks = ("closed", "is_closed", "close_called")
        if any(getattr(env, mark, False) is True for mark in marks):
            return True
        if not isinstance(env, (gymnasium.Wrapper, VectorWrapper)):
            # What Gymnasium's own classic-control environments have.
            return getattr(env, "isopen", True) is False
        env = env.env


def as_mask(value: Any) -> Mask:
    """Return ends as a new bool array (B,)."""
    return np.array(_numpy(value), np.bool_).reshape(-1)


def _render(env: Any) -> Any:
    try:
        pictures = env.render()
    except Exception as error:
        raise RenderError(
            f"record: expected a picture from {_name(env)}.render(), got {error!r}. "
            "If it was closed, make a new one."
        ) from error
    if pictures is None:
        raise FrameError(
            f"record: expected {_name(env)}.render() to return an image, got None "
            f"(render_mode={env.render_mode!r}). Make the env with "
            "render_mode='rgb_array'."
        )
    return pictures


def _newest(pictures: Any) -> Any:
    """Return the newest of a list render mode's pictures, or the one there is."""
    if isinstance(pictures, list):
        if not pictures:
            raise FrameError(
                "record: expected a picture from render(), got an empty list. "
                "Nobody else may render an environment with a list render mode while "
                "it is recorded."
            )
        return pictures[-1]
    if isinstance(pictures, tuple):
        return pictures[0]  # 'rgbd_tuple': color, depth
    return pictures


def _name(env: Any) -> str:
    spec = getattr(env.unwrapped, "spec", None)
    return spec.id if spec is not None else type(env.unwrapped).__name__


def _about(env: Any, **more: Any) -> dict[str, Any]:
    """Return fps and metadata for the recorder."""
    spec = getattr(env.unwrapped, "spec", None)
    metadata = {"env_id": _name(env), **more}
    if spec is not None:
        metadata["env_kwargs"] = dict(spec.kwargs)
    metadata["source"] = f"gymnasium {gymnasium.__version__}"
    return {"fps": (env.metadata or {}).get("render_fps"), "metadata": metadata}


def _info(seed: Any, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what `Recorder.add` takes as the info of an episode."""
    info: dict[str, Any] = {}
    if seed is not None:
        info["seed"] = int(seed)
    if options:
        info["options"] = dict(options)
    return info


def _resets_itself(env: Any) -> bool:
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, gymnasium.wrappers.Autoreset):
            return True
        env = env.env
    return False


def _small_shape(space: gymnasium.Space[Any]) -> tuple[int, ...] | None:
    """Return the shape of observations that are kept; None: they are not."""
    if space.shape is None or space.dtype is None or space.dtype.kind not in "biuf":
        return None
    is_image = space.dtype == np.uint8 and len(space.shape) >= 2
    num_bytes = int(np.prod(space.shape)) * space.dtype.itemsize
    return None if is_image or num_bytes > MAX_OBS_BYTES else space.shape


def _kept(
    obs: Any, shape: tuple[int, ...] | None, batch: list[int]
) -> dict[str, Any] | None:
    """Return the data of a row: the observations, where they keep their promise."""
    if shape is None:
        return None
    array = np.asarray(_numpy(obs))
    is_fit = array.size == np.prod(batch + list(shape)) and array.dtype.kind in "biuf"
    return {"obs": array.reshape(batch + list(shape))} if is_fit else None


def _is_image(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim > 1


def _one_action(action: Any) -> npt.NDArray[Any] | None:
    """Return a single env's action as (1, ...); None where it is no array."""
    try:
        return np.asarray(_numpy(action))[None]
    except ValueError:
        return None


def _numpy(value: Any) -> Any:
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value
