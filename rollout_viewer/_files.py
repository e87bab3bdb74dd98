"""New files: a free name, and there whole or not at all.

A file is written under a hidden temporary name in its own folder and gets its
name when it is complete. Nothing that stands there is overwritten unless that
is asked for: the next of `name`, `name-1`, `name-2`, ... is taken.
Knows paths. Knows nothing of what is written.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from rollout_viewer._errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator


class NewFile:
    """A file in the making: write to `part`; `path` is where it will be.

    Invariant: `path` holds nothing of ours until `new_file` has ended without
    an exception. Then it is the name that was free.
    """

    def __init__(self, path: Path) -> None:
        self.path = _named(path)
        # Hidden, and ending like the real name: some libraries look at the end.
        token = f"{os.getpid()}-{secrets.token_hex(3)}"
        self.part = path.with_name(f".{path.stem[:100]}.{token}.part{path.suffix}")


@contextlib.contextmanager
def new_file(
    path: str | os.PathLike[str], *, where: str, overwrite: bool = False
) -> Iterator[NewFile]:
    """Give a temporary file that becomes `path` if the block ends well.

    Args:
        path: Where the file is wanted. Missing folders are made.
        where: The function that a person called, for messages.
        overwrite: Replace a file of that name instead of taking the next name.

    Yields:
        The file; its `path` is final only after the block.

    Raises:
        ValueError: `path` names no file.
        ExportError: The folder or the file cannot be written.
    """
    new = NewFile(Path(path))
    try:
        new.path.parent.mkdir(parents=True, exist_ok=True)
        new.part.touch()
    except OSError as error:
        raise _unwritable(new.path, where, error) from error
    try:
        yield new
        try:
            _publish(new, overwrite=overwrite)
        except OSError as error:
            raise _unwritable(new.path, where, error) from error
    finally:
        # Also after KeyboardInterrupt: no half file is ever left behind.
        with contextlib.suppress(OSError):
            new.part.unlink(missing_ok=True)


def free_path(path: str | os.PathLike[str]) -> Path:
    """Return `path`, or the first of `<stem>-1`, `<stem>-2`, ... that is free.

    Example:
        >>> free_path("a/name/that/nobody/took.mp4").name
        'took.mp4'
    """
    return next(p for p in numbered(Path(path)) if not os.path.lexists(p))


def numbered(path: Path) -> Iterator[Path]:
    """Yield `path`, then `<stem>-1`, `<stem>-2`, ... without end.

    Raises:
        ValueError: `path` names no file.
    """
    yield _named(path)
    number = 1
    while True:
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1


def _named(path: Path) -> Path:
    if path.name in ("", ".."):  # what "", "." and "/" have come to
        raise ValueError(
            f"rollout_viewer: expected the name of a file, got {str(path)!r}. "
            "Name one, such as 'poles.rollout' or 'poles.html'."
        )
    return path


def _publish(new: NewFile, *, overwrite: bool) -> None:
    if overwrite:
        new.part.replace(new.path)
        return
    for path in numbered(new.path):
        try:
            # A link fails where the name was taken meanwhile; a rename would
            # replace the file of another process without a word.
            os.link(new.part, path)
        except FileExistsError:
            continue
        except OSError:  # a file system without links
            path = free_path(path)
            new.part.replace(path)
        new.path = path
        return


def _unwritable(path: Path, where: str, error: OSError) -> ExportError:
    reason = error.strerror or repr(error)
    return ExportError(
        f"{where}: expected to be able to write {str(path)!r}, got {reason!r}. "
        "Choose a folder that exists and may be written, with space left."
    )
