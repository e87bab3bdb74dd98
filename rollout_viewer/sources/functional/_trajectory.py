"""Trajectories of states, as loops of people's own make them: rows after rows.

One state with an axis of time in front, as `jax.lax.scan` returns it, with or without
one of envs; or a list of states. Knows states. Knows no recorder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from rollout_viewer._errors import ShapeError, UnsupportedEnvError
from rollout_viewer._replay.kept_states import field, named_leaves
from rollout_viewer.sources.functional._states import on_host, rewards_and_ends

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from rollout_viewer.sources.functional._states import StateReader, StateRows

# So many rows are copied to the host at a time.
_ROWS_AT_A_TIME = 128


class Trajectory:
    """States of T steps, of one env or B.

    Args:
        states: One, with axes (T, ...), (T, B, ...) or (B, T, ...); or a list of T.
        action: (T, ...), (T, B, ...) or (B, T, ...): that led to each.
        env_axis: Where the envs are: 1, or 0 for (B, T, ...). Of a list, 0.

    Attributes:
        num_rows: T.
        num_envs: B.
        newest: The last state, or all in one: what they look like.
        num_axes: How many axes `newest` has in front of an env's own.

    Raises:
        ShapeError: The arrays are none of these.
    """

    def __init__(self, states: Any, action: Any = None, env_axis: int = 1) -> None:
        if env_axis not in (0, 1):
            raise ValueError(f"add: expected env_axis 0 or 1, got {env_axis!r}.")
        self._list = states if isinstance(states, list) else None
        if self._list is not None:
            if not self._list:
                raise ShapeError("add: expected states, got an empty list.")
            rewards_and_ends(self._list[-1])
            self._list = _of_one_form(self._list)
        self.newest = states if self._list is None else self._list[-1]
        shape = np.shape(rewards_and_ends(self.newest)[0])
        if self._list is not None:
            self._check(shape, (0, 1), "of one env, or (B,)")
            self._axis = 0 if shape else None
            self.num_rows, self.num_axes = len(self._list), len(shape)
        else:
            self._check(shape, (1, 2), "(T,) or (T, B)")
            self._axis = env_axis if len(shape) == 2 else None
            self.num_rows = shape[1 - env_axis] if len(shape) == 2 else shape[0]
            self.num_axes = len(shape)
        self.num_envs = 1 if self._axis is None else shape[self._axis]
        if not self.num_rows or not self.num_envs:
            raise ShapeError(f"add: expected states, got rewards of shape {shape}.")
        self._check_done(shape)
        self._action = None if action is None else self._checked_action(action)

    def _check(self, shape: tuple[int, ...], counts: Any, wanted: str) -> None:
        if len(shape) not in counts:
            raise ShapeError(
                f"add: expected states with rewards {wanted}, got shape {shape} of "
                f"{type(self.newest).__name__}. Pass what jax.lax.scan stacked, or a "
                "list of states."
            )

    def _check_done(self, shape: tuple[int, ...]) -> None:
        for name in ("reward", "done"):
            for one in self._list or [self.newest]:
                found = np.shape(field(one, name))
                if found != shape:
                    raise ShapeError(
                        f"add: expected {name} of shape {shape} as the rewards, got "
                        f"{found}. Pass states of one batch."
                    )

    def _checked_action(self, action: Any) -> Any:
        """Return actions (T, B, ...) on their device."""
        if isinstance(action, list):
            action = np.stack([np.asarray(one) for one in action])
        axes: tuple[int, ...] = (self.num_rows,)
        if self._axis is not None:
            axes = (self.num_rows, self.num_envs)
            if self._list is None and self._axis == 0:
                action = action.swapaxes(0, 1)
        if np.shape(action)[: len(axes)] != axes:
            raise ShapeError(
                f"add: expected action of shape {axes} and those of one action, as "
                f"states, got {np.shape(action)}. Pass the action that led to each "
                "state."
            )
        return action if self._axis is not None else action[:, None]

    def ends(self) -> npt.NDArray[np.bool_]:
        """Return which states are the last of an episode, (T, B)."""
        if self._list is not None:
            done = np.array(jax.device_get([field(one, "done") for one in self._list]))
        else:
            done = np.asarray(field(self.newest, "done"))
        if self._axis == 0 and self._list is None:
            done = done.swapaxes(0, 1)
        return done.reshape(self.num_rows, self.num_envs).astype(np.bool_)

    def rows(self, reader: StateReader) -> Iterator[StateRows]:
        """Yield all rows, some at a time."""
        taken = None
        if self._list is None:
            taken = reader.take(self.newest, self._axis)
        for start in range(0, self.num_rows, _ROWS_AT_A_TIME):
            stop = min(start + _ROWS_AT_A_TIME, self.num_rows)
            found = self._some(reader, taken, start, stop)
            if self._action is not None:
                found = found._replace(action=np.asarray(self._action[start:stop]))
            yield found

    def _some(
        self, reader: StateReader, taken: Any, start: int, stop: int
    ) -> StateRows:
        if self._list is not None:
            each = [reader.take(one, self._axis) for one in self._list[start:stop]]
            whole = jax.tree_util.tree_map(
                lambda *some: np.stack(some), *jax.device_get(each)
            )
            axis = None if self._axis is None else 1
            return on_host(whole, axis, 1 if axis is None else 2)
        time = 1 if self._axis == 0 else 0
        index = (slice(None),) * time + (slice(start, stop),)
        part = jax.tree_util.tree_map(lambda one: one[index], taken)
        return on_host(part, self._axis, self.num_axes)


def _of_one_form(states: list[Any]) -> list[Any]:
    """Return states with JAX's arrays, those of a name of one dtype.

    Raises:
        UnsupportedEnvError: They have others than the first, or none.
    """
    flat: list[Any] = [jax.tree_util.tree_flatten(one) for one in states]
    if flat[0][1] == jax.tree_util.tree_structure(0):
        raise UnsupportedEnvError(
            f"add: expected states that are pytrees, got {type(states[0]).__name__}. "
            "Register it: jax.tree_util.register_dataclass."
        )
    for state, (_, structure) in zip(states, flat, strict=True):
        if structure != flat[0][1]:
            names = named_leaves(states[0]).keys() ^ named_leaves(state).keys()
            raise UnsupportedEnvError(
                "add: expected states of one form, got others in "
                f"{', '.join(sorted(names)) or type(state).__name__:.300}. Have reset "
                "return all that step does."
            )
    columns = [
        _of_one_dtype(one) for one in zip(*(one[0] for one in flat), strict=True)
    ]
    return [
        jax.tree_util.tree_unflatten(flat[0][1], one)
        for one in zip(*columns, strict=True)
    ]


def _of_one_dtype(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    dtypes = {getattr(one, "dtype", None) for one in arrays}
    if len(dtypes) == 1 and all(isinstance(one, jax.Array) for one in arrays):
        return arrays
    try:
        dtype = jax.numpy.result_type(*arrays)
    except TypeError:  # of other than numbers
        return arrays
    return tuple(jax.numpy.asarray(one, dtype) for one in arrays)
