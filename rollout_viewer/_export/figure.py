"""Figures of a clip for papers: a film strip, a multi-exposure, a curve with frames.

Knows a selection and matplotlib. Knows nothing of files: the caller saves the figure,
as pdf, svg or png.
"""

from __future__ import annotations

import functools
import io
import math
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np

from rollout_viewer._errors import RowError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rollout_viewer._export.selection import Selection

    Frame = npt.NDArray[np.uint8]

Kind = Literal["strip", "overlay", "return"]

_WIDTH_INCHES = 7.0  # the text width of most papers
_FONT_POINTS = 7
_STRIP_GAP = 0.04  # of a frame's width
# A multi-exposure: what differs from the background by this much moves, and the
# first exposure has this share of the last one's strength.
_MOVED_LEVELS = 24
_FIRST_EXPOSURE = 0.3
# A curve: the shape of its axes, and the most that its frames take of their height.
_CURVE_RATIO = 0.5
_MAX_THUMBNAIL_SHARE = 0.45


def draw(
    clip: Selection, kind: Kind, rows: Sequence[int] | None, n: int, ax: Axes | None
) -> Figure:
    """Draw a figure; see `Clip.figure`."""
    if kind not in get_args(Kind):
        raise ValueError(
            f"Clip.figure: expected kind to be one of {get_args(Kind)}, got {kind!r}. "
            "Choose one of them."
        )
    chosen = _choose_rows(clip, rows, n)
    paint = {"strip": _strip, "overlay": _overlay, "return": _returns}[kind]
    height, width = clip.frame_size
    if ax is None:
        ax = _new_axes(kind, height, width, len(chosen))
    paint(clip, chosen, ax)
    return cast("Figure", ax.figure)


def _choose_rows(clip: Selection, rows: Sequence[int] | None, n: int) -> list[int]:
    if n < 1:
        raise ValueError(
            f"Clip.figure: expected n >= 1 frames, got {n!r}. Choose some, such as 8."
        )
    if rows is None:
        return clip.spaced_rows(n)
    outside = [row for row in rows if not clip.start <= row < clip.stop]
    if outside or not len(rows):
        raise RowError(
            f"Clip.figure: expected rows in {clip.start}..{clip.stop - 1}, got "
            f"{list(rows)!r}. Choose rows of the clip."
        )
    return [int(row) for row in rows]


def _new_axes(kind: Kind, height: int, width: int, count: int) -> Axes:
    from matplotlib.figure import Figure

    ratio = {
        "strip": height / (width * (count + _STRIP_GAP * (count - 1))),
        "overlay": height / width,
        "return": _CURVE_RATIO,
    }[kind]
    inches = _WIDTH_INCHES if kind != "overlay" else _WIDTH_INCHES / 2
    size = inches, inches * ratio + (0.5 if kind == "strip" else 0.2)
    figure = Figure(figsize=size, layout="constrained")
    # Pyplot does not hold it: a notebook shows it all the same.
    figure._repr_png_ = functools.partial(_as_png, figure)  # type: ignore[attr-defined]
    return figure.subplots()


def _as_png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _frame(clip: Selection, row: int) -> Frame:
    return next(clip.one_row(row).frames())


# -- a film strip


def _strip(clip: Selection, rows: list[int], ax: Axes) -> None:
    height, width = clip.frame_size
    gap = max(1, round(width * _STRIP_GAP))
    strip = np.full((height, (width + gap) * len(rows) - gap, 3), 255, np.uint8)
    for index, row in enumerate(rows):
        left = index * (width + gap)
        strip[:, left : left + width] = _frame(clip, row)
    ax.imshow(strip, interpolation="none")
    centres = [index * (width + gap) + width / 2 for index in range(len(rows))]
    captions = [_caption(clip, row) for row in rows]
    ax.set_xticks(centres, captions, fontsize=_FONT_POINTS)
    _without_frame(ax)


def _without_frame(ax: Axes) -> None:
    ax.set_yticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _caption(clip: Selection, row: int) -> str:
    moments = [clip.cache.at(row, env) for env in clip.shown_envs]
    if len(moments) > 1:
        return f"row {row}\n{_mean_return(moments)}"
    (moment,) = moments
    reward, step = moment["reward"], moment["episode_step"]
    place = f"row {row}" if step is None else f"step {step}"
    return place if math.isnan(reward) else f"{place}\nreward {reward:.4g}"


def _mean_return(moments: Sequence[Any]) -> str:
    totals = np.array([moment["total_reward"] for moment in moments])
    if np.isnan(totals).all():
        return ""
    return f"mean return {np.nanmean(totals):.4g}"


# -- a multi-exposure


def _overlay(clip: Selection, rows: list[int], ax: Axes) -> None:
    ax.imshow(exposed([_frame(clip, row) for row in rows]), interpolation="none")
    first, last = _caption(clip, rows[0]), _caption(clip, rows[-1])
    ends = [text.partition("\n")[0] for text in (first, last)]
    ax.set_xlabel(" to ".join(dict.fromkeys(ends)), fontsize=_FONT_POINTS)
    ax.set_xticks([])
    _without_frame(ax)


def exposed(frames: Sequence[Frame]) -> Frame:
    """Return frames (H, W, 3) in one picture: what moves once for each of them.

    What differs from the background is laid over it, the later the stronger.
    """
    stack = np.stack(frames)
    background = _background(stack).astype(np.float32)
    picture = background.copy()
    # Of a single frame the only strength is the full one.
    strengths = np.linspace(1, _FIRST_EXPOSURE, len(frames))[::-1]
    for strength, frame in zip(strengths, stack, strict=True):
        moved = np.abs(frame - background).max(axis=2, keepdims=True) > _MOVED_LEVELS
        picture += moved * np.float32(strength) * (frame - picture)
    return picture.round().astype(np.uint8)


def _background(stack: Frame) -> Frame:
    """Return for each pixel the one of its colors that the frames have most of.

    The median would take what rests in one place most of the time for background.
    """
    levels = stack.astype(np.uint16) >> 4
    codes = levels[..., 0] << 8 | levels[..., 1] << 4 | levels[..., 2]
    counts = np.bincount(codes.reshape(-1), minlength=1 << 12)
    best = counts[codes].argmax(axis=0)
    chosen: Frame = np.take_along_axis(stack, best[None, :, :, None], axis=0)[0]
    return chosen


# -- the return over time


def _returns(clip: Selection, rows: list[int], ax: Axes) -> None:
    totals = clip.cache.scalars["total_reward"][clip.start : clip.stop]
    at = np.arange(clip.start, clip.stop)
    for env in clip.shown_envs:
        ax.plot(at, totals[:, env], linewidth=1, label=f"env {env}")
    ax.set_xlabel("row", fontsize=_FONT_POINTS)
    ax.set_ylabel("total reward", fontsize=_FONT_POINTS)
    ax.tick_params(labelsize=_FONT_POINTS)
    ax.spines[["top", "right"]].set_visible(False)
    if 1 < len(clip.shown_envs) <= 8:
        ax.legend(fontsize=_FONT_POINTS, frameon=False, loc="lower right")
    _add_thumbnails(clip, rows, ax, totals)


def _add_thumbnails(
    clip: Selection, rows: list[int], ax: Axes, totals: npt.NDArray[np.float64]
) -> None:
    """Put frames in a line above the curve, each tied to its point."""
    height, width = clip.frame_size
    share = 1 / len(rows)
    tall = min(share * height / width / _CURVE_RATIO, _MAX_THUMBNAIL_SHARE)
    low, high = ax.get_ylim()
    ticks = [tick for tick in ax.get_yticks() if low <= tick <= high]
    # So high that the curve stays below them.
    ax.set_ylim(low, low + (high - low) / (1 - tall - 0.06))
    ax.set_yticks(ticks)
    for index, row in enumerate(rows):
        box = (index * share, 1 - tall, share * 0.96, tall)
        inset = ax.inset_axes(box)
        inset.imshow(_frame(clip, row), interpolation="none")
        inset.set_xticks([])
        inset.set_yticks([])
        inset.set_anchor("N")
        best = np.nanmax(totals[row - clip.start, list(clip.shown_envs)], initial=low)
        ax.annotate(
            "",
            xy=(row, best),
            xytext=((index + 0.48) * share, 1 - tall),
            textcoords="axes fraction",
            arrowprops={"arrowstyle": "-", "linewidth": 0.5, "color": "0.6"},
        )
