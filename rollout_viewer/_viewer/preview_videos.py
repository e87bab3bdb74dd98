"""Encodes what a page watches as small videos, on a thread of its own, before it asks.

A video has the tiles in sight, in the rows of a block. What is not watched any more is
given up in the middle; finished ones are kept within a budget. Knows chunks and a
cache. Knows nothing of links and messages.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._errors import RecordingError
from rollout_viewer._frames.chunk import CHUNK_ROWS, parse
from rollout_viewer._frames.decoder import ChunkDecoder
from rollout_viewer._viewer.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rollout_viewer._recording.reader import RecordingReader

_numbers = itertools.count(1)
# Encoded; a block of 16 HalfCheetahs takes 300 kB.
BUDGET_BYTES = 64 * 1024 * 1024


class VideoKey(NamedTuple):
    """Which video: of these slots in the rows of a block, and how it is encoded.

    By the first of the codecs that encodes it.
    """

    block: int
    slots: tuple[int, ...]
    reduction: int
    codecs: tuple[str, ...]
    rate: float
    bytes_per_s: int


class Video:
    """A video as far as it is encoded; one thread appends, others read.

    Attributes:
        number: Of this video, and no other.
        codec: Its name.
        tile: (width, height) of a tile in pixels.
        columns: Tiles across.
        packets: Of each row; the first needs no other.
        shown: Of each slot, bits of the rows in which it has a picture.
        is_whole: No more packets come.
        is_failed: It cannot be made: it has none.
    """

    def __init__(
        self, codec: str, tile: tuple[int, int], columns: int, num_slots: int
    ) -> None:
        self.number = next(_numbers)
        self.codec = codec
        self.tile = tile
        self.columns = columns
        self.packets: list[bytes] = []
        self.shown = [0] * num_slots
        self.is_whole = False
        self.is_failed = False

    @property
    def nbytes(self) -> int:
        """Of its packets."""
        return sum(map(len, self.packets))


class PreviewVideos(Worker):
    """Makes the videos that are wanted, most urgent first.

    Args:
        cache: The recording.
        on_news: Called from the thread when a row was encoded, or cannot be.
    """

    def __init__(self, cache: RecordingReader, on_news: Callable[[], object]) -> None:
        super().__init__("rollout_viewer previews")
        self._cache = cache
        self._on_news = on_news
        self._wanted: tuple[VideoKey, ...] = ()
        # Least recently wanted first. Under the lock: two threads add and read.
        self._videos: OrderedDict[VideoKey, Video] = OrderedDict()
        self._videos_lock = threading.Lock()
        self.num_encoded = 0
        self.start()

    def want(self, keys: Sequence[VideoKey]) -> None:
        """Make these, and no others."""
        self._wanted = tuple(keys)
        with self._videos_lock:
            for key in reversed(self._wanted):
                if key in self._videos:
                    self._videos.move_to_end(key)
            self._evict()
        if self._next() is not None:
            self.wake()

    def drop(self) -> None:
        """Forget all: the recording was cleared, and its blocks are others now."""
        self._wanted = ()
        with self._videos_lock:
            self._videos.clear()

    def get(self, key: VideoKey) -> Video | None:
        """Return a video, as far as it is encoded."""
        with self._videos_lock:
            return self._videos.get(key)

    @property
    def nbytes(self) -> int:
        """Of all videos."""
        with self._videos_lock:
            return sum(video.nbytes for video in self._videos.values())

    # -- on the thread

    def work(self) -> float | None:
        """Encode one block. See `Worker`."""
        key = self._next()
        if key is None:
            return None
        for codec in key.codecs:
            try:
                self._encode(key, codec)
                return 0.0
            except Exception:  # an encoder that is not there, or takes no such size
                continue
        failed = Video("", (2, 2), 1, 0)
        failed.is_whole = failed.is_failed = True
        with self._videos_lock:
            self._videos[key] = failed
        self._on_news()  # exact pictures come in its place
        return 0.0

    def forget(self) -> None:
        """Drop the recording and all videos."""
        self.drop()
        self.__dict__.pop("_cache", None)

    def after_fork(self, *, is_whole: bool) -> None:
        """Make the lock anew: the parent's thread may have held it."""
        super().after_fork(is_whole=is_whole)
        self._videos_lock = threading.Lock()

    def _next(self) -> VideoKey | None:
        with self._videos_lock:
            for key in self._wanted:
                video = self._videos.get(key)
                if video is None or not video.is_whole:
                    return key
        return None

    def _encode(self, key: VideoKey, codec_name: str) -> None:
        """Make a video, or part of it where it is not wanted any more."""
        from rollout_viewer._video.preview import (
            CODECS,
            Mosaic,
            PreviewEncoder,
            reduction_within,
        )

        codec = next(one for one in CODECS if one.name == codec_name)
        info = self._cache.recording.slots[key.slots[0]]
        shape = len(key.slots), info.width, info.height
        reduction = reduction_within(*shape, key.reduction)
        mosaic = Mosaic(*shape, reduction, codec.pixel_format)
        encoder = PreviewEncoder(codec, mosaic.size, key.rate, key.bytes_per_s)
        num_rows = self._num_rows(key.block)
        frame = np.empty((info.height, info.width, 3), np.uint8)
        video = Video(codec.name, mosaic.tile, mosaic.columns, len(key.slots))
        with self._videos_lock:
            self._videos[key] = video
        # After that: `drop` is noticed.
        readers = [self._reader(key.block, slot, num_rows) for slot in key.slots]
        for row in range(num_rows):
            for index, reader in enumerate(readers):
                if reader is None or not reader.is_shown(row):
                    continue
                video.shown[index] |= 1 << row
                # As before: it is there already.
                if row and reader.is_equal(row) and reader.is_shown(row - 1):
                    continue
                reader.read(row, frame)
                mosaic.put(index, frame)
            packet = encoder.encode(mosaic.picture())
            if not packet:
                raise ValueError(f"expected a packet of each picture from {codec_name}")
            video.packets.append(packet)
            self._on_news()
            if self._is_closed or key not in self._wanted or self.get(key) is not video:
                with self._videos_lock:
                    if self._videos.get(key) is video:
                        del self._videos[key]
                return
        video.is_whole = True
        self.num_encoded += 1
        self._on_news()

    def _num_rows(self, block: int) -> int:
        return min(self._cache.num_rows - block * CHUNK_ROWS, CHUNK_ROWS)

    def _reader(self, block: int, slot: int, num_rows: int) -> ChunkDecoder | None:
        """Return what decodes a chunk; None: it has no pictures, or is damaged."""
        recording = self._cache.recording
        try:
            data = recording.chunk(block, slot)
            if data is None:
                return None
            where = f"{recording.path}, block {block}, slot {slot}"
            chunk = parse(data, where=where, size=recording.slots[slot].size)
            # One without its last records is damaged, as the page is told.
            is_whole = len(chunk.kinds) >= num_rows
            return ChunkDecoder(chunk, where=where) if is_whole else None
        except RecordingError:
            return None

    def _evict(self) -> None:
        nbytes = sum(video.nbytes for video in self._videos.values())
        for key in list(self._videos):
            if nbytes <= BUDGET_BYTES:
                return
            if key not in self._wanted:
                nbytes -= self._videos.pop(key).nbytes


def tile_pictures(video: Video, start: int) -> tuple[dict[str, Any], bytes]:
    """Return fields and bytes of a video's rows from `start` on, for a message."""
    packets = video.packets[start:]
    fields = {
        "width": video.tile[0],
        "height": video.tile[1],
        "columns": video.columns,
        "number": video.number,
        "first": start,
        "sizes": [*map(len, packets)],
        "shown": list(video.shown),
    }
    return fields, b"".join(packets)
