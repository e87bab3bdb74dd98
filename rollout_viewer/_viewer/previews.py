"""Whether a page is shown previews, and which pictures it is sent then.

Exact pictures are sent as long as the link carries them as fast as they are played. If
it does not, a page that plays or scrubs is sent small videos of the tiles in sight, and
no exact pictures beside them, except of a block that has no video: more rows of it may
come, encoders fail, or the video does not. Where the playhead rests, the exact picture
of its row, then whole chunks again. Knows chunks, a cache, and what a page watches.
Sends nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from rollout_viewer._errors import RecordingError
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._page.build_messages import still_message
from rollout_viewer._viewer.preview_videos import (
    PreviewVideos,
    VideoKey,
    tile_pictures,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rollout_viewer._page.protocol import WatchMessage
    from rollout_viewer._recording.reader import RecordingReader
    from rollout_viewer._viewer.throughput import Throughput

Quality = Literal["auto", "exact", "preview"]
QUALITIES: tuple[str, ...] = get_args(Quality)

# A link that carries less than this times what playing takes is thin; one that was,
# stays so up to the second.
THIN, NO_LONGER_THIN = 1.1, 1.5
# One that carries more is none: a page on the same machine may be busy for a while.
WIDE_BYTES_PER_S = 8_000_000
# Of the link, for videos; the rest is for what else is sent.
_SHARE = 0.7
_LEAST_BYTES_PER_S, _MOST_BYTES_PER_S = 2**14, 2**21
# A page repeats each second what it watches.
WATCH_S = 3.0
# What was sent and has not come after so long was lost.
_LOST_S = 2.5
# Of a block that grows no more for so long while a page waits, exact pictures are sent.
_STALLED_S = 5.0
# A page whose part does not come is sent it again.
_PART_S = 10.0


class _Watched(NamedTuple):
    """What a page watches, as in a ``watch``; since when it is known."""

    codecs: tuple[str, ...] = ()
    rate: float = 0.0
    is_resting: bool = True
    num_slots: int = 0
    rows: tuple[tuple[int, int, int], ...] = ()
    at: float = -math.inf


class _Ahead(NamedTuple):
    """Tiles in a block that a moving playhead comes to; None: they have no video."""

    block: int
    slots: tuple[int, ...]
    key: VideoKey | None


class Previews:
    """What the pages of one viewer are sent in place of exact pictures.

    Args:
        cache: The recording.
        on_news: Called from another thread when there is more to send.

    Attributes:
        quality: "auto": as the link needs it. "exact": never. "preview": always while
            the playhead moves.
        is_thin: Whether previews are sent, as of the last `update`.
    """

    def __init__(self, cache: RecordingReader, on_news: Callable[[], object]) -> None:
        self._cache = cache
        self._videos = PreviewVideos(cache, on_news)
        self.quality: str = "auto"
        self.restart()

    def restart(self) -> None:
        """A page begins anew, or none is there."""
        self.is_thin = False
        self._watched = _Watched()
        self._now = 0.0
        self._part_at = -math.inf
        self._exact_bytes = self._exact_records = 0
        self._bytes_per_s = _MOST_BYTES_PER_S
        # The nearest first.
        self._ahead: list[_Ahead] = []
        # Block -> what a page lacked of it when it said so last, and since when.
        self._lacks: dict[int, tuple[list[int], float]] = {}
        # Video -> how many of its rows were sent, and when.
        self._sent: dict[int, tuple[int, float]] = {}
        # Chunks of which a page was sent a single picture: which one.
        self._stills: dict[tuple[int, int], int] = {}
        self._videos.want(())

    def drop(self) -> None:
        """The recording was cleared."""
        self._videos.drop()

    def close(self) -> None:
        """End the thread."""
        self._videos.close()

    def forget(self) -> None:
        """Drop the recording."""
        self.__dict__.pop("_cache", None)

    # -- what is known of the link

    def note_exact(self, nbytes: int, num_records: int) -> None:
        """A piece of a chunk is sent."""
        self._exact_bytes += nbytes
        self._exact_records += num_records

    def update(self, throughput: Throughput, fps: float, now: float) -> None:
        """Decide whether the link is thin."""
        self._now = now
        link = throughput.link_bytes_per_s
        if link is not None:
            budget = 2 ** math.floor(math.log2(max(_SHARE * link, 1.0)))
            limits = _LEAST_BYTES_PER_S, _MOST_BYTES_PER_S
            self._bytes_per_s = min(max(budget, limits[0]), limits[1])
        if self.quality == "exact" or not self._is_possible:
            self.is_thin = False
        elif self.quality == "preview":
            self.is_thin = True
        elif link is not None and self._exact_records:
            factor = NO_LONGER_THIN if self.is_thin else THIN
            needed = factor * self._needed_bytes_per_s(fps)
            self.is_thin = link < min(needed, WIDE_BYTES_PER_S)

    @property
    def _is_possible(self) -> bool:
        """Whether each tile has one slot, and pictures are there."""
        cache = self._cache
        slots = cache.recording.slots
        is_simple = len(cache.tiles) == len(slots) and not cache.renders_pictures
        return bool(slots) and is_simple

    @property
    def _is_watched(self) -> bool:
        return self._now - self._watched.at <= WATCH_S

    def _needed_bytes_per_s(self, fps: float) -> float:
        mean = self._exact_bytes / self._exact_records
        if self._is_watched and self._watched.rate:
            return mean * self._watched.num_slots * self._watched.rate
        return mean * len(self._cache.recording.slots) * fps

    # -- what is sent

    def wants_part(self, now: float) -> bool:
        """Whether the page needs its module for previews; it is sent now."""
        if not self.is_thin or self._is_watched or now - self._part_at < _PART_S:
            return False
        self._part_at = now
        return True

    @property
    def holds_exact(self) -> bool:
        """Whether exact pictures would only keep previews waiting."""
        return self.is_thin and self._is_watched and not self._watched.is_resting

    def watch(self, content: WatchMessage, now: float) -> None:
        """Take what a page watches."""
        slots = self._cache.recording.slots
        rows = [(b, s, i) for b, s, i in content["rows"] if s < len(slots)]
        self._watched = _Watched(
            codecs=tuple(content["codecs"]),
            rate=content["rate"],
            is_resting=content["is_resting"],
            num_slots=content["num_slots"],
            rows=tuple(dict.fromkeys(rows)),
            at=now,
        )
        self._now = now
        is_moving = self.is_thin and not self._watched.is_resting
        ahead: list[_Ahead] = []
        lacks: dict[int, tuple[list[int], float]] = {}
        for block, number, have, *shown in content["blocks"] if is_moving else ():
            if block * CHUNK_ROWS >= self._cache.num_rows:
                continue
            lack = [number, have, len(shown)]
            old, since = self._lacks.get(block, (lack, now))
            lacks[block] = lack, since if lack == old else now
            known = [slot for slot in dict.fromkeys(shown) if slot < len(slots)]
            own = [*self._ahead_in(block, known, content["reduction"])]
            for one in own:
                self._note_had(one.key, number, have)
            ahead += own
        self._ahead, self._lacks = ahead, lacks
        self._videos.want(self._keys)

    @property
    def _keys(self) -> list[VideoKey]:
        return [one.key for one in self._ahead if one.key is not None]

    def _is_sealed(self, block: int) -> bool:
        """Whether all rows of a block are there; no more come."""
        num_rows = self._cache.num_rows
        is_over = not self._cache.is_live and block * CHUNK_ROWS < num_rows
        return is_over or (block + 1) * CHUNK_ROWS <= num_rows

    def _num_rows_in(self, block: int) -> int:
        return min(CHUNK_ROWS, self._cache.num_rows - block * CHUNK_ROWS)

    def _ahead_in(
        self, block: int, shown: Sequence[int], reduction: int
    ) -> Iterator[_Ahead]:
        """Yield the slots of each size, and their video."""
        slots = self._cache.recording.slots
        codecs = _codecs(self._watched.codecs)
        # In steps, so that what was encoded can be used again.
        rate = 2.0 ** round(math.log2(min(max(self._watched.rate, 1.0), 256.0)))
        for size in sorted({slots[slot].size for slot in shown}):
            same = tuple(slot for slot in shown if slots[slot].size == size)
            if not self._is_sealed(block):
                yield _Ahead(block, same, None)
                continue
            key = VideoKey(block, same, reduction, codecs, rate, self._bytes_per_s)
            # One that was begun goes on, though the link is another now.
            begun = (one for one in self._keys if one[:4] == key[:4])
            yield _Ahead(block, same, next(begun, key))

    def _note_had(self, key: VideoKey | None, number: int, have: int) -> None:
        """Note how much of a video the page has: what was lost is sent again."""
        if key is None:
            return
        video = self._videos.get(key)
        if video is None or video.number not in self._sent:
            return
        _, at = self._sent[video.number]
        if self._now - at > _LOST_S:
            num_had = have if number == video.number else 0
            self._sent[video.number] = num_had, self._now

    def take(self, max_bytes: int) -> tuple[list[dict[str, Any]], bytes]:
        """Return previews to send now: a list of fields, and the bytes of all."""
        found: list[dict[str, Any]] = []
        parts: list[bytes] = []
        for key in self._keys if self.holds_exact else ():
            video = self._videos.get(key)
            if video is None:
                continue
            num_sent, _ = self._sent.get(video.number, (0, 0.0))
            fields, packets = tile_pictures(video, num_sent)
            if not fields["sizes"]:
                continue
            self._sent[video.number] = num_sent + len(fields["sizes"]), self._now
            found.append(
                {
                    "block": key.block,
                    "slots": list(key.slots),
                    "codec": video.codec,
                    **fields,
                }
            )
            parts.append(packets)
            if sum(map(len, parts)) >= max_bytes:
                break
        return found, b"".join(parts)

    def exact_due(self) -> Iterator[tuple[int, int]]:
        """Yield chunks that a moving playhead comes to, and of which no video comes."""
        for block, slots, key in self._ahead:
            video = None if key is None else self._videos.get(key)
            lack, since = self._lacks[block]
            is_failed = key is None or (video is not None and video.is_failed)
            # It has all rows of a video, and lacks them still: one does not decode.
            is_failed = is_failed or lack[1] >= self._num_rows_in(block)
            if is_failed or self._now - since > _STALLED_S:
                yield from ((block, slot) for slot in slots)
            elif video is not None:
                num_sent, _ = self._sent.get(video.number, (0, 0.0))
                if num_sent < len(video.packets):
                    return  # it is nearer

    def stills(
        self,
        num_sent: Mapping[tuple[int, int], int],
        is_on_its_way: Callable[[tuple[int, int]], bool],
    ) -> Iterator[tuple[int, int, bytes]]:
        """Yield chunks with the one picture that a playhead rests on, once each.

        Not of those of which it was sent, by the number of their records, and not yet
        of those of which something is on its way.
        """
        if not (self.is_thin and self._is_watched and self._watched.is_resting):
            return
        for block, slot, index in self._watched.rows:
            is_sent = num_sent.get((block, slot), 0) > index
            if is_sent or self._stills.get((block, slot)) == index:
                continue
            if is_on_its_way((block, slot)):
                continue
            self._stills[block, slot] = index
            try:
                still = still_message(self._cache.recording, block, slot, index)
            except RecordingError:
                continue  # reported where the whole chunk is sent
            if still is not None:
                yield block, slot, still

    def note_whole(self, block: int, slot: int) -> None:
        """A chunk is sent from its first record on."""
        self._stills.pop((block, slot), None)


def _codecs(names: Sequence[str]) -> tuple[str, ...]:
    """Return those to encode with, the best first; none where there is no PyAV."""
    try:
        from rollout_viewer._video.preview import choose_codecs
    except ImportError:
        return ()
    return choose_codecs(names)
