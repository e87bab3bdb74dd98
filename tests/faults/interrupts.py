"""Raises an exception wherever the package may be interrupted, as Ctrl-C would.

CPython looks for signals after each call, at the start of each function and at the end
of each turn of a loop, and nowhere else: in particular not between the body of a
``with`` and its `__exit__` (https://bugs.python.org/issue29988).
"""

from __future__ import annotations

import contextlib
import dis
import os
import pathlib
import random
import sys
import time
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import rollout_viewer
from rollout_viewer._recording import step_buffer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType, FrameType

IS_LONG = os.environ.get("FAULTS") == "long"
# Which places the long form tries of errors of which it does not try all.
SEED = int(time.time()) if IS_LONG else 1
PACKAGE = str(pathlib.Path(rollout_viewer.__file__).parent)
# After these, the interpreter looks for signals.
CHECKING = ("CALL", "CALL_FUNCTION_EX", "JUMP_BACKWARD", "RESUME", "SEND")
_FINALIZE = weakref.finalize.__call__.__code__


class Place(NamedTuple):
    """Where a call may be interrupted.

    Attributes:
        code: Of which function of the package.
        call: In which call of that function, from 1; a generator is called each time
            that it goes on.
        turn: At which of the places that this call comes to, from 1.
        line: Of the function's file.
    """

    code: CodeType
    call: int
    turn: int
    line: int

    def __str__(self) -> str:
        where = f"{self.code.co_filename}:{self.line} {self.code.co_name}"
        return f"{where}, place {self.turn} of call {self.call}"


# By `id`: a hash of code reads all of it. It is held, so that no other has its id.
_OPERATIONS: dict[int, tuple[CodeType, dict[int, tuple[bool, int]]]] = {}


def _operations(code: CodeType) -> dict[int, tuple[bool, int]]:
    """Return by offset whether signals are looked for next, and who handles errors."""
    if id(code) not in _OPERATIONS:
        table = dis._parse_exception_table(code)  # type: ignore[attr-defined]
        _OPERATIONS[id(code)] = (
            code,
            {
                i.offset: (
                    i.opname in CHECKING,
                    next((e.target for e in table if e.start <= i.offset < e.end), -1),
                )
                for i in dis.get_instructions(code)
            },
        )
    return _OPERATIONS[id(code)][1]


class Interrupt:
    """Raises `error` at a place of the package that this thread comes to.

    Args:
        at: The place; or a number: at the n-th. A place is found sooner: only the call
            in which it is has to be followed.
        error: What is raised.

    Attributes:
        places: Those that it has come to, of the calls that it followed.
        where: Where the error was raised; "" before.
        message: Of the exception that left the block.
    """

    def __init__(
        self, at: Place | int, error: type[BaseException] = KeyboardInterrupt
    ) -> None:
        self.error = error
        self.places: list[Place] = []
        self.where = ""
        self.message = ""
        self._at = at if isinstance(at, Place) else None
        self._num_places = at.turn if isinstance(at, Place) else at
        self._num_calls: dict[int, int] = {}
        self._outside: FrameType | None = None

    def start(self, outside: FrameType) -> None:
        """Begin with what `outside`, a frame of this thread, calls."""
        self._outside = outside
        sys.settrace(self._trace)

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        del event, arg
        code = frame.f_code
        if self._at is not None and code is not self._at.code:
            return None
        if not code.co_filename.startswith(PACKAGE) or self._is_finalizer(frame):
            return None
        call = self._num_calls[id(code)] = self._num_calls.get(id(code), 0) + 1
        if self.where or (self._at is not None and call != self._at.call):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._follow(code, call)

    def _is_finalizer(self, frame: FrameType | None) -> bool:
        """Return whether an exception would only be printed, as in all of `__del__`."""
        while frame is not None and frame is not self._outside:
            code = frame.f_code
            if code.co_name == "__del__":
                return True
            # It has the reference to what is gone, but where it is called by name.
            if code is _FINALIZE and frame.f_locals["_"] is not None:
                return True
            frame = frame.f_back
        return False

    def _follow(self, code: CodeType, call: int) -> Callable[..., Any]:
        operations, before, turn = _operations(code), (False, -1), 0

        def follow(frame: FrameType, event: str, arg: object) -> Any:
            nonlocal before, turn
            del arg
            if event == "opcode" and not self.where:
                now = operations.get(frame.f_lasti, (False, -1))
                # An exception is raised here at the operation after the place. It is
                # none where another handler, or the one of no `with`, would have it.
                is_place = before[0] and before[1] == now[1]
                before = now
                if is_place:
                    turn += 1
                    place = Place(code, call, turn, frame.f_lineno)
                    self.places.append(place)
                    if len(self.places) == self._num_places:
                        self.where = str(place)
                        raise self.error(f"at {place}")
            return follow

        return follow


@contextlib.contextmanager
def interrupted(
    at: Place | int, error: type[BaseException] = KeyboardInterrupt
) -> Iterator[Interrupt]:
    """Run a block with an `Interrupt`, whose error does not leave it.

    Neither does an error of the package that came of it. Buffers are opened as where no
    tracer is set: only this thread puts rows.
    """
    interrupt, before = Interrupt(at, error), sys.gettrace()
    is_followed = step_buffer.is_followed
    step_buffer.is_followed = _is_not_followed
    interrupt.start(sys._getframe(2))  # whose block it is
    try:
        yield interrupt
    except (error, rollout_viewer.RolloutViewerError) as found:
        assert interrupt.where
        interrupt.message = str(found)
    finally:
        sys.settrace(before)
        step_buffer.is_followed = is_followed


def _is_not_followed() -> bool:
    return False


def places_of(call: Callable[[], object]) -> list[Place]:
    """Return the places at which a call may be interrupted."""
    with interrupted(0) as counter:
        call()
    return counter.places


def sample(places: Sequence[Place], count: int) -> list[Place]:
    """Return places spread evenly; all of them in the long form."""
    if IS_LONG or len(places) <= count:
        return list(places)
    return [places[i] for i in np.linspace(0, len(places) - 1, count).astype(int)]


def places_to_try(
    places: Sequence[Place], error: type[BaseException], count: int = 8
) -> list[Place]:
    """Return a sample; in the long form all, of other errors than Ctrl-C a quarter."""
    if error is KeyboardInterrupt:
        return sample(places, count)
    if not IS_LONG:
        return sample(places, count // 2)
    print(f"seed {SEED}")
    count = min(len(places) // 4 + 1, 400)
    return random.Random(SEED).sample(list(places), count)
