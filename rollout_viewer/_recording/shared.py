"""A recording on shared storage: its step data here, the rest when it is looked at.

Knows files, and someone who brings one. Knows nothing of where from.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import ReadOnlyError, RecordingError
from rollout_viewer._frames.chunk import CHUNK_ROWS, join, num_records_of
from rollout_viewer._recording.database import (
    create_database,
    delete_database,
    file_uri,
)
from rollout_viewer._recording.file import FileRecording

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from rollout_viewer._recording.annotations import AnnotationChange
    from rollout_viewer._recording.late_pictures import LateChunk
    from rollout_viewer._recording.step_codec import Extras

_TABLES = ("meta", "slots", "episodes", "steps", "tail")


def write_steps(whole: Path, path: Path) -> None:
    """Copy a recording's step data, without pictures, actions and data of full blocks.

    Args:
        whole: A complete recording that no process writes.
        path: A new file.
    """
    delete_database(path)
    with contextlib.closing(create_database(path, is_temporary=True)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("ATTACH ? AS whole", (file_uri(whole, "mode=ro"),))
        connection.execute("BEGIN")
        for table in _TABLES:
            connection.execute(f"INSERT INTO main.{table} SELECT * FROM whole.{table}")
        connection.execute("COMMIT")


class SharedRecording(FileRecording):
    """A recording elsewhere, as it was when its step data was brought here.

    Args:
        steps: A local file of `write_steps`, or the whole recording.
        fetch: Returns a local file of the whole recording; called once, when pictures,
            actions or data are asked for.
        nbytes: Of the whole recording.
        name: What it is called in messages.

    Raises:
        RecordingError: It is not a recording, or one of a newer version.
    """

    def __init__(
        self, steps: Path, fetch: Callable[[], Path], nbytes: int, *, name: str
    ) -> None:
        self._fetch = fetch
        self._name = name
        self._is_another = False
        self._nbytes = nbytes
        self._whole: FileRecording | None = None
        self._fetching = threading.Lock()
        super().__init__(steps)

    def refresh(self) -> bool:
        """Read the local file, once; what it has does not grow."""
        has_changed = super().refresh()
        self.meta["is_closed"] = True
        return has_changed

    @property
    def whole(self) -> FileRecording:
        """The whole recording, which is brought here if it is not.

        Raises:
            RecordingError: It cannot be; or its rows are not those of the step data.
        """
        with self._fetching:
            if self._whole is None and not self._is_another:
                whole = FileRecording(self._fetch())
                if whole.meta.get("session") == self.meta.get("session"):
                    self._whole = whole
                else:
                    self._is_another = True  # and is not brought here once more
                    whole.release()
                    delete_database(whole.path)
            if self._whole is None:
                raise RecordingError(
                    f"rv.open: expected pictures of {self._name!r} as it was when it "
                    "was opened, got another recording: it was written anew, as after "
                    "clear(). rv.open it again."
                )
            return self._whole

    @property
    def picture_nbytes(self) -> int:
        """Bytes of the whole recording, of which pictures are the most."""
        return self._nbytes

    def chunk(self, block: int, slot: int, first: int = 0) -> bytes | None:
        """Return the chunk, or of an open one the records from `first` on."""
        num_rows = self.rows.num_rows if self.rows is not None else 0
        count = min(num_rows - block * CHUNK_ROWS, CHUNK_ROWS)
        chunk = self.whole.chunk(block, slot)
        if chunk is None or count == CHUNK_ROWS:
            return chunk
        # The whole one may have been written later than the step data.
        stop = min(count, num_records_of(chunk))
        where = f"{self.path}, block {block}"
        return join([chunk], where=where, first=first, stop=stop)

    def shown_slots(self, block: int) -> Collection[int]:
        """Return the slots that may show something in a block; others do not."""
        if self._whole is None:
            return range(len(self.slots))
        return self._whole.shown_slots(block)

    def extras(self, row: int) -> Extras:
        """Return action and data of a row, by name."""
        return self.whole.extras(row)

    def extras_of(self, block: int) -> bytes | None:
        """Return the stored actions and data of a sealed block; None: it has none."""
        return self.whole.extras_of(block)

    def start_of(self, env: int, index: int) -> bytes | None:
        """Return from where an episode can be replayed; None: from none."""
        return self.whole.start_of(env, index)

    def save(self, path: Path) -> None:
        """Write a complete copy to `path`, which appears whole or not at all."""
        self.whole.save(path)

    def release(self) -> None:
        """Close the local files."""
        super().release()
        if self._whole is not None:
            self._whole.release()

    # -- it is not changed

    def annotate(self, change: AnnotationChange) -> None:
        """Raise ReadOnlyError."""
        raise _read_only("label")

    def add_late_chunks(
        self, chunks: Sequence[LateChunk], session: str | None = None
    ) -> bool:
        """Raise ReadOnlyError."""
        raise _read_only("render")

    def change_meta(self, key: str, value: Any) -> None:
        """Raise ReadOnlyError."""
        raise _read_only("render")


def _read_only(what: str) -> ReadOnlyError:
    return ReadOnlyError(
        f"FrameCache.{what}: expected a recording of this machine, got one of shared "
        "storage, which is not changed. Copy it: rv.open(url).save(path), and open "
        "that."
    )
