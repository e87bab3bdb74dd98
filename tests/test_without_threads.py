"""What Python in a browser lacks: threads, parts of multiprocessing, PyAV, torch.

A process of this Python without them stands for it in every run. `make test-lite` runs
the same script in Pyodide itself (npm's package of 0.27.7, with Pyodide's own NumPy,
Pillow and SQLite): its zstandard is at its CDN alone, and stood for by fzstd.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import sysconfig

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer.testing import counting_frames
from tests.pages import ROOT

SCRIPTS = ROOT / "tests" / "pyodide"
PYODIDE = ROOT / "build" / "pyodide"

LACKING = """
import asyncio, os, sys, threading

LACKS = {"_multiprocessing", "_posixshmem", "resource", "av", "torch", "gymnasium"}

class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in LACKS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

def start(self):
    raise RuntimeError("can't start new thread")

import numpy, zstandard  # which have what they need in Pyodide
sys.meta_path.insert(0, Lacking())
threading.Thread.start = start
del os.link, asyncio.TimerHandle.when
"""


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a recording."""
    frames = counting_frames(40, 3, height=48, width=64)
    with rv.FrameCache(tmp_path / "a.rollout", fps=20) as cache:
        for row in range(40):
            cache.append(frames[row], reward=np.ones(3), reset=np.full(3, row == 0))
    return tmp_path


def run(command, script, end, folder):
    """Show the recording in another Python; assert that it was shown."""
    file = folder / "run.py"
    shown = (SCRIPTS / "show.py").read_text("utf-8")
    file.write_text(f"{script}{shown}\n{end}\n", "utf-8")
    done = subprocess.run(
        [*command, file, "a.rollout", "a.html"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "a.html").stat().st_size > 100_000


def test_a_recording_is_opened_and_shown_without_threads(folder):
    run([sys.executable], LACKING, "asyncio.run(main(*sys.argv[1:]))", folder)


@pytest.mark.skipif(not (PYODIDE / ".installed").exists(), reason="`make test-lite`")
def test_a_recording_is_opened_and_shown_in_pyodide(folder):
    packages = json.loads((PYODIDE / "pyodide-lock.json").read_text())["packages"]
    for name in ("numpy", "pillow", "sqlite3"):
        wheel = (PYODIDE / packages[name]["file_name"]).read_bytes()
        assert hashlib.sha256(wheel).hexdigest() == packages[name]["sha256"]
    node = shutil.which("node", path=str(ROOT / ".venv" / "bin")) or "node"
    run(
        [
            *(node, SCRIPTS / "run.mjs", PYODIDE),
            *(ROOT / "js" / "node_modules", sysconfig.get_path("purelib")),
        ],
        "",
        "import sys\nawait main(*sys.argv[1:])",
        folder,
    )
