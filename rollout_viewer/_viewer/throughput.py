"""How much may be on its way to a page: as much as its link takes in half a second.

Whatever is on its way comes before what the page asks for next, and a front end queues
without end. So the rate at which messages are acknowledged is measured, as BBR does
(Cardwell et al., 2016, "BBR: Congestion-Based Congestion Control"): what was delivered
between the sending of a message and its acknowledgement. Knows numbers and times.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

# So long the last thing that was sent waits behind the rest of it.
QUEUE_S = 0.5
# Before any is known: one message, with the first pictures.
FIRST_WINDOW_BYTES = 64 * 1024
FIRST_RATE = 64 * 1024
LEAST_WINDOW_BYTES = 64 * 1024
WINDOW_BYTES = 8 * 1024 * 1024
# JupyterLab took 55 MB/s in messages of 200 kB, and jupyter_server silently drops
# what exceeds 1000 messages a second (both measured, JupyterLab 4.6).
MESSAGE_BYTES = 512 * 1024
# A message is this part of the window: the first of it arrives while the rest is sent.
MESSAGES_IN_WINDOW = 4
# The best of so many acknowledgements: others waited for a page that was busy.
NUM_RATES = 10
_LEAST_S = 1e-3


class _Sent(NamedTuple):
    seq: int
    nbytes: int
    at: float
    delivered: int
    is_idle: bool
    keys: frozenset[tuple[int, int]]


class Throughput:
    """Messages that were sent and not acknowledged, and how fast others were."""

    def __init__(self) -> None:
        self._sent: deque[_Sent] = deque()
        self._delivered = 0
        self._rates: deque[float] = deque(maxlen=NUM_RATES)
        # Whether there was less to send than the link takes: then a rate says only
        # that it takes at least that much.
        self._is_idle = True
        self._is_measured = False

    def forget_sent(self) -> None:
        """A page begins anew: what it was sent is not acknowledged any more."""
        self._sent.clear()

    def note_sent(
        self, seq: int, nbytes: int, now: float, keys: Iterable[tuple[int, int]] = ()
    ) -> None:
        """A message was sent, with chunks of these keys."""
        is_idle, chunks = self._is_idle, frozenset(keys)
        self._sent.append(_Sent(seq, nbytes, now, self._delivered, is_idle, chunks))
        if self.is_full:
            self._is_idle = False

    def note_idle(self) -> None:
        """There is nothing more to send."""
        self._is_idle = True

    def note_acknowledged(self, seq: int, now: float) -> None:
        """A page has everything up to `seq`."""
        last = None
        while self._sent and self._sent[0].seq <= seq:
            last = self._sent.popleft()
            self._delivered += last.nbytes
        if last is not None:
            seconds = max(now - last.at, _LEAST_S)
            rate = (self._delivered - last.delivered) / seconds
            if not last.is_idle or rate > max(self._rates, default=0.0):
                self._rates.append(rate)
            self._is_measured |= not last.is_idle

    def is_on_its_way(self, key: tuple[int, int]) -> bool:
        """Whether a chunk was sent and is not acknowledged."""
        return any(key in sent.keys for sent in self._sent)

    @property
    def oldest_at(self) -> float | None:
        """When the first that is not acknowledged was sent; None: all are."""
        return self._sent[0].at if self._sent else None

    @property
    def arrival_s(self) -> float:
        """How long what is on its way may take, at half the rate."""
        nbytes = sum(sent.nbytes for sent in self._sent)
        return 2 * nbytes / max(self._rates, default=FIRST_RATE)

    @property
    def link_bytes_per_s(self) -> float | None:
        """What the link carries; None: it was never given as much as it takes."""
        return max(self._rates) if self._is_measured else None

    @property
    def is_full(self) -> bool:
        """Whether no more should be sent now."""
        return sum(sent.nbytes for sent in self._sent) > self.window_bytes

    @property
    def window_bytes(self) -> int:
        """How much may be on its way."""
        if not self._rates:
            return min(FIRST_WINDOW_BYTES, WINDOW_BYTES)
        window = max(self._rates) * QUEUE_S
        return int(min(max(window, LEAST_WINDOW_BYTES), WINDOW_BYTES))

    @property
    def message_bytes(self) -> int:
        """How large a message should be."""
        if not self._rates:
            return min(self.window_bytes // 2, MESSAGE_BYTES)
        return min(self.window_bytes // MESSAGES_IN_WINDOW, MESSAGE_BYTES)
