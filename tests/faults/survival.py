"""What survives what: tests of faults declare it, and errors.md has the same table.

A test, or a module's `pytestmark`, says with `survives` which fault it causes, and may
add figures of its run. ``make faults`` prints all that passed as a table.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest


class Survival(NamedTuple):
    """A line of the table.

    Attributes:
        fault: What happens.
        kept: What is still there afterwards.
        lost: What is lost at most.
        seen: What the user sees.
    """

    fault: str
    kept: str
    lost: str
    seen: str


# Of all modules that were imported.
DECLARED: dict[str, Survival] = {}


def survives(fault: str, *, kept: str, lost: str, seen: str) -> pytest.MarkDecorator:
    """Return a mark that declares a line of the table; several tests may share one.

    Example:
        @survives("kill -9", kept="all rows", lost="the last 32", seen="nothing")
        def test_a_killed_process_loses_32_rows(figures):
            ...
            figures(f"{num_kills} kills: at most {worst} rows lost")
    """
    line = Survival(fault, kept, lost, seen)
    if DECLARED.setdefault(fault, line) != line:
        raise ValueError(
            f"survives: two lines for {fault!r}: {DECLARED[fault]}, {line}"
        )
    return pytest.mark.survives(*line)


def markdown(lines: list[Survival]) -> str:
    """Return the table of the guide."""
    head = [
        "| fault | kept | lost at most | what you see |",
        "| --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *(f"| {' | '.join(line)} |" for line in lines)])
