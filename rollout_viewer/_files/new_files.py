"""New files: under a free name, and written whole or not at all.

A file is written under a hidden temporary name in its own folder and renamed when it
is complete. An existing file is overwritten only on request: otherwise the first
free name of `name`, `name-1`, `name-2`, ... is used.
Knows paths. Knows nothing of what is written.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from rollout_viewer._errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator


class NewFile:
    """A file that is being written: write to `part`; `path` is its final path.

    Invariant: nothing is written to `path` until `new_file` has ended without an
    exception. Then it is the name that was free.
    """

    def __init__(self, path: Path) -> None:
        self.path = _named(path)
        # Hidden, and with the suffix of the final name: some libraries need it.
        token = f"{os.getpid()}-{secrets.token_hex(3)}"
        self.part = path.with_name(f"{_part_start(path)}{token}.part{path.suffix}")


# What a page is not, by the names under which people look for it.
_VIDEOS = (".avi", ".gif", ".mkv", ".mov", ".mp4", ".webm")
_PICTURES = (".jpeg", ".jpg", ".png", ".svg", ".webp")
_OTHERS = (".csv", ".ipynb", ".json", ".md", ".npz", ".parquet", ".pdf", ".rollout")
_OTHER_FORMATS = frozenset((*_VIDEOS, *_PICTURES, *_OTHERS, ".tar", ".zip"))


def require_page_name(path: str | os.PathLike[str], where: str) -> None:
    """Refuse the name of another format for a page: what opens it would not show it.

    Raises:
        ValueError: `path` ends as a file of another format does.
    """
    suffix = Path(path).suffix
    if suffix.lower() in _OTHER_FORMATS:
        raise ValueError(
            f"{where}: expected the name of an HTML page, as "
            f"{Path(path).with_suffix('.html').name!r}, got {Path(path).name!r}. It "
            "writes no other format; viewer.dump writes videos and tables, and a "
            "browser prints a page as PDF."
        )


@contextlib.contextmanager
def new_file(
    path: str | os.PathLike[str], *, where: str, overwrite: bool = False
) -> Iterator[NewFile]:
    """Give a temporary file that becomes `path` if the block raises nothing.

    Args:
        path: Where to write. Missing folders are made.
        where: The function that the user called, for messages.
        overwrite: Replace a file of that name instead of taking the next name.

    Yields:
        The file; its `path` is final only after the block.

    Raises:
        ValueError: `path` names no file.
        ExportError: The folder or the file cannot be written.
    """
    new = NewFile(Path(path))
    try:
        try:
            new.path.parent.mkdir(parents=True, exist_ok=True)
            new.part.touch()
        except OSError as error:
            raise _unwritable(new.path, where, error) from error
        yield new
        try:
            _publish(new, overwrite=overwrite)
        except OSError as error:
            raise _unwritable(new.path, where, error) from error
    finally:
        # Also after KeyboardInterrupt, so that no incomplete file is left.
        with contextlib.suppress(OSError):
            new.part.unlink(missing_ok=True)


def why_not_a_file(path: str | os.PathLike[str]) -> str | None:
    """Return why `path` is not a regular file, such as "is a folder"; None: it is one.

    Ask before opening: opening a FIFO waits for its other end.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return "does not exist"
    except (OSError, ValueError) as error:  # ValueError: a NUL character
        return f"cannot be opened ({getattr(error, 'strerror', None) or error})"
    if stat.S_ISREG(mode):
        return None
    kinds = {
        "is a folder": stat.S_ISDIR(mode),
        "is a FIFO": stat.S_ISFIFO(mode),
        "is a socket": stat.S_ISSOCK(mode),
    }
    return next((kind for kind, is_so in kinds.items() if is_so), "is a device")


def left_parts(path: Path) -> list[Path]:
    """Return the temporary files of `path`, of processes that died as they wrote it."""
    if not path.parent.is_dir():
        return []
    start, end = _part_start(path), f".part{path.suffix}"
    names = [one.name for one in path.parent.iterdir()]
    return [path.with_name(n) for n in names if n.startswith(start) and n.endswith(end)]


def no_descriptor() -> str:
    """Return what to do where this process can open no more files; "": it can.

    Libraries that could not open one seldom say why. A database takes up to four: the
    file, its log, the log's index and a lock.
    """
    opened: list[int] = []
    try:
        opened.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(4))
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            return (
                "no file descriptor that is free. Close caches and files that are no "
                "longer in use, or raise the limit: `ulimit -n 4096` before the start."
            )
    finally:
        for one in opened:
            os.close(one)
    return ""


def free_path(path: str | os.PathLike[str]) -> Path:
    """Return `path`, or the first of `<stem>-1`, `<stem>-2`, ... that is free.

    Example:
        >>> free_path("no/such/folder/clip.mp4").name
        'clip.mp4'
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


def _part_start(path: Path) -> str:
    # A file system takes names of 255 bytes.
    return f".{path.stem.encode()[:100].decode(errors='ignore')}."


def _named(path: Path) -> Path:
    """Return `path`, or raise where it names no file."""
    if path.name in ("", ".."):  # "", "." and "/" as paths have the name ""
        raise ValueError(
            f"rollout_viewer: expected the name of a file, got {str(path)!r}. "
            "Name one, such as 'poles.rollout' or 'poles.html'."
        )
    return path


def _publish(new: NewFile, *, overwrite: bool) -> None:
    """Rename the temporary file to the final path, or to the next free name."""
    if overwrite:
        new.part.replace(new.path)
        return
    for path in numbered(new.path):
        try:
            # A link fails if the name was taken meanwhile; a rename would silently
            # replace the file of another process.
            os.link(new.part, path)
        except FileExistsError:
            continue
        # A file system without hard links, or Pyodide, whose `os` has none.
        except (OSError, AttributeError):
            path = free_path(path)
            new.part.replace(path)
        new.path = path
        return


def _unwritable(path: Path, where: str, error: OSError) -> ExportError:
    if lack := no_descriptor():
        return ExportError(f"{where}: expected to write {str(path)!r}, got {lack}")
    reason = error.strerror or repr(error)
    return ExportError(
        f"{where}: expected to be able to write {str(path)!r}, got {reason!r}. "
        "Choose a folder that exists, is writable and has space left."
    )
