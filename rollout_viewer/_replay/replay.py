"""An environment is stepped through recorded actions, and compared row by row.

Up to the first difference: no picture is made of a row that is not exactly as it was
recorded, nor of any after it.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import RenderError
from rollout_viewer._frames.convert import split_frames
from rollout_viewer._recording.step_row import IDLE, RESET, STEP, TERMINAL_MISSING
from rollout_viewer._replay.env_state import restore
from rollout_viewer._replay.messages import Difference
from rollout_viewer._replay.observations import CHECKSUM, difference
from rollout_viewer._replay.probe import Probe, insert_probe
from rollout_viewer._replay.skipped_picture import picture_skipper
from rollout_viewer._replay.viewpoint import has_looked, has_viewpoint, look_first

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from rollout_viewer._replay.messages import Task
    from rollout_viewer._replay.plan import EpisodePart, RecordedRow

    Frame = npt.NDArray[np.uint8]


class NotReproducible(Exception):
    """A replay differs from the recording from some row on."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(difference)
        self.difference = difference


class Replay:
    """An environment that is stepped through recorded rows, and may go on later.

    Args:
        env: One that was not used before.
        task: The first one.
        has_looked: `look_first` was called with it.

    Attributes:
        row: The last that was stepped through; -1: none.
        picture_s: How long the last picture took.
    """

    def __init__(self, env: Any, task: Task, *, has_looked: bool = False) -> None:
        if task.is_probed:
            self._probe: Probe | None = Probe(env, has_ends=True)
            env = self._probe
        else:
            self._probe = insert_probe(env)
        if task.num_repeats > 1:
            env = _Repeated(env, task.num_repeats)
        self._env = env
        self._skip_picture = picture_skipper(env)
        # From where it looks is decided.
        self._has_looked = has_looked or not has_viewpoint(env)
        self.row = -1
        self.picture_s = 0.0
        # The picture of the row.
        self._shown: Frame | None = None

    def restart(self, *, is_of_other: bool = False) -> None:
        """Let the next task begin with a reset.

        Of environments whose reset leaves nothing of what was before, as MuJoCo's. What
        the first picture decided stays, as where it was recorded.

        Args:
            is_of_other: The task is of another environment, which may look from
                elsewhere.
        """
        self.row, self._shown = -1, None
        if is_of_other:
            self._has_looked = not has_viewpoint(self._env)

    def pictures(
        self, task: Task, is_stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[int, Frame]]:
        """Yield (row, picture) of the wanted rows of a task's job, in order.

        Args:
            task: The first one, or one that begins as that did, and wants rows after
                those of all before.
            is_stopped: Asked before each row whether the task ends there.

        Raises:
            NotReproducible: A row differs; the rows before it are right.
            RenderError: The environment gives no pictures.
        """
        self._look(task)
        wanted = task.job.wanted
        for number, part in enumerate(task.job.parts):
            for index, recorded in enumerate(part.rows):
                if recorded.row <= self.row:
                    continue
                if is_stopped():
                    return
                is_first = number == 0
                self._step_to(part if index == 0 else None, recorded, is_first=is_first)
                self.row = recorded.row
                if recorded.row in wanted:
                    if self._shown is None:
                        began_s = time.monotonic()
                        self._shown = picture(self._env)
                        self.picture_s = time.monotonic() - began_s
                        self._has_looked = True
                    yield recorded.row, self._shown

    def _look(self, task: Task) -> None:
        """Look from where the recorded env did, unless its next picture decides it."""
        if self._has_looked:
            return
        first = task.job.first
        if has_looked(self._env):  # of another env
            first = task.job.first_look
        if first is not None:
            if first.problem:
                row = task.job.parts[0].rows[0]
                what = "environment's first reset"
                raise _different(row, what, "one that can be repeated", first.problem)
            look_first(self._env, first, picture)
            self.restart()
            self._has_looked = True

    def _step_to(
        self, part: EpisodePart | None, recorded: RecordedRow, *, is_first: bool
    ) -> None:
        """Do what was done in a row, and compare.

        Args:
            part: The episode that it begins, if it does.
            recorded: The row.
            is_first: That is the first of the job.
        """
        has_moved = part is not None or recorded.kind != IDLE
        if has_moved and self.row >= 0 and self._shown is None:
            self._skip_picture()
        if part is not None:
            result = _reset(self._env, part, recorded, is_first=is_first)
        elif recorded.kind in (STEP, TERMINAL_MISSING):
            result = _step(self._env, recorded)
        elif recorded.kind == IDLE:
            return
        else:
            raise _different(recorded, "kind", "a step or an idle row", recorded.kind)
        if self._probe is not None:
            _compare_below(recorded, self._probe, *result[2:])
        else:
            _compare(recorded, *result)
        self._shown = None


class _Repeated:
    """Steps an environment several times with each action, until an end."""

    def __init__(self, env: Any, num_repeats: int) -> None:
        self.env = env
        self._num_repeats = num_repeats

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)

    def step(self, action: Any) -> Any:
        for _ in range(self._num_repeats):
            result = self.env.step(action)
            if result[2] or result[3]:
                break
        return result


def _reset(
    env: Any, part: EpisodePart, recorded: RecordedRow, *, is_first: bool
) -> tuple[Any, float, bool, bool]:
    if recorded.kind != RESET:
        raise _different(recorded, "first row", "a reset", "a step")
    start = part.start
    if start is not None and start.problem:
        raise _different(recorded, "reset", "one that can be repeated", start.problem)
    try:
        if start is None:  # by the call that ended the episode before
            obs, _ = env.reset()
        else:
            if is_first:
                restore(env, start.state)
            obs, _ = env.reset(seed=start.seed, options=start.options)
    except Exception as error:
        raise _different(recorded, "reset", "done", repr(error)) from error
    return obs, math.nan, False, False


def _step(env: Any, recorded: RecordedRow) -> tuple[Any, float, bool, bool]:
    if recorded.action is None:
        raise _different(recorded, "action", "one of each step", "none")
    action = as_action(recorded.action, env.action_space)
    try:
        obs, reward, terminated, truncated, _ = env.step(action)
    except Exception as error:
        raise _different(recorded, "step", "one that succeeds", repr(error)) from error
    return obs, float(np.sum(reward)), bool(terminated), bool(truncated)


def _compare(
    recorded: RecordedRow, obs: Any, reward: float, terminated: bool, truncated: bool
) -> None:
    same_reward = (
        reward == recorded.reward
        or (math.isnan(reward) and math.isnan(recorded.reward))
        # Stable-Baselines3 has rewards of 32 bits.
        or float(np.float32(reward)) == recorded.reward
    )
    if not same_reward:
        raise _different(recorded, "reward", recorded.reward, reward)
    _compare_ends(recorded, terminated, truncated)
    if (found := difference(recorded.data, obs)) is not None:
        raise _different(recorded, *found)


def _compare_ends(recorded: RecordedRow, terminated: bool, truncated: bool) -> None:
    # Of an episode with both ends, Stable-Baselines3 reports the first.
    if recorded.ends not in (
        (terminated, truncated),
        (terminated, truncated and not terminated),
    ):
        ends = terminated, truncated
        raise _different(recorded, "(terminated, truncated)", recorded.ends, ends)


def _compare_below(
    recorded: RecordedRow, probe: Probe, terminated: bool, truncated: bool
) -> None:
    """Compare what is below wrappers that keep statistics, or another library."""
    if not probe.has_ends:
        _compare_ends(recorded, terminated, truncated)
    known = recorded.data.get(CHECKSUM)
    if known is None or int(known) != probe.checksum:
        what = "checksum of observation and reward"
        raise _different(recorded, what, known, probe.checksum)


def _different(
    recorded: RecordedRow, what: str, known: Any, found: Any
) -> NotReproducible:
    difference = Difference(recorded.row, what, _text(known), _text(found))
    return NotReproducible(difference)


def _text(value: Any) -> str:
    with np.printoptions(threshold=8, edgeitems=3, precision=17):
        return f"{value!s:.200}"


def as_action(flat: npt.NDArray[Any], space: Any) -> Any:
    """Return a recorded action in the form of its space.

    Of a Dict or Tuple, its parts are recorded side by side, by their names' order.
    """
    if getattr(space, "spaces", None) is None:
        return flat if flat.ndim else flat[()]
    values, rest = _unflatten(flat.reshape(-1), space)
    if len(rest):
        raise ValueError(f"{len(rest)} numbers more than {space} has")
    return values


def _unflatten(flat: npt.NDArray[Any], space: Any) -> tuple[Any, npt.NDArray[Any]]:
    within = getattr(space, "spaces", None)
    if within is None:
        size = int(np.prod(space.shape))
        value = flat[:size].astype(space.dtype).reshape(space.shape)
        return (value if value.ndim else value[()]), flat[size:]
    items = dict(within.items() if hasattr(within, "items") else enumerate(within))
    values = {}
    # Of a Tuple too: "10" is before "2" among the recorded numbers' names.
    keys = sorted(items, key=str) if hasattr(within, "items") else list(items)
    for key in keys:
        values[key], flat = _unflatten(flat, items[key])
    if hasattr(within, "items"):
        return values, flat
    return tuple(values[key] for key in items), flat


def picture(env: Any) -> Frame:
    """Return what an environment renders.

    Raises:
        RenderError: It is no picture.
    """
    try:
        rendered = env.render()
        if isinstance(rendered, tuple):
            rendered = rendered[0]  # color, depth
        if isinstance(rendered, list):
            rendered = rendered[-1]
        is_last = np.ndim(rendered) >= 3 and np.shape(rendered)[-1] == 3
        frame = split_frames([rendered], channels="last" if is_last else "auto")[0]
        if frame is None:
            raise ValueError("None")
    except Exception as error:
        raise RenderError(
            "FrameCache.render: expected a picture from "
            f"{type(env.unwrapped).__name__}.render(), got {error!r:.300}."
        ) from error
    return frame
