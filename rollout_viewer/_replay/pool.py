"""Processes that replay, seen from the one that wants their pictures.

Each is a program of its own rather than a fork: environments and renderers of this
process are left alone. It ends when its input is closed, as when this process is
killed.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from rollout_viewer._errors import ExportCancelled, RenderError
from rollout_viewer._replay.messages import (
    Done,
    Prepare,
    Ready,
    Stop,
    read_message,
    write_message,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from rollout_viewer._replay.messages import Maker, Message, Position, Task

_PROGRAM = "from rollout_viewer._replay.worker import main; main()"
_WAIT_S = 5.0
# Messages that may wait; a message is at most a block's pictures.
_MAX_WAITING = 16
# How often it is asked whether a task is still wanted, or its process still there.
_CANCEL_POLL_S = 0.05
_ALIVE_POLL_S = 1.0
# How long a task that is not wanted any more may take to its next row.
_STOP_S = 1.0
# How long it may take to read the rest of what an ended process wrote.
_READ_S = 1.0
# So many processes that ended before they had a task; then none is prepared any more.
_MAX_LOST = 3


class ProcessEnded(RenderError):
    """A process ended in the middle of a task; another may do it."""


class Answer(NamedTuple):
    """A message of a worker about its task; None: the worker ended in the middle."""

    worker: Any
    message: Any


def put_answer(
    answers: queue.Queue[Answer], answer: Answer, is_closing: Callable[[], bool]
) -> None:
    """Wait for a place in a queue; give up where no one takes from it any more."""
    while not is_closing():
        try:
            answers.put(answer, timeout=0.5)
            return
        except queue.Full:
            continue


class Worker:
    """One process that replays, or does what another program says.

    Args:
        answers: Where its messages go; filled by a thread.
        program: What it runs. It reads messages from its standard input, first
            `sys.path`, and writes messages to its standard output.
    """

    def __init__(self, answers: queue.Queue[Answer], program: str = _PROGRAM) -> None:
        self.task: Task | None = None
        # What the environment that it makes before its next task is made by; whether
        # it is there; and whether it may do tasks of all envs.
        self.prepared: Prepare | None = None
        self.is_ready = self.is_of_any = False
        # Where it may go on; and whether it can do nothing else.
        self.position: Position | None = None
        self.is_worn = False
        # Whether it was there before its task, of which it has sent nothing.
        self.is_unheard = False
        self._was_asked = False
        self._answers = answers
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as this
        self._process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=_environment(),
            # Ctrl-C is for this process, also before that one ignores it.
            start_new_session=True,
        )
        self._is_closing = self._is_killed = False
        self._reader = threading.Thread(
            target=self._read, name="rollout_viewer worker", daemon=True
        )
        self._reader.start()
        self.send(list(sys.path))

    def start(self, task: Task) -> None:
        """Begin a task."""
        self.task, self.prepared, self.position = task, None, None
        self.is_unheard, self._was_asked = self._was_asked, True
        self.send(task)

    def prepare(self, message: Prepare) -> None:
        """Have it make an environment for a task that will come."""
        self.prepared, self._was_asked = message, True
        self.is_ready = self.is_of_any = False
        self.send(message)

    @property
    def has_looked(self) -> bool:
        """Whether its environment may have made a picture before its task.

        Of another start, it is of no use; and no other is made beside it: see `is_worn`
        of the worker.
        """
        return self.prepared is not None and self.prepared.first is not None

    @property
    def is_gone(self) -> bool:
        """Whether its process has ended, or can answer no more."""
        if self._process.poll() is None:
            return not self._reader.is_alive()
        self._kill()
        return True

    def is_held_open(self) -> bool:
        """Whether its process has ended, and another keeps its output open."""
        if not self.is_gone:
            return False
        self._reader.join(_READ_S)
        return self._reader.is_alive()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def send(self, message: object) -> None:
        """Send an object to the process."""
        # Where it has ended, its other pipe reports that.
        with suppress(OSError):
            write_message(cast("BinaryIO", self._process.stdin), message)

    def _read(self) -> None:
        # Whatever it is, a task must not wait for ever. Closed here: where this thread
        # reads, another would wait for it.
        with cast("BinaryIO", self._process.stdout) as out, suppress(Exception):
            while True:
                if isinstance(message := read_message(out), Ready):
                    self.is_of_any, self.is_ready = message.is_of_any, True
                else:
                    self._put(Answer(self, message))
        self._put(Answer(self, None))

    def _put(self, answer: Answer) -> None:
        put_answer(self._answers, answer, lambda: self._is_closing)

    def why_ended(self) -> str:
        """Return how the process ended, with the end of what it wrote.

        One that has closed its output and goes on is ended.
        """
        try:
            code = self._process.wait(_WAIT_S)
        except subprocess.TimeoutExpired:
            self._kill()
            code = self._process.wait()
        self._errors.seek(0)
        text = self._errors.read().decode("utf-8", "replace").strip()
        return f"exit code {code}" + (f": {text[-500:]}" if text else "")

    def close(self) -> None:
        """End the process."""
        self._is_closing = True
        self._kill()
        # However busy the machine is: a killed process ends.
        self._process.wait()
        self._reader.join(_READ_S)
        with suppress(OSError):
            cast("BinaryIO", self._process.stdin).close()
        self._errors.close()

    def _kill(self) -> None:
        """Kill the process, once, with those it started, which keep its pipes open."""
        if self._is_killed:
            return
        self._is_killed = True
        # One that ended well has ended its own; others may have its number by now.
        if self._process.poll() == 0:
            return
        with suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(self.pid, signal.SIGKILL)
            else:
                self._process.kill()


class WorkerPool:
    """At most so many processes, started when there is something to do.

    Args:
        num_workers: How many have a task at a time.
        num_spare: So many more may be prepared for a task.
    """

    def __init__(self, num_workers: int, num_spare: int = 0) -> None:
        self._num_workers = num_workers
        self._num_spare = num_spare
        self._answers: queue.Queue[Answer] = queue.Queue(_MAX_WAITING)
        self._workers: list[Worker] = []
        self._waiting: deque[Task] = deque()
        # What makes environments whose first picture decides nothing; and that may
        # look from elsewhere after it.
        self._plain: Maker | None = None
        self._movable: Maker | None = None
        self._num_lost = 0

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, task: Task) -> None:
        """Let a task be done before those that wait."""
        self._waiting.appendleft(task)

    def perform(
        self, tasks: Iterable[Task], is_cancelled: Callable[[], bool] | None = None
    ) -> Iterator[tuple[Task, Message]]:
        """Yield (task, message) until all tasks are done.

        Args:
            tasks: What to do.
            is_cancelled: Asked often whether to stop.

        Raises:
            ProcessEnded: A process ended in the middle of a task. Of one that was
                there before, and has sent nothing, the task is begun once more.
            ExportCancelled: `is_cancelled` returned true. Processes that were in the
                middle of a task have stopped there, or are ended.
        """
        self._waiting.extend(tasks)
        give_up_at: float | None = None
        while True:
            if give_up_at is None:
                self._assign()
                if not self._busy():
                    return
                if is_cancelled is not None and is_cancelled():
                    give_up_at = self._ask_to_stop()
            elif not self._busy() or time.monotonic() > give_up_at:
                self.stop()
                raise ExportCancelled("FrameCache.render: cancelled.")
            wait_s = _ALIVE_POLL_S if is_cancelled is None else _CANCEL_POLL_S
            worker, message = self._next_answer(wait_s)
            if worker not in self._workers:
                continue
            if message is None:
                self._lose(worker, is_stopping=give_up_at is not None)
                continue
            task = worker.task
            if task is None:
                continue
            self._note(worker, message)
            yield task, message

    def _busy(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.task is not None]

    def _ask_to_stop(self) -> float:
        """Drop the tasks that wait; return until when the others should have ended."""
        self._waiting.clear()
        for worker in self._busy():
            worker.send(Stop())
        return time.monotonic() + _STOP_S

    def _note(self, worker: Worker, message: Message) -> None:
        """Note what a message says about its worker."""
        task, worker.is_unheard = worker.task, False
        if not isinstance(message, Done):
            return
        assert task is not None
        position = message.position
        if position is not None and not message.is_worn:
            self._plain = task.maker
        if position is not None and position.is_of_any:
            self._movable = task.maker
        worker.task, worker.position = None, position
        worker.is_worn = message.is_worn
        if worker.is_worn and position is None:
            self._close(worker)

    def _next_answer(self, wait_s: float) -> Answer:
        """Return what comes next; of no worker, if nothing does in so many seconds."""
        with suppress(queue.Empty):
            return self._answers.get(timeout=wait_s)
        for worker in self._workers:
            is_silent = worker.task is not None and worker.is_held_open()
            if is_silent and self._answers.empty():
                return Answer(worker, None)
        return Answer(None, None)

    def _lose(self, worker: Worker, *, is_stopping: bool = False) -> None:
        """Remove a worker that has ended; begin its task once more, or raise.

        Raises:
            ProcessEnded: Another would end as well, unless its task `is_stopping`.
        """
        task = worker.task
        if task is None or is_stopping:
            self._num_lost += task is None and worker.prepared is not None
            self._close(worker)
        elif worker.is_unheard:
            self._close(worker)
            self._new_worker().start(task)
        else:
            why = worker.why_ended()
            self.stop()
            raise ProcessEnded(
                "FrameCache.render: expected a process to replay an environment, "
                f"got {why}"
            )

    def _new_worker(self) -> Worker:
        worker = Worker(self._answers)
        self._workers.append(worker)
        return worker

    def _idle(self) -> list[Worker]:
        """Return the processes without a task; of those that have ended, none."""
        idle = [worker for worker in self._workers if worker.task is None]
        for worker in [one for one in idle if one.is_gone]:
            self._lose(worker)
            idle.remove(worker)
        return idle

    def prepare(self, message: Prepare) -> None:
        """Have an environment made for a task that will come, by an idle process."""
        if message.maker == self._plain:
            message = message._replace(first=None)  # and so for any start
        idle = self._idle()
        if message.maker == self._movable:
            theirs = [one.prepared or one.position for one in idle]
            is_there = message.maker in [one.maker for one in theirs if one]
        else:
            is_there = any(worker.prepared == message for worker in idle)
        if is_there or self._num_lost >= _MAX_LOST:
            return
        # Others may go on.
        idle = [one for one in idle if one.position is None]
        for one in [one for one in idle if one.has_looked]:
            known = None if one.prepared is None else one.prepared.maker
            if message.first is not None or known != message.maker:
                self._close(one)
                idle.remove(one)
        if not idle:
            if len(self._workers) >= self._num_workers + self._num_spare:
                return
            idle = [self._new_worker()]
        idle[-1].prepare(message)

    def stop(self) -> None:
        """Drop the tasks that wait, and end the processes that are in one."""
        self._waiting.clear()
        for worker in self._busy():
            self._close(worker)

    def close(self) -> None:
        """End all processes."""
        self._waiting.clear()
        for worker in self._workers:
            worker.close()
        self._workers, self._num_lost = [], 0

    def _assign(self) -> None:
        num_busy = sum(worker.task is not None for worker in self._workers)
        while self._waiting and num_busy < self._num_workers:
            num_busy += 1
            task = self._waiting.popleft()
            self._worker_for(task).start(task)

    def _worker_for(self, task: Task) -> Worker:
        """Return an idle process: one that goes on, or is ready, or any, or new."""
        idle = self._idle()
        for one in idle:
            if one.position is not None and one.position.leads_to(task):
                return one
        for one in idle:
            known = one.position
            if one.is_worn and known is not None and known.has_env_of(task):
                return one
        prepared = [one for one in idle if self._is_prepared(one, task)]
        fresh = [one for one in idle if not (one.is_worn or one.has_looked)]
        # One that has done a task makes an environment sooner than one that begins.
        for one in [*prepared, *fresh]:
            if one.is_ready or one.position is not None:
                return one
        if prepared or fresh:
            return [*prepared, *fresh][0]
        for one in idle:
            if len(self._workers) >= self._num_workers + self._num_spare:
                self._close(one)
        return self._new_worker()

    def _is_prepared(self, worker: Worker, task: Task) -> bool:
        """Whether a worker makes, or has made, an environment for a task."""
        known = worker.prepared
        if known is None:
            return False
        is_of_any = worker.is_of_any or known.maker == self._movable
        return known.is_for(task) or (is_of_any and known.maker == task.maker)

    def _close(self, worker: Worker) -> None:
        self._workers.remove(worker)
        worker.close()


def default_num_workers() -> int:
    """Return half of the cores."""
    num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    return max((num_cores or os.cpu_count() or 1) // 2, 1)


def _environment() -> dict[str, str]:
    """Return the variables of a process that has no screen."""
    variables = dict(os.environ)
    variables.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    # Several of them share the cores.
    variables.setdefault("OMP_NUM_THREADS", "1")
    variables["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return variables
