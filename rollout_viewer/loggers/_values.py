"""Numbers, steps and configurations of training loops as Python's own.

Converts tensors, arrays, TensorDicts, OmegaConf's configurations and dataclasses.
"""

from __future__ import annotations

import contextlib
import operator
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._frames.tensors import as_numpy

if TYPE_CHECKING:
    from collections.abc import Iterator


class Steps:
    """The last step of each name, to number values that are logged without a step."""

    def __init__(self) -> None:
        self.last: dict[str, int] = {}

    def of(self, name: str, step: Any) -> int:
        """Return `step` as a number; None: the one after the last, from 0."""
        return self.last.get(name, -1) + 1 if step is None else int(as_step(step))

    def advance(self, name: str, step: Any) -> int:
        """Return the step as `of`, and note that it is logged."""
        number = self.of(name, step)
        self.last[name] = max(self.last.get(name, -1), number)
        return number

    @contextlib.contextmanager
    def next(self, name: str, step: Any) -> Iterator[int]:
        """Yield the step as `of`, and note that it is logged if the block succeeds."""
        number = self.of(name, step)
        yield number
        self.advance(name, number)


@contextlib.contextmanager
def numbered_step(counts: dict[str, int], name: str, step: Any) -> Iterator[Any]:
    """Yield `step`; None: how often this was None before, as TorchRL counts.

    Only a block that succeeds is counted.
    """
    yield counts.get(name, 0) if step is None else as_step(step)
    if step is None:
        counts[name] = counts.get(name, 0) + 1


def as_step(step: Any) -> Any:
    """Return a step of torch's or NumPy's as an int; other objects unchanged."""
    with contextlib.suppress(TypeError):
        return operator.index(step)
    is_whole = isinstance(step, float) and step.is_integer()
    return int(step) if is_whole else step


def as_number(value: Any, name: str) -> float:
    """Return a number, or a tensor or array of one, as a float.

    Raises:
        TypeError, ValueError: It is not one number; the type is that of `float`.
    """
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        shape = getattr(value, "shape", None)
        got = repr(value) if shape is None else f"shape {tuple(shape)}"
        raise type(error)(
            f"log_scalar: expected {name!r} to be one number, got {got}. "
            "Log a mean or a sum, or use log_text or log_table."
        ) from error


def as_numbers(metrics: Any, keys_sep: str = "/") -> dict[str, Any]:
    """Return the numbers of a dict or a TensorDict as Python's, in a flat dict.

    Raises:
        TypeError: It is neither.
    """
    if hasattr(metrics, "flatten_keys"):
        metrics = metrics.flatten_keys(keys_sep).to_dict()
    if not hasattr(metrics, "items"):
        raise TypeError(
            "log_metrics: expected a dict or a TensorDict of numbers, got "
            f"{type(metrics).__name__}. Name each number: {{'reward': 1.0}}."
        )
    return {name: as_python(value) for name, value in metrics.items()}


def as_python(value: Any) -> Any:
    """Return a tensor or an array as a number, or as a list of them."""
    value = as_numpy(value)
    if isinstance(value, np.ndarray | np.generic):
        return value.item() if value.size == 1 else value.tolist()
    return value


def as_config(cfg: Any) -> dict[str, Any]:
    """Return a mapping, a configuration of OmegaConf or a namespace as a dict.

    Raises:
        TypeError: It is none of these.
    """
    omegaconf: Any = sys.modules.get("omegaconf")
    if omegaconf is not None and omegaconf.OmegaConf.is_config(cfg):
        cfg = omegaconf.OmegaConf.to_container(cfg, resolve=True)
    if not hasattr(cfg, "items"):
        if not hasattr(cfg, "__dict__") or isinstance(cfg, type):
            raise TypeError(
                "log_hparams: expected a dict, a dataclass or a namespace, got "
                f"{type(cfg).__name__}. Name each entry: {{'lr': 3e-4}}."
            )
        cfg = vars(cfg)
    return {str(key): value for key, value in cfg.items()}
