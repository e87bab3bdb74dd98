"""Files that are replaced, deleted, copied and left behind beside a recording."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._files.new_files import why_not_a_file
from rollout_viewer._recording import database, trust
from rollout_viewer._recording.compact import compact
from rollout_viewer._recording.database import amend_meta
from tests.faults.survival import survives

RECORD = """
import sys, time
import numpy as np
import rollout_viewer as rv
from rollout_viewer._recording.compact import compact
from rollout_viewer._recording.database import amend_meta

path, value, num_rows = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
cache = rv.FrameCache(path)
for row in range(num_rows):
    cache.append(np.full((1, 8, 8, 3), value, np.uint8), reward=[float(row)])
while cache._live._handled_rows < num_rows:  # all of it is in the file's log
    time.sleep(0.01)
print("ready", flush=True)
time.sleep(60)
"""


def kill_while_recording(path, value=7, num_rows=100):
    """Leave what a killed process leaves: a file whose rows are in its log."""
    command = [sys.executable, "-c", RECORD, str(path), str(value), str(num_rows)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGKILL)
    assert path.with_name(f"{path.name}-wal").stat().st_size > 10_000
    return path


def record(path, value=200, num_rows=40):
    with rv.FrameCache(path) as cache:
        for row in range(num_rows):
            cache.append(np.full((1, 8, 8, 3), value, np.uint8), reward=[float(row)])
    return path


def value_of(path):
    with rv.open(path) as cache:
        return int(cache[cache.num_rows - 1, 0].max()), cache.num_rows


def move_over(new, old):
    os.replace(new, old)


def copy_over(new, old):
    shutil.copyfile(new, old)


def delete_first(new, old):
    old.unlink()
    shutil.copyfile(new, old)


@pytest.fixture(scope="module")
def stale_and_new(tmp_path_factory):
    """Return the folder of a killed recording, and of a whole one."""
    folder = tmp_path_factory.mktemp("stale")
    record(folder / "new.rollout")
    kill_while_recording(folder / "run.rollout")
    return folder


@pytest.fixture
def stale(stale_and_new, tmp_path):
    """A killed recording, and a whole one."""
    shutil.copytree(stale_and_new, tmp_path, dirs_exist_ok=True)
    return tmp_path / "run.rollout", tmp_path / "new.rollout"


def test_the_rows_of_a_killed_process_are_read_from_its_log(tmp_path):
    path = kill_while_recording(tmp_path / "run.rollout")

    assert value_of(path) == (7, 100)


@pytest.mark.parametrize("put", [move_over, copy_over, delete_first])
@pytest.mark.parametrize("use", ["open", "compact", "bookmark"])
@survives(
    "a file copied or moved over the recording of a killed process",
    kept="the new file; the old log under another name",
    lost="nothing",
    seen="one `RolloutViewerWarning` that names the log",
)
def test_a_log_of_another_recording_is_set_aside(stale, put, use):
    path, new = stale
    put(new, path)

    with pytest.warns(rv.RolloutViewerWarning, match="got that of another recording"):
        if use == "compact":
            compact(path)
        elif use == "bookmark":
            with rv.open(path) as cache:
                cache.bookmark(3, "note")
        assert value_of(path) == (200, 40)

    assert value_of(path) == (200, 40)
    aside = path.with_name("run.rollout-wal.of-another")
    assert aside.stat().st_size > 10_000


def test_saving_under_the_name_of_a_killed_recording_leaves_none_of_it(stale):
    path, new = stale
    path.unlink()
    with rv.open(new) as cache, warnings.catch_warnings():
        warnings.simplefilter("ignore", rv.RolloutViewerWarning)
        cache.save(path)

    assert value_of(path) == (200, 40)


def test_recording_anew_under_the_name_of_a_deleted_one(stale):
    path, _ = stale
    path.unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rv.RolloutViewerWarning)
        record(path, 90, 5)

        assert value_of(path) == (90, 5)
    assert path.with_name("run.rollout-wal.of-another").stat().st_size > 10_000


def test_a_copy_with_its_log_is_whole_and_one_without_says_what_is_missing(tmp_path):
    path = kill_while_recording(tmp_path / "run.rollout")
    copy, alone = tmp_path / "copy.rollout", tmp_path / "alone.rollout"
    shutil.copyfile(path, copy)
    shutil.copyfile(f"{path}-wal", f"{copy}-wal")
    shutil.copyfile(f"{path}-wal", f"{alone}-wal")

    assert value_of(copy) == (7, 100)
    with pytest.raises(rv.RecordingError, match="'alone.rollout-wal' is there: copy"):
        rv.open(alone)


def test_where_a_log_cannot_be_read_the_missing_rows_are_said(tmp_path):
    path = kill_while_recording(tmp_path / "run.rollout")
    os.unlink(f"{path}-shm")
    os.mkdir(f"{path}-shm")  # as in a folder that cannot be written

    with pytest.raises(rv.RecordingError, match="run.rollout-shm"):
        rv.open(path)


def test_opening_while_the_writer_completes_its_file_follows_it(tmp_path, monkeypatch):
    """Its log, which is there, is gone when it is looked at."""
    path, is_file = tmp_path / "run.rollout", why_not_a_file
    flushed = []

    def completed_meanwhile(beside):
        if str(beside).endswith("-wal") and not flushed:
            flushed.append(beside)
            cache.flush()
        return is_file(beside)

    with rv.FrameCache(path) as cache:
        append(cache, 40)
        recording: Any = cache.recording
        recording._writer.drain()
        assert os.path.exists(f"{path}-wal")
        monkeypatch.setattr(trust, "why_not_a_file", completed_meanwhile)
        with rv.open(path) as follower, warnings.catch_warnings():
            warnings.simplefilter("error")
            append(cache, 60)
            cache.flush()
            assert flushed
            assert follower.num_rows == 100


def append(cache, num_rows):
    for _ in range(num_rows):
        cache.append(np.zeros((8, 8, 3), np.uint8), reward=1.0)


@survives(
    "a recording of a killed process that is copied without its `-wal`",
    kept="all rows but the newest",
    lost="what is in the `-wal` only",
    seen="one `RolloutViewerWarning` that names it",
)
def test_a_copy_without_its_log_says_so(tmp_path):
    path = kill_while_recording(tmp_path / "run.rollout")
    copy = tmp_path / "copy.rollout"
    shutil.copyfile(path, copy)

    with pytest.warns(rv.RolloutViewerWarning, match="'copy.rollout-wal' beside"):
        rv.open(copy).recording.release()

    amend_meta(path, "note", "all of the log is in the file afterwards")
    shutil.copyfile(path, copy)
    assert value_of(copy) == (7, 100)


@survives(
    "a recording that is copied without its `-wal` while it is recorded",
    kept="the recording, of which `cache.save` makes a complete copy",
    lost="in the copy what is in the `-wal` only, which may be all rows",
    seen="one `RolloutViewerWarning` that says how to copy it",
)
def test_a_copy_of_what_is_being_recorded_says_how_to_make_a_complete_one(tmp_path):
    path, copy = tmp_path / "run.rollout", tmp_path / "copy.rollout"
    with rv.FrameCache(path) as cache:
        append(cache, 40)
        recording: Any = cache.recording
        recording._writer.drain()
        shutil.copyfile(path, copy)

        with pytest.warns(rv.RolloutViewerWarning, match="still being recorded") as all:
            alone = rv.open(copy)

        with alone:
            assert alone.num_rows == 0
            for message in (str(all[0].message), alone.why_empty):
                assert "killed" in message
                assert "rv.open(original).save(path)" in message
                assert "'.rollout-wal'" in message
                assert "'-rows'" in message
            with pytest.raises(rv.RowError, match="still being recorded"):
                alone.clip()
        cache.save(tmp_path / "whole.rollout")
    with rv.open(tmp_path / "whole.rollout") as whole:
        assert whole.num_rows == 40


READ_AS_NO_ONE = """
import os, sys, warnings
import rollout_viewer as rv
import rollout_viewer._recording.file, rollout_viewer._cache.clip
rv.open(sys.argv[1])[0]  # all is imported
if os.geteuid() == 0:
    os.setuid(65534)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    cache = rv.open(sys.argv[2])
print(cache.num_rows, int(cache[cache.num_rows - 1].max()) if cache.num_rows else None)
print(*(warning.message for warning in caught), flush=True)
os._exit(0)
"""


@pytest.fixture
def read_as_no_one(tmp_path):
    """A function that reads a file in a folder which the reader cannot write."""
    other = record(tmp_path / "other.rollout")

    def read(path):
        home = tmp_path.parents[2]
        for folder in (tmp_path, tmp_path.parent, tmp_path.parents[1], home):
            if folder.owner() == home.owner() and folder != folder.parent:
                os.chmod(folder, os.stat(folder).st_mode | 0o555)
        os.chmod(path.parent, 0o555)
        command = [sys.executable, "-c", READ_AS_NO_ONE, str(other), str(path)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        finally:
            os.chmod(path.parent, 0o755)
        return done.stdout.split("\n", 1)

    return read


def test_a_recording_of_a_killed_process_is_whole_in_a_read_only_folder(
    tmp_path, read_as_no_one
):
    path = kill_while_recording(tmp_path / "run.rollout")
    folder = tmp_path / "read-only"
    folder.mkdir()
    for side in ("", "-wal"):
        shutil.copy(f"{path}{side}", folder)

    assert read_as_no_one(folder / "run.rollout") == ["100 7", "\n"]


# As where the file system is of another machine, and SQLite has a rollback journal.
HALF_WRITE = """
import os, signal, sys
import numpy as np
import rollout_viewer as rv
from rollout_viewer._recording import database, trust

database.is_local = lambda path: False
cache = rv.FrameCache(sys.argv[1])
for row in range(64):
    cache.append(np.full((1, 8, 8, 3), 7, np.uint8), reward=[float(row)])
cache._live._writer.drain()
print("written", flush=True)
sys.stdin.readline()
import sqlite3
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("PRAGMA user_version = 1")
for table in ("steps", "packs"):
    connection.execute(f"UPDATE {table} SET data = zeroblob(length(data))")
for number in range(1000, 1300):
    connection.execute("INSERT INTO extras VALUES (?, zeroblob(4000))", (number,))
os.kill(os.getpid(), signal.SIGKILL)
"""


def half_writing(path):
    """Start a process that has written rows, and half writes more when it is told."""
    process = subprocess.Popen(
        [sys.executable, "-c", HALF_WRITE, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    return process


def kill_in_a_transaction(path):
    """Leave what a killed process leaves: a file, half written, and a journal."""
    with half_writing(path) as process:
        process.communicate("go\n")
    assert path.with_name(f"{path.name}-journal").stat().st_size > 1_000
    return path


def test_what_a_killed_process_had_half_written_is_undone(tmp_path, read_as_no_one):
    path = kill_in_a_transaction(tmp_path / "run.rollout")
    folder = tmp_path / "read-only"
    folder.mkdir()
    for side in ("", "-journal"):
        shutil.copy(f"{path}{side}", folder)

    assert value_of(path) == (7, 64)
    assert not path.with_name("run.rollout-journal").exists()
    message = read_as_no_one(folder / "run.rollout")[1]
    assert "run.rollout-journal" in message
    assert "a write was interrupted" in message


def test_a_reader_that_follows_a_process_undoes_what_that_had_half_written(tmp_path):
    path = tmp_path / "run.rollout"
    with half_writing(path) as process, rv.open(path) as cache:
        assert cache.num_rows == 64
        process.communicate("go\n")
        assert path.with_name("run.rollout-journal").stat().st_size > 1_000

        cache.recording.refresh()

        assert cache.num_rows == 64
        assert (cache[63] == 7).all()
    assert not path.with_name("run.rollout-journal").exists()


@pytest.mark.parametrize("put", [move_over, copy_over])
def test_a_journal_of_another_recording_is_set_aside(tmp_path, put):
    path = kill_in_a_transaction(tmp_path / "run.rollout")
    put(record(tmp_path / "new.rollout"), path)

    with pytest.warns(rv.RolloutViewerWarning, match="got that of another recording"):
        assert value_of(path) == (200, 40)
    compact(path)
    assert value_of(path) == (200, 40)
    aside = path.with_name("run.rollout-journal.of-another")
    assert aside.stat().st_size > 1_000


def test_a_file_that_another_connection_is_changing_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("rollout_viewer._recording.database._BUSY_TIMEOUT_S", 0.1)
    path = record(tmp_path / "run.rollout")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA cache_size = 1")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("UPDATE packs SET data = zeroblob(length(data))")
        other.execute("INSERT INTO extras VALUES (99, zeroblob(1000000))")
        with pytest.raises(rv.RecordingError, match="locked"):
            rv.open(path)
        other.execute("ROLLBACK")

    assert value_of(path) == (200, 40)


def test_looking_at_a_file_that_is_just_created_leaves_its_journal(tmp_path):
    path = tmp_path / "run.rollout"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as creating:
        creating.executescript(f"BEGIN;{database.SCHEMA}")

        with pytest.raises(rv.RecordingError):
            rv.open(path)

        assert os.path.exists(f"{path}-journal")
        creating.execute("COMMIT")


def test_a_copy_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    events, fsync, replace = [], os.fsync, os.replace

    def note_fsync(descriptor):
        fsync(descriptor)
        events.append(("on disk", os.fstat(descriptor).st_ino))

    def note_replace(source, target):
        events.append(("named", os.stat(source).st_ino))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    with rv.open(record(tmp_path / "run.rollout")) as cache:
        copy = cache.save(tmp_path / "copy.rollout")

    inode = os.stat(copy).st_ino
    assert events == [("on disk", inode), ("named", inode)]


USE_AND_CLOSE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT COUNT(*) FROM meta").fetchall()
connection.close()
"""


def test_a_recording_is_locked_as_long_as_it_is_written(tmp_path):
    # SQLite deletes the log where it finds no lock of another process.
    cache = rv.FrameCache(tmp_path / "run.rollout")
    for row in range(40):
        cache.append(np.full((1, 8, 8, 3), row, np.uint8))
    cache._live._writer.drain()
    with rv.open(cache.path) as same:
        assert same[20].max() == 20
    log = os.stat(f"{cache.path}-wal")

    command = [sys.executable, "-c", USE_AND_CLOSE, str(cache.path)]
    subprocess.run(command, check=True)

    assert os.path.samestat(os.stat(f"{cache.path}-wal"), log)
    cache.close()


def test_logs_of_recordings_made_before_are_read(tmp_path):
    path = kill_while_recording(tmp_path / "run.rollout")
    with sqlite3.connect(path) as connection:  # as all had it
        connection.execute("PRAGMA schema_version = 8")

    assert value_of(path) == (7, 100)


def test_a_log_that_is_deleted_while_it_is_written_costs_nothing(tmp_path):
    path = tmp_path / "run.rollout"
    cache = rv.FrameCache(path)
    frame = np.zeros((1, 8, 8, 3), np.uint8)
    for row in range(40):
        cache.append(frame + row)
    cache._live._writer.drain()
    os.unlink(f"{path}-wal")
    for row in range(40, 140):
        cache.append(frame + row)
    cache.close()

    with rv.open(path) as reopened:
        found = [int(reopened[row, 0].max()) for row in range(140)]
    assert found == list(range(140))


@pytest.mark.parametrize("path", ["run.rollout", None])
def test_a_file_that_is_not_made_whole_has_no_table(path, monkeypatch, tmp_path):
    others, connect = [], database.connect

    def deny_the_last_table(action, name, *_):
        is_last = (action, name) == (sqlite3.SQLITE_CREATE_TABLE, "episodes")
        return sqlite3.SQLITE_DENY if is_last else sqlite3.SQLITE_OK

    def denied(uri):
        connection = connect(uri)
        connection.set_authorizer(deny_the_last_table)
        others.append(connect(uri))  # sees what the first has committed
        return connection

    monkeypatch.setattr(database, "connect", denied)
    with pytest.raises(rv.RecordingError, match="not authorized"):
        rv.FrameCache(path and tmp_path / path)

    tables = others[0].execute("SELECT name FROM sqlite_schema").fetchall()
    others[0].close()
    assert tables == []
    assert list(tmp_path.iterdir()) == []
