"""A cache against a plain list, in any order of appending, reading and reopening."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)

import rollout_viewer as rv
from rollout_viewer._recording.compact import compact
from rollout_viewer._recording.eviction import Budget

SIZES = {
    ("front", 0): (5, 7),
    ("front", 1): (9, 4),
    ("top", 0): (3, 3),
    ("top", 1): (1, 1),
}
CHANGES = st.sampled_from(
    ["same", "pixel", "noise", "constant", "missing", "other size", "size before"]
)


class CacheModel(RuleBasedStateMachine):
    """Two envs of unequal size, two cameras; what was appended is in `rows`.

    Any of them changes its size now and then, also to one that it had before.
    """

    @initialize(
        seed=st.integers(0, 2**32),
        memory=st.sampled_from([10**6, 10**8]),
        disk=st.sampled_from([None, 150_000]),
    )
    def start(self, seed, memory, disk):
        self.rng = np.random.default_rng(seed)
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "run.rollout"
        self.cache = rv.FrameCache(self.path, memory_bytes=memory)
        if disk:  # less than the least that is allowed: these pictures are tiny
            self.cache._live.budget = Budget(disk, "latest")
        self.rows = []
        self.late = []
        self.end_rate = self.rng.choice([0.0, 0.05])
        self.rewards = []
        self.shown = {
            key: np.zeros((*size, 3), np.uint8) for key, size in SIZES.items()
        }
        self.has_any = dict.fromkeys(SIZES, False)

    def change(self, key, change):
        """Return the next picture of a slot; None where it has none."""
        frame = self.shown[key].copy()
        if change == "missing":
            return None
        if change == "other size":
            frame = np.zeros((*self.rng.integers(1, 9, 2), 3), np.uint8)
            change = "noise"
        elif change == "size before":
            frame = np.zeros((*SIZES[key], 3), np.uint8)
            change = "constant"
        if change == "pixel":
            y, x = self.rng.integers(frame.shape[:2])
            frame[y, x] = self.rng.integers(0, 256, 3)
        elif change == "noise":
            frame[...] = self.rng.integers(0, 256, frame.shape)
        elif change == "constant":
            frame[...] = self.rng.integers(256)
        self.shown[key] = frame
        self.has_any[key] = True
        return frame

    @rule(changes=st.lists(st.tuples(CHANGES, CHANGES, CHANGES, CHANGES), max_size=40))
    def append(self, changes):
        self.append_all(changes)

    # Step data of more rows would fill so small a budget by itself.
    @precondition(
        lambda self: self.cache.recording.budget.evicts and len(self.rows) < 700
    )
    @rule(num_rows=st.integers(100, 300))
    def append_much(self, num_rows):
        self.append_all([("noise",) * 4] * num_rows)

    def append_all(self, changes):
        for change in changes:
            frames = {
                key: self.change(key, one)
                for key, one in zip(SIZES, change, strict=True)
            }
            cameras = {
                camera: [frames[camera, 0], frames[camera, 1]]
                for camera in ("front", "top")
            }
            reward = self.rng.random(2)
            with warnings.catch_warnings():
                # An episode without end is longer than the budget.
                warnings.filterwarnings("ignore", "FrameCache: expected episodes that")
                row = self.cache.append(
                    cameras,
                    reward=reward,
                    kind=["step", "step"],
                    terminated=self.rng.random(2) < self.end_rate,
                )
            assert row == len(self.rows)
            self.rows.append(frames)
            self.late.append(set())
            self.rewards.append(reward)

    @rule(frames=st.lists(CHANGES, min_size=1, max_size=5))
    def append_one_camera(self, frames):
        """A camera that is not delivered shows its last picture again."""
        for change in frames:
            both = {key: self.change(key, change) for key in SIZES if key[0] == "front"}
            kept = {
                key: self.shown[key].copy() if self.has_any[key] else None
                for key in SIZES
                if key[0] == "top"
            }
            reward = self.rng.random(2)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "FrameCache: expected episodes that")
                self.cache.append(
                    {"front": [both["front", 0], both["front", 1]]},
                    reward=reward,
                    kind=["step", "step"],
                )
            self.rows.append({**both, **kept})
            self.late.append({key for key in SIZES if key[0] == "top"})
            self.rewards.append(reward)

    def check(self, cache, numbers):
        for row in numbers:
            for (camera, env), frame in self.rows[row].items():
                if not self.has_any[camera, env]:
                    continue
                slots = cache._slots_of(env, camera)
                if row < max(map(cache.recording.first_row_of, slots)):
                    frame = None
                shown = cache.frames(row, envs=[env], camera=camera)[0, 0]
                size = cache.frame_size(env, camera, row)
                if frame is None:
                    assert not shown.any()
                    assert shown.shape[:2] == size
                else:
                    assert np.array_equal(shown, frame)
                    assert frame.shape[:2] == size
                assert cache.is_shown(row, env, camera) == (frame is not None)
                is_late = (camera, env) in self.late[row]
                has_picture = frame is not None and not is_late
                assert cache.has_picture(row, env, camera) == has_picture

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def read(self, data):
        last = len(self.rows) - 1
        numbers = data.draw(st.lists(st.integers(0, last), max_size=12))
        self.check(self.cache, numbers)
        np.testing.assert_array_equal(self.cache.scalars["reward"], self.rewards)

    @precondition(lambda self: self.rows)
    @rule()
    def reopen(self):
        self.cache.flush()
        opened = rv.open(self.path)
        assert opened.num_rows == len(self.rows)
        assert opened.episodes == self.cache.episodes
        assert opened.num_evicted == self.cache.num_evicted
        assert opened.first_row == self.cache.first_row
        self.check(opened, range(len(self.rows)))
        opened.recording.release()

    @precondition(lambda self: self.rows)
    @rule()
    def save(self):
        saved = self.cache.save(Path(self.folder.name) / "saved.rollout")
        opened = rv.open(saved)
        self.check(opened, range(len(self.rows)))
        np.testing.assert_array_equal(opened.scalars["reward"], self.rewards)
        opened.recording.release()

    @precondition(lambda self: self.rows)
    @rule()
    def compact(self):
        saved = self.cache.save(Path(self.folder.name) / "compact.rollout")
        compact(saved, level=1)
        opened = rv.open(saved)
        self.check(opened, range(0, len(self.rows), 3))
        opened.recording.release()

    def teardown(self):
        if hasattr(self, "cache"):
            self.cache.close()
            self.check(self.cache, range(len(self.rows)))
            self.folder.cleanup()


TestCacheModel = CacheModel.TestCase
TestCacheModel.settings = settings(
    max_examples=25, stateful_step_count=12, deadline=None
)
