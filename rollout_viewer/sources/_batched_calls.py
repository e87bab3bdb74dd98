"""What a call did to each of many environments that answer as Gymnasium's do.

In all three autoreset modes, whether they are a `VectorEnv`, a simulation of thousands
behind one `gymnasium.Env`, or an object without a framework. Tensors are copied to
this side once. Knows calls and rows. Knows no framework and no recorder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import FrameError
from rollout_viewer._frames.convert import split_frames
from rollout_viewer._recording.step_row import Kind
from rollout_viewer.sources._same_step import SameStep
from rollout_viewer.sources._spaces import as_action, as_numpy, kept, with_final

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_viewer._recording.step_row import Mask
    from rollout_viewer.sources._spaces import Part

# When an env that ended is reset; the values of Gymnasium's AutoresetMode.
NEXT_STEP, SAME_STEP, DISABLED = "NextStep", "SameStep", "Disabled"


class BatchedCalls:
    """Tells what each call was to each env, in all three autoreset modes.

    Whoever inherits records it: `_add` takes what `Recorder.add` takes, once a call or
    twice, and the other hooks stand where a recording may begin or end.

    Attributes:
        env: What is stepped.
        begins: Bool (B,): the last observation is the first of an episode.
    """

    env: Any
    num_envs: int
    begins: Mask

    def _set_up_calls(self, mode: str, parts: Sequence[Part]) -> None:
        self._mode = mode
        self._parts = parts
        self._has_ended = np.zeros(self.num_envs, np.bool_)
        self.begins = np.zeros(self.num_envs, np.bool_)

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, Any]:
        """Reset all environments, or those of ``options["reset_mask"]``."""
        # Before the call: SyncVectorEnv takes the mask out of the options.
        mask = reset_mask(options, self.num_envs)
        shown = {k: v for k, v in (options or {}).items() if k not in _CHOOSING}
        self._before_reset(mask)
        obs, info = self._reset_env(seed, options)
        self._tell_reset(obs, seed, shown, mask)
        return obs, info

    def _tell_reset(
        self, obs: Any, seed: Any, options: Mapping[str, Any], mask: Mask
    ) -> None:
        self._has_ended &= ~mask
        self.begins |= mask
        self._add(
            np.where(mask, Kind.RESET, Kind.IDLE),
            self._pictures,
            data=self._data(obs),
            infos={
                env: reset_info(s, options)
                for env, s in self._seeds(seed, mask).items()
            },
        )
        self._after_call()

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Step all environments; records a row, or two."""
        result = obs, reward, terminated, truncated, info = self._step_env(actions)
        # Here and nowhere else, since each copy waits for the GPU.
        terminated, truncated = as_mask(terminated), as_mask(truncated)
        ended = np.logical_or(terminated, truncated)
        kind = np.full(self.num_envs, Kind.STEP, np.uint8)
        pictures, data = self._pictures, self._data(obs)
        first_data = data
        is_two_rows = self._mode == SAME_STEP and bool(ended.any())
        if self._mode == NEXT_STEP:
            kind[self._has_ended] = Kind.RESET
            ended &= ~self._has_ended
        elif is_two_rows:
            final = final_observations(info, np.flatnonzero(ended).tolist())
            call = SameStep(self._pictures, obs, final, ended)
            kind[ended] = Kind.TERMINAL_MISSING
            if self._is_recording:  # it renders
                kind[call.shown()] = Kind.STEP
            pictures = call.terminal
            if data is not None:
                data = with_final(data, final, self._parts)
        self.begins = ended if is_two_rows else kind == Kind.RESET
        self._has_ended = ended
        if not is_two_rows:
            self._before_last_row()
        self._add(
            kind,
            pictures,
            reward=as_numpy(reward),
            terminated=terminated,
            truncated=truncated,
            action=as_action(actions, self._batched_actions(), self.num_envs),
            data=data,
        )
        if is_two_rows:
            self._before_last_row()
            self._add(
                np.where(ended, Kind.RESET, Kind.IDLE),
                call.rendered,
                data=first_data,
                is_same_call=True,
            )
        self._after_call()
        return result

    def reset_ended(self, ended: Mask) -> Any:
        """Reset the envs that ended, where that is left to the caller.

        Returns:
            The new observations, or None.
        """
        if self._mode != DISABLED or not ended.any():
            return None
        return self.reset(options={"reset_mask": np.array(ended)})[0]

    # -- for who inherits

    def _reset_env(self, seed: Any, options: Any) -> tuple[Any, Any]:
        """Reset what is wrapped."""
        obs, info = self.env.reset(seed=seed, options=options)
        return obs, info

    def _step_env(self, actions: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Step what is wrapped."""
        obs, reward, terminated, truncated, info = self.env.step(actions)
        return obs, reward, terminated, truncated, info

    def _render_env(self) -> Any:
        """Return what is wrapped renders."""
        return self.env.render()

    def _add(self, kind: Any, pictures: Callable[[], Any], **call: Any) -> None:
        """Record a row."""
        raise NotImplementedError

    def _chosen(self) -> list[int] | None:
        """Return the envs whose pictures are kept; None: all."""
        return None

    @property
    def _is_recording(self) -> bool:
        """Whether `_add` makes rows."""
        return True

    def _batched_actions(self) -> Any:
        """Return the space of actions of all envs, or None."""
        return getattr(self, "action_space", None)

    def _before_reset(self, mask: Mask) -> None:
        """Do what comes before a reset of these envs."""

    def _before_last_row(self) -> None:
        """Do what comes before the last row of a step; `begins` tells of it."""

    def _after_call(self) -> None:
        """Do what comes when all rows of a call are there."""

    # -- what is recorded

    def _pictures(self) -> list[Any]:
        return as_pictures(self._render_env(), self.num_envs, self._chosen())

    def _data(self, obs: Any) -> dict[str, Any] | None:
        return kept(obs, self._parts, [self.num_envs])

    def _seeds(self, seed: Any, mask: Mask) -> dict[int, Any]:
        """Return the seed of each env that is reset."""
        envs: list[int] = np.flatnonzero(mask).tolist()
        if seed is None or np.ndim(seed) == 0:
            return dict.fromkeys(envs, seed)  # one generator for all
        # One for each env, or (ALE) one for each that is reset.
        seeds = [seed[e] for e in envs] if len(seed) == self.num_envs else seed
        return dict(zip(envs, seeds, strict=True))


# Under these names people choose which envs `reset` is for: Gymnasium's, ManiSkill's.
_CHOOSING = ("reset_mask", "env_idx")


def reset_mask(options: Mapping[str, Any] | None, num_envs: int) -> Mask:
    """Return which envs a reset with these options is for."""
    for name in _CHOOSING:
        chosen = (options or {}).get(name)
        if chosen is None:
            continue
        chosen = np.asarray(as_numpy(chosen))
        if chosen.dtype == np.bool_:
            return np.array(chosen)
        mask = np.zeros(num_envs, np.bool_)
        mask[chosen] = True
        return mask
    return np.ones(num_envs, np.bool_)


def reset_info(seed: Any, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what `Recorder.add` takes as the info of an episode."""
    info: dict[str, Any] = {}
    if seed is not None:
        info["seed"] = int(seed)
    if options:
        info["options"] = dict(options)
    return info


def as_mask(value: Any) -> Mask:
    """Return ends as a new bool array (B,)."""
    return np.array(as_numpy(value), np.bool_).reshape(-1)


def final_observations(info: Any, envs: list[int]) -> dict[int, Any]:
    """Return the ``final_obs`` of `envs`; empty where the environment gives none."""
    if isinstance(info, Sequence):  # one for each env: Gymnasium's DictInfoToList
        return {e: info[e]["final_obs"] for e in envs if "final_obs" in info[e]}
    final = info.get("final_obs") if isinstance(info, Mapping) else None
    if final is None:
        return {}
    return {e: _of_env(final, e) for e in envs}


def _of_env(batch: Any, env: int) -> Any:
    """Return one env's of batches within dicts and tuples."""
    if isinstance(batch, Mapping):
        return {key: _of_env(one, env) for key, one in batch.items()}
    if isinstance(batch, tuple):
        return tuple(_of_env(one, env) for one in batch)
    return batch[env]


def as_pictures(
    rendered: Any, num_envs: int, chosen: Sequence[int] | None
) -> list[Any]:
    """Return what was rendered as a picture of each env, or one of them all.

    Args:
        rendered: A picture, or one for each env: a list or one array. Or one for each
            of `chosen`, as simulations do that render only some.
        num_envs: How many there are.
        chosen: Whose pictures are kept; None: all. A batch on another device comes
            over without the others.
    """
    if isinstance(rendered, (list, tuple)):
        pictures = [newest(one) for one in rendered]
        is_one = len(pictures) == 1
    else:
        # A batch without channels is refused as it stands, or taken for one picture.
        is_one = np.ndim(rendered) < 4
        if chosen is not None and not is_one and len(rendered) == num_envs:
            rendered = rendered[list(chosen)]
        pictures = list(split_frames(rendered))
    if chosen is None or is_one or len(pictures) != len(chosen):
        return pictures
    placed: list[Any] = [None] * num_envs
    for env, picture in zip(chosen, pictures, strict=True):
        placed[env] = picture
    return placed


def newest(pictures: Any) -> Any:
    """Return the newest of a list render mode's pictures, or the one there is.

    Raises:
        FrameError: The list is empty.
    """
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
