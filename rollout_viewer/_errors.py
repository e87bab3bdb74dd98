"""Every exception and warning of the package.

    RolloutViewerError
    +-- FrameError (ValueError)           a picture that cannot be recorded
    +-- ShapeError (ValueError)           step data that does not fit the envs
    +-- RenderError (ValueError)          an env that gives no pictures
    +-- UnsupportedEnvError (TypeError)   an env that no source can record
    +-- CacheClosedError (ValueError)     recording into a closed cache
    +-- ReadOnlyError (ValueError)        recording into a cache opened for reading
    +-- RowError (IndexError)             a row, env or camera that does not exist
    +-- RecordingError (OSError)          a file that is no intact recording
    |   +-- RecordingLockedError          a file that another process writes
    |   +-- StorageError                  recorded data that could not be written
    +-- ExportError (RuntimeError)        a dump that could not be written
    |   +-- ExportCancelled               a dump that the user stopped
    |   +-- ExportTooLargeError (ValueError)   a dump over the allowed size
    +-- ProtocolError (ValueError)        an invalid message of page or kernel
    +-- MissingDependencyError (ImportError)   an extra that is not installed

    RolloutViewerWarning (UserWarning)    a fault that recording survived

Messages follow one template: where: what was expected, what came. What to do.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class RolloutViewerError(Exception):
    """Base of every error of this package."""


class FrameError(RolloutViewerError, ValueError):
    """A picture has a shape, dtype or size that cannot be recorded."""


class ShapeError(RolloutViewerError, ValueError):
    """Step data does not fit the number of environments."""


class RenderError(RolloutViewerError, ValueError):
    """An environment gives no pictures."""


class UnsupportedEnvError(RolloutViewerError, TypeError):
    """An environment is of a kind that no source can record."""


class CacheClosedError(RolloutViewerError, ValueError):
    """The cache was closed."""


class ReadOnlyError(RolloutViewerError, ValueError):
    """The recording was opened for reading only."""


class RowError(RolloutViewerError, IndexError):
    """A row, env, episode or camera is not in the recording."""


class RecordingError(RolloutViewerError, OSError):
    """A file is not a recording, comes from a newer version, or is damaged."""


class RecordingLockedError(RecordingError):
    """Another process is writing this recording."""


class StorageError(RecordingError):
    """Recorded data could not be written to disk."""


class ExportError(RolloutViewerError, RuntimeError):
    """A clip could not be written."""


class ExportCancelled(ExportError):
    """The user stopped an export; nothing of it is left on disk."""


class ExportTooLargeError(ExportError, ValueError):
    """An export would be larger than the caller allows."""


class ProtocolError(RolloutViewerError, ValueError):
    """A message between page and kernel is invalid."""


class MissingDependencyError(RolloutViewerError, ImportError):
    """An optional library is not installed; the message names the command."""


class RolloutViewerWarning(UserWarning):
    """A fault that recording survived; each is reported once."""


@contextlib.contextmanager
def requires(who: str, extra: str, *libraries: str, advice: str = "") -> Iterator[None]:
    """Raise an error that names the missing extra if an import in the block fails.

    Args:
        who: What needs the library, the first words of the message.
        extra: The extra of this package that installs it; empty: there is none.
        libraries: Top-level names of what the block imports; none: the extra's name.
        advice: What to do instead, as a sentence.

    Raises:
        MissingDependencyError: In place of the ImportError.

    Example:
        >>> with requires("Clip.to_tensor", "torch"):
        ...     raise ModuleNotFoundError(name="torch")
        Traceback (most recent call last):
        rollout_viewer._errors.MissingDependencyError: Clip.to_tensor needs torch, ...
    """
    try:
        yield
    except MissingDependencyError:
        raise
    except ImportError as error:
        libraries = libraries or (extra,)
        missing = (getattr(error, "name", None) or "").partition(".")[0]
        is_absent = missing in libraries
        why = "not installed" if is_absent else f"not to be imported ({error})"
        command = f'Run: pip install "rollout-viewer[{extra}]"'
        ways = [way for way in (command if extra else "", advice) if way]
        raise MissingDependencyError(
            f"{who} needs {missing if is_absent else libraries[0]}, which is {why}. "
            + ". ".join(ways)
        ) from error


# The warnings of this process. Not left to the warnings module, which forgets them
# after each use of catch_warnings.
_warned: set[str] = set()


def warn_once(message: str) -> None:
    """Warn, once in a process for each text before the comma.

    The values after it differ from picture to picture.
    """
    key = message.partition(",")[0]
    if key not in _warned:
        _warned.add(key)
        warnings.warn(message, RolloutViewerWarning, stacklevel=3)
