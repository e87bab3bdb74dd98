"""Opens a recording of 40 rows of 3 counting envs, and shows it to a page.

A script: test_without_threads.py runs it without threads, test_pyodide.py in Pyodide.
"""

import asyncio
from typing import Any

import numpy as np

import rollout_viewer as rv
from rollout_viewer._page.protocol import PROTOCOL
from rollout_viewer.testing import counting_frames


class Comm:
    comm_id, kernel, kinds = "one", "this", []
    take: Any = None

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


async def main(path, page):
    cache = rv.open(path)
    (frame,) = cache.clip(5, 6, envs=[2]).frames()
    expected = counting_frames(1, 3, height=48, width=64, start=5)[0, 2]
    assert np.array_equal(frame, expected)
    viewer = rv.view(cache)
    comm = viewer.comm = Comm()
    saved = viewer._repr_mimebundle_()[0]
    assert "40 rows, 3 envs" in saved["text/html"]
    comm.say(kind="hello", protocol=PROTOCOL, version="", page="p", beginning=1)
    for _ in range(200):
        await asyncio.sleep(0.02)
        if "beat" in comm.kinds:
            break
    assert comm.kinds.count("manifest") == 1, comm.kinds
    assert {"data", "beat"} <= set(comm.kinds), comm.kinds
    viewer.to_html(page)
    viewer.close()
