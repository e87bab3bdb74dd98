"""A complete copy of a recording, which appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import uuid
from typing import TYPE_CHECKING

from rollout_viewer import _store
from rollout_viewer._errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rollout_viewer._recording import AnyRecording


def write_copy(
    source: AnyRecording,
    path: Path,
    num_blocks: int,
    num_slots: int,
    statements: Sequence[_store.Statement],
) -> None:
    """Copy the sealed blocks of `source`, and what `statements` tell, to `path`.

    Raises:
        RecordingError: It cannot be written; nothing is left of it.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        connection = _store.create(partial, is_temporary=True)
        try:
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("BEGIN")
            for sql, values in statements:
                connection.execute(sql, values)
            for block in range(num_blocks):
                chunks = [
                    (slot, chunk)
                    for slot in range(num_slots)
                    if (chunk := source.chunk(block, slot)) is not None
                ]
                for sql, values in [
                    *_store.pack_statements(block, chunks),
                    *_store.step_statements(block, source.steps_of(block) or b""),
                ]:
                    if not sql.startswith("DELETE"):
                        connection.execute(sql, values)
            connection.execute("COMMIT")
        finally:
            connection.close()
        os.replace(partial, path)
    except (sqlite3.Error, OSError) as error:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        if isinstance(error, RecordingError):
            raise
        raise RecordingError(
            f"FrameCache.save: expected to write {str(path)!r}, got {error}. "
            "Choose another path; the recording itself is untouched."
        ) from error
