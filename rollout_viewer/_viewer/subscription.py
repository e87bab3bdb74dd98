"""Follows a recording, with pauses. Knows caches."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_viewer._cache.cache import FrameCache


class Subscription:
    """Calls `callback` when rows come, but not while paused, nor after `end`.

    Any thread may call. Does not keep the cache.
    """

    def __init__(self, cache: FrameCache, callback: Callable[[int, int], None]) -> None:
        self._cache = weakref.ref(cache)
        self._callback = callback
        self._lock = threading.RLock()  # a finalizer may end it meanwhile
        self._unsubscribe: Callable[[], None] | None = None
        self._has_ended = False
        self.begin()

    def begin(self) -> None:
        """Call from now on."""
        with self._lock:
            cache = self._cache()
            if cache is not None and not self._unsubscribe and not self._has_ended:
                self._unsubscribe = cache.subscribe(self._callback)

    def pause(self) -> None:
        """Call no more, until `begin`."""
        with self._lock:
            unsubscribe, self._unsubscribe = self._unsubscribe, None
        if unsubscribe is not None:
            unsubscribe()

    def end(self) -> None:
        """Call never again."""
        self._has_ended = True
        self.pause()
