"""A clip: a selection of a recording that can be written to files and dumped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from rollout_viewer._export.dump import dump_clip
from rollout_viewer._export.selection import Selection
from rollout_viewer._export.write import write_clip

if TYPE_CHECKING:
    import os
    import threading
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rollout_viewer._progress import Progress
    from rollout_viewer._recording.query import Moment


class Clip(Selection):
    """Rows `start` to `stop` of some envs of a recording. Made by `FrameCache.clip`.

    Without those in which none of its envs did anything, as where an episode's env
    waited for others: `rows` are the rows that frames, tables and files have.

    Immutable: its rows, envs and camera were there when it was made, so reading it
    fails only if the recording's file does. `Selection` has what can be read.

    Example:
        >>> import numpy as np
        >>> from rollout_viewer import FrameCache
        >>> cache = FrameCache()
        >>> for level in range(3):
        ...     _ = cache.append(np.full((5, 8, 8, 3), level, np.uint8))
        >>> clip = cache.clip(1, 3)
        >>> [frame.shape for frame in clip.frames()]
        [(16, 24, 3), (16, 24, 3)]
    """

    def figure(
        self,
        rows: Sequence[int] | None = None,
        n: int = 8,
        ax: Axes | None = None,
        *,
        kind: Literal["strip", "overlay", "return"] = "strip",
    ) -> Figure:
        """Draw the clip for a paper.

        Args:
            rows: Rows of the recording whose frames are shown. None: `n` of the
                clip, evenly spaced, first and last included.
            n: How many frames.
            ax: Where to draw. None: a new figure, as wide as a page, that pyplot
                does not hold.
            kind: ``"strip"``: frames side by side, step and reward under each.
                ``"overlay"``: all frames in one picture, the later the stronger
                (what does not move is shown once). ``"return"``: the total reward
                over the rows, a line for each env, with the frames above it.

        Returns:
            A matplotlib figure: ``clip.figure().savefig("strip.pdf")``, or ``.svg``.

        Raises:
            ValueError: `kind` is none of these, or `n` is below one.
            RowError: A row is not in the clip, or no env of it has pictures.
        """
        from rollout_viewer._export.figure import draw  # it imports matplotlib

        return draw(self, kind, rows, n, ax)

    def write(
        self,
        path: str | os.PathLike[str],
        *,
        fps: float | None = None,
        layout: Literal["grid", "tiles", "episodes"] = "grid",
        quality: Literal["normal", "high", "lossless"] = "normal",
        speed: float = 1.0,
        order: Literal["env", "return"] = "env",
        labels: bool | Callable[[Moment], object] = False,
        overwrite: bool = False,
        options: Mapping[str, Any] | None = None,
        on_progress: Progress | None = None,
        cancel: Callable[[], bool] | threading.Event | None = None,
    ) -> list[Path]:
        """Write the clip to files; the suffix decides what they are.

        Frame n of a video is frame n of the clip, and shows row ``clip.rows[n]``:
        none is dropped or repeated.

        Args:
            path: ``.mp4``, ``.webm`` or ``.gif`` (video); ``.png`` (one row, or a
                strip of eight; by episodes a contact sheet with returns); ``.pt`` and
                ``.memmap`` (uint8 (1, T, C, H, W), as TorchRL's CSVLogger writes
                them), ``.npz`` (``frames`` and the table's columns, compressed);
                ``.csv`` and ``.parquet`` (the table); ``.html`` (the viewer in a file).
                Videos, ``.gif``, ``.png`` and ``.parquet`` carry in their metadata
                which recording they are from.
            fps: Frames a second. None: the recording's.
            layout: ``"grid"``: one file. ``"tiles"``: one for each env,
                ``<stem>_env<i>``. ``"episodes"``: one for each episode,
                ``<stem>_ep<k>_env<i>``.
            quality: Of mp4 and webm. ``"normal"`` plays everywhere, ``"high"`` keeps
                the colours of single pixels, ``"lossless"`` is exact; the last two
                are refused by some players.
            speed: 2.0 shows twice as many frames a second.
            order: Of the tiles: ``"env"`` as selected, ``"return"`` the highest total
                reward within the clip first.
            labels: Write env, episode, step, total reward and action on each tile,
                or what a function makes of ``cache.at(row, env)``.
            overwrite: Replace files. Else a name that is taken gets ``-1``, ...
            options: For the video encoder, as ffmpeg names them
                (``{"crf": 18, "preset": "slow"}``), and ``codec``, ``pixel_format``.
            on_progress: Called with (rows done, rows in all), from this thread; or
                a tqdm bar, which is moved on: ``on_progress=tqdm()``.
            cancel: Asked before each row: a function, or an event that is set.

        Returns:
            The files, complete.

        Raises:
            ValueError: The suffix or an option is none of the above.
            RowError: No env of the clip has pictures.
            ExportCancelled: `cancel` returned True; no file of this call is left.
            ExportTooLargeError: ``.pt`` and ``.npz``, which are loaded whole, would be
                larger than 4 GB.
            ExportError: A row could not be read or written; the message names it, and
                no file of this call is left.
            MissingDependencyError: ``.parquet`` needs pyarrow, ``.pt`` torch.
        """
        return write_clip(
            self,
            path,
            fps=fps,
            layout=layout,
            quality=quality,
            speed=speed,
            order=order,
            labels=labels,
            overwrite=overwrite,
            options=options,
            on_progress=on_progress,
            cancel=cancel,
        )

    def dump(
        self,
        logger: Any,
        tag: str,
        step: int | None = None,
        *,
        formats: Sequence[str] | str | None = None,
    ) -> list[Path]:
        """Hand the clip to a logger.

        Args:
            logger: One of `rollout_viewer.loggers`, of TorchRL's, or anything with
                ``log_video(tag, tensor, step=step)``.
            tag: Its name there.
            step: Of the training; None: the logger counts.
            formats: Any of those that `write` takes, without the dot. None: the
                logger's own video format.

        Returns:
            The files, as far as the logger returns them.

        Raises:
            ExportError: It failed.
        """
        return dump_clip(self, logger, tag, step=step, formats=formats)

    def __repr__(self) -> str:
        num_idle = self.stop - self.start - self.num_rows
        left_out = f" without {num_idle} idle ones" if num_idle else ""
        return (
            f"<Clip of rows {self.start}..{self.stop - 1}{left_out}, "
            f"{len(self.envs)} envs, {self.cache.path}>"
        )
