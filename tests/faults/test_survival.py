"""A guide says what survives what, and the tests of faults say the same."""

from __future__ import annotations

import importlib
from pathlib import Path

from tests import pages
from tests.faults import survival


def declared() -> list[survival.Survival]:
    """Return the lines of all tests, imported apart from those that run here."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if "survives(" in path.read_text("utf-8") and path != Path(__file__):
            importlib.import_module(f"tests.faults.{path.stem}")
    return list(survival.DECLARED.values())


def test_the_table_of_the_guide_is_what_the_tests_declare():
    section = pages.section(pages.GUIDES / "errors.md", "What survives what")
    lines = [line for line in section.splitlines() if line.startswith("| ")]

    wanted = survival.markdown(declared()).splitlines()

    assert lines[:2] == wanted[:2]
    assert sorted(lines[2:]) == sorted(wanted[2:])
