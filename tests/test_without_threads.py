"""What Python in a browser lacks: threads, parts of multiprocessing, PyAV, torch.

Pyodide 314 cannot start threads and has no `_multiprocessing`, `_posixshmem` and
`resource`, as its package for Node shows. The NumPy, zstandard, safetensors and Pillow
for it are in no registry: a process of this Python without the former stands for it.
"""

import subprocess
import sys

import numpy as np

import rollout_viewer as rv
from rollout_viewer.testing import counting_frames
from tests.pages import ROOT

SCRIPT = """
import asyncio, sys, threading

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

import numpy as np
import rollout_viewer as rv
from rollout_viewer.testing import counting_frames

class Comm:
    comm_id, kernel, kinds, take = "one", "this", [], None

    def on_msg(self, callback):
        self.take = callback

    def on_close(self, callback):
        pass

    def close(self, *args, **options):
        pass

    def send(self, data=None, metadata=None, buffers=None):
        content = data.get("content", {}) if data["method"] == "custom" else {}
        self.kinds.append(content.get("kind"))
        if content.get("kind") == "data":
            self.say(kind="ack", seq=content["seq"])

    def say(self, **content):
        data = {"method": "custom", "content": content}
        self.take({"content": {"data": data}, "buffers": []})

async def main(path):
    cache = rv.open(path)
    (frame,) = cache.clip(5, 6, envs=[2]).frames()
    expected = counting_frames(1, 3, height=48, width=64, start=5)[0, 2]
    assert np.array_equal(frame, expected)
    viewer = rv.view(cache)
    comm = viewer.comm = Comm()
    saved = viewer._repr_mimebundle_()[0]
    assert "40 rows, 3 envs" in saved["text/html"]
    from rollout_viewer._page.protocol import PROTOCOL
    comm.say(kind="hello", protocol=PROTOCOL, version="", page="p", beginning=1)
    for _ in range(200):
        await asyncio.sleep(0.02)
        if "beat" in comm.kinds:
            break
    assert comm.kinds.count("manifest") == 1, comm.kinds
    assert "data" in comm.kinds and "beat" in comm.kinds, comm.kinds
    viewer.to_html(sys.argv[2])
    viewer.close()

asyncio.run(main(sys.argv[1]))
"""


def test_a_recording_is_opened_and_shown_without_threads(tmp_path):
    frames = counting_frames(40, 3, height=48, width=64)
    with rv.FrameCache(tmp_path / "a.rollout", fps=20) as cache:
        for row in range(40):
            cache.append(frames[row], reward=np.ones(3), reset=np.full(3, row == 0))

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "a.rollout", tmp_path / "a.html"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.html").stat().st_size > 100_000
