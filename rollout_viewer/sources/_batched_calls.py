"""Batches with Gymnasium's interface: what a call was to each of many environments.

In all three autoreset modes, whether they are a `VectorEnv`, a simulation of thousands
behind one `gymnasium.Env`, or an object without a framework. Knows calls. Knows no
framework and no recorder.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import FrameError, ShapeError
from rollout_viewer._frames.convert import FloatScale, split_frames
from rollout_viewer._frames.tensors import as_numpy
from rollout_viewer._recorder.step_info import MAX_BYTES
from rollout_viewer._recording.step_row import RESET, STEP
from rollout_viewer.sources._batched_rows import BatchedRows
from rollout_viewer.sources._device_calls import DeviceCalls, Render, any_elsewhere
from rollout_viewer.sources._spaces import as_action, parts_like

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rollout_viewer._recording.step_row import Mask
    from rollout_viewer.sources._device_calls import CallHere
    from rollout_viewer.sources._spaces import Part

# When an env that ended is reset; the values of Gymnasium's AutoresetMode.
NEXT_STEP, SAME_STEP, DISABLED = "NextStep", "SameStep", "Disabled"
# The one camera of `render`.
_CAMERA = "pixels"


class BatchedCalls(BatchedRows):
    """Resets and steps as Gymnasium's vector environments do, and records them.

    Attributes:
        env: What is stepped.
    """

    env: Any
    # Whether a call has begun of which it is not known yet what it ended.
    _is_torn = False

    def _set_up_calls(self, mode: str, parts: Sequence[Part] | None) -> None:
        # Without a space, the first observations show their parts.
        self._knows_parts = parts is not None
        self._set_up_rows(parts or [])
        self._mode = mode
        self._has_ended = np.zeros(self.num_envs, np.bool_)
        self._scale = FloatScale()
        self._device_calls = DeviceCalls()
        # Of the call that is recorded now, where its pictures came with its numbers.
        self._ready: CallHere | None = None
        # Whether the newest picture is one, of an env or of them all.
        self._shows_one = False

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, Any]:
        """Reset all environments, or those of ``options["reset_mask"]``."""
        # Before the call: SyncVectorEnv removes the mask from the options.
        mask = reset_mask(options, self.num_envs)
        shown = {k: v for k, v in (options or {}).items() if k not in _SUBSET_OPTIONS}
        self._record_call("before reset", self._before_reset, mask)
        obs, info = self._reset_env(seed, options)
        self._record_call("reset", self._record_reset, obs, seed, shown, mask, info)
        return obs, info

    def _record_reset(
        self,
        obs: Any,
        seed: Any,
        options: Mapping[str, Any],
        mask: Mask,
        info: Any = None,
    ) -> None:
        if not self._knows_parts:
            self._parts = parts_like(obs, self.num_envs)
            self._knows_parts = True
        self._has_ended = self._has_ended & ~mask
        self._is_torn = False
        seeds = self._seeds(seed, mask)
        infos = {env: reset_info(one, options) for env, one in seeds.items()}
        if not any_elsewhere(obs):
            self._add_reset(mask, obs, infos, info)
            return
        with self._here(obs=obs, info=info) as call:
            self._add_reset(mask, call["obs"], infos, call["info"])

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Step all environments; records a row, or two."""
        result = self._step_env(actions)
        self._record_call("step", self._record_step, actions, *result)
        return result

    def _record_step(
        self,
        actions: Any,
        obs: Any,
        reward: Any,
        terminated: Any,
        truncated: Any,
        info: Any,
    ) -> None:
        values = obs, reward, terminated, truncated, actions
        if not any_elsewhere(values):
            self._record_here(actions, obs, reward, terminated, truncated, info)
            return
        # At once and nowhere else: each copy waits for the GPU.
        with self._here(
            actions=actions,
            obs=obs,
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            info=info,
        ) as call:
            self._record_here(**call)

    def _record_here(
        self,
        actions: Any,
        obs: Any,
        reward: Any,
        terminated: Any,
        truncated: Any,
        info: Any,
    ) -> None:
        terminated = as_mask(terminated, self.num_envs)
        truncated = as_mask(truncated, self.num_envs)
        ended = np.logical_or(terminated, truncated)
        step: dict[str, Any] = {
            "reward": as_numpy(reward),
            "terminated": terminated,
            "truncated": truncated,
            "action": as_action(actions, self._batched_actions(), self.num_envs),
        }
        if self._mode == SAME_STEP and ended.any():
            final = final_observations(info, np.flatnonzero(ended).tolist())
            infos = split_infos(info, self.num_envs)
            self._add_same_step(ended, obs, final, *infos, **step)
            return
        kind = np.full(self.num_envs, STEP, np.uint8)
        if self._mode == NEXT_STEP:
            kind[self._has_ended] = RESET
            ended &= ~self._has_ended
        self._has_ended = ended
        self._is_torn = False
        self._add_step(kind, obs, step_info=info, **step)

    @contextlib.contextmanager
    def _here(self, **values: Any) -> Iterator[dict[str, Any]]:
        """Bring what a call returned, and its pictures, from another device."""
        renders = {}
        if self._takes_each_call:
            renders[_CAMERA] = Render(self._selected, self._scale)
        with self._device_calls.bring(values, self._wants, renders) as call:
            self._ready = call if renders else None
            try:
                yield call.values()
            finally:
                self._ready = None

    def _wants(self, path: tuple[Any, ...], tensor: Any) -> bool:
        """Whether a tensor of a call is recorded, and not too large for that."""
        name, within = path[0], path[1:]
        if name == "info" and within[:1] == ("final_obs",):
            if self._mode != SAME_STEP:
                return False
            name, within = "obs", within[1:]
        if name == "obs":
            return any(part.path == within for part in self._parts)
        if name != "info":
            return True
        is_each = tuple(tensor.shape[:1]) == (self.num_envs,)
        num_bytes = tensor.numel() * tensor.element_size()
        is_small = num_bytes <= MAX_BYTES * (self.num_envs if is_each else 1)
        if self._mode == SAME_STEP and len(within) > 1 and within[0] == "final_info":
            within = within[1:]  # as the info of the steps that ended
        # With a key comes which envs have it.
        keys = {str(within[0]), str(within[0]).removeprefix("_")}
        return is_small and any(map(self._may_want_info, keys))

    def reset_ended(self, ended: Mask) -> Any:
        """Reset the ended envs if they do not reset themselves.

        Returns:
            The new observations, or None.
        """
        if self._mode != DISABLED or not ended.any():
            return None
        return self.reset(options={"reset_mask": np.array(ended)})[0]

    # -- hooks

    def _reset_env(self, seed: Any, options: Any) -> tuple[Any, Any]:
        """Reset the wrapped environments."""
        obs, info = self.env.reset(seed=seed, options=options)
        return obs, info

    def _step_env(self, actions: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Step the wrapped environments."""
        obs, reward, terminated, truncated, info = self.env.step(actions)
        return obs, reward, terminated, truncated, info

    def _render_env(self) -> Any:
        """Return what the wrapped environments render."""
        return self.env.render()

    def _pictured_envs(self) -> list[int] | None:
        """Return the envs whose pictures are recorded; None: all."""
        return None

    def _batched_actions(self) -> Any:
        """Return the space of actions of all envs, or None."""
        return getattr(self, "action_space", None)

    def _before_reset(self, mask: Mask) -> None:
        """Do what comes before a reset of these envs."""

    @property
    def _takes_each_call(self) -> bool:
        """Whether each call is recorded with its pictures, so that it is rendered."""
        return False

    def _may_want_info(self, key: str) -> bool:
        """Whether something of a key of info may be recorded."""
        del key
        return False

    def _selected(self) -> Any:
        """Render, and return the recorded pictures, where they are."""
        rendered, pictured = self._render_env(), self._pictured_envs()
        self._shows_one = shows_one(rendered)
        select = self._device_calls.select
        return select_pictures(rendered, self.num_envs, pictured, select)

    def _pictures(self) -> list[Any]:
        if self._ready is None:
            selected = self._selected()
            if isinstance(selected, list):
                pictures = selected
            else:
                pictures = list(split_frames(selected, scale=self._scale))
        else:
            pictures = self._ready.pictures(_CAMERA)
        if self._shows_one:
            return pictures
        return placed_pictures(pictures, self.num_envs, self._pictured_envs())

    def _seeds(self, seed: Any, mask: Mask) -> dict[int, Any]:
        """Return the seed of each env that is reset."""
        envs: list[int] = np.flatnonzero(mask).tolist()
        if seed is None or np.ndim(seed) == 0:
            return dict.fromkeys(envs, seed)  # one generator for all
        # One for each env, or (ALE) one for each that is reset.
        seeds = [seed[e] for e in envs] if len(seed) == self.num_envs else seed
        return dict(zip(envs, seeds, strict=True))


# The options that name the envs to reset: Gymnasium's, ManiSkill's.
_SUBSET_OPTIONS = ("reset_mask", "env_idx")


def reset_mask(options: Mapping[str, Any] | None, num_envs: int) -> Mask:
    """Return which envs a reset with these options is for."""
    for name in _SUBSET_OPTIONS:
        subset = (options or {}).get(name)
        if subset is None:
            continue
        subset = np.asarray(as_numpy(subset))
        if subset.dtype == np.bool_:
            return np.array(subset)
        mask = np.zeros(num_envs, np.bool_)
        mask[subset] = True
        return mask
    return np.ones(num_envs, np.bool_)


def reset_info(seed: Any, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the info of an episode for `Recorder.add`."""
    info: dict[str, Any] = {}
    if seed is not None:
        with contextlib.suppress(TypeError, ValueError):  # environments take others too
            info["seed"] = int(seed)
    if options and isinstance(options, Mapping):
        info["options"] = dict(options)
    return info


def as_mask(value: Any, num_envs: int) -> Mask:
    """Return ends as a bool array (B,), which may be the caller's.

    Raises:
        ShapeError: They are not of B environments.
    """
    is_array = type(value) is np.ndarray and value.dtype == np.bool_
    mask = value if is_array else np.array(as_numpy(value), np.bool_)
    if mask.shape == (num_envs,):
        return mask
    if mask.ndim and mask.size != num_envs:
        raise ShapeError(
            f"record: expected ends of {num_envs} environments, as many as the first "
            f"observations were, got {mask.size}. Return a bool for each."
        )
    return np.array(np.broadcast_to(mask.reshape(-1), num_envs))


_OF_ENDED = ("episode", "_episode")


def final_observations(info: Any, envs: list[int]) -> dict[int, Any]:
    """Return the ``final_obs`` of `envs`; empty where `info` has none."""
    if isinstance(info, Sequence):  # one for each env: Gymnasium's DictInfoToList
        return {e: info[e]["final_obs"] for e in envs if "final_obs" in info[e]}
    final = info.get("final_obs") if isinstance(info, Mapping) else None
    if final is None:
        return {}
    return {e: _of_env(final, e) for e in envs}


def split_infos(info: Any, num_envs: int) -> tuple[Any, Any]:
    """Return the info of a call that reset the envs that it ended, in two parts.

    Returns:
        The info, of ended envs that of their resets; and that of the steps that ended
        them. None: `info` is that of the steps, as of simulations.
    """
    if isinstance(info, Mapping):
        # Of Gymnasium before 1.0 an array of dicts, since then a dict of arrays.
        final = info.get("final_info")
        if isinstance(final, np.ndarray) and final.shape == (num_envs,):
            return info, list(final)
        if not isinstance(final, Mapping):
            return info, final if isinstance(final, list) else None
        # RecordEpisodeStatistics, which is around the envs, adds it beside.
        ended = {key: info[key] for key in _OF_ENDED if key in info}
        return {k: info[k] for k in info if k not in ended}, {**final, **ended}
    if isinstance(info, Sequence):
        each = [one.get("final_info") for one in info]
        return info, each if any(each) else None
    return info, None


def _of_env(batch: Any, env: int) -> Any:
    """Return one env's part of a batch, or of batches in dicts and tuples."""
    if isinstance(batch, Mapping):
        return {key: _of_env(one, env) for key, one in batch.items()}
    if isinstance(batch, tuple):
        return tuple(_of_env(one, env) for one in batch)
    return batch[env]


def select_pictures(
    rendered: Any,
    num_envs: int,
    pictured: Sequence[int] | None,
    select: Callable[[Any, Sequence[int]], Any],
) -> Any:
    """Return what was rendered, of the recorded envs alone: a list, or one array.

    Args:
        rendered: A picture, or one for each env: a list or one array. Or one for each
            of `pictured`, from simulations that render only some.
        num_envs: Of the batch.
        pictured: Whose pictures are recorded; None: all. Of a batch on another device
            only these are copied.
        select: Returns some envs of an array or tensor (B, ...).
    """
    if isinstance(rendered, (list, tuple)):
        is_each = pictured is not None and len(rendered) == num_envs
        each = [rendered[env] for env in pictured or ()] if is_each else rendered
        return [newest(one) for one in each]
    if pictured is not None and not shows_one(rendered) and len(rendered) == num_envs:
        return select(rendered, pictured)
    return rendered


def shows_one(rendered: Any) -> bool:
    """Whether what was rendered is one picture, of one env or of them all."""
    if isinstance(rendered, (list, tuple)):
        return len(rendered) == 1
    # A batch without channels raises, or is taken for one picture.
    return bool(np.ndim(rendered) < 4)


def placed_pictures(
    pictures: list[Any], num_envs: int, pictured: Sequence[int] | None
) -> list[Any]:
    """Return pictures of the recorded envs at the places of their envs."""
    if pictured is None or len(pictures) != len(pictured):
        return pictures
    placed: list[Any] = [None] * num_envs
    for env, picture in zip(pictured, pictures, strict=True):
        placed[env] = picture
    return placed


def newest(pictures: Any) -> Any:
    """Return the newest of a list render mode's pictures, or the one picture.

    Raises:
        FrameError: The list is empty.
    """
    if isinstance(pictures, list):
        if not pictures:
            raise FrameError(
                "record: expected a picture from render(), got an empty list. Do not "
                "call render() of an environment with a list render mode while it is "
                "recorded."
            )
        return pictures[-1]
    if isinstance(pictures, tuple):
        return pictures[0]  # 'rgbd_tuple': color, depth
    return pictures
