"""A recording of a process that was killed, for the tests that read what it left."""

import os
import signal
import subprocess
import sys
from pathlib import Path


def start(program: str, path: Path) -> subprocess.Popen[bytes]:
    """Start a program with a path as its argument, with pipes to write and read."""
    return subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def record_and_kill(program: str, path: Path) -> None:
    """Run a program with a path as its argument; kill it once it prints "recorded"."""
    with start(program, path) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"recorded"
        process.send_signal(signal.SIGKILL)
