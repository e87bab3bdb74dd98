"""What is seen over a thin link: ours, a <video> in the page, and a JPEG per frame.

    python -m tests.benchmarks.thin_link

All bytes are real, and so is what is sent, in which order, by the viewer's own thread;
the link and the page are those of `tests.links`, in virtual time, so that it makes no
difference what else runs. A page plays from when it has its first picture, and waits
where a row is not there. mediapy's `show_videos` is a <video> in base64 for each env,
which comes whole before it plays; a JPEG of the grid is asked for frame by frame, as in
`tests.benchmarks.browser`. What encoding costs is given beside, as processor time.
Prints a table.
"""

from __future__ import annotations

import argparse
import base64
import io
import statistics
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import imageio_ffmpeg
import mediapy
import numpy as np
import PIL.Image

import rollout_viewer as rv
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._viewer import stream
from tests.benchmarks.frame_cache import play
from tests.links import STEP_S, Link

NUM_ENVS, NUM_ROWS, PLAY_S = 16, 640, 10.0
# Name, its own fps, Mbit/s, ms each way, how many rows are played before they repeat.
CASES = (
    ("CartPole-v1", 50.0, 2.0, 50.0, 200),
    ("HalfCheetah-v5", 20.0, 10.0, 100.0, 100),
)
CODECS = ["avc1.640033", "vp09.00.51.08", "vp8"]
TILE_PX = 300


class Seen(NamedTuple):
    """What was seen of a recording."""

    first_s: float
    num_rows: int
    longest_wait_s: float
    mbit_per_s: float
    shown: str


class Page:
    """A page that plays: what of the real one matters to a link."""

    def __init__(self, link: Link, cache: rv.FrameCache) -> None:
        self.link, self.fps = link, cache.fps
        self.slots = [*range(cache.num_envs)]
        width = cache.recording.slots[0].width
        self.reduction = max(1, width // TILE_PX)
        self.previews: dict[int, tuple[int, int]] = {}
        self.has_part = False
        self.num_previewed = 0
        self._num_read = 0
        self._said_at = self._asked_at = -1.0

    def update(self, row: int, *, is_playing: bool) -> None:
        for message in self.link.messages[self._num_read :]:
            self.has_part |= message.content["kind"] == "part"
            for one in message.content.get("previews", ()):
                count = one["first"] + len(one["sizes"])
                self.previews[one["block"]] = one["number"], count
        self._num_read = len(self.link.messages)
        blocks = range(row // CHUNK_ROWS, min(row // CHUNK_ROWS + 4, 20))
        if is_playing and self.link.now - self._asked_at > 1:
            self._asked_at = self.link.now
            self.link.ask(*blocks)
        if self.has_part and self.link.now - self._said_at > 0.2:
            self._said_at = self.link.now
            self.link.say(self._watch(blocks, is_playing))

    def _watch(self, blocks: range, is_playing: bool) -> dict[str, Any]:
        lacking = []
        for block in blocks if is_playing else ():
            number, have = self.previews.get(block, (0, 0))
            slots = [s for s in self.slots if not self._has(block, s, CHUNK_ROWS - 1)]
            if slots and have < CHUNK_ROWS:
                lacking.append([block, number, have, *slots])
        return {
            "kind": "watch",
            "codecs": CODECS,
            "rate": self.fps,
            "is_resting": not is_playing,
            "num_slots": len(self.slots),
            "reduction": self.reduction,
            "rows": [],
            "blocks": lacking,
        }

    def _has(self, block: int, slot: int, index: int) -> bool:
        return self.link.have.get((block, slot), 0) > index

    def draw(self, row: int) -> bool:
        """Show a row, if it is there."""
        block, index = divmod(row, CHUNK_ROWS)
        if all(self._has(block, slot, index) for slot in self.slots):
            return True
        is_here = self.previews.get(block, (0, 0))[1] > index
        self.num_previewed += is_here
        return is_here


def ours(cache: rv.FrameCache, mbit: float, delay_ms: float, quality: str) -> Seen:
    link = Link(cache, mbit * 1e6 / 8, delay_ms / 1e3, quality=quality)
    page = Page(link, cache)
    while not all(link.have.get((0, slot)) for slot in page.slots):
        page.update(0, is_playing=False)
        link.run(STEP_S)
    first_s = link.now
    num_bytes, row, drawn_at, longest = link.num_bytes, 0, link.now, 0.0
    while link.now < first_s + PLAY_S:
        page.update(row, is_playing=True)
        link.run(STEP_S)
        while link.now >= drawn_at + 1 / cache.fps and page.draw(row + 1):
            row += 1
            # After a wait it plays on from then; else on time.
            wait = link.now - drawn_at - 1 / cache.fps
            is_late = wait > 2 * STEP_S
            longest = max(longest, wait if is_late else 0.0)
            drawn_at = link.now if is_late else drawn_at + 1 / cache.fps
    carried = 8 * (link.num_bytes - num_bytes) / PLAY_S / 1e6
    share = page.num_previewed / max(row, 1)
    shown = "exact" if not share else f"{100 * share:.0f} % previews, exact at rest"
    return Seen(first_s, row, longest, carried, shown)


def grids(frames: list[Any], num_rows: int) -> Iterator[Any]:
    for row in range(num_rows):
        tiles = [frames[(row + 7 * env) % len(frames)] for env in range(NUM_ENVS)]
        lines = [np.hstack(tiles[i : i + 4]) for i in range(0, NUM_ENVS, 4)]
        yield np.vstack(lines)


def jpegs(frames: list[Any], fps: float, mbit: float, delay_ms: float) -> Seen:
    """One after the other: asked for, sent, drawn."""
    now, row, first, longest = 0.0, 0, 0.0, 0.0
    sizes = []
    for grid in grids(frames, 20):
        file, image = io.BytesIO(), PIL.Image.fromarray(grid)
        image.reduce(max(1, image.width // 1200)).save(file, "jpeg", quality=80)
        sizes.append(len(file.getvalue()))
    took = 2 * delay_ms / 1e3 + statistics.mean(sizes) / (mbit * 1e6 / 8)
    while now < first + PLAY_S:
        now += max(took, 1 / fps if row else 0)
        first = first or now
        longest = max(longest, took - 1 / fps)
        row += 1
    return Seen(first, row, longest, 8e-6 * np.mean(sizes) * row / PLAY_S, "JPEG")


def videos(frames: list[Any], fps: float, mbit: float, delay_ms: float) -> Seen:
    """A <video> for each env, in the page, at 300 pixels across."""
    mediapy.set_ffmpeg(imageio_ffmpeg.get_ffmpeg_exe())
    size = 0
    for env in range(NUM_ENVS):
        own = [frames[(row + 7 * env) % len(frames)] for row in range(NUM_ROWS)]
        data = mediapy.compress_video(own, fps=fps)
        size += len(base64.b64encode(data))
    first = 2 * delay_ms / 1e3 + size / (mbit * 1e6 / 8)
    rows = int(min(PLAY_S * fps, NUM_ROWS))
    return Seen(first, rows, 0.0, 0.0, "H.264, seeks to key frames")


def main() -> int:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    warnings.simplefilter("ignore")
    stream.MIN_INTERVAL_S = 0.0
    print("| | first picture | rows in the next 10 s | longest wait | shown |")
    print("| --- | --- | --- | --- | --- |")
    for name, fps, mbit, delay_ms, count in CASES:
        frames = play(name, count)[0]
        cache = rv.FrameCache(fps=fps)
        for row in range(NUM_ROWS):
            cache.append(
                [frames[(row + 7 * env) % len(frames)] for env in range(NUM_ENVS)],
                reward=np.ones(NUM_ENVS),
            )
        cache.flush()
        began = time.process_time()
        auto = ours(cache, mbit, delay_ms, "auto")
        took_ms = 1e3 * (time.process_time() - began) / max(auto.num_rows, 1)
        found = {
            'ours, quality="auto"': auto,
            'ours, quality="exact"': ours(cache, mbit, delay_ms, "exact"),
            "a JPEG per frame": jpegs(frames, fps, mbit, delay_ms),
            "mediapy's `show_videos`": videos(frames, fps, mbit, delay_ms),
        }
        what = f"{NUM_ENVS} x {name}, {fps:.0f} rows/s, {mbit:.0f} Mbit/s"
        wanted = int(PLAY_S * fps)
        for who, seen in found.items():
            print(
                f"| {what}, {2 * delay_ms:.0f} ms there and back: {who} "
                f"| {seen.first_s:.1f} s | {seen.num_rows} of {wanted} "
                f"| {seen.longest_wait_s:.1f} s | {seen.shown} |"
            )
        print(f"<!-- {took_ms:.0f} ms of processor time a row, all of it -->")
        cache.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
