"""Pictures that a live recording is given later, until they are in its file."""

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._frames.encoder import ChunkEncoder
from rollout_viewer._frames.scratch import Scratch
from rollout_viewer._recording.late_pictures import LateChunk, LatePictures
from rollout_viewer._recording.slot import Slot

SIZE = 4, 5
SLOT = Slot(0, "pixels", *SIZE, False)


def recorded(path, num_rows):
    """Return a cache of rows without pictures."""
    cache = rv.FrameCache(path)
    cache.append(None, reset=[True])
    for _ in range(num_rows - 1):
        cache.append(None, reward=[1.0])
    return cache


def picture_of(row):
    return np.full((*SIZE, 3), row % 251, np.uint8)


def late_chunk(block, offsets=range(CHUNK_ROWS)):
    """Return pictures of some rows of a block."""
    encoder = ChunkEncoder(*SIZE, Scratch(*SIZE))
    for offset in range(max(offsets) + 1):
        if offset in offsets:
            encoder.add(picture_of(block * CHUNK_ROWS + offset))
        else:
            encoder.skip()
    return LateChunk(SLOT, block, encoder.whole())


def add(cache, *chunks):
    assert cache.recording.add_late_chunks(chunks)


def kept(cache):
    """Return which blocks have late pictures in memory."""
    late = cache.recording._late
    return [block for block in range(99) if late.slots_in(block)]


def assert_pictures(cache, rows):
    for row in rows:
        np.testing.assert_array_equal(cache[row, 0], picture_of(row))


def test_what_is_in_the_file_is_not_kept_in_memory(tmp_path):
    path = tmp_path / "a.rollout"
    with recorded(path, 5 * CHUNK_ROWS) as cache:
        for block in range(5):
            add(cache, late_chunk(block))
            cache.flush()
            assert kept(cache) == [block]
        assert_pictures(cache, range(5 * CHUNK_ROWS))
    assert_pictures(rv.open(path), range(5 * CHUNK_ROWS))


def test_a_block_that_is_filled_up_later_is_kept_until_it_is_in_the_file(tmp_path):
    path = tmp_path / "a.rollout"
    with recorded(path, CHUNK_ROWS - 2) as cache:
        add(cache, late_chunk(0, range(CHUNK_ROWS - 2)))
        cache.flush()
        add(cache, late_chunk(0, [3]))
        cache.flush()
        assert kept(cache) == [0]  # the block is open
        for _ in range(5):
            cache.append(None, reward=[1.0])
        add(cache, late_chunk(0, [CHUNK_ROWS - 1]))
        cache.flush()
        add(cache, late_chunk(1, [1]))
        assert kept(cache) == [1]
        rows = [*range(CHUNK_ROWS - 2), CHUNK_ROWS - 1, CHUNK_ROWS + 1]
        assert_pictures(cache, rows)
    assert_pictures(rv.open(path), rows)


def test_a_chunk_that_replaced_another_waits_for_its_own_writing():
    late = LatePictures()
    first, second = bytes([1]), bytes([2])
    late.add(0, 0, first)
    late.add(0, 0, second)
    late.note_filed({(0, 0): first})
    assert late.filed(num_sealed=1) == []
    late.note_filed({(0, 0): second})
    assert late.filed(num_sealed=1) == [(0, 0)]
    late.drop(late.filed(num_sealed=1))
    assert late.chunk(0, 0) is None


def test_a_part_of_a_block_that_is_queued_behind_another_is_not_dropped(tmp_path):
    path = tmp_path / "a.rollout"
    with recorded(path, 3 * CHUNK_ROWS) as cache:
        recording = cache.recording
        with recording._writer._file.lock:  # the thread that writes waits
            add(cache, late_chunk(0, [0, 1]))
            first = recording._late.chunk(0, 0)
            add(cache, late_chunk(0, [2, 3]))
        recording._late.note_filed({(0, 0): first})
        recording._drop_filed()
        assert_pictures(cache, range(4))
        cache.flush()
        add(cache, late_chunk(1))
        assert kept(cache) == [1]
        assert_pictures(cache, range(4))
    assert_pictures(rv.open(path), range(4))


def test_pictures_that_a_full_disk_did_not_take_stay_in_memory(tmp_path):
    cache = recorded(tmp_path / "a.rollout", 2 * CHUNK_ROWS)
    cache.flush()
    connection = cache.recording._file._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    encoder = ChunkEncoder(64, 64, Scratch(64, 64))
    encoder.add(noise)

    add(cache, LateChunk(Slot(0, "pixels", 64, 64, False), 0, encoder.whole()))
    with pytest.raises(rv.StorageError):
        cache.flush()
    add(cache, late_chunk(1))

    assert kept(cache) == [0, 1]
    np.testing.assert_array_equal(cache[0, 0], noise)
    with pytest.raises(rv.StorageError):
        cache.close()
    np.testing.assert_array_equal(cache[0, 0], noise)
