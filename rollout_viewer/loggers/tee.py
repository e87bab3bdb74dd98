"""TeeLogger: several loggers that log the same.

Knows loggers only by their methods.
"""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any

from rollout_viewer._cache.clip import Clip
from rollout_viewer._errors import ExportCancelled, ExportError, RolloutViewerWarning
from rollout_viewer.loggers._reports import checked_page, find_log_report

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

# Keywords of loggers that accept clips; others do not know them.
_OURS = ("format", "on_progress", "cancel")


class TeeLogger:
    """Passes each call on to several loggers; one that fails does not stop the others.

    A failure is a warning; if all loggers fail, it is an error. A logger that lacks a
    method, or raises NotImplementedError (as `CSVLogger` does for histograms), is
    skipped; if all are, that is a NotImplementedError. A logger that does not accept
    clips receives tensors and columns. Other methods of the loggers can be called here
    too, and return a list of results.

    Args:
        *loggers: Any with TorchRL's method names.

    Attributes:
        loggers: As given.

    Raises:
        ValueError: There is no logger.
        ExportError: By a method, if it failed for every logger.

    Example:
        >>> import tempfile
        >>> from rollout_viewer.loggers import CSVLogger
        >>> folder = tempfile.mkdtemp()
        >>> tee = TeeLogger(CSVLogger("a", folder), CSVLogger("b", folder))
        >>> tee.log_scalar("reward", 1.0)
    """

    takes_clips = True

    def __init__(self, *loggers: Any) -> None:
        if not loggers:
            raise ValueError("TeeLogger: expected loggers, got none. Pass one or more.")
        self.loggers = loggers

    # -- logging

    def log_scalar(self, name: str, value: float, step: int | None = None) -> None:
        """Log a number to each."""
        self._call("log_scalar", name, value, step=step)

    def log_metrics(
        self, metrics: Any, step: int | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Log numbers by name to each; return what the first one returns."""
        found = self._call("log_metrics", metrics, step=step, **kwargs)
        return dict(found[0] or {})

    def log_video(
        self, name: str, video: Any, step: int | None = None, **kwargs: Any
    ) -> list[Any]:
        """Log a video to each; return their results, the paths."""
        return self._call("log_video", name, video, step=step, **kwargs)

    def log_table(
        self, name: str, columns: Any, step: int | None = None, **kwargs: Any
    ) -> list[Any]:
        """Log a table to each; return their results, the paths."""
        return self._call("log_table", name, columns, step=step, **kwargs)

    def log_report(
        self, name: str, path: str | os.PathLike[str], step: int | None = None
    ) -> list[Any]:
        """Log an HTML page to each, also to those without this method, in their way.

        Returns:
            Their results, the paths.
        """
        page = checked_page("TeeLogger.log_report", path)
        return self._each(
            "log_report", lambda _, logger: find_log_report(logger)(name, page, step)
        )

    def log_text(self, name: str, text: str, step: int | None = None) -> None:
        """Log a text to each."""
        self._call("log_text", name, text, step=step)

    def log_hparams(self, cfg: Mapping[str, Any]) -> None:
        """Log a configuration to each."""
        self._call("log_hparams", cfg)

    def log_histogram(self, name: str, data: Sequence[Any], **kwargs: Any) -> None:
        """Log a distribution to each."""
        self._call("log_histogram", name, data, **kwargs)

    # -- lifetime

    def start(self) -> TeeLogger:
        """Start each, and return itself."""
        self._call("start", is_required=False)
        return self

    def client(self) -> TeeLogger:
        """Return a tee of their clients."""
        clients = [getattr(logger, "client", None) for logger in self.loggers]
        pairs = zip(self.loggers, clients, strict=True)
        return TeeLogger(*(ask() if callable(ask) else one for one, ask in pairs))

    @property
    def is_alive(self) -> bool:
        """Whether any of them is alive."""
        return any(getattr(logger, "is_alive", True) for logger in self.loggers)

    @property
    def service_backend(self) -> str:
        """How it runs: in this process."""
        return "direct"

    def flush(self, timeout: float | None = None) -> None:
        """Flush each."""
        del timeout
        self._call("flush", is_required=False)

    def shutdown(self, timeout: float | None = None) -> None:
        """Close each, also after one that fails."""
        del timeout
        self._call("close", is_required=False)

    def close(self, timeout: float | None = None) -> None:
        """Close each, as `shutdown`."""
        self.shutdown(timeout)

    # -- checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Return the state of each, in their order; None for one without a state."""
        return {"loggers": [_state(logger) for logger in self.loggers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load the state of each.

        Raises:
            ValueError: The checkpoint is of another number of loggers.
        """
        states = state_dict.get("loggers", [])
        if len(states) != len(self.loggers):
            raise ValueError(
                f"TeeLogger.load_state_dict: expected {len(self.loggers)} states, got "
                f"{len(states)}. Make it of the loggers that were saved."
            )
        for logger, state in zip(self.loggers, states, strict=True):
            if state is not None and hasattr(logger, "load_state_dict"):
                logger.load_state_dict(state)

    # -- passing calls on

    def __getattr__(self, method: str) -> Any:
        loggers = self.__dict__.get("loggers", ())
        if method.startswith("_") or not any(hasattr(x, method) for x in loggers):
            raise AttributeError(f"{type(self).__name__!r} has no {method!r}")
        return lambda *args, **kwargs: self._call(method, *args, **kwargs)

    def _call(
        self, method: str, *args: Any, is_required: bool = True, **kwargs: Any
    ) -> list[Any]:
        """Call the method of each logger that has it, and report failures."""

        def call(index: int, logger: Any) -> Any:
            own = getattr(logger, method, None)
            if own is None:
                raise NotImplementedError
            named = {**kwargs, **self._progress(index, kwargs)}
            given, named = _for(logger, method, args, named)
            return own(*given, **named)

        return self._each(method, call, is_required=is_required, depth=1)

    def _each(
        self,
        method: str,
        call: Callable[[int, Any], Any],
        *,
        is_required: bool = True,
        depth: int = 0,
    ) -> list[Any]:
        """Call something with each logger and its number, and report failures.

        `depth` calls lie between this one and that of a public method.
        """
        results: list[Any] = []
        failed, lacking = [], []
        for index, logger in enumerate(self.loggers):
            try:
                results.append(call(index, logger))
            except ExportCancelled:
                raise
            except NotImplementedError:
                lacking.append(type(logger).__name__)
            except Exception as error:
                failed.append(f"{type(logger).__name__}: {error!r}")
        if failed:
            _report(method, failed, is_all=not results, stacklevel=depth + 4)
        elif not results and is_required:
            raise NotImplementedError(
                f"TeeLogger.{method}: expected a logger that has it, got "
                f"{', '.join(lacking)}. Add one, or leave the call out."
            )
        return results

    def _progress(self, index: int, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return `on_progress` for one of several, as its share of the whole."""
        report: Callable[[int, int], None] | None = kwargs.get("on_progress")
        if report is None:
            return {}
        count = len(self.loggers)
        return {
            "on_progress": lambda done, total: report(
                index * total + done, count * total
            )
        }

    def __repr__(self) -> str:
        return f"TeeLogger({', '.join(map(repr, self.loggers))})"


def video_loggers(logger: Any) -> list[Any]:
    """Return the loggers that log videos, one by one where it is a tee."""
    if not isinstance(logger, TeeLogger):
        return [logger]
    each = [one for member in logger.loggers for one in video_loggers(member)]
    return [one for one in each if callable(getattr(one, "log_video", None))]


def _report(
    method: str, failed: Sequence[str], *, is_all: bool, stacklevel: int
) -> None:
    message = (
        f"TeeLogger.{method}: expected every logger to succeed, got "
        f"{'; '.join(failed)}. Repair that logger, or leave it out."
    )
    if is_all:
        raise ExportError(message)
    warnings.warn(message, RolloutViewerWarning, stacklevel=stacklevel)


def _state(logger: Any) -> Any:
    return logger.state_dict() if hasattr(logger, "state_dict") else None


def _for(
    logger: Any, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments as this logger accepts them."""
    if getattr(logger, "takes_clips", False) is True:
        return args, kwargs
    convert = Clip.table if method == "log_table" else Clip.to_tensor
    given = tuple(convert(arg) if isinstance(arg, Clip) else arg for arg in args)
    known = inspect.signature(getattr(logger, method)).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in known.values())
    return given, {
        name: value
        for name, value in kwargs.items()
        if name not in _OURS and (takes_all or name in known or name != "fps")
    }
