"""How often workers send what they have: seldom, where no user waits for it.

To send costs the driver about the same, however much it is. Knows nothing of how it is
sent.
"""

from __future__ import annotations

from typing import NamedTuple

SHORT_S, LONG_S = 0.4, 2.0
# So long after the first rows, they come often: that it works, or does not, shows soon.
_FIRST_S = 2.0
# What all workers together may send at a time, and each of few and of many.
_ALL_BYTES, MAX_BYTES, _MIN_BYTES = 64 << 20, 2 << 20, 256 << 10


class SendEvery(NamedTuple):
    """A worker is to send what it has together; also a message to it.

    Attributes:
        seconds: At each multiple of this time.
        num_bytes: Sooner, where it is so much.
    """

    seconds: float = SHORT_S
    num_bytes: int = MAX_BYTES

    @property
    def ahead_s(self) -> float:
        """For how long a worker is to have work, so that it need not wait for more.

        It asks for more when it has half of it.
        """
        return 2.5 * self.seconds


def send_every(
    elapsed_s: float, num_workers: int, *, is_awaited: bool = False
) -> SendEvery:
    """Return how often each of so many workers sends what it has.

    Args:
        elapsed_s: Since the first rows came.
        num_workers: How many there are.
        is_awaited: A viewer shows the rows, or a function is called with them.
    """
    is_short = is_awaited or elapsed_s < _FIRST_S
    num_bytes = max(min(_ALL_BYTES // num_workers, MAX_BYTES), _MIN_BYTES)
    return SendEvery(SHORT_S if is_short else LONG_S, num_bytes)
