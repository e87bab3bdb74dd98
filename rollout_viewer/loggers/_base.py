"""The base of all loggers that work in the process that made them.

Lifetime, from start to shutdown, and checkpoints, as in TorchRL (its service backend
"direct"). Knows nothing of files and stores.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rollout_viewer._process.finalizers import finalize
from rollout_viewer.loggers._values import as_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self


class DirectLogger:
    """Base of the loggers here.

    A subclass sets `experiment`, defines `log_scalar` and `log_video`, and may override
    `_flush`, `_close`, `_local_state` and `_load_local_state`.

    Attributes:
        exp_name: Name of the experiment.
        log_dir: Folder or address of the logs.
        experiment: The writer or run, an object of the logger's library.
    """

    takes_clips = True
    experiment: Any

    def __init__(self, exp_name: str, log_dir: str | None) -> None:
        self.exp_name = exp_name
        self.log_dir: Any = log_dir
        self._is_shut_down = False

    def log_scalar(self, name: str, value: float, step: int | None = None) -> None:
        """Log a number."""
        raise NotImplementedError

    def log_metrics(
        self, metrics: Any, step: int | None = None, *, keys_sep: str = "/"
    ) -> dict[str, Any]:
        """Log numbers by name, and return them as Python numbers.

        Args:
            metrics: A dict or a TensorDict; nested keys of the latter are joined by
                `keys_sep`.
            step: Of all of them.
            keys_sep: See `metrics`.
        """
        numbers = as_numbers(metrics, keys_sep)
        for name, number in numbers.items():
            self.log_scalar(name, number, step)
        return numbers

    # -- lifetime

    def start(self) -> Self:
        """Return itself.

        Raises:
            RuntimeError: It was shut down.
        """
        if self._is_shut_down:
            who = type(self).__name__
            raise RuntimeError(
                f"{who}.start: expected an open logger, got one that was shut down. "
                "Make a new one."
            )
        return self

    def client(self) -> Self:
        """Return itself: this logger works in the process that made it."""
        return self

    @property
    def service_backend(self) -> str:
        """How it runs: in this process."""
        return "direct"

    @property
    def is_alive(self) -> bool:
        """Whether it is not shut down."""
        return not self._is_shut_down

    def flush(self, timeout: float | None = None) -> None:
        """Write what is buffered; `timeout`, as TorchRL has it, is ignored."""
        del timeout
        self._flush()

    def shutdown(self, timeout: float | None = None) -> None:
        """Write what is buffered, and close. Twice is safe."""
        del timeout
        if not self._is_shut_down:
            self._is_shut_down = True
            self._close()

    def close(self, timeout: float | None = None) -> None:
        """Close, as `shutdown`."""
        self.shutdown(timeout)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()

    # -- checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Return names and counters for a checkpoint, in TorchRL's form."""
        self.flush()
        state: dict[str, Any] = {
            "exp_name": self.exp_name,
            "log_dir": None if self.log_dir is None else os.path.abspath(self.log_dir),
        }
        local = self._local_state()
        return {**state, "local": local} if local else state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore the counters of a checkpoint; names are not changed."""
        self._load_local_state(state_dict.get("local", {}))

    # -- to override

    def _flush(self) -> None:
        """Write what is buffered."""

    def _close(self) -> None:
        """Close; called once."""

    def _local_state(self) -> dict[str, Any]:
        return {}

    def _load_local_state(self, local: Mapping[str, Any]) -> None:
        """Restore counters."""


# What TorchRL's loggers accept to run elsewhere.
_SERVICE_ARGUMENTS = ("service_backend", "service_backend_options", "ray_actor_options")


def take_service_arguments(where: str, others: dict[str, Any]) -> None:
    """Take TorchRL's arguments for services out of others that are passed on.

    Raises:
        TypeError: One asks for a service.
    """
    names = [name for name in _SERVICE_ARGUMENTS if name in others]
    check_arguments(where, {name: others.pop(name) for name in names})


def check_arguments(where: str, others: Mapping[str, Any]) -> None:
    """Raise TypeError for arguments that the logger does not have.

    Args:
        where: The logger's class.
        others: Its further keyword arguments; TorchRL's ``service_backend="direct"``
            is what ours are.
    """
    names = {name: value for name, value in others.items() if value is not None}
    if names.get("service_backend") == "direct":
        del names["service_backend"]
    if not names:
        return
    given = ", ".join(f"{name}={value!r:.40}" for name, value in names.items())
    is_service = any("service" in name or "ray" in name for name in names)
    advice = (
        "For a process of its own: torchrl.record.loggers.process.ProcessLogger"
        f"({where}, ...)."
        if is_service
        else f"See help({where}) for its arguments."
    )
    raise TypeError(f"{where}: expected its own arguments alone, got {given}. {advice}")


def close_at_exit(owner: object, close: Callable[..., object], *args: Any) -> Any:
    """Return a finalizer: it calls ``close(*args)`` once, at `owner`'s end at latest.

    That is when `owner` is collected or the process ends. Not in a forked child, where
    open files and runs are the parent's.
    """
    return finalize(owner, _in_process, os.getpid(), close, args)


def _in_process(pid: int, close: Callable[..., object], args: tuple[Any, ...]) -> None:
    if os.getpid() == pid:
        close(*args)
