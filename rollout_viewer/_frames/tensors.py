"""Tensors as arrays, without importing the library that they are of."""

from __future__ import annotations

from typing import Any


def as_numpy(value: Any) -> Any:
    """Return a tensor of any device as an array; anything else unchanged.

    NumPy has no bfloat16: float32 takes each of its numbers.
    """
    if not hasattr(value, "detach"):
        return value
    value = value.detach().cpu()
    if "bfloat16" in str(value.dtype):
        value = value.float()
    return value.numpy()
