"""The process in which environments are replayed: jobs in, chunks of pictures out.

Started by `pool` as a program of its own, so that it runs nothing of the user's main
module. Reads jobs from what was its standard input and writes messages to what was its
standard output; see `take_over_pipes`.
"""

from __future__ import annotations

import pickle
import queue
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import RenderError, RolloutViewerError
from rollout_viewer._frames.transform import crop, resize
from rollout_viewer._replay.block_pictures import BlockPictures
from rollout_viewer._replay.dm_control_env import (
    DMControlEnv,
    has_physics,
    is_dm_control,
    make_of_suite,
)
from rollout_viewer._replay.kept_states import make_states_env, use_cpu
from rollout_viewer._replay.messages import (
    Done,
    Position,
    Prepare,
    Ready,
    Stop,
    Task,
    read_message,
    take_over_pipes,
    write_message,
)
from rollout_viewer._replay.recipe import DM_CONTROL, FUNCTIONAL, NATIVE
from rollout_viewer._replay.replay import NotReproducible, Replay, picture
from rollout_viewer._replay.state_replay import StateReplay
from rollout_viewer._replay.viewpoint import (
    can_look_again,
    has_viewpoint,
    look_first,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._replay.messages import Message

    Frame = npt.NDArray[np.uint8]


class Performer:
    """Performs one task after the other.

    Keeps the environment of the last, as long as tasks go on from where it stands.

    Args:
        send: Called with each message.
        is_stopped: Asked before each row whether its task ends there.
    """

    def __init__(
        self,
        send: Callable[[Message | Ready], object],
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._send, self._is_stopped = send, is_stopped
        self._env: Any = None
        self._replay: Replay | StateReplay | None = None
        self._position: Position | None = None
        self._prepared: Prepare | None = None
        self._was_used = False

    def prepare(self, prepare: Prepare) -> None:
        """Make an environment for a task that will come."""
        self._drop()
        is_of_any = False
        try:
            self._env = make_env(prepare.maker)
            is_of_any = can_look_again(self._env)
            if prepare.first is not None and has_viewpoint(self._env):
                look_first(self._env, prepare.first, picture)
                picture(self._env)  # the first one takes longest
            self._prepared = prepare
        except Exception:  # reported where the task makes it again
            self._env = None
        self._send(Ready(is_of_any))

    def perform(self, task: Task) -> None:
        """Replay a task's episodes; send their pictures, and how it ended."""
        blocks = BlockPictures(self._send)
        difference, error = None, ""
        is_right = False
        try:
            self._replay_rows(task, blocks)
            is_right = True
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
        is_worn, picture_s = _is_worn(self._env), 0.0
        if is_right and (replay := self._replay) is not None:
            job, picture_s = task.job, replay.picture_s
            place = job.env, job.parts[0].index, replay.row, job.is_history
            is_of_any = is_worn and can_look_again(self._env)
            about = (*place, is_of_any, job.first_look)
            self._position = Position(task.maker, task.session, *about)
        elif not is_worn:
            self._drop()
        end = difference, error, is_worn, self._position, self._was_used, picture_s
        refused: tuple[tuple[int, str], ...] = ()
        if isinstance(self._replay, StateReplay):
            refused = (*self._replay.refused,)
        self._send(Done(blocks.num_done, *end, refused))

    def _replay_rows(self, task: Task, blocks: BlockPictures) -> None:
        """Make pictures until all are there, it is stopped, or its time is over."""
        replay = self._begin(task)
        left = None if task.first_rows is None else {*task.first_rows}
        until_s = None
        for row, frame in replay.pictures(task, self._is_stopped):
            blocks.add(row, _fit(frame, task))
            if left is None:
                continue
            left.discard(row)
            if left:
                continue
            if until_s is None:
                blocks.send()
                until_s = time.monotonic() + task.budget_s
            if time.monotonic() + replay.picture_s > until_s:
                return

    def _begin(self, task: Task) -> Replay | StateReplay:
        """Return the replay that goes on or starts again, or a new one."""
        position, self._position = self._position, None
        if self._replay is not None and position is not None:
            if position.leads_to(task):
                return self._replay
            is_same = _is_worn(self._env) and position.has_env_of(task)
            if is_same and isinstance(self._replay, Replay):
                self._was_used = True
                self._replay.restart(is_of_other=not position.is_of_same(task.job))
                return self._replay
        prepared, self._prepared = self._prepared, None
        is_right = prepared is not None and prepared.is_for(task)
        if prepared is not None and not is_right and prepared.maker == task.maker:
            if not can_look_again(self._env):
                prepared = None
        elif not is_right:
            prepared = None
        if prepared is None:
            self._drop()
            self._env = make_env(task.maker)
        has_looked = is_right and prepared is not None and prepared.first is not None
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
    if hasattr(bare, "mujoco_renderer") or hasattr(bare, "is_worn"):
        return True
    return has_physics(bare)


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


class Inbox:
    """What the program that started this one sends, read ahead: a stop is at once.

    Args:
        stream: Ends where nothing more comes.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._messages: queue.SimpleQueue[Task | Prepare | None] = queue.SimpleQueue()
        self._is_stopped = False
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def is_stopped(self) -> bool:
        """Whether the task that came last is to end."""
        return self._is_stopped

    def next(self) -> Task | Prepare | None:
        """Return the next message, which is waited for; None: there is none."""
        return self._messages.get()

    def _read(self) -> None:
        try:
            while True:
                message = read_message(self._stream)
                self._is_stopped = isinstance(message, Stop)
                if not self._is_stopped:
                    self._messages.put(message)
        except EOFError:
            pass
        finally:
            self._is_stopped = True  # no one waits
            self._messages.put(None)


def main() -> None:
    """Perform tasks until there are no more."""
    # Ctrl-C is for the parent, which then ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tasks, out = take_over_pipes()
    sys.path[:] = read_message(tasks)
    inbox = Inbox(tasks)
    performer = Performer(lambda message: write_message(out, message), inbox.is_stopped)
    with suppress(BrokenPipeError):
        while (message := inbox.next()) is not None:
            if isinstance(message, Prepare):
                performer.prepare(message)
            else:
                performer.perform(message)
