"""README.md says what survives what, and the tests of faults say the same."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from tests.faults import survival

ROOT = Path(__file__).parent.parent.parent


def declared() -> list[survival.Survival]:
    """Return the lines of all tests, imported apart from those that run here."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if "survives(" in path.read_text("utf-8") and path != Path(__file__):
            importlib.import_module(f"tests.faults.{path.stem}")
    return list(survival.DECLARED.values())


def test_the_table_of_the_readme_is_what_the_tests_declare():
    readme = (ROOT / "README.md").read_text("utf-8")
    section = re.search(r"^## What survives what\n(.*?)^## ", readme, re.M | re.S)
    assert section is not None
    lines = [line for line in section[1].splitlines() if line.startswith("| ")]

    wanted = survival.markdown(declared()).splitlines()

    assert lines[:2] == wanted[:2]
    assert sorted(lines[2:]) == sorted(wanted[2:])
