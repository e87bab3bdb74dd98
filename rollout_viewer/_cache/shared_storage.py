"""Recordings on shared storage, by the URLs that fsspec knows: s3, gs, memory, ...

An object store has no file that grows, and SQLite reads pages of a local one. So a
recording is written here and sent as a whole, and a reader brings files here: first the
step data, which is small and kept in an object of its own beside the recording, and the
recording itself once its pictures are looked at. Knows recordings. The only module
with fsspec.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import secrets
import shutil
import socket
import tempfile
import threading
import weakref
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from rollout_viewer._errors import (
    MissingDependencyError,
    RecordingError,
    RolloutViewerError,
    StorageError,
    requires,
    warn_once,
)
from rollout_viewer._recording.database import amend_meta
from rollout_viewer._recording.joined import JoinedRecording
from rollout_viewer._recording.shared import SharedRecording, write_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rollout_viewer._recording.base import Recording

# Beside each recording, of its step data.
STEPS_SUFFIX = ".steps"
# How often it is looked whether a recording has grown enough to be sent again.
_CHECK_S = 10.0
# Sent again at this multiple of its rows, or of its pictures' bytes: where rows are
# alike, all that is sent is then at most three times the last one, and at most its last
# third is not there.
_GROWTH = 1.5
# URLs where a recording of this process goes, and who sends it.
_taken: dict[str, object] = {}
_CREDENTIALS = re.compile(r"//[^/\s'\"]*@")
# As of a signed URL; a pattern has no "=" behind its "?".
_QUERY = re.compile(r"(://[^\s'\"?]*\?)[^\s'\"]*=[^\s'\"]*")
# Scheme, user's name, and host of a URL.
_HOST = re.compile(r"([a-z][a-z0-9+.-]*://)(?:([^/:@]*)(?::[^/]*)?@)?([^/@]+)", re.I)
_URL = re.compile(r"[a-z][a-z0-9+.-]*(::[a-z][a-z0-9+.-]*)*://", re.IGNORECASE)


def is_url(path: object) -> bool:
    """Whether this is a URL, rather than a path."""
    return isinstance(path, str) and _URL.match(path) is not None


def recorder_url(url: str) -> str:
    """Return a recorder's own URL: ``-<host>-<pid>`` is added to the stem.

    Nothing keeps two machines from writing the same object, and the later one wins.
    """
    folder, _, name = url.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    host = re.sub(r"[^\w.-]", "_", socket.gethostname())
    return f"{folder}/{stem or suffix}-{host}-{os.getpid()}{dot and dot + suffix}"


def _file_system(who: str, url: str) -> tuple[Any, str]:
    with requires(who, "fsspec"):
        from fsspec.core import url_to_fs
    try:
        fs, path = url_to_fs(url)
        # It keeps listings, without what others have written since.
        fs.invalidate_cache()
    except ImportError as error:  # as of s3fs
        raise MissingDependencyError(
            without_credentials(f"{who}: expected a package for {url!r}, got {error}.")
        ) from _shown(error)
    except Exception as error:  # whatever the file system raises
        raise RecordingError(
            without_credentials(
                f"{who}: expected a URL that fsspec knows, got {url!r} ({error!r})."
            )
        ) from _shown(error)
    return fs, path


def without_credentials(message: str) -> str:
    """Return a message whose URLs have ``***`` for user, password and query."""
    return _QUERY.sub(r"\1***", _CREDENTIALS.sub("//***@", message))


def _url_at(fs: Any, path: str, url: str) -> str:
    """Return the URL of a path beside that of `url`, without a password.

    `fsspec` itself drops the host of file systems that are connected to one.
    """
    found = str(fs.unstrip_protocol(path))
    host = _HOST.match(url)
    if "::" in url or host is None or not fs._get_kwargs_from_urls(url).get("host"):
        return found
    scheme, user, name = host.groups()
    return f"{scheme}{user + '@' if user else ''}{name}{path}"


def _shown(error: Exception) -> Exception | None:
    """Return the cause of an error, unless it would show credentials."""
    return error if without_credentials(repr(error)) == repr(error) else None


# -- reading


class _Folder:
    """A temporary folder, deleted with this."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="rollout-shared-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


class _Object(NamedTuple):
    """A recording elsewhere."""

    fs: Any
    path: str
    nbytes: int
    has_steps: bool


def open_shared(urls: Sequence[str]) -> Recording:
    """Return recordings at URLs, side by side, for reading; patterns have ``*``.

    Step data is brought here now; each recording is when its pictures are looked at.
    Both are deleted when it is released.

    Raises:
        RecordingError: There is none, or one cannot be read.
    """
    objects = [one for url in urls for one in _found(url)]
    folder = _Folder()
    paths = [
        Path(folder.path, f"{number}-{PurePosixPath(one.path).name}")
        for number, one in enumerate(objects)
    ]
    for fs in {id(one.fs): one.fs for one in objects}.values():
        own = [(one, p) for one, p in zip(objects, paths, strict=True) if one.fs is fs]
        _get(
            fs,
            [one.path + STEPS_SUFFIX * one.has_steps for one, _ in own],
            [str(path) for _, path in own],
        )
    known = dict(zip(paths, objects, strict=True))

    def opened(path: Path) -> SharedRecording:
        fetch = functools.partial(_fetch, known[path], path, folder)
        one = known[path]
        return SharedRecording(path, fetch, one.nbytes, name=one.path)

    if len(paths) == 1:
        return opened(paths[0])
    return JoinedRecording(paths, open_member=opened)


def _found(url: str) -> list[_Object]:
    fs, path = _file_system("rv.open", url)
    with _read(url):
        if "*" in path or "?" in path or "[" in path:
            found = fs.glob(path, detail=True)
            steps = set(fs.glob(path + STEPS_SUFFIX))
        else:
            found = {path: fs.info(path)} if fs.exists(path) else {}
            steps = {path + STEPS_SUFFIX} if fs.exists(path + STEPS_SUFFIX) else set()
    objects = [
        _Object(fs, name, int(info.get("size") or 0), name + STEPS_SUFFIX in steps)
        for name, info in sorted(found.items())
        if info.get("type") != "directory" and not name.endswith(STEPS_SUFFIX)
    ]
    if not objects:
        shown = without_credentials(url)
        raise RecordingError(
            f"rv.open: expected recordings at {shown!r}, got none. A recorder sends "
            "its first one some seconds after it has begun."
        )
    return objects


def _fetch(one: _Object, steps: Path, folder: _Folder) -> Path:
    """Return a local file of the whole recording, in a folder that is kept for it."""
    del folder
    if not one.has_steps:
        return steps  # which is the whole one
    path = steps.with_name(f"{steps.name}.whole")
    _get(one.fs, [one.path], [str(path)])
    return path


def _get(fs: Any, sources: list[str], targets: list[str]) -> None:
    with _read(sources[0]):
        fs.get(sources, targets)  # at the same time, where it can


@contextlib.contextmanager
def _read(url: str) -> Iterator[None]:
    try:
        yield
    except RolloutViewerError:
        raise
    except Exception as error:  # whatever the file system raises
        raise RecordingError(
            without_credentials(f"rv.open: expected to read {url!r}, got {error!r}.")
        ) from _shown(error)


# -- writing


class Upload:
    """Sends a recording that is written here to shared storage.

    At `flush` and `close`, and each time it has grown by half; where nothing was
    recorded or annotated since, it is there already.

    Args:
        url: Where to; with ``-1``, ... before its suffix where something is, or another
            recording of this process goes.

    Attributes:
        url: Where it really goes.
        local: The file that is sent. It is deleted once the whole recording is there.

    Raises:
        StorageError: Nothing can be written there.
    """

    def __init__(self, url: str) -> None:
        if not PurePosixPath(url).name.strip("*?[]"):
            shown = without_credentials(url)
            raise StorageError(f"FrameCache: expected a URL of a file, got {shown!r}.")
        self._fs, path = _file_system("FrameCache", url)
        wanted = PurePosixPath(path)
        with self._written(url):
            self._path, number = path, 0
            while not self._take(url):
                number += 1
                name = f"{wanted.stem}-{number}{wanted.suffix}"
                self._path = str(wanted.with_name(name))
        self.local = Path(
            tempfile.gettempdir(),
            f"unsent-{os.getpid()}-{secrets.token_hex(4)}-{wanted.name}",
        )
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._sent_size = (0, 0)
        self._is_whole = False
        self._sent_contents: tuple[object, ...] | None = None
        self._sent_file: tuple[int, int] | None = None
        self._is_over = threading.Event()

    def _take(self, url: str) -> bool:
        """Return whether it can go to `_path`; no other recording of here does then."""
        self.url = _url_at(self._fs, self._path, url)
        self._object = _CREDENTIALS.sub("//", self.url)  # whoever sends it
        # At once, without a lock that a fork could inherit.
        if _taken.setdefault(self._object, self) is not self:
            return False
        has_taken = False
        try:
            has_taken = not self._fs.exists(self._path)
        finally:
            if not has_taken:
                _taken.pop(self._object, None)
        return has_taken

    def start(self, recording: Recording) -> None:
        """Send it in the background, too."""
        threading.Thread(
            target=self._watch,
            args=(weakref.ref(recording),),
            name="rollout_viewer upload",
            daemon=True,
        ).start()

    def is_due(self, recording: Recording) -> bool:
        """Whether it is to be sent again, as it has grown or was cleared."""
        num_rows, nbytes = _size(recording)
        sent_rows, sent_nbytes = self._sent_size
        return (
            not sent_rows <= num_rows <= sent_rows * _GROWTH
            or nbytes > sent_nbytes * _GROWTH
        )

    def send(self, recording: Recording, *, is_last: bool = False) -> None:
        """Send a complete copy.

        Raises:
            StorageError: It cannot be written there; the local file has it all.
        """
        if os.getpid() != self._pid or recording.rows is None:
            return
        with self._lock, self._written(self.url):
            # Before it is copied: what comes in between is sent once more.
            contents, size, file = _contents(recording), _size(recording), self._file()
            # What is labelled or rendered after the end is sent, too, and that may be
            # by another cache of the file.
            is_there = contents == self._sent_contents and (
                file == self._sent_file or not self._is_whole
            )
            if not is_there:
                self._send(recording)
            self._sent_contents, self._sent_size, self._sent_file = contents, size, file
            self._is_whole = self._is_whole or is_last
        if is_last:
            self._is_over.set()

    def _send(self, recording: Recording) -> None:
        with tempfile.TemporaryDirectory(prefix="rollout-send-") as folder:
            whole, steps = Path(folder, "whole"), Path(folder, "steps")
            recording.save(whole)
            # As a copy, it does not grow; nor is it sent again where only that changes.
            amend_meta(whole, "is_closed", True)
            write_steps(whole, steps)
            # In this order: step data may have fewer rows, but not more.
            self._put(whole, self._path)
            self._put(steps, self._path + STEPS_SUFFIX)

    def _file(self) -> tuple[int, int]:
        """Return what changes when the closed file does."""
        found = self.local.stat()
        return found.st_mtime_ns, found.st_size

    def try_send(self, recording: Recording, *, is_last: bool = False) -> bool:
        """Send a complete copy; return whether it is there. A fault is warned of."""
        try:
            self.send(recording, is_last=is_last)
        except Exception as error:
            with contextlib.suppress(Warning):  # made an error by a filter
                warn_once(f"{error}")
            return False
        return True

    def _put(self, source: Path, path: str) -> None:
        if isinstance(self._fs.protocol, str):
            protocols = {self._fs.protocol}
        else:
            protocols = set(self._fs.protocol)
        if protocols.isdisjoint({"file", "local"}):
            self._fs.put_file(str(source), path)  # an object appears whole
            return
        self._fs.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
        partial = f"{path}.{secrets.token_hex(4)}.part"
        try:
            self._fs.put_file(str(source), partial)
            os.replace(partial, path)
        finally:
            Path(partial).unlink(missing_ok=True)

    def _watch(self, reference: weakref.ref[Recording]) -> None:
        while not self._is_over.wait(_CHECK_S):
            recording = reference()
            if recording is None or recording.is_closed:
                return
            if recording.rows is not None and self.is_due(recording):
                self.try_send(recording)
            del recording

    def finish(self, release: Callable[[], object], recording: Recording) -> None:
        """Release a recording that is used no more; send it if it was not."""
        is_there = False
        try:
            if os.getpid() == self._pid:
                is_there = self.try_send(recording, is_last=True)
        finally:
            self._is_over.set()
            release()
            if self._pid == os.getpid():
                _taken.pop(self._object, None)
                # Of what was sent before, labels may not be there.
                if is_there:
                    self.local.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _written(self, url: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever the file system raises
            local = getattr(self, "local", None)
            kept = "" if local is None else f" All of it is in {str(local)!r}."
            raise StorageError(
                without_credentials(
                    f"FrameCache: expected to write {url!r}, got {error!r}.{kept}"
                )
            ) from _shown(error)


def _size(recording: Recording) -> tuple[int, int]:
    """Return a recording's rows, and bytes of pictures."""
    num_rows = recording.rows.num_rows if recording.rows is not None else 0
    return num_rows, recording.picture_nbytes


def _contents(recording: Recording) -> tuple[object, ...]:
    """Return what changes with what is recorded, rendered or annotated."""
    num_rows, _ = _size(recording)
    meta = {key: repr(value) for key, value in dict(recording.meta).items()}
    meta.pop("is_closed", None)
    return num_rows, recording.num_annotations, recording.pictures_version, meta
