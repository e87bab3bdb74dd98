"""Bookmarks and labels: set from Python, kept in the file, exported."""

import csv
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._errors import ReadOnlyError, RecordingLockedError, RowError
from rollout_viewer._recording.annotations import AnnotationChange


def record(path=None, num_rows=8, num_envs=2, length=4):
    """Two episodes of each env, labelled by their segment."""
    cache = rv.FrameCache(path)
    with cache.segment("eval", train_step=100):
        for row in range(num_rows):
            frames = np.full((num_envs, 8, 8, 3), row, np.uint8)
            if row % length == 0:
                cache.append(frames, reset=[True] * num_envs)
            else:
                is_end = [row % length == length - 1] * num_envs
                cache.append(frames, reward=np.ones(num_envs), terminated=is_end)
    return cache


def labels_of(cache):
    return {(e.env, e.index): dict(e.labels) for e in cache.episodes}


def test_a_bookmark_has_a_note_and_goes_again():
    cache = record()

    cache.bookmark(3, "falls")
    cache.bookmark(-1)
    cache.bookmark(1, "first")
    cache.bookmark(1, "better")
    cache.remove_bookmark(7)
    cache.remove_bookmark(6)

    assert list(cache.bookmarks.items()) == [(1, "better"), (3, "falls")]


def test_labels_stand_beside_those_of_the_segment():
    cache = record()

    cache.label(cache.episodes[0], "failure", grasps=np.int64(2))
    cache.label([(1, 0), (1, 1)], "success")
    cache.unlabel((1, 1), "success", "unknown")

    segment = {"train_step": 100}
    assert labels_of(cache) == {
        (0, 0): {**segment, "failure": True, "grasps": 2},
        (1, 0): {**segment, "success": True},
        (0, 1): segment,
        (1, 1): segment,
    }
    assert cache.at(0, 0).labels["failure"] is True


@pytest.mark.parametrize("is_closed", [False, True])
def test_marks_are_in_the_file_however_late_they_were_set(tmp_path, is_closed):
    cache = record(tmp_path / "a.rollout")
    if is_closed:
        cache.close()

    cache.bookmark(5, "look \u2192 here")
    cache.label((1, 0), "success")
    if not is_closed:
        cache.flush()

    again = rv.open(cache.path)
    assert again.bookmarks == {5: "look \u2192 here"}
    assert labels_of(again) == labels_of(cache)
    assert again.episodes[1].labels == {"train_step": 100, "success": True}
    cache.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.rollout"]


def test_marks_of_an_opened_recording_are_kept_and_seen_by_all_who_have_it(tmp_path):
    cache = record(tmp_path / "a.rollout")
    cache.close()
    one, other = rv.open(cache.path), rv.open(cache.path)

    one.bookmark(2, "a")
    other.bookmark(4, "b")
    one.label((0, 0), "success")
    other.label((0, 0), "mine")
    other.unlabel((0, 0), "train_step")

    for handle in (one, other, cache, rv.open(cache.path)):
        assert handle.bookmarks == {2: "a", 4: "b"}
        assert labels_of(handle)[0, 0] == {"success": True, "mine": True}


@pytest.mark.parametrize("make", ["save", "compact"])
def test_marks_survive_a_copy(tmp_path, make):
    from rollout_viewer._recording.compact import compact

    cache = record(tmp_path / "a.rollout")
    cache.bookmark(2, "a")
    cache.label((0, 1), "failure")
    cache.close()

    path = cache.save(tmp_path / "b.rollout") if make == "save" else cache.path
    if make == "compact":
        compact(path)

    copy = rv.open(path)
    assert copy.bookmarks == {2: "a"}
    assert labels_of(copy) == labels_of(cache)


def test_a_recording_that_another_process_writes_names_it(tmp_path):
    cache = record(tmp_path / "a.rollout")
    cache.flush()
    reader = rv.open(cache.path)

    with pytest.raises(
        RecordingLockedError, match=f"process {os.getpid()}.*Annotate it"
    ):
        reader.bookmark(1)
    with pytest.raises(RecordingLockedError):
        reader.label((0, 0), "success")

    cache.append(np.zeros((2, 8, 8, 3), np.uint8), reset=[True, True])
    cache.close()
    assert reader.bookmarks == {}
    reader.bookmark(8)
    assert rv.open(cache.path).bookmarks == {8: ""}


READ_ONLY = """
import sys
import rollout_viewer as rv
cache = rv.open(sys.argv[1])
try:
    cache.bookmark(1)
except rv.ReadOnlyError as error:
    print(error)
print(cache.bookmarks)
"""


def test_a_file_that_can_only_be_read_says_so(tmp_path):
    cache = record(tmp_path / "a.rollout")
    cache.close()
    cache.path.chmod(0o444)
    tmp_path.chmod(0o555)
    # Root may write everywhere, unless it gives that up.
    powers = "-dac_override,-dac_read_search"
    weaker = ["setpriv", "--bounding-set", powers, "--inh-caps", powers]
    is_root = os.geteuid() == 0
    if is_root and shutil.which("setpriv") is None:
        pytest.skip("root may write everywhere, and there is no setpriv")

    done = subprocess.run(
        [*(weaker if is_root else []), sys.executable, "-c", READ_ONLY, cache.path],
        capture_output=True,
        text=True,
        check=False,
    )

    tmp_path.chmod(0o755)
    assert "can only be read" in done.stdout, done.stdout + done.stderr
    assert "save() a copy" in done.stdout
    assert done.stdout.endswith("{}\n")


@pytest.mark.parametrize(
    ("mark", "error"),
    [
        (lambda cache: cache.bookmark(8), RowError),
        (lambda cache: cache.label((0, 2), "success"), RowError),
        (lambda cache: cache.label((0, -1), "success"), RowError),
        (lambda cache: cache.label((2, 0), "success"), RowError),
        (lambda cache: cache.label((0, 0)), ValueError),
        (lambda cache: cache.label((0, 0), " "), ValueError),
        (lambda cache: cache.label((0, 0), grasps=None), ValueError),
    ],
)
def test_what_is_not_there_cannot_be_marked(mark, error):
    cache = record()

    with pytest.raises(error):
        mark(cache)

    assert cache.bookmarks == {}
    assert labels_of(cache)[0, 0] == {"train_step": 100}


def test_recordings_shown_as_one_keep_their_own_marks(tmp_path):
    paths = []
    for name, num_rows in (("a", 8), ("b", 4)):
        with record(tmp_path / f"{name}.rollout", num_rows) as cache:
            paths.append(cache.path)
    both = rv.open(paths)

    both.bookmark(2, "both")
    both.bookmark(6, "one")
    both.label((3, 0), "failure")

    a, b = map(rv.open, paths)
    assert both.bookmarks == a.bookmarks == {2: "both", 6: "one"}
    assert b.bookmarks == {2: "both"}
    assert labels_of(b)[1, 0] == {"train_step": 100, "failure": True}
    assert labels_of(both)[3, 0] == labels_of(b)[1, 0]
    both.remove_bookmark(2)
    assert (both.bookmarks, b.bookmarks) == ({6: "one"}, {})


def test_marks_of_a_comparison_are_those_of_the_recordings():
    before, after = record(), record()
    viewer = rv.view({"before": before, "after": after})

    viewer.cache.label((2, 1), "success")
    viewer.cache.bookmark(3, "here")

    assert labels_of(after)[0, 1]["success"] is True
    assert "success" not in labels_of(before)[0, 1]
    assert before.bookmarks == after.bookmarks == {3: "here"}
    assert viewer.bookmarks == [3]
    viewer.close()


def test_a_table_has_labels_and_notes_where_there_are_any(tmp_path):
    pytest.importorskip("pyarrow", reason="Parquet is one of the tables")
    cache = record(num_envs=1)
    plain = cache.clip().table()
    cache.label((0, 1), "failure", grasps=2)
    cache.bookmark(5, "slips, falls")

    [path] = cache.clip(3, 7).write(tmp_path / "a.csv")
    [parquet] = cache.clip(3, 7).write(tmp_path / "a.parquet")

    with path.open() as file:
        lines = list(csv.DictReader(file))
    assert [line["labels"] for line in lines] == [
        "train_step=100",
        *["train_step=100; failure; grasps=2"] * 3,
    ]
    assert [line["note"] for line in lines] == ["", "", "slips, falls", ""]
    from pyarrow import parquet as pq

    notes = pq.read_table(parquet).column("note").to_pylist()
    assert notes == [None, None, "slips, falls", None]
    assert "note" not in plain


def test_clearing_a_recording_clears_its_marks(tmp_path):
    cache = record(tmp_path / "a.rollout")
    cache.bookmark(2, "a")
    cache.label((0, 0), "x")

    cache.clear()
    for reset in (True, False):
        cache.append(np.zeros((2, 8, 8, 3), np.uint8), reset=[reset, reset])
    cache.close()

    again = rv.open(cache.path)
    assert (again.bookmarks, again.episodes[0].labels) == ({}, {})


# -- the viewer


def test_bookmarks_of_a_viewer_are_those_of_its_recording():
    cache = record()
    cache.bookmark(4, "kept")
    viewer, other = rv.view(cache, bookmarks=[1]), rv.view(cache)
    seen = []
    other.observe(lambda change: seen.append(change["new"]), "bookmarks")

    assert viewer.bookmarks == [1, 4]
    viewer.bookmarks = [4, 6]
    assert cache.bookmarks == {4: "kept", 6: ""}
    assert seen == [[4, 6]]
    cache.bookmark(2, "new")
    assert viewer.bookmarks == other.bookmarks == [2, 4, 6]
    viewer.close()
    other.close()


def test_a_bookmark_that_is_added_keeps_the_note_that_is_there(tmp_path):
    for cache in (record(), record(tmp_path / "run.rollout")):
        cache.bookmark(2, "here")
        cache.annotate(AnnotationChange(added=[2, 5]))
        assert cache.bookmarks == {2: "here", 5: ""}
        cache.close()

    again = rv.open(tmp_path / "run.rollout")
    assert again.bookmarks == {2: "here", 5: ""}
    again.annotate(AnnotationChange(added=[0, 5]))
    assert rv.open(again.path).bookmarks == {0: "", 2: "here", 5: ""}


def test_an_observer_that_changes_bookmarks_is_heard():
    viewer = rv.view(record())

    def without_four(change):
        viewer.bookmarks = [row for row in change["new"] if row != 4]

    viewer.observe(without_four, "bookmarks")
    viewer.cache.bookmark(2, "here")
    viewer.cache.bookmark(4)

    assert viewer.bookmarks == [2]
    assert viewer.cache.bookmarks == {2: "here"}
    viewer.close()


def test_bookmarks_that_cannot_be_kept_stay_in_the_viewer_with_a_warning(tmp_path):
    cache = record(tmp_path / "a.rollout")
    cache.flush()
    viewer = rv.view(rv.open(cache.path))

    with pytest.warns(rv.RolloutViewerWarning, match="is writing"):
        viewer.bookmarks = [1]

    assert viewer.bookmarks == [1]
    assert cache.bookmarks == {}
    viewer.close()
    cache.close()


def test_errors_of_marks_are_public():
    assert issubclass(rv.ReadOnlyError, ValueError)
    assert ReadOnlyError is rv.ReadOnlyError
