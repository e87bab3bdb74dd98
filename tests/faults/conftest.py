"""Prints what survived what, with the figures of this run, after `make faults`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.survival import Survival

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return a function that notes what this run measured, for the table."""
    return lambda text: request.node.user_properties.append(("figures", text))


@pytest.fixture
def ram_path(tmp_path: Path) -> Iterator[Path]:
    """Return a folder without a disk, where there is one.

    For thousands of files of tests that are not about the disk.
    """
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shared, prefix="rollout-test-") as folder:
        yield Path(folder)


@pytest.hookimpl
def pytest_runtest_setup(item: pytest.Item) -> None:
    # With the report of the test this also comes from a process of xdist.
    for mark in item.iter_markers("survives"):
        item.user_properties.append(("survives", list(mark.args)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of the long form."""
    if os.environ.get("FAULTS") != "long":
        return
    passed: dict[Survival, list[str]] = {}
    for report in terminalreporter.getreports("passed"):
        properties = getattr(report, "user_properties", [])
        noted = [text for name, text in properties if name == "figures"]
        for name, line in properties:
            if name == "survives" and report.when == "call":
                passed.setdefault(Survival(*line), []).extend(noted)
    if passed:
        terminalreporter.section("what survived what")
    for line, noted in sorted(passed.items()):
        terminalreporter.write_line(
            f"{line.fault}: kept {line.kept}; lost at most {line.lost}; "
            f"seen: {line.seen}"
        )
        for text in dict.fromkeys(noted):
            terminalreporter.write_line(f"    {text}")
