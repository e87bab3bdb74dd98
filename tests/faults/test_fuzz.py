"""Whatever the bytes of a recording, reading them gives values or a RecordingError.

`FAULTS=long` fuzzes for five minutes, and in another order each time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.faults.fuzzing import CASES, mutate

IS_LONG = os.environ.get("FAULTS") == "long"
SECONDS = 75.0 if IS_LONG else 0.5
SEED = int(time.time()) if IS_LONG else 1


# Of half a second each, starting a process for each kind would take most.
@pytest.mark.parametrize("kinds", CASES if IS_LONG else [",".join(CASES)])
def test_mutated_bytes_give_values_or_a_recording_error(kinds):
    command = [sys.executable, "-m", "tests.faults.fuzzing", kinds]

    done = subprocess.run(
        [*command, str(SECONDS), str(SEED)],
        capture_output=True,
        text=True,
        timeout=SECONDS + 240,
        check=False,
    )

    assert done.returncode == 0, f"seed {SEED}\n{done.stdout}\n{done.stderr[-4000:]}"


@pytest.mark.skipif(not IS_LONG, reason="short")
def test_bytes_that_reach_every_branch_give_values_or_a_recording_error():
    pytest.importorskip("atheris", reason="optional: pip install atheris")
    command = [sys.executable, "-m", "tests.faults.guided", str(int(SECONDS))]

    done = subprocess.run(
        [*command, str(SEED)],
        capture_output=True,
        text=True,
        timeout=SECONDS + 240,
        check=False,
    )

    assert done.returncode == 0, f"seed {SEED}\n{done.stderr[-4000:]}"


def test_an_edit_changes_bytes():
    assert mutate(b"abc", [("flip", 1, 0)]) == b"acc"
    assert mutate(b"abc", [("cut", 2, 0)]) == b"ab"
    assert mutate(b"", [("flip", 1, 0), ("cut", 0, 0), ("drop", 5, 9)]) == b""
