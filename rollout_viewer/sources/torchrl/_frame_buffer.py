"""The frames of a video that is being recorded: `VideoRecorder.obs`.

Stores which rows of a cache belong to it, in order; pictures are decoded when they are
read. Knows caches, clips and
loggers. Knows nothing of environments.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import torch

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._cache.clip import Clip
from rollout_viewer._frames.grid import grid
from rollout_viewer._recording.slot import box_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

    Picture = npt.NDArray[np.uint8]

# In the place of an env's number: the row as a whole, its envs in a grid.
GRID = -1


class KeptRows:
    """Rows of a cache that are frames, in order: of one recorder and of its clones.

    Attributes:
        cache: Where the rows are; None until it is needed.
    """

    def __init__(self) -> None:
        self.cache: FrameCache | None = None
        self._rows = array("q")
        self._envs = array("q")

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: int, env: int = GRID) -> None:
        """Add a row, or one env of it."""
        if self._rows and row < self._rows[-1]:
            self.clear()  # the cache was cleared: its rows start at 0 again
        self._rows.append(row)
        self._envs.append(env)

    def clear(self) -> None:
        """Remove all."""
        del self._rows[:], self._envs[:]

    def entries(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Return (row, env) of some of them."""
        return list(zip(self._rows[start:stop], self._envs[start:stop], strict=True))


class KeptFrames(Sequence[torch.Tensor]):
    """Frames since the last dump, uint8 (3, H, W), decoded when they are read.

    Reads like TorchRL's list of tensors, and has `clear`. After a `dump`, the object
    that was read before keeps its frames.
    """

    def __init__(self, kept: KeptRows, camera: str) -> None:
        self._kept = kept
        self._camera = camera
        self._start = len(kept)
        self._stop: int | None = None

    def clear(self) -> None:
        """Empty it; the cache keeps the frames."""
        self._start = len(self._kept)

    def end(self) -> None:
        """Exclude the frames that come later."""
        self._stop = len(self._kept)

    def __len__(self) -> int:
        start, stop = self._bounds()
        return stop - start

    def _bounds(self) -> tuple[int, int]:
        cache, length = self._kept.cache, len(self._kept)
        if cache is not None and cache.num_rows == 0:
            return 0, 0  # it was cleared
        stop = length if self._stop is None else min(self._stop, length)
        # Beyond the end where the cache was cleared and has new rows.
        return (self._start if self._start <= stop else 0), stop

    @overload
    def __getitem__(self, index: int) -> torch.Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> list[torch.Tensor]: ...
    def __getitem__(self, index: Any) -> Any:
        """Return a frame, or a list of some."""
        entries = self._entries()[index]
        if isinstance(index, slice):
            return [as_tensor(frame) for frame in self._read(entries)]
        return as_tensor(next(self._read([entries])))

    def __iter__(self) -> Iterator[torch.Tensor]:
        return map(as_tensor, self._read(self._entries()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (list, KeptFrames)):
            return NotImplemented
        pairs = zip(self, other, strict=False)
        return len(self) == len(other) and all(torch.equal(a, b) for a, b in pairs)

    __hash__ = None  # type: ignore[assignment]  # changes, as a list does

    def __repr__(self) -> str:
        return f"<{len(self)} frames of {self._camera!r}>"

    @property
    def rows(self) -> list[int]:
        """The rows of the frames, ascending."""
        return sorted({row for row, _ in self._entries()})

    def _entries(self) -> list[tuple[int, int]]:
        return self._kept.entries(*self._bounds())

    def _read(
        self, entries: list[tuple[int, int]], camera: str | None = None
    ) -> Iterator[Picture]:
        """Yield the pictures (H, W, 3) of entries; each is a new array, in its size."""
        for clip in self._clips(entries, camera):
            is_steady = all(len(sizes) == 1 for sizes in clip.sizes.values())
            rows = range(clip.start, clip.stop)
            parts = [clip] if is_steady else (clip.part(r, r + 1) for r in rows)
            for part in parts:
                yield from part.frames()

    def _clips(
        self, entries: list[tuple[int, int]], camera: str | None = None
    ) -> Iterator[Clip]:
        camera = self._camera if camera is None else camera
        cache = self._kept.cache
        for start, stop, env in _runs(entries):
            assert cache is not None  # a row was noted in it
            envs = None if env == GRID else [env]
            yield Clip(cache, start, stop, envs, camera).every_row()

    def clip(self, camera: str | None = None) -> Clip:
        """Return the frames as a clip, for loggers that take one.

        Where other rows of the cache are between them, they are copied into a cache of
        their own, which is deleted with the clip.
        """
        camera = self._camera if camera is None else camera
        cache, entries = self._kept.cache, self._entries()
        assert cache is not None, "there are no frames"
        (start, stop, env), *more = _runs(entries)
        if not more and env == GRID:
            return Clip(cache, start, stop, None, camera).every_row()
        copy = FrameCache(fps=cache.fps, metadata=cache.metadata)
        for picture in self._read(entries, camera):
            copy.append({camera: [picture]})
        return copy.clip()

    def log(
        self,
        logger: Any,
        camera: str,
        name: str | None,
        step: int,
        options: dict[str, Any],
    ) -> list[Path]:
        """Write the frames through a logger; return the files that it returns."""
        video: Any
        if getattr(logger, "takes_clips", False) is True:
            video = self.clip(camera)
            fps = getattr(logger, "video_fps", None)
            if fps is not None:
                options = {"fps": fps, **options}
        else:
            video = self.tensor(camera)
        written = logger.log_video(name=name, video=video, step=step, **options)
        several = written if isinstance(written, (list, tuple)) else [written]
        return [Path(path) for path in several if isinstance(path, (str, Path))]

    def tensor(self, camera: str | None = None) -> torch.Tensor:
        """Return the frames as one video, uint8 (1, T, 3, H, W).

        Smaller frames than the largest are in its middle.
        """
        entries = self._entries()
        clips = list(self._clips(entries, camera))
        if not clips:
            return torch.empty(0, dtype=torch.uint8)
        size = box_of(clip.frame_size for clip in clips)
        frames = (frame for clip in clips for frame in clip.frames(copy=False))
        video = torch.empty((1, len(entries), 3, *size), dtype=torch.uint8)
        for index, frame in enumerate(frames):
            is_whole = frame.shape[:2] == size
            whole = frame if is_whole else grid([frame], cell=size)
            video[0, index] = as_tensor(whole)
        return video


def as_tensor(frame: Picture) -> torch.Tensor:
    """Return (H, W, 3) as a tensor (3, H, W)."""
    return torch.from_numpy(frame).permute(2, 0, 1)


def _runs(entries: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Return the entries as (start, stop, env) of consecutive rows."""
    runs: list[tuple[int, int, int]] = []
    for row, env in entries:
        if runs and runs[-1][1:] == (row, env):
            runs[-1] = (runs[-1][0], row + 1, env)
        else:
            runs.append((row, row + 1, env))
    return runs
