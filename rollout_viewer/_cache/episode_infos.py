"""What is known of an episode: its segment's entries, and its own.

Knows JSON values. Knows nothing of rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollout_viewer._recording.storable import storable_json
from rollout_viewer._replay.episode_start import START

if TYPE_CHECKING:
    from collections.abc import Mapping


def split_infos(
    infos: Mapping[int, Mapping[str, Any]],
) -> tuple[dict[int, Any], dict[int, bytes]]:
    """Return what is known of episodes, and from where they can be replayed."""
    known: dict[int, Any] = {}
    starts: dict[int, bytes] = {}
    for env, info in infos.items():
        own = dict(info)
        if (start := own.pop(START, None)) is not None:
            starts[int(env)] = start
        known[int(env)] = storable_json(own) if own else own
    return known, starts


def only_starts(infos: Mapping[int, Mapping[str, Any]]) -> dict[int, bytes] | None:
    """Return from where episodes can be replayed, outside of any segment.

    None: more is known of one.
    """
    starts: dict[int, bytes] = {}
    for env, info in infos.items():
        for name, value in info.items():
            if name == START:
                starts[env] = value
            elif value is not None:
                return None
    return starts


def merged_info(segment: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of an episode: of its segment, and of its own.

    One that names its segment, or None for none, has that one's entries already.
    """
    outer = {} if "segment" in own else segment
    info = {
        name: value for name, value in {**outer, **own}.items() if value is not None
    }
    if "labels" in info:
        info["labels"] = {**outer.get("labels", {}), **own.get("labels", {})}
    return info
