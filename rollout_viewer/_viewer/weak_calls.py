"""Calls of an object that do not keep it alive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import weakref
    from collections.abc import Callable


def weakly(this: weakref.ref[Any], method: Callable[..., Any]) -> Any:
    """Return a function that calls `method` while the object lives; else None."""

    def call(*args: Any) -> Any:
        one = this()
        return method(one, *args) if one is not None else None

    return call
