"""Observations and actions of every form, as the arrays of a row.

A row's data are named arrays (B, ...) of numbers. A Box is ``obs``; each part of a
Dict or Tuple space is ``obs.<key>``, at any depth. An action is one array (B, ...): the
parts of a Dict or Tuple, in the order of their names, side by side. Knows the shapes of
spaces and values. Knows no framework.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._errors import warn_once
from rollout_viewer._frames.tensors import as_numpy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

# Of each env's observations at most this much is recorded; larger ones are pictures or
# would take more room than these.
MAX_OBS_BYTES = 64_000


class Part(NamedTuple):
    """An array within an observation.

    Attributes:
        path: Keys and indices of it; empty for the observation itself.
        shape: Of one env.
        num_bytes: Of one env.
    """

    path: tuple[Any, ...]
    shape: tuple[int, ...]
    num_bytes: int

    @property
    def name(self) -> str:
        """Name in the row's data."""
        return ".".join(map(str, ("obs", *self.path))) if self.path else "obs"

    def of_each(self, num_envs: int) -> Part:
        """Return the part of one env, where this is of `num_envs`."""
        return Part(self.path, self.shape[1:], self.num_bytes // num_envs)


def parts_of(space: Any) -> list[Part]:
    """Return the recorded parts of observations: numbers, no images, up to 64 kB.

    Args:
        space: A space of Gymnasium, of one env.

    Example:
        >>> from gymnasium.spaces import Box, Dict, Discrete
        >>> parts = parts_of(Dict(arm=Dict(angle=Box(-1, 1, (2,))), goal=Discrete(3)))
        >>> [(part.name, part.shape) for part in parts]
        [('obs.arm.angle', (2,)), ('obs.goal', ())]
    """
    kept, total = [], 0
    for part in _parts(space, ()):
        total += part.num_bytes
        if total > MAX_OBS_BYTES:
            break
        kept.append(part)
    return kept


def parts_like(obs: Any, num_envs: int) -> list[Part]:
    """Return the recorded parts of observations like this one, without a space.

    Args:
        obs: An array, or arrays in dicts and tuples; `num_envs` is their first axis.
        num_envs: 0 without such an axis.
    """
    found, total = [], 0
    for path, value in _values(obs, ()):
        array = as_array(value)
        if array is None:
            continue
        shape = array.shape[1:] if num_envs else array.shape
        is_image = array.dtype == np.uint8 and len(shape) >= 2
        is_of_all = not num_envs or array.shape[:1] == (num_envs,)
        if array.dtype.kind not in "biuf" or is_image or not is_of_all:
            continue
        total += array.nbytes // max(num_envs, 1)
        if total > MAX_OBS_BYTES:
            break
        found.append(Part(path, shape, array.nbytes // max(num_envs, 1)))
    return found


def _values(obs: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(obs, (Mapping, tuple)):
        items = obs.items() if isinstance(obs, Mapping) else enumerate(obs)
        for key, one in items:
            yield from _values(one, (*path, key))
    elif hasattr(obs, "dtype") or np.isscalar(obs):
        yield path, obs


def _parts(space: Any, path: tuple[Any, ...]) -> Iterator[Part]:
    within = getattr(space, "spaces", None)
    if isinstance(within, (Mapping, tuple)):
        items = within.items() if isinstance(within, Mapping) else enumerate(within)
        for key, one in items:
            yield from _parts(one, (*path, key))
        return
    shape, dtype = getattr(space, "shape", None), getattr(space, "dtype", None)
    if shape is None or dtype is None or dtype.kind not in "biuf":
        return
    if not (dtype == np.uint8 and len(shape) >= 2):
        yield Part(path, tuple(shape), int(np.prod(shape)) * dtype.itemsize)


def observation_data(
    obs: Any, parts: Sequence[Part], batch: Sequence[int]
) -> dict[str, npt.NDArray[Any]] | None:
    """Return the data of a row: the parts of an observation that have their shape.

    Args:
        obs: In the form of the space; its arrays start with the axes of `batch`.
        parts: From `parts_of`.
        batch: ``[num_envs]``, or empty.
    """
    found = {}
    if len(parts) == 1 and type(obs) is np.ndarray:
        # Nearly always one array: it takes a third of the time.
        only = parts[0]
        wanted = (*batch, *only.shape)
        if not only.path and obs.size == math.prod(wanted) and obs.dtype.kind in "biuf":
            return {"obs": obs.reshape(wanted)}
    for part in parts:
        try:
            value = obs
            for key in part.path:
                value = value[key]
        except (LookupError, TypeError):
            continue
        wanted = (*batch, *part.shape)
        array = value if type(value) is np.ndarray else as_array(value)
        if array is None:
            warn_once(
                f"record: expected observations {part.name!r} of one shape, got a "
                f"{type(value).__name__} that is no array, as of unequal lists. These "
                "are left out of the recording; return an array."
            )
        elif array.size == math.prod(wanted) and array.dtype.kind in "biuf":
            found[part.name] = array.reshape(wanted)
    return found or None


def with_final(
    data: Mapping[str, npt.NDArray[Any]],
    final: Mapping[int, Any],
    parts: Sequence[Part],
) -> dict[str, npt.NDArray[Any]]:
    """Return a row's data with the observations of some envs replaced.

    Args:
        data: From `observation_data`, of all envs.
        final: Env -> its observation, without a batch axis.
        parts: From `parts_of`.
    """
    copied = {name: np.array(batch) for name, batch in data.items()}
    for env, obs in final.items():
        for name, value in (observation_data(obs, parts, ()) or {}).items():
            if name in copied:
                copied[name][env] = value
    return copied


def as_action(action: Any, space: Any, num_envs: int) -> Any:
    """Return an action for the recorder: (B, ...), or unchanged.

    Args:
        action: In the form of the space.
        space: Its space; only used for whether it has parts.
        num_envs: B; the length of each part, unless it is 1.

    Returns:
        For a Dict or Tuple (B, D): its parts, flattened, in the order of their names.
        None where one of them is no array of numbers.
    """
    if not isinstance(getattr(space, "spaces", None), (Mapping, tuple)):
        return action
    try:
        columns = [
            np.asarray(as_numpy(one)).reshape(num_envs, -1) for one in _leaves(action)
        ]
        flat = np.concatenate(columns, axis=1)
    except MemoryError:
        raise
    except Exception:  # of whatever objects a policy returns
        return None
    return flat if flat.dtype.kind in "biuf" else None


def one_action(action: Any, space: Any = None) -> npt.NDArray[Any] | None:
    """Return a single env's action as (1, ...); None where it is no array."""
    if type(action) is np.ndarray and action.dtype.kind in "biuf":
        return action[None]
    if isinstance(action, (int, np.integer)):
        return np.array([action])
    flat = as_action(action, space, 1)
    if flat is not action:
        return flat if flat is None else np.asarray(flat)
    array = as_array(action)
    return None if array is None else array[None]


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from _leaves(value[key])
    elif isinstance(value, tuple):
        for one in value:
            yield from _leaves(one)
    else:
        yield value


def as_array(value: Any) -> npt.NDArray[Any] | None:
    """Return an observation as an array; None: it is none, as a ragged list."""
    try:
        return np.asarray(as_numpy(value))
    except MemoryError:
        raise
    except Exception:  # of whatever object an environment returns
        return None
