"""Several processes find the rows that a killed one has left beside its recording."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import sys
import time
import warnings

import pytest

import rollout_viewer as rv
from rollout_viewer._recording import file_rows
from rollout_viewer._recording.lock import acquire, locked
from rollout_viewer._recording.row_memory import side_path
from tests.faults.later_loops import assert_same, calls
from tests.faults.test_rows_beside import RECORD, recorded
from tests.killed import record_and_kill

pytestmark = pytest.mark.skipif(
    not hasattr(os, "posix_fallocate"), reason="rows wait in a mapped file"
)

READ_AS_NO_ONE = """
import os, sys, warnings
import rollout_viewer as rv
rv.open(sys.argv[1]).recording.release()  # all is imported
if os.geteuid() == 0:
    os.setuid(65534)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    cache = rv.open(sys.argv[2])
    cache.recording.refresh()
    cache.save(sys.argv[3])
print(cache.num_rows, *(warning.message for warning in caught), flush=True)
os._exit(0)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Return a folder with what a killed process left, of 500 rows."""
    folder = tmp_path_factory.mktemp("killed")
    record_and_kill(RECORD, folder / "run.rollout")
    return folder


@pytest.fixture
def left(killed, tmp_path):
    """Return a copy of it, to be opened."""
    shutil.copytree(killed, tmp_path / "left")
    return tmp_path / "left" / "run.rollout"


@pytest.fixture(scope="module")
def truth():
    env = recorded(480)
    yield env.cache
    env.close()


@pytest.fixture
def read_as_no_one(left, tmp_path):
    """A function that opens and saves what is left in a folder it cannot write."""

    def read():
        home, copies = tmp_path.parents[2], tmp_path / "copies"
        for folder in (tmp_path, tmp_path.parent, tmp_path.parents[1], home):
            if folder.owner() == home.owner() and folder != folder.parent:
                os.chmod(folder, os.stat(folder).st_mode | 0o555)
        copies.mkdir()
        os.chmod(copies, 0o777)
        other = tmp_path / "other.rollout"
        recorded(40, other).close()
        os.chmod(left.parent, 0o555)
        names = [str(other), str(left), str(copies / "copy.rollout")]
        command = [sys.executable, "-c", READ_AS_NO_ONE, *names]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        finally:
            os.chmod(left.parent, 0o755)
        return done.stdout, copies / "copy.rollout"

    return read


@pytest.mark.parametrize("has_lock", [True, False])
def test_a_folder_that_cannot_be_written_shows_all(
    left, read_as_no_one, truth, has_lock
):
    if not has_lock:
        os.unlink(f"{left}.lock")
    for one in left.parent.iterdir():
        os.chmod(one, 0o444)

    text, copy = read_as_no_one()

    assert text == "480\n"
    with rv.open(copy) as cache:
        assert_same(cache, truth)
    assert os.path.exists(side_path(left))


def test_rows_that_cannot_be_read_are_told(left, read_as_no_one):
    os.chmod(side_path(left), 0)

    text, _ = read_as_no_one()

    assert int(text.split()[0]) < 480
    assert "newest rows are missing" in text


def test_a_file_that_cannot_be_written_shows_all(left, monkeypatch, truth):
    def refuse(path):
        raise rv.RecordingError("a folder that cannot be written")

    monkeypatch.setattr(file_rows, "locked", refuse)
    with rv.open(left) as cache:
        assert_same(cache, truth)
        with monkeypatch.context() as meanwhile:
            meanwhile.undo()
            rv.open(left).bookmark(3)  # by another process, say
        cache.recording.refresh()
        assert_same(cache, truth)
        for episode in cache.recording.rows.episodes():
            assert cache.recording.start_of(0, episode.index)


def test_a_reader_waits_for_another_one_that_stores_them(left, monkeypatch, truth):
    monkeypatch.setattr(file_rows, "_LOOK_INTERVAL_S", -1.0)  # as after a long wait
    lock = acquire(left)
    take = locked

    @contextlib.contextmanager
    def then_freed(path):
        try:
            with take(path):
                yield
        except rv.RecordingLockedError:
            lock.release()
            raise

    monkeypatch.setattr(file_rows, "locked", then_freed)
    with rv.open(left) as cache:
        assert_same(cache, truth)
    assert not os.path.exists(side_path(left))


def test_a_reader_that_comes_late_says_nothing(left, monkeypatch, truth):
    take = locked

    def after_another(path):
        monkeypatch.setattr(file_rows, "locked", take)
        rv.open(left).recording.release()
        return take(path)

    monkeypatch.setattr(file_rows, "locked", after_another)
    with rv.open(left) as cache:
        assert_same(cache, truth)


def test_a_child_that_keeps_the_lock_of_its_killed_parent_hides_none(
    left, monkeypatch, truth
):
    monkeypatch.setattr(file_rows, "_MAX_RECOVERY_S", 0.0)
    lock = acquire(left)
    with rv.open(left) as cache:
        assert_same(cache, truth)
    assert os.path.exists(side_path(left))
    lock.release()


def test_a_recording_goes_on_that_has_lost_the_name_of_its_lock(tmp_path):
    path, copy = tmp_path / "run.rollout", tmp_path / "copy.rollout"
    loop = calls("CartPole", path)
    env = next(itertools.islice(loop, 299, None))
    os.unlink(f"{path}.lock")

    with rv.open(path) as follower:
        assert follower.num_rows >= 288
        assert os.path.exists(side_path(path))
        for _ in range(700):
            next(loop)
        env.cache.recording._writer.drain()
        for side in ("", "-wal", "-rows"):
            shutil.copyfile(f"{path}{side}", f"{copy}{side}")
        deadline_s = time.monotonic() + 30
        while follower.num_rows < 1000 - 32:
            assert time.monotonic() < deadline_s
            follower.recording.refresh()
        assert os.path.exists(side_path(path))
    with rv.open(copy) as cache:
        assert cache.num_rows >= 1000 - 32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rv.RolloutViewerWarning)
        env.close()
        env.cache.close()
    assert not os.path.exists(side_path(path))
