"""What is sent to the process that replays, and what it answers."""

from __future__ import annotations

import os
import pickle
import struct
import sys
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeAlias

from rollout_viewer._replay.recipe import FUNCTIONAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_viewer._replay.episode_start import EpisodeStart
    from rollout_viewer._replay.plan import Job

_LENGTH = struct.Struct("<Q")

# Of `maker_of`: how an environment is made.
Maker: TypeAlias = "tuple[str, Any, dict[str, Any]]"


class Difference(NamedTuple):
    """A row in which a replay is not what was recorded, and both values."""

    row: int
    what: str
    recorded: str
    replayed: str


class Prepare(NamedTuple):
    """A worker is to make an environment now, for a task that will come.

    Attributes:
        maker: As of the task.
        first: What `look_first` is called with; None: it is not called.
    """

    maker: Maker
    first: EpisodeStart | None = None

    def is_for(self, task: Task) -> bool:
        """Whether its environment is as that of a task that has just begun."""
        is_right = self.first is None or self.first == task.job.first_look
        return is_right and self.maker == task.maker


class Task(NamedTuple):
    """What a worker is asked to do.

    Attributes:
        job: Episodes and rows.
        maker: Of `maker_of`: how the env is made.
        crop: Of its pictures.
        resize: Of its pictures.
        is_probed: As of `Recipe`.
        num_repeats: As of `Recipe`.
        session: Of the recording, whose rows are added to and never change.
        is_fresh: Only an environment that was not used before may do it.
        first_rows: Are made, however long that takes; None: all that are wanted.
        budget_s: So long after those, the task ends. What is left is another's.
    """

    job: Job
    maker: Maker
    crop: Sequence[int] | None
    resize: Sequence[int] | None
    is_probed: bool = False
    num_repeats: int = 1
    session: str = ""
    is_fresh: bool = False
    first_rows: frozenset[int] | None = None
    budget_s: float = 0.0


class Ready(NamedTuple):
    """A message: what was to be prepared is there, or cannot be.

    Attributes:
        is_of_any: As of `Position`.
    """

    is_of_any: bool


class Stop(NamedTuple):
    """A worker is to end its task before the next row, and to keep where it stands."""


class Position(NamedTuple):
    """Where a replay stands that may go on.

    Attributes:
        maker: As of its task.
        session: As of its task.
        env: Its number.
        base: The episode with which it began.
        row: The last that it stepped through; -1: none yet.
        begins_early: As `Job.is_history`.
        is_of_any: Its environment, reset, may do tasks of other envs.
        first_look: As of its job.
    """

    maker: Maker
    session: str
    env: int
    base: int
    row: int
    begins_early: bool
    is_of_any: bool = False
    first_look: EpisodeStart | None = None

    def is_of_same(self, job: Job) -> bool:
        """Whether the environment of a job looks from the same place."""
        return (self.env, self.first_look) == (job.env, job.first_look)

    def has_env_of(self, task: Task) -> bool:
        """Whether its environment, reset, may do a task."""
        is_its = self.is_of_any or self.is_of_same(task.job)
        known, wanted = (self.maker, self.session), (task.maker, task.session)
        return is_its and known == wanted and not task.is_fresh

    def leads_to(self, task: Task) -> bool:
        """Whether a task is what comes after it."""
        job = task.job
        if self.maker[0] == FUNCTIONAL:  # any state is rendered
            return (self.maker, self.session) == (task.maker, task.session)
        return (
            not task.is_fresh
            and self.row < min(job.wanted)
            and (self.env, self.base) == (job.env, job.parts[0].index)
            and (self.session, self.begins_early) == (task.session, job.is_history)
            and self.maker == task.maker
        )


class Pictures(NamedTuple):
    """A message: pictures of a block, which replace earlier ones of the same task."""

    block: int
    size: tuple[int, int]
    chunk: bytes
    num_done: int


class Done(NamedTuple):
    """A message: the last of a task.

    Attributes:
        num_done: Pictures of it.
        difference: The row from which on the replay was not exact; None: it was.
        error: Why it was not done, for the user; "": it was.
        is_worn: The next task needs another process, unless it goes on from there.
        position: Where it stands; None: it cannot go on.
        was_used: The environment had done another task before.
        picture_s: How long the last picture took; 0: there was none.
        refused: Rows whose states `render` refuses, and why.
    """

    num_done: int
    difference: Difference | None = None
    error: str = ""
    is_worn: bool = False
    position: Position | None = None
    was_used: bool = False
    picture_s: float = 0.0
    refused: tuple[tuple[int, str], ...] = ()


Message: TypeAlias = "Pictures | Done"


def write_message(stream: BinaryIO, message: Any) -> None:
    """Write an object to a pipe."""
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def read_message(stream: BinaryIO) -> Any:
    """Return the next object of a pipe whose other end is this program's.

    Raises:
        EOFError: The other end was closed.
    """
    header = stream.read(_LENGTH.size)
    if len(header) < _LENGTH.size:
        raise EOFError
    data = stream.read(_LENGTH.unpack(header)[0])
    return pickle.loads(data)


def take_over_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return the pipes from and to the program that started this one.

    They were standard input and output. Whatever else reads there finds an end of file
    from now on, and whatever else writes there goes to standard error.
    """
    target = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Not sys.stdin: Python closes that as it ends, and aborts where a thread reads it.
    source = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    os.close(nothing)
    return source, target
