"""Every exception and warning of the package.

    RolloutViewerError
    +-- FrameError (ValueError)           a picture that is none
    +-- ShapeError (ValueError)           step data that does not fit
    +-- RenderError (ValueError)          an env that gives no pictures
    +-- CacheClosedError (ValueError)     recording into what was closed
    +-- ReadOnlyError (ValueError)        recording into what is only read
    +-- RowError (IndexError)             a row, env or camera that is not there
    +-- RecordingError (OSError)          a file that is no intact recording
    |   +-- RecordingLockedError          another process writes it
    |   +-- StorageError                  what could not be written
    +-- ExportError (RuntimeError)        a dump that could not be written
    |   +-- ExportCancelled               a dump that somebody stopped
    |   +-- ExportTooLargeError           a dump over the allowed size
    +-- ProtocolError (ValueError)        a message of the page that is none
    +-- MissingDependencyError (ImportError)   an extra that is not installed

    RolloutViewerWarning (UserWarning)    what a recording survived, said once

Messages follow one template: where: what was expected, what came. What to do.
"""

from __future__ import annotations

import contextlib
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
    """An object is of no kind of environment that can be recorded."""


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
    """Something recorded could not be written to disk."""


class ExportError(RolloutViewerError, RuntimeError):
    """A clip could not be written."""


class ExportCancelled(ExportError):
    """Somebody stopped an export; nothing of it is left on disk."""


class ExportTooLargeError(ExportError, ValueError):
    """An export would be larger than what the caller allows."""


class ProtocolError(RolloutViewerError, ValueError):
    """A message between page and kernel is not understood."""


class MissingDependencyError(RolloutViewerError, ImportError):
    """An optional library is not installed; the message names the command."""


class RolloutViewerWarning(UserWarning):
    """Something went wrong that recording survived."""


@contextlib.contextmanager
def requires(who: str, extra: str, *libraries: str, advice: str = "") -> Iterator[None]:
    """Name the extra that is missing where the block cannot import what it needs.

    Args:
        who: What needs it, the first words of the message.
        extra: The extra of this package that brings it.
        libraries: What the block imports, by top name; none: the extra's own name.
        advice: Another way out, a sentence.

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
        raise MissingDependencyError(
            f"{who} needs {missing if is_absent else libraries[0]}, which is {why}. "
            + (f"{command}. {advice}" if advice else command)
        ) from error
