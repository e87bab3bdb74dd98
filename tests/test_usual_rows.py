"""Rows of the usual form, one after another: what is read, stored and undone."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._frames.encoder import ChunkEncoder
from rollout_viewer._recording.open_block import OpenBlock
from rollout_viewer._recording.step_row import Kind


def moving(num_rows: int, num_envs: int = 1, size: int = 24, seed: int = 0) -> Any:
    """Return pictures (num_rows, num_envs, size, size, 3) that change a little."""
    rng = np.random.default_rng(seed)
    pictures = np.zeros((num_rows, num_envs, size, size, 3), np.uint8)
    pictures[:] = rng.integers(0, 255, (num_envs, size, size, 3))
    for row in range(num_rows):
        at = rng.integers(0, size - 4, 2)
        pictures[row:, :, at[0] : at[0] + 4, at[1] : at[1] + 4] = rng.integers(0, 255)
    return pictures


def append(cache: rv.FrameCache, pictures: Any) -> int:
    """Append a row of the usual form."""
    num_envs = len(pictures)
    none = np.zeros(num_envs, np.bool_)
    return cache.append(
        list(pictures),
        reward=np.zeros(num_envs),
        terminated=none,
        truncated=none,
        action=np.zeros(num_envs, np.int64),
        kind="step",
    )


def is_exact(cache: rv.FrameCache, pictures: Any) -> bool:
    """Whether the cache has exactly these pictures."""
    return len(cache) == len(pictures) and np.array_equal(
        cache.frames(range(len(cache))), pictures
    )


def test_rows_are_read_at_once_while_others_come():
    pictures = moving(400, 2)
    wrong: list[int] = []
    with rv.FrameCache() as cache:
        append(cache, pictures[0])

        def read(seed: int) -> None:
            rng = np.random.default_rng(seed)
            while (count := len(cache)) < len(pictures):
                for row in (count - 1, int(rng.integers(count))):
                    if not np.array_equal(cache.frames(row)[0], pictures[row]):
                        wrong.append(row)

        readers = [threading.Thread(target=read, args=(n,)) for n in range(2)]
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            for one in readers:
                one.start()
            for row in pictures[1:]:
                append(cache, row)
        finally:
            sys.setswitchinterval(interval)
        for one in readers:
            one.join()
        assert not wrong
        assert is_exact(cache, pictures)


def test_pictures_may_change_their_size_within_a_block():
    small, large = moving(60), moving(60, size=40, seed=1)
    with rv.FrameCache() as cache:
        expected = []
        for row in range(60):
            one = (large if row // 5 % 2 else small)[row]
            append(cache, one)
            expected.append(one[0])
        for row, picture in enumerate(expected):
            assert np.array_equal(cache.frames(row)[0, 0], picture)


def test_a_picture_may_be_changed_by_its_owner_once_it_was_recorded():
    pictures = moving(40)
    mine = np.empty_like(pictures[0])
    with rv.FrameCache() as cache:
        for row in pictures:
            mine[:] = row
            append(cache, mine)
            mine[:] = 7
        assert is_exact(cache, pictures)


def test_encoders_are_looked_up_anew_only_where_pictures_change_their_form(monkeypatch):
    small, large = moving(80, 2), moving(20, 2, size=40)
    looked: list[int] = []
    look_up = OpenBlock.usual_encoders

    def counted(block: OpenBlock, *row: Any) -> Any:
        looked.append(len(block.extras))
        return look_up(block, *row)

    monkeypatch.setattr(OpenBlock, "usual_encoders", counted)
    with rv.FrameCache() as cache:
        for row in (*small[:50], *large, *small[50:]):
            append(cache, row)
        assert len(looked) <= 6
        for at, expected in ((0, small[:50]), (50, large), (70, small[50:])):
            for number, row in enumerate(expected):
                for env, picture in enumerate(row):
                    assert np.array_equal(cache[at + number, env], picture)


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_no_picture_is_lost_where_encoding_fails_once(monkeypatch, error):
    pictures = moving(90)
    add, count = ChunkEncoder.add, 0

    def failing(encoder: ChunkEncoder, frame: Any, **options: Any) -> None:
        nonlocal count
        count += 1
        add(encoder, frame, **options)
        if count % 7 == 0:
            raise error("once")

    monkeypatch.setattr(ChunkEncoder, "add", failing)
    kept = []
    with rv.FrameCache() as cache:
        for row in pictures:
            before = len(cache) if not count % 5 else cache.num_appended
            try:
                append(cache, row)
            except error:
                if cache.num_appended == before:
                    continue
            kept.append(row)
        monkeypatch.setattr(ChunkEncoder, "add", add)
        assert len(kept) > len(pictures) // 2
        assert is_exact(cache, np.stack(kept))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_reads_the_open_block_and_records_on_its_own():
    pictures = moving(50)
    with rv.FrameCache() as cache:
        for row in pictures:
            append(cache, row)
        pid = os.fork()
        if not pid:
            is_right = False
            try:
                is_right = is_exact(cache, pictures)
                with rv.FrameCache() as own:
                    for row in pictures:
                        append(own, row)
                    is_right = is_right and is_exact(own, pictures)
            finally:
                os._exit(0 if is_right else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert is_exact(cache, pictures)


def test_a_cache_that_is_cleared_forgets_what_was_there():
    first, second = moving(40), moving(40, seed=1)
    with rv.FrameCache() as cache:
        for row in first[:37]:
            append(cache, row)
        cache.clear()
        for row in second:
            append(cache, row)
        assert is_exact(cache, second)


def test_an_idle_env_repeats_its_picture_whatever_comes() -> None:
    kinds = np.full((2, 2), Kind.STEP, np.uint8)
    kinds[1, 1] = Kind.IDLE

    with rv.FrameCache() as cache:
        cache.append(pictures(2, 0), kind=np.full(2, Kind.RESET, np.uint8))
        for row in range(1, 40):
            codes = kinds[int(row % 3 == 0)]
            cache.append(
                pictures(2, row),
                reward=np.where(codes == Kind.STEP, 1.0, np.nan),
                kind=codes,
            )
        for row in range(40):
            shown = row - 1 if row and row % 3 == 0 else row
            assert (cache[row, 0] == row).all()
            assert (cache[row, 1] == shown).all()


def pictures(num_envs: int, value: int) -> list[Any]:
    return list(np.full((num_envs, 8, 8, 3), value, np.uint8))
