"""Who is called when rows were added or annotations changed."""

from __future__ import annotations

import contextlib
import threading
import warnings
import weakref
from typing import TYPE_CHECKING

from rollout_viewer._errors import RolloutViewerError, RolloutViewerWarning

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_viewer._recording.reader import RecordingReader

    Subscriber = Callable[[int, int], object]

_POLL_INTERVAL_S = 0.1


class Subscribers:
    """Callbacks of one cache. Any thread may add one or notify.

    Attributes:
        callbacks: Those that are called, by number.
    """

    def __init__(self) -> None:
        self.callbacks: dict[int, Subscriber] = {}
        self._next = 0
        self._poller: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self.callbacks)

    def add(self, callback: Subscriber) -> Callable[[], None]:
        """Call it from now on, until the result is called."""
        number = self._next
        self._next += 1
        self.callbacks[number] = callback
        return lambda: self.callbacks.pop(number, None) and None

    def notify(self, start: int, stop: int) -> None:
        """Call all with the rows that came; the same twice where none did."""
        for callback in list(self.callbacks.values()):
            try:
                callback(start, stop)
            except Exception as error:  # a viewer must not stop training
                warnings.warn(
                    f"FrameCache: a subscriber failed with {error!r}; recording goes "
                    "on.",
                    RolloutViewerWarning,
                    stacklevel=4,
                )

    def poll(self, cache: RecordingReader) -> None:
        """Notify of what another process adds to `cache`, from a thread, once.

        The thread ends with the cache.
        """
        # In a forked child, it has ended.
        if self._poller is None or not self._poller.is_alive():
            arguments = self, weakref.ref(cache), cache.num_rows
            self._poller = threading.Thread(
                target=_poll, args=arguments, name="rollout_viewer poll", daemon=True
            )
            # Where no thread can be started (Python in a browser), no other process
            # writes a file that is read here.
            with contextlib.suppress(RuntimeError):
                self._poller.start()


def _poll(
    subscribers: Subscribers, reference: weakref.ref[RecordingReader], known: int
) -> None:
    pause = threading.Event()
    before = None
    while (cache := reference()) is not None and not cache.is_closed:
        with contextlib.suppress(RolloutViewerError):
            num_rows = cache.num_rows
            annotations = cache.bookmarks, cache.recording.num_annotations
            if num_rows > known:
                subscribers.notify(known, num_rows)
            if annotations != (before or annotations):
                subscribers.notify(num_rows, num_rows)
            known, before = num_rows, annotations
        del cache
        pause.wait(_POLL_INTERVAL_S)
