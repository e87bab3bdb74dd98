"""A complete copy of a recording, which appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import uuid
from typing import TYPE_CHECKING

from rollout_viewer._errors import RecordingError
from rollout_viewer._files.new_files import no_descriptor
from rollout_viewer._recording.database import create_database, delete_database
from rollout_viewer._recording.statements import (
    Statement,
    extras_statement,
    pack_statements,
    run_blocks,
    step_statements,
)
from rollout_viewer._recording.wal import set_aside_foreign_logs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rollout_viewer._recording.base import Recording
    from rollout_viewer._recording.rows import Rows


def write_copy(
    source: Recording,
    path: Path,
    num_blocks: int,
    num_slots: int,
    statements: Sequence[Statement],
) -> None:
    """Copy the sealed blocks of `source`, and what `statements` store, to `path`.

    Raises:
        RecordingError: It cannot be written; no part of it remains.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        _fill(partial, source, num_blocks, num_slots, statements)
        # Else a power cut leaves the name of a recording with nothing behind it.
        _wait_for_disk(partial)
        os.replace(partial, path)
        set_aside_foreign_logs(path)
    except (sqlite3.Error, OSError) as error:
        if isinstance(error, RecordingError):
            raise
        raise RecordingError(
            f"FrameCache.save: expected to write {str(path)!r}, got "
            f"{no_descriptor() or f'{error}. Choose another path.'} "
            "The recording itself is untouched."
        ) from error
    finally:
        # Also after KeyboardInterrupt.
        delete_database(partial)


def _wait_for_disk(path: Path) -> None:
    with open(path, "r+b") as file:
        os.fsync(file.fileno())


def _fill(
    path: Path,
    source: Recording,
    num_blocks: int,
    num_slots: int,
    statements: Sequence[Statement],
) -> None:
    connection = create_database(path, is_temporary=True)
    with contextlib.closing(connection):
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN")
        for sql, values in statements:
            connection.execute(sql, values)
        for sql, values in _steps(source.rows, num_blocks):
            connection.execute(sql, values)
        for block in range(num_blocks):
            chunks = [
                (slot, chunk)
                for slot in range(num_slots)
                if (chunk := source.chunk(block, slot)) is not None
            ]
            stored = pack_statements(block, chunks)
            if (extras := source.extras_of(block)) is not None:
                stored.append(extras_statement(block, extras))
            for sql, values in stored:
                connection.execute(sql, values)
        connection.execute("COMMIT")


def _steps(rows: Rows | None, num_blocks: int) -> Iterator[Statement]:
    run = run_blocks(rows.num_envs) if rows is not None else 1
    for first in range(0, num_blocks, run):
        assert rows is not None
        stop = min(first + run, num_blocks)
        # A new file has nothing to delete.
        yield step_statements(rows, first, stop - 1)[0]
