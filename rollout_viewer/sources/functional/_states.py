"""What is recorded of states: rewards, ends, observations, info, and what draws them.

Of one state, of one in the middle of a compiled loop, or of a trajectory of thousands
of envs, of which a few are drawn. Knows states. Knows no recorder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from rollout_viewer._errors import UnsupportedEnvError
from rollout_viewer._replay.kept_states import encoded, field, kept_leaves

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from rollout_viewer._recording.step_row import Mask

    Array = npt.NDArray[Any]

# Of wrappers, for themselves; ends are recorded as such.
_NO_INFO = ("truncation", "steps", "episode_done", "time_out")
_NO_INFO_PREFIX = "AutoResetWrapper"
_AUTORESET_MARKS = ("first_pipeline_state", "first_obs", "AutoResetWrapper_first_data")


class StateRows(NamedTuple):
    """Rows of a batch, on the host: arrays (n, B, ...), and `leaves` (n, P, ...).

    Attributes:
        reward: Of each.
        terminated: Of each.
        truncated: Of each.
        obs: Arrays in dicts or tuples; None: states have none.
        info: Name -> numbers.
        leaves: What draws the P envs that are drawn, by name.
        action: That led there; None: not known.
        begins: Where an episode begins; None: not known.
    """

    reward: Array
    terminated: Mask
    truncated: Mask
    obs: Any
    info: dict[str, Array]
    leaves: dict[str, Array]
    action: Array | None = None
    begins: Mask | None = None

    @property
    def num_rows(self) -> int:
        """N."""
        return len(self.reward)

    @property
    def num_envs(self) -> int:
        """B."""
        return int(self.reward.shape[1])


class StateReader(NamedTuple):
    """Takes of states what is recorded.

    Attributes:
        read: Of `names_read`.
        drawn: Envs that are drawn; None: all.
        has_info: Whether info and metrics are recorded.
    """

    read: frozenset[str] | None
    drawn: Sequence[int] | None
    has_info: bool = True

    def take(self, state: Any, env_axis: int | None) -> dict[str, Any]:
        """Return what is recorded of a state, or of states in one, on its device.

        Args:
            state: Its arrays may be tracers.
            env_axis: Where its arrays have the envs; None: they are of one env.

        Raises:
            UnsupportedEnvError: It has no reward or end.
        """
        reward, done = rewards_and_ends(state)
        info = field(state, "info")
        truncation = info.get("truncation") if isinstance(info, Mapping) else None
        taken = {
            "reward": reward,
            "done": done,
            "truncation": truncation,
            "obs": field(state, "obs"),
            "info": _numbers(state, np.shape(reward)) if self.has_info else {},
            "leaves": {
                name: self._of_drawn(leaf, env_axis, np.shape(reward))
                for name, leaf in kept_leaves(state, self.read).items()
            },
        }
        return {name: one for name, one in taken.items() if one is not None}

    def _of_drawn(self, leaf: Any, axis: int | None, shape: tuple[int, ...]) -> Any:
        if axis is None:
            return leaf
        drawn = range(shape[axis]) if self.drawn is None else self.drawn
        if np.ndim(leaf) <= axis or np.shape(leaf)[axis] != shape[axis]:
            # One array for all envs
            return jax.numpy.stack([leaf] * len(drawn), axis)
        if self.drawn is None:
            return leaf
        return leaf[(slice(None),) * axis + (np.array(drawn),)]


def rewards_and_ends(state: Any) -> tuple[Any, Any]:
    """Return the rewards and ends of a state.

    Raises:
        UnsupportedEnvError: It has none.
    """
    reward, done = field(state, "reward"), field(state, "done")
    if reward is None or done is None:
        raise UnsupportedEnvError(
            "record: expected states with obs, reward and done, as those of Brax and "
            f"MuJoCo Playground, got {type(state).__name__}. Have reset and step "
            "return such, or append pictures and rewards to a FrameCache."
        )
    return reward, done


def _numbers(state: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the numbers of each env among metrics and info."""
    found: dict[str, Any] = {}
    for known in (field(state, "metrics"), field(state, "info")):
        for key, value in known.items() if isinstance(known, Mapping) else ():
            is_ours = key in _NO_INFO or str(key).startswith(_NO_INFO_PREFIX)
            if np.shape(value) == shape and _is_number(value) and not is_ours:
                found[str(key)] = value
    return found


def _is_number(value: Any) -> bool:
    dtype = getattr(value, "dtype", np.dtype(np.object_))
    kinds = jax.numpy.bool_, jax.numpy.integer, jax.numpy.floating
    return any(jax.numpy.issubdtype(dtype, kind) for kind in kinds)


def resets_itself(state: Any) -> bool:
    """Return whether a wrapper replaces the state that ends an episode by the next."""
    info = field(state, "info")
    return isinstance(info, Mapping) and any(mark in info for mark in _AUTORESET_MARKS)


def on_host(taken: Mapping[str, Any], env_axis: int | None, num_axes: int) -> StateRows:
    """Return what `take` returned as rows.

    Args:
        taken: Of states with `num_axes` axes of rows and envs; it is waited for.
        env_axis: Which of these is the envs; None: they are of one.
        num_axes: 0: of one state of one env.
    """
    known = jax.device_get(taken)
    placed = {
        name: jax.tree_util.tree_map(lambda one: _placed(one, env_axis, num_axes), one)
        for name, one in known.items()
    }
    rest = {
        name: jax.tree_util.tree_map(_plain, one)
        for name, one in placed.items()
        if name != "leaves"
    }
    done = rest["done"].astype(np.bool_)
    truncated = done & rest.get("truncation", np.zeros_like(done)).astype(np.bool_)
    begins = rest.get("begins")
    return StateRows(
        rest["reward"].astype(np.float64),
        done & ~truncated,
        truncated,
        rest.get("obs"),
        rest["info"],
        {name: encoded(one) for name, one in placed["leaves"].items()},
        rest.get("action"),
        None if begins is None else begins.astype(np.bool_),
    )


def _placed(value: Any, env_axis: int | None, num_axes: int) -> Array:
    """Return an array with the axes of rows and envs in front."""
    array = np.asarray(value)
    if env_axis is None:
        num_rows = array.shape[0] if num_axes else 1
        return array.reshape(num_rows, 1, *array.shape[num_axes:])
    if num_axes == 1:
        return array[None]
    return array.swapaxes(0, 1) if env_axis == 0 else array


def _plain(array: Array) -> Array:
    """Return bfloat16 and the like as numbers that NumPy has."""
    return array.astype(np.float32) if array.dtype.kind == "V" else array
