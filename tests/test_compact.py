"""A compacted recording is smaller and the same in every bit."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._frames.chunk import parse
from rollout_viewer._frames.decoder import ChunkDecoder
from rollout_viewer._frames.encoder import MAX_DECODES
from rollout_viewer._recording import compact as compact_module
from rollout_viewer._recording.compact import compact, repack_chunk

NUM_ROWS = 110


def draw(row):
    """A textured ground, two things that move, and some rows that repeat."""
    row -= row % 3 == 2
    texture = np.random.default_rng(0).integers(0, 40, (48, 64, 3), np.uint8)
    frame = np.tile(texture[:8, :8], (6, 8, 1)) + np.uint8(60)
    frame[row % 40 : row % 40 + 8, 10:20] = texture[:8, :10] * 4
    frame[30:36, (3 * row) % 56 : (3 * row) % 56 + 8] = 250
    return frame


def record(path):
    cache = rv.FrameCache(path, fps=12, metadata={"by": "test"})
    with cache.segment("eval", seed=4):
        for row in range(NUM_ROWS):
            frames = {"front": draw(row), "top": draw(row)[:20, :20]}
            cache.append(
                frames if row % 4 else {"front": draw(row)},
                kind=["terminal_missing" if row == 50 else "step"],
                reward=float(row),
                action=[row],
                terminated=row % 20 == 19,
                data={"obs": [[row, 1]]},
            )
    return cache


def everything(path):
    cache = rv.open(path)
    found = [cache.fps, cache.metadata, cache.episodes, cache.num_lost]
    for name, column in cache.scalars.items():
        found.append((name, column.astype(str).tolist()))
    for row in range(cache.num_rows):
        found.append(str(cache.at(row, 0)))
        for camera in cache.cameras:
            found.append(cache.has_picture(row, 0, camera))
            found.append(cache.frames(row, camera=camera).tobytes())
    cache.recording.release()
    return found


def test_a_compacted_recording_is_smaller_and_tells_the_same(tmp_path):
    path = tmp_path / "run.rollout"
    record(path).close()
    path.chmod(0o640)
    before, nbytes = everything(path), rv.open(path).nbytes

    result = compact(path)

    assert everything(path) == before
    assert (result.path, result.new_nbytes) == (path, path.stat().st_size)
    assert result.new_nbytes < result.old_nbytes
    assert rv.open(path).nbytes < 0.9 * nbytes
    assert path.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in tmp_path.iterdir()] == ["run.rollout"]


def test_no_frame_takes_more_decodes_than_the_format_allows(tmp_path):
    path = tmp_path / "run.rollout"
    cache = record(path)
    cache.close()
    compact(path)
    out = np.empty((48, 64, 3), np.uint8)

    for block in range(3):
        chunk = parse(rv.open(path).recording.chunk(block, 0))
        for index in range(32):
            reader = ChunkDecoder(chunk)
            reader.read(index, out)
            assert reader.num_decodes <= MAX_DECODES


def test_a_recording_that_is_small_already_stays_as_it_is(tmp_path):
    path = tmp_path / "run.rollout"
    record(path).close()
    compact(path)
    before = path.read_bytes()

    result = compact(path)

    assert result.old_nbytes == result.new_nbytes
    assert path.read_bytes() == before


@pytest.mark.serial
def test_what_a_killed_process_left_is_compacted_with_its_side_files(tmp_path):
    path = tmp_path / "run.rollout"
    script = f"""
        import sys, time
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        from pathlib import Path
        from test_compact import record
        cache = record(Path({str(path)!r}))
        time.sleep(1.2)
        print("ready", flush=True)
        time.sleep(60)
    """
    victim = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE
    )
    with victim:
        victim.stdout.readline()
        os.kill(victim.pid, signal.SIGKILL)
    before = everything(path)

    compact(path)

    assert [one.name for one in tmp_path.iterdir()] == ["run.rollout"]
    assert everything(path) == before
    assert rv.open(path).num_rows == NUM_ROWS


def test_a_recording_that_is_still_written_is_refused(tmp_path):
    path = tmp_path / "run.rollout"
    script = f"""
        import sys, numpy as np, rollout_viewer as rv
        cache = rv.FrameCache({str(path)!r})
        cache.append(np.zeros((1, 4, 4, 3), np.uint8))
        cache.flush()
        print("ready", flush=True)
        sys.stdin.read()
    """
    other = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with other:
        other.stdout.readline()
        with pytest.raises(rv.RecordingLockedError, match=f"process {other.pid}"):
            compact(path)
        other.stdin.close()


def test_pictures_that_came_out_different_leave_the_recording_alone(
    tmp_path, monkeypatch
):
    path = tmp_path / "run.rollout"
    record(path).close()
    before = path.read_bytes()
    repack = repack_chunk

    def careless(chunk, scratch):
        other = repack(chunk, scratch)
        return (
            other
            if chunk.first or len(other) < 500
            else repack(chunk._replace(kinds=[k or 5 for k in chunk.kinds]), scratch)
        )

    monkeypatch.setattr(compact_module, "repack_chunk", careless)

    with pytest.raises(rv.RecordingError, match="The recording was not changed"):
        compact(path)

    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["run.rollout"]


def test_a_damaged_recording_is_refused_and_kept(tmp_path):
    path = tmp_path / "run.rollout"
    record(path).close()
    with sqlite3.connect(path) as connection:
        (blob,) = connection.execute("SELECT data FROM packs WHERE id = 0").fetchone()
        connection.execute(
            "UPDATE packs SET data = ? WHERE id = 0", (blob[:500] + b"x" + blob[501:],)
        )
    connection.close()
    before = path.read_bytes()

    with pytest.raises(rv.RecordingError, match="wrong checksum"):
        compact(path)

    assert path.read_bytes() == before


def test_what_is_no_recording_is_refused_untouched(tmp_path):
    path = tmp_path / "x.rollout"
    path.write_bytes(b"GIF89a" * 100)

    with pytest.raises(rv.RecordingError, match="a recording of rollout_viewer"):
        compact(path)
    with pytest.raises(ValueError, match="level in 1..22, got 99"):
        compact(path, level=99)

    assert path.read_bytes() == b"GIF89a" * 100
