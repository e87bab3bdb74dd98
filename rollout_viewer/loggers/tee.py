"""TeeLogger: several loggers that are told the same.

Knows loggers only by their methods.
"""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any

from rollout_viewer._cache.clip import Clip
from rollout_viewer._errors import ExportCancelled, ExportError, RolloutViewerWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# What only loggers that take clips know.
_OURS = ("format", "on_progress", "cancel")


class TeeLogger:
    """Tells several loggers the same; one that fails does not stop the others.

    What failed is warned of; if all failed, that is an error. A logger that lacks a
    method, or refuses it with NotImplementedError (as `CSVLogger` refuses
    histograms), is passed over; if all do, that is a NotImplementedError. One that
    takes no clips is given tensors and columns. Other methods of the loggers can be
    called here too, and give a list of results.

    Args:
        *loggers: Any with TorchRL's method names.

    Attributes:
        loggers: As given.

    Raises:
        ValueError: There is none.
        ExportError: From a method, when it failed for every logger.

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
        """Tell each of a number."""
        self._tell("log_scalar", name, value, step=step)

    def log_metrics(
        self, metrics: Any, step: int | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Tell each of numbers by name; return them as the first one does."""
        found = self._tell("log_metrics", metrics, step=step, **kwargs)
        return dict(found[0] or {})

    def log_video(
        self, name: str, video: Any, step: int | None = None, **kwargs: Any
    ) -> list[Any]:
        """Tell each of a video; return what they return, their paths."""
        return self._tell("log_video", name, video, step=step, **kwargs)

    def log_table(
        self, name: str, columns: Any, step: int | None = None, **kwargs: Any
    ) -> list[Any]:
        """Tell each of a table; return what they return, their paths."""
        return self._tell("log_table", name, columns, step=step, **kwargs)

    def log_text(self, name: str, text: str, step: int | None = None) -> None:
        """Tell each of a text."""
        self._tell("log_text", name, text, step=step)

    def log_hparams(self, cfg: Mapping[str, Any]) -> None:
        """Tell each of a configuration."""
        self._tell("log_hparams", cfg)

    def log_histogram(self, name: str, data: Sequence[Any], **kwargs: Any) -> None:
        """Tell each of a distribution."""
        self._tell("log_histogram", name, data, **kwargs)

    # -- lifetime

    def start(self) -> TeeLogger:
        """Return itself, each started."""
        self._tell("start", is_needed=False)
        return self

    def client(self) -> TeeLogger:
        """Return a tee of their clients."""
        clients = [getattr(logger, "client", None) for logger in self.loggers]
        pairs = zip(self.loggers, clients, strict=True)
        return TeeLogger(*(ask() if callable(ask) else one for one, ask in pairs))

    @property
    def is_alive(self) -> bool:
        """Whether any of them is."""
        return any(getattr(logger, "is_alive", True) for logger in self.loggers)

    @property
    def service_backend(self) -> str:
        """How it runs: in this process."""
        return "direct"

    def flush(self, timeout: float | None = None) -> None:
        """Flush each."""
        del timeout
        self._tell("flush", is_needed=False)

    def shutdown(self, timeout: float | None = None) -> None:
        """End each, also after one that fails."""
        del timeout
        self._tell("close", is_needed=False)

    def close(self, timeout: float | None = None) -> None:
        """End each, as `shutdown`."""
        self.shutdown(timeout)

    # -- checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Return what each returns, in their order; None for one that has none."""
        return {"loggers": [_state(logger) for logger in self.loggers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Give each its own.

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

    # -- telling

    def __getattr__(self, method: str) -> Any:
        loggers = self.__dict__.get("loggers", ())
        if method.startswith("_") or not any(hasattr(x, method) for x in loggers):
            raise AttributeError(f"{type(self).__name__!r} has no {method!r}")
        return lambda *args, **kwargs: self._tell(method, *args, **kwargs)

    def _tell(
        self, method: str, *args: Any, is_needed: bool = True, **kwargs: Any
    ) -> list[Any]:
        """Call each that has the method, and say what failed."""
        results: list[Any] = []
        failed, lacking = [], []
        for index, logger in enumerate(self.loggers):
            call = getattr(logger, method, None)
            try:
                if call is None:
                    raise NotImplementedError
                named = {**kwargs, **self._progress(index, kwargs)}
                given, named = _for(logger, method, args, named)
                results.append(call(*given, **named))
            except ExportCancelled:
                raise
            except NotImplementedError:
                lacking.append(type(logger).__name__)
            except Exception as error:
                failed.append(f"{type(logger).__name__}: {error!r}")
        if failed:
            _say(method, failed, is_all=not results)
        elif not results and is_needed:
            raise NotImplementedError(
                f"TeeLogger.{method}: expected a logger that has it, got "
                f"{', '.join(lacking)}. Add one, or leave the call out."
            )
        return results

    def _progress(self, index: int, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return `on_progress` for one of several, which go on where the last ended."""
        tell: Callable[[int, int], None] | None = kwargs.get("on_progress")
        if tell is None:
            return {}
        count = len(self.loggers)
        return {
            "on_progress": lambda done, total: tell(index * total + done, count * total)
        }

    def __repr__(self) -> str:
        return f"TeeLogger({', '.join(map(repr, self.loggers))})"


def _say(method: str, failed: Sequence[str], *, is_all: bool) -> None:
    told = (
        f"TeeLogger.{method}: expected every logger to take it, got "
        f"{'; '.join(failed)}. Put that logger right, or leave it out."
    )
    if is_all:
        raise ExportError(told)
    warnings.warn(told, RolloutViewerWarning, stacklevel=4)


def _state(logger: Any) -> Any:
    return logger.state_dict() if hasattr(logger, "state_dict") else None


def _for(
    logger: Any, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments as this logger takes them."""
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
