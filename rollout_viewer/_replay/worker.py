"""The process in which environments are replayed: jobs in, chunks of pictures out.

Started by `pool` as a program of its own, so that it runs nothing of the user's main
module. Reads jobs from what was its standard input and writes messages to what was its
standard output; see `take_over_pipes`.
"""

from __future__ import annotations

import pickle
import signal
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import RenderError, RolloutViewerError
from rollout_viewer._frames.transform import crop, resize
from rollout_viewer._replay.block_pictures import BlockPictures
from rollout_viewer._replay.dm_control_env import (
    DMControlEnv,
    is_dm_control,
    make_of_suite,
)
from rollout_viewer._replay.kept_states import make_states_env, use_cpu
from rollout_viewer._replay.messages import (
    Done,
    Position,
    Prepare,
    Task,
    read_message,
    take_over_pipes,
    write_message,
)
from rollout_viewer._replay.recipe import DM_CONTROL, FUNCTIONAL, NATIVE
from rollout_viewer._replay.replay import NotReproducible, Replay, look_first
from rollout_viewer._replay.state_replay import StateReplay

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._replay.messages import Message

    Frame = npt.NDArray[np.uint8]


class Performer:
    """Performs one task after the other.

    Keeps the environment of the last, as long as tasks go on from where it stands.

    Args:
        send: Called with each message.
    """

    def __init__(self, send: Callable[[Message], object]) -> None:
        self._send = send
        self._env: Any = None
        self._replay: Replay | StateReplay | None = None
        self._position: Position | None = None
        self._prepared: Prepare | None = None
        self._was_used = False

    def prepare(self, prepare: Prepare) -> None:
        """Make an environment for a task that will come."""
        self._drop()
        try:
            self._env = make_env(prepare.maker)
            if prepare.first is not None:
                look_first(self._env, prepare.first)
            self._prepared = prepare
        except Exception:  # reported where the task makes it again
            self._env = None

    def perform(self, task: Task) -> None:
        """Replay a task's episodes; send their pictures, and how it ended."""
        blocks = BlockPictures(self._send)
        difference, error = None, ""
        is_whole = False
        try:
            for row, frame in self._begin(task).pictures(task):
                blocks.add(row, _fit(frame, task))
            is_whole = True
        except NotReproducible as found:
            difference = found.difference
        except RolloutViewerError as problem:
            error = str(problem)
        except Exception:
            error = (
                "FrameCache.render: expected to replay an environment, got "
                f"{traceback.format_exc(limit=-3)}"
            )
        blocks.send()
        is_worn = _is_worn(self._env)
        if is_whole and self._replay is not None:
            job = task.job
            place = job.env, job.parts[0].index, self._replay.row, job.is_history
            self._position = Position(task.maker, task.session, *place)
        elif not is_worn:
            self._drop()
        end = difference, error, is_worn, self._position, self._was_used
        self._send(Done(blocks.num_done, *end))

    def _begin(self, task: Task) -> Replay | StateReplay:
        """Return the replay that goes on or starts again, or a new one."""
        position, self._position = self._position, None
        if self._replay is not None and position is not None:
            if position.leads_to(task):
                return self._replay
            is_same = _is_worn(self._env) and position.has_env_of(task)
            if is_same and isinstance(self._replay, Replay):
                self._was_used = True
                self._replay.restart()
                return self._replay
        prepared, self._prepared = self._prepared, None
        if prepared is None or not prepared.is_for(task):
            self._drop()
            prepared, self._env = None, make_env(task.maker)
        has_looked = prepared is not None and prepared.first is not None
        if task.maker[0] == FUNCTIONAL:
            self._replay = StateReplay(self._env)
        else:
            self._replay = Replay(self._env, task, has_looked=has_looked)
        self._was_used = False
        return self._replay

    def _drop(self) -> None:
        env, self._env = self._env, None
        self._replay = self._prepared = self._position = None
        if env is not None:
            with suppress(Exception):  # the next task is of another
                env.close()


def _is_worn(env: Any) -> bool:
    """Whether no other environment can be made after this one was closed.

    With OSMesa, that damages the pictures of the next. All of these reset as a whole.
    """
    bare = getattr(env, "unwrapped", None)
    return hasattr(bare, "mujoco_renderer") or hasattr(bare, "is_worn")


def _fit(frame: Frame, task: Task) -> Frame:
    if task.crop is not None:
        frame = crop(frame, task.crop)
    if task.resize is not None:
        frame = resize(frame, (task.resize[0], task.resize[1]))
    return frame


def make_env(maker: tuple[str, Any, dict[str, Any]]) -> Any:
    """Return a new environment that renders.

    Raises:
        RenderError: It cannot be made.
    """
    kind, what, options = maker
    try:
        if kind == FUNCTIONAL:
            use_cpu()
            function, arguments = pickle.loads(what)
            return make_states_env(function, arguments, options)
        if kind == "function":
            function, arguments = pickle.loads(what)
            env = function(*arguments, **options)
            if is_dm_control(env):
                env = DMControlEnv(env)
        elif kind == DM_CONTROL:
            env = make_of_suite(what, options)
        elif kind == NATIVE:
            env = _make_native(what, options)
        else:
            env = _make_by_spec(kind, what, options)
    except Exception as error:
        raise RenderError(
            "FrameCache.render: expected to make the recorded environment again, got "
            f"{type(error).__name__}: {error!s:.500}. Pass make_env=, a function that "
            "returns it."
        ) from error
    mode = getattr(env, "render_mode", "rgb_array")
    if mode in (None, "human", "ansi"):
        raise RenderError(
            "FrameCache.render: expected make_env to return an environment with "
            f"render_mode='rgb_array', got render_mode={mode!r}."
        )
    _check_camera(env, options.get("camera_name"))
    return env


def _check_camera(env: Any, name: str | None) -> None:
    """Raise RenderError where MuJoCo has no such camera: its free one would look."""
    renderer = getattr(getattr(env, "unwrapped", env), "mujoco_renderer", None)
    if name is not None and getattr(renderer, "camera_id", None) == -1:
        raise RenderError(
            f"FrameCache.render: expected a camera of the environment, got {name!r}. "
            "Pass one of its model's, such as 'track'."
        )


def _make_native(what: tuple[str, Any, int], options: dict[str, Any]) -> Any:
    import gymnasium

    from rollout_viewer._replay.column_env import ColumnEnv

    kind, spec, number = what
    kwargs = {"render_mode": "rgb_array", **options}
    return ColumnEnv(gymnasium.make_vec(_spec(kind, spec), **kwargs), number)


def _make_by_spec(kind: str, what: Any, options: dict[str, Any]) -> Any:
    import gymnasium

    return gymnasium.make(_spec(kind, what), render_mode="rgb_array", **options)


def _spec(kind: str, what: Any) -> Any:
    from gymnasium.envs.registration import EnvSpec

    return EnvSpec.from_json(what) if kind == "json" else pickle.loads(what)


def main() -> None:
    """Perform tasks until there are no more."""
    # Ctrl-C is for the parent, which then ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tasks, out = take_over_pipes()
    sys.path[:] = read_message(tasks)
    performer = Performer(lambda message: write_message(out, message))
    while True:
        try:
            message = read_message(tasks)
            if isinstance(message, Prepare):
                performer.prepare(message)
            else:
                performer.perform(message)
        except (EOFError, BrokenPipeError):
            return
