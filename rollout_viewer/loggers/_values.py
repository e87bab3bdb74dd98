"""What loggers are given, as Python's own: numbers, steps and configurations.

Takes what training loops have: tensors, arrays, TensorDicts, OmegaConf, dataclasses.
"""

from __future__ import annotations

import contextlib
import operator
import sys
from typing import Any

import numpy as np


class Steps:
    """The last step of each name, for those that are logged without one."""

    def __init__(self) -> None:
        self.last: dict[str, int] = {}

    def of(self, name: str, step: Any) -> int:
        """Return `step` as a number; None: the one after the last, from 0."""
        return self.last.get(name, -1) + 1 if step is None else int(as_step(step))

    def done(self, name: str, step: int) -> None:
        """Say that this step was logged."""
        self.last[name] = max(self.last.get(name, -1), step)

    def take(self, name: str, step: Any) -> int:
        """Return the step as `of`, logged."""
        taken = self.of(name, step)
        self.done(name, taken)
        return taken


def as_step(step: Any) -> Any:
    """Return a step of torch's or NumPy's as Python's; others as they are."""
    with contextlib.suppress(TypeError):
        return operator.index(step)
    is_whole = isinstance(step, float) and step.is_integer()
    return int(step) if is_whole else step


def as_number(value: Any, name: str) -> float:
    """Return a number, or a tensor or array of one, as Python's.

    Raises:
        TypeError, ValueError: It is none, as `float` says it.
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
    """Return the numbers of a dict or a TensorDict as Python's, flat.

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
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        return value.item() if value.size == 1 else value.tolist()
    return value


def as_config(cfg: Any) -> dict[str, Any]:
    """Return a configuration as a dict: a mapping, OmegaConf's, a namespace's.

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
