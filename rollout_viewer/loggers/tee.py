"""TeeLogger: several loggers that are told the same.

Knows loggers only by their methods.
"""

from __future__ import annotations

import warnings
from typing import Any

from rollout_viewer._clip import Clip
from rollout_viewer._errors import ExportCancelled, ExportError, RolloutViewerWarning


class TeeLogger:
    """Tells several loggers the same; one that fails does not stop the others.

    Every method of theirs can be called here. What failed is warned of; if all
    failed, that is an error. A logger that lacks a method is passed over, and one
    that takes no clips is given tensors.

    Args:
        *loggers: Any with TorchRL's method names.

    Raises:
        ExportError: From a method, when it failed for every logger.
    """

    takes_clips = True

    def __init__(self, *loggers: Any) -> None:
        self.loggers = loggers

    def log_video(
        self, name: str, video: Any, step: int | None = None, **kwargs: Any
    ) -> list[Any]:
        """Tell each of a video; those without `takes_clips` get a clip's tensor."""
        return self._tell("log_video", name, video, step=step, **kwargs)

    def client(self) -> TeeLogger:
        """Return itself: its loggers work where they were made."""
        return self

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_") or not any(hasattr(x, method) for x in self.loggers):
            raise AttributeError(method)
        return lambda *args, **kwargs: self._tell(method, *args, **kwargs)

    def _tell(self, method: str, *args: Any, **kwargs: Any) -> list[Any]:
        results, failed = [], []
        for logger in self.loggers:
            if not hasattr(logger, method):
                continue
            try:
                given, named = _for(logger, method, args, kwargs)
                results.append(getattr(logger, method)(*given, **named))
            except ExportCancelled:
                raise
            except Exception as error:
                failed.append(f"{type(logger).__name__}: {error!r}")
        if failed:
            told = (
                f"TeeLogger.{method}: expected every logger to take it, got "
                f"{'; '.join(failed)}. Put that logger right, or leave it out."
            )
            if not results:
                raise ExportError(told)
            warnings.warn(told, RolloutViewerWarning, stacklevel=3)
        return results


def _for(
    logger: Any, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments as this logger takes them."""
    if getattr(logger, "takes_clips", False) is True:
        return args, kwargs
    convert = Clip.table if method == "log_table" else Clip.to_tensor
    given = tuple(convert(arg) if isinstance(arg, Clip) else arg for arg in args)
    return given, {k: v for k, v in kwargs.items() if k not in _OURS}


# What only loggers that take clips know.
_OURS = ("format", "on_progress", "cancel")
