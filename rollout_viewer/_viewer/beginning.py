"""With which comparison a page begins, where Python asks for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_viewer._cache.cache import FrameCache


def beginning(
    cache: FrameCache,
    seeds: Sequence[int] | None,
    segments: Sequence[str] | None,
    *,
    has_groups: bool,
) -> dict[str, Any] | None:
    """Return ``compare`` of the manifest; None: the page begins with the rows.

    Args:
        cache: What is shown.
        seeds: The columns, in this order; None: no comparison.
        segments: The lines; None: all segments.
        has_groups: It is several recordings: those are the lines.
    """
    if seeds is None:
        return None
    lines: list[str] | None = None
    if not has_groups:
        known = dict.fromkeys(one.segment for one in cache.episodes if one.segment)
        lines = [str(name) for name in (known if segments is None else segments)]
    return {"lines": lines, "seeds": [str(int(seed)) for seed in seeds]}
