"""Raises an exception wherever the package may be interrupted, as Ctrl-C would.

CPython looks for signals after each call, at the start of each function and at the end
of each turn of a loop, and nowhere else: in particular not between the body of a
``with`` and its `__exit__` (https://bugs.python.org/issue29988).
"""

from __future__ import annotations

import contextlib
import dis
import functools
import pathlib
import sys
from typing import TYPE_CHECKING, Any

import rollout_viewer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

PACKAGE = str(pathlib.Path(rollout_viewer.__file__).parent)
# After these, the interpreter looks for signals.
CHECKING = ("CALL", "CALL_FUNCTION_EX", "JUMP_BACKWARD", "RESUME", "SEND")


@functools.cache
def _operations(code: CodeType) -> dict[int, str]:
    return {i.offset: i.opname for i in dis.get_instructions(code)}


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
        if not frame.f_code.co_filename.startswith(PACKAGE) or self.where:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        operations, before = _operations(frame.f_code), ""

        def follow(frame: FrameType, event: str, arg: object) -> Any:
            nonlocal before
            del arg
            if event == "opcode" and not self.where:
                is_place = before in CHECKING
                before = operations.get(frame.f_lasti, "")
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
    """Run a block with an `Interrupt`, whose error does not leave it."""
    interrupt, before = Interrupt(at, error), sys.gettrace()
    sys.settrace(interrupt.trace)
    try:
        yield interrupt
    except error:
        pass
    finally:
        sys.settrace(before)
