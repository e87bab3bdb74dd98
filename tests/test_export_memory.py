"""What writing takes beside the cache, in a process of its own: resident memory."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer.testing import counting_frame

pytestmark = [
    pytest.mark.serial,
    pytest.mark.skipif(
        not pathlib.Path("/proc/self/clear_refs").exists(),
        reason="only Linux tells the most memory that a process had",
    ),
]

CHILD = """
import gc, pathlib, sys, warnings
import numpy as np
from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._cache.open import open_path

warnings.simplefilter("ignore")

def megabytes(name):
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.partition(name + ":")[2].split()[0]) / 1000

cache = open_path(sys.argv[1])
tile = np.empty((1, 1, *cache.frame_size(0), 3), np.uint8)
for row in range(cache.num_rows):  # what the cache itself takes is there before
    for env in range(cache.num_envs):
        cache.frames([row], [env], None, tile)
small = FrameCache()
for row in range(3):
    small.append(np.full((1, 32, 32, 3), row, np.uint8), reset=[row == 0])
folder = pathlib.Path(sys.argv[1]).parent
for suffix in sys.argv[2:]:
    small.clip().write(folder / f"small{suffix}")  # libraries are loaded
    for stop in (cache.num_rows // 10, cache.num_rows):
        gc.collect()
        pathlib.Path("/proc/self/clear_refs").write_text("5")
        before = megabytes("VmRSS")
        (path,) = cache.clip(0, stop).write(folder / f"large{suffix}")
        print(suffix, stop, megabytes("VmHWM") - before)
        path.unlink()
"""


def grown(folder, num_rows, num_envs, suffixes):
    """Return {suffix: (MB for a tenth of the rows, MB for all)}."""
    path = folder / "a.rollout"
    with FrameCache(path) as cache:
        for row in range(num_rows):
            frame = counting_frame(row, height=400, width=600)
            cache.append(
                np.stack([frame] * num_envs),
                reset=np.full(num_envs, row == 0),
                reward=np.ones(num_envs),
            )
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), *suffixes],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    found: dict[str, list[float]] = {}
    for suffix, _, size in lines:
        found.setdefault(suffix, []).append(float(size))
    return found


def test_memory_does_not_grow_with_the_clip(tmp_path):
    suffixes = [".mp4", ".webm", ".gif", ".memmap", ".png", ".csv", ".parquet"]

    sizes = grown(tmp_path, 600, 1, suffixes)

    assert list(sizes) == suffixes
    for suffix, (short, whole) in sizes.items():
        # 600 frames are 430 MB; what an encoder freed may be taken again, or not.
        assert whole < 40, f"{suffix} took {whole} MB"
        assert whole < short + 25, f"{suffix} took {short} MB, then {whole} MB"


def test_a_large_grid_takes_little_more_than_its_encoder(tmp_path):
    sizes = grown(tmp_path, 40, 16, [".mp4", ".gif", ".memmap"])

    # 40 frames are 460 MB
    assert max(sizes[".mp4"]) < 95
    assert max(sizes[".gif"]) < 80
    assert max(sizes[".memmap"]) < 40
