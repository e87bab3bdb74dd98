"""Pictures that wait to be encoded: what is read, stored and undone is as without."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._frames.encoder import ChunkEncoder
from rollout_viewer._recording.encoding_thread import encoding_thread

WAYS = {"in a thread": True, "by whoever needs them": False}


@pytest.fixture(params=WAYS, autouse=True)
def way(request, monkeypatch):
    """Encode in a thread, also where there is one core only, or without."""
    monkeypatch.setattr(encoding_thread, "_is_useful", WAYS[request.param])
    return request.param


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


@pytest.mark.parametrize("num_envs", [1, 3])
def test_what_is_stored_is_the_same_as_when_each_row_is_read_at_once(
    tmp_path, num_envs
):
    pictures = moving(75, num_envs)
    found = []
    for is_read in (False, True):
        with rv.FrameCache(tmp_path / f"{is_read}.rollout") as cache:
            for row in pictures:
                number = append(cache, row)
                if is_read:
                    cache.frames(number)
        with rv.open(tmp_path / f"{is_read}.rollout") as opened:
            assert is_exact(opened, pictures)
            found.append(opened.nbytes)
    assert found[0] == found[1]


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


def test_pictures_may_change_their_size_while_some_wait():
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


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_no_picture_is_lost_where_encoding_fails_once(monkeypatch, error):
    """Neither of rows that wait, nor of the row whose turn it was."""
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
def test_a_forked_child_reads_what_waits_and_records_on_its_own():
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


def test_a_cache_that_is_cleared_forgets_what_waits():
    first, second = moving(40), moving(40, seed=1)
    with rv.FrameCache() as cache:
        for row in first[:37]:
            append(cache, row)
        cache.clear()
        for row in second:
            append(cache, row)
        assert is_exact(cache, second)


def test_a_cache_may_be_cleared_while_what_waits_is_encoded():
    """The encoders of what comes next have the same buffers."""
    coarse = np.random.default_rng(0).integers(0, 255, (8, 4, 32, 32, 3), np.uint8)
    pictures = np.kron(coarse, np.ones((8, 8, 1), np.uint8))
    with rv.FrameCache() as cache:
        for turn in range(60):
            cache.clear()
            kept = [pictures[(3 * turn + row) % 8] for row in range(3 + turn % 6)]
            for one in kept:
                append(cache, one)
            if turn % 2:
                assert is_exact(cache, np.stack(kept))


def test_pictures_are_right_where_undoing_is_interrupted_and_the_thread_goes_on(
    monkeypatch, way
):
    pictures = moving(20)
    with rv.FrameCache() as cache:
        pushes, restores = 0, 0
        push, restore = ChunkEncoder._push, ChunkEncoder.restore

        def interrupted_push(encoder: ChunkEncoder, kind: int, record: bytes) -> None:
            nonlocal pushes
            pushes += 1
            if pushes == 3:  # between its two lines
                encoder._kinds.append(kind)
                raise KeyboardInterrupt
            push(encoder, kind, record)

        def interrupted_restore(encoder: ChunkEncoder, count: int) -> None:
            nonlocal restores
            restores += 1
            if restores == 1:
                raise KeyboardInterrupt
            restore(encoder, count)

        with monkeypatch.context() as patched:
            # The thread is late: it finds what was interrupted.
            patched.setattr(encoding_thread, "_is_useful", False)
            for row in pictures[:12]:
                append(cache, row)
            patched.setattr(ChunkEncoder, "_push", interrupted_push)
            patched.setattr(ChunkEncoder, "restore", interrupted_restore)
            with pytest.raises(KeyboardInterrupt):
                cache.append(list(pictures[12]), reward=np.zeros(1), reset=[True])
            live: Any = cache.recording
            live._open._waiting.encode()  # as the thread does

        assert restores
        assert is_exact(cache, pictures[:12])
        for row in pictures[12:]:
            append(cache, row)
        assert is_exact(cache, pictures)


def test_memory_for_rows_that_wait_is_bounded_and_counted():
    with rv.FrameCache() as cache:
        for row in moving(3, 64, size=84):  # 1.35 MB a row
            append(cache, row)
        one_row = 64 * 84 * 84 * 3
        assert cache.recording.state_nbytes < 6 * one_row
