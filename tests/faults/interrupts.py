"""Raises an exception wherever the package may be interrupted, as Ctrl-C would.

CPython looks for signals after each call, at the start of each function and at the end
of each turn of a loop, and nowhere else: in particular not between the body of a
``with`` and its `__exit__` (https://bugs.python.org/issue29988).
"""

from __future__ import annotations

import contextlib
import dis
import functools
import os
import pathlib
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

import rollout_viewer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType

IS_LONG = os.environ.get("FAULTS") == "long"
PACKAGE = str(pathlib.Path(rollout_viewer.__file__).parent)
# After these, the interpreter looks for signals.
CHECKING = ("CALL", "CALL_FUNCTION_EX", "JUMP_BACKWARD", "RESUME", "SEND")


@functools.cache
def _operations(code: CodeType) -> dict[int, tuple[str, int]]:
    """Return name and exception handler of each operation, by its offset."""
    table = dis._parse_exception_table(code)  # type: ignore[attr-defined]
    return {
        i.offset: (
            i.opname,
            next((e.target for e in table if e.start <= i.offset < e.end), -1),
        )
        for i in dis.get_instructions(code)
    }


def _is_finalizer(frame: FrameType | None) -> bool:
    """Return whether an exception would only be printed, as in all of `__del__`."""
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    return frame is not None


class Interrupt:
    """Raises `error` at the `at`-th place of the package that this thread comes to.

    Attributes:
        num_places: How many it has come to.
        where: Where the error was raised; "" before.
    """

    def __init__(self, at: int, error: type[BaseException] = KeyboardInterrupt) -> None:
        self.at = at
        self.error = error
        self.num_places = 0
        self.where = ""

    def trace(self, frame: FrameType, event: str, arg: object) -> Any:
        del event, arg
        is_ours = frame.f_code.co_filename.startswith(PACKAGE)
        if not is_ours or self.where or _is_finalizer(frame):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        operations, before = _operations(frame.f_code), ("", -1)

        def follow(frame: FrameType, event: str, arg: object) -> Any:
            nonlocal before
            del arg
            if event == "opcode" and not self.where:
                now = operations.get(frame.f_lasti, ("", -1))
                # An exception is raised here at the operation after the place. It is
                # none where another handler, or the one of no `with`, would have it.
                is_place = before[0] in CHECKING and before[1] == now[1]
                before = now
                self.num_places += is_place
                if is_place and self.num_places == self.at:
                    code = frame.f_code
                    self.where = f"{code.co_filename}:{frame.f_lineno} {code.co_name}"
                    raise self.error(f"at place {self.at}")
            return follow

        return follow


@contextlib.contextmanager
def interrupted(
    at: int, error: type[BaseException] = KeyboardInterrupt
) -> Iterator[Interrupt]:
    """Run a block with an `Interrupt`, whose error does not leave it.

    Neither does an error of the package that came of it.
    """
    interrupt, before = Interrupt(at, error), sys.gettrace()
    sys.settrace(interrupt.trace)
    try:
        yield interrupt
    except (error, rollout_viewer.RolloutViewerError):
        assert interrupt.where
    finally:
        sys.settrace(before)


def places_of(call: Callable[[], object]) -> int:
    """Return at how many places a call may be interrupted."""
    with interrupted(10**9) as counter:
        call()
    return counter.num_places


def sample(num_places: int, count: int) -> list[int]:
    """Return places spread evenly; all of them in the long form."""
    if IS_LONG or num_places <= count:
        return list(range(1, num_places + 1))
    return np.unique(np.linspace(1, num_places, count).astype(int)).tolist()
