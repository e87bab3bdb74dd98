"""How environments began first, whose first picture decides from where some look.

Each episode of these has that with it: which of the others are in the recording, and
which environments, does not matter. Knows MuJoCo's environments by their renderer.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from rollout_viewer._replay.env_state import BINARY
from rollout_viewer._replay.episode_start import as_first, storable_start
from rollout_viewer._replay.viewpoint import has_viewpoint

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from rollout_viewer._replay.episode_start import EpisodeStart

# By environment, or batch of them: the first starts by number.
_known: MutableMapping[Any, dict[int, EpisodeStart]] = weakref.WeakKeyDictionary()


def with_first(start: EpisodeStart, env: Any) -> EpisodeStart:
    """Return a start with the first one of its environment, if that matters.

    Args:
        start: Of the episode that begins.
        env: An environment in this process.
    """
    return _with_first(start, env.unwrapped, 0) if has_viewpoint(env) else start


def with_first_elsewhere(start: EpisodeStart, batch: Any, number: int) -> EpisodeStart:
    """Return the same of an environment in another process, of any kind.

    Args:
        start: Of the episode that begins.
        batch: Of which it is one.
        number: Its number.
    """
    return _with_first(start, batch.unwrapped, number)


def _with_first(start: EpisodeStart, owner: Any, number: int) -> EpisodeStart:
    if BINARY in start.state:
        return start
    try:
        found = _known.setdefault(owner, {})
    except TypeError:  # it cannot be referred to
        return start
    if number not in found:
        found[number] = storable_start(start)
        return start._replace(first={})
    return start._replace(first=as_first(found[number]))
