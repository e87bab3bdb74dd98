"""A recording whose file is deleted, renamed or replaced while it is open."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._recording.compact import compact
from rollout_viewer._recording.open_files import READERS
from tests.faults.survival import survives


def begin(path, num_rows=70):
    """Return a cache that is recording, and whose rows are in the file."""
    cache = rv.FrameCache(path)
    go_on(cache, 0, num_rows)
    cache._live._writer.drain()
    return cache


def go_on(cache, start, stop):
    for row in range(start, stop):
        cache.append(np.full((1, 8, 8, 3), row, np.uint8), reward=[float(row)])


def is_whole(cache, num_rows):
    """Whether each picture is the one that was recorded in its row."""
    shown = [int(cache[row, 0].max()) for row in range(num_rows)]
    return cache.num_rows == num_rows and shown == list(range(num_rows))


def value_of(path):
    with rv.open(path) as cache:
        return int(cache[0, 0].max()), cache.num_rows


def take_away(path, how):
    """Return the message of what was done to the file."""
    if how == "replaced":
        with rv.FrameCache(path.with_name("other.rollout")) as other:
            for _ in range(40):
                other.append(np.full((1, 8, 8, 3), 200, np.uint8), reward=[0.0])
        os.replace(other.path, path)
        return "replaced"
    if how == "renamed":
        path.rename(path.with_name("elsewhere.rollout"))
    else:
        path.unlink()
    return "deleted"


@pytest.mark.parametrize("is_flushed", [False, True])
@pytest.mark.parametrize("how", ["replaced", "renamed", "deleted"])
@survives(
    "a recording that is deleted, renamed or replaced while it is written",
    kept="everything: `save(path)` keeps it, and a renamed file is complete",
    lost="nothing",
    seen="one `RolloutViewerWarning`; `flush` and `close` raise `StorageError`",
)
def test_a_recording_that_loses_its_file_says_so_and_goes_on(tmp_path, how, is_flushed):
    path = tmp_path / "run.rollout"
    cache = begin(path)
    if is_flushed:  # there is no log then
        cache.flush()
    message = take_away(path, how)

    with pytest.warns(rv.RolloutViewerWarning, match=message) as caught:
        go_on(cache, 70, 150)
        with pytest.raises(rv.StorageError, match=message):
            cache.flush()
        go_on(cache, 150, 160)
    assert len(caught) == 1
    assert is_whole(cache, 160)
    assert cache.num_lost == 0
    with rv.open(cache.save(tmp_path / "saved.rollout")) as saved:
        assert is_whole(saved, 160)
    with pytest.raises(rv.StorageError, match=message):
        cache.close()
    assert is_whole(cache, 160)
    cache.recording.release()

    names = {one.name for one in tmp_path.iterdir()} - {"saved.rollout"}
    if how == "replaced":
        assert value_of(path) == (200, 40)
    elif how == "renamed":
        assert names == {"elsewhere.rollout"}
        with rv.open(tmp_path / "elsewhere.rollout") as renamed:
            assert is_whole(renamed, 160)
    else:
        assert not names


def test_a_temporary_recording_that_is_deleted_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cache = begin(None)
    cache.path.unlink()

    with pytest.warns(rv.RolloutViewerWarning, match="deleted"):
        go_on(cache, 70, 150)
        with pytest.raises(rv.StorageError):
            cache.flush()
        go_on(cache, 150, 160)
    assert is_whole(cache, 160)
    assert cache.num_lost == 0


def test_flush_of_nothing_new_says_that_the_file_was_replaced(tmp_path):
    cache = begin(tmp_path / "run.rollout")
    cache.flush()
    take_away(cache.path, "replaced")

    with pytest.raises(rv.StorageError, match="replaced"):
        cache.flush()
    assert is_whole(cache, 70)
    with pytest.raises(rv.StorageError, match="replaced"):
        cache.close()


def test_a_replaced_recording_is_read_also_where_many_are_open(tmp_path):
    cache = begin(tmp_path / "run.rollout")
    READERS.shed_all()  # as others do that are read
    take_away(cache.path, "replaced")

    assert is_whole(cache, 70)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rv.RolloutViewerWarning)
        go_on(cache, 70, 100)
        assert is_whole(cache, 100)


def test_a_recording_without_rows_does_not_delete_the_file_of_its_name(tmp_path):
    path = tmp_path / "run.rollout"
    cache = rv.FrameCache(path)
    take_away(path, "replaced")
    cache.recording.release()

    assert value_of(path) == (200, 40)


def test_lock_and_log_of_a_recording_under_the_same_name_are_left_alone(tmp_path):
    path = tmp_path / "run.rollout"
    first = begin(path)
    for side in ("", "-wal", "-shm", ".lock"):  # as with `rm run.rollout*`
        os.unlink(f"{path}{side}")
    second = begin(path)
    assert second.path == path
    log = os.stat(f"{path}-wal")

    with pytest.raises(rv.StorageError, match="replaced"):
        first.close()
    assert is_whole(first, 70)
    first.recording.release()

    assert os.path.exists(f"{path}.lock")
    assert os.path.samestat(os.stat(f"{path}-wal"), log)
    go_on(second, 70, 100)
    second.close()
    with rv.open(path) as reopened:
        assert is_whole(reopened, 100)


@pytest.mark.parametrize("kind", ["recorded", "opened"])
def test_notes_of_a_recording_are_not_written_into_another_of_its_name(tmp_path, kind):
    path = tmp_path / "run.rollout"
    cache = begin(path)
    cache.close()
    if kind == "opened":
        cache = rv.open(path)
    take_away(path, "replaced")

    with pytest.raises(rv.ReadOnlyError, match="replaced"):
        cache.bookmark(3, "note")
    with rv.open(path) as other:
        assert not other.bookmarks


def test_a_closed_recording_shows_no_other_of_its_name(tmp_path):
    path = tmp_path / "run.rollout"
    cache = begin(path)
    cache.close()
    take_away(path, "replaced")
    READERS.shed_all()

    with pytest.raises(rv.RecordingError, match="replaced"):
        cache[0]


def test_a_closed_recording_is_read_and_annotated_after_it_was_compacted(tmp_path):
    path = tmp_path / "run.rollout"
    cache = begin(path)
    cache.close()
    compact(path)
    READERS.shed_all()

    cache.bookmark(3, "note")
    assert is_whole(cache, 70)
    with rv.open(path) as other:
        assert other.bookmarks == {3: "note"}
