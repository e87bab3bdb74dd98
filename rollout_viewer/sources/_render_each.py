"""A picture of each env of a batch, where `render` takes the numbers of envs.

Without them such a `render` returns the picture of the first env alone. Knows the
arguments of other libraries by their names. Knows no framework.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class _Selector(NamedTuple):
    """An argument of `render` that selects envs.

    Attributes:
        name: Of the argument.
        is_list: It takes several numbers.
    """

    name: str
    is_list: bool


# EnvPool's render(env_ids=None), VMAS's render(mode="human", env_index=0).
_SELECTORS = (_Selector("env_ids", True), _Selector("env_index", False))


def render_each(
    render: Callable[..., Any],
    num_envs: int,
    envs: Sequence[int] | None = None,
    **options: Any,
) -> Any:
    """Return what `render` returns; if it takes numbers of envs, of each of these.

    Args:
        render: Of an environment of `num_envs`.
        num_envs: 1: it is called without numbers.
        envs: Whose pictures are wanted; None: all.
        **options: Other arguments of `render`.
    """
    selector = None if num_envs == 1 else _selector_of(render, options)
    if selector is None:
        return render(**options)
    wanted = list(range(num_envs) if envs is None else envs)
    if selector.is_list:
        return render(**{selector.name: wanted}, **options)
    # A copy: environments reuse the memory that they draw in.
    return [_copied(render(**{selector.name: env}, **options)) for env in wanted]


def takes_numbers(render: Callable[..., Any]) -> bool:
    """Return whether `render` takes the numbers of envs."""
    return _selector_of(render, {}) is not None


def _selector_of(
    render: Callable[..., Any], options: Mapping[str, Any]
) -> _Selector | None:
    try:
        known = inspect.signature(render).parameters
    except (TypeError, ValueError):  # workers' methods have none
        return None
    for selector in _SELECTORS:
        if selector.name in known and selector.name not in options:
            return selector
    return None


def _copied(picture: Any) -> Any:
    return picture.copy() if hasattr(picture, "copy") else picture


def shares_picture(env: Any) -> bool:
    """Return whether an environment declares that one picture shows all its envs."""
    metadata = getattr(env, "metadata", None)
    return isinstance(metadata, dict) and metadata.get("shared_picture") is True
