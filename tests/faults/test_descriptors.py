"""A process may have some thousand files open, and each cache takes few of them."""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import sys
import time
import tracemalloc  # noqa: F401  pytest imports it where no file can be opened
from pathlib import Path

import numpy as np
import pytest

import rollout_viewer as rv

pytestmark = pytest.mark.skipif(
    not os.path.isdir("/proc/self/fd"), reason="descriptors are counted in /proc"
)
ROOT = Path(__file__).parents[2]
NUM_CACHES = 300 if os.environ.get("FAULTS") == "long" else 150


def num_open():
    return len(os.listdir("/proc/self/fd"))


def append(cache, number, num_rows=1):
    for _ in range(num_rows):
        cache.append(np.full((1, 8, 8, 3), number % 256, np.uint8))


def wait_for_at_most(number):
    """Wait for that many open ones: a writer closes its own when it has written."""
    deadline = time.monotonic() + 60
    while num_open() > number and time.monotonic() < deadline:
        time.sleep(0.02)
    assert num_open() <= number


def test_a_cache_takes_three_descriptors_at_most(tmp_path):
    before = num_open()
    caches = []
    for number in range(NUM_CACHES):
        path = tmp_path / f"{number}.rollout" if number % 2 else None
        caches.append(rv.FrameCache(path))
        append(caches[-1], number, 34 if number < 40 else 2)
    wait_for_at_most(before + 3 * NUM_CACHES)
    for number, cache in enumerate(caches[:40]):
        assert cache[0].max() == number % 256
        append(cache, number)
        assert cache[34].max() == cache[33].max() == number % 256
    wait_for_at_most(before + 3 * NUM_CACHES)
    for number, cache in enumerate(caches[:12]):
        cache.close()
        assert cache.num_lost == 0
        if number % 2:
            with rv.open(cache.path) as opened:
                assert opened.num_rows == 35
                assert opened[34].max() == number % 256


@pytest.fixture
def no_descriptors():
    """A function after which this process can open no more files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def use_up(num_left=0):
        gc.collect()  # nothing gives one back later
        resource.setrlimit(resource.RLIMIT_NOFILE, (num_open() - 1 + num_left, hard))

    yield use_up
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# np.fromfile opens a file, then a second descriptor of it, and forgets the first.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("num_left", range(10))
def test_what_lacks_one_descriptor_of_several_says_so(
    tmp_path, no_descriptors, num_left
):
    with rv.FrameCache(tmp_path / "run.rollout") as cache:
        append(cache, 1, 40)
        cache.flush()
        no_descriptors(num_left)
        messages = []
        for make in (
            lambda: rv.FrameCache(tmp_path / "other.rollout").close(),
            lambda: rv.FrameCache().close(),
            lambda: cache.save(tmp_path / "copy.rollout"),
            lambda: rv.open(tmp_path / "run.rollout").close(),
        ):
            try:
                make()
            except rv.RolloutViewerError as error:
                messages.append(f"{error} ")
        assert all("before the start. " in message for message in messages)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft + 100, hard))
    assert cache.num_lost == 0


# In a process of its own: a worker of the tests has caches of other tests, which give
# back descriptors when one is lacking.
WITHOUT = """
import resource, sys, warnings
from pathlib import Path
import numpy as np
import rollout_viewer as rv
from tests.faults.test_descriptors import append, num_open

folder = Path(sys.argv[1])


def refusal(make):
    try:
        make()
    except rv.RolloutViewerError as error:
        return str(error)
    raise AssertionError("not refused")


with rv.FrameCache(folder / "run.rollout") as cache:
    append(cache, 1, 40)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (num_open() - 1, hard))
    refusals = [
        refusal(lambda: rv.FrameCache(folder / "other.rollout")),
        refusal(rv.FrameCache),
        refusal(lambda: cache.save(folder / "copy.rollout")),
    ]
    assert all("ulimit -n" in text for text in refusals), refusals
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        append(cache, 2, 100)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
assert cache.num_lost == 0
with rv.open(cache.path) as opened:
    assert opened.num_rows == 140
    assert opened[139].max() == 2
"""


def test_a_run_goes_on_without_descriptors(tmp_path):
    command = [sys.executable, "-c", WITHOUT, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
