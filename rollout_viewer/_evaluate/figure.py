"""Figures of an evaluation: returns of each policy, pairs as a strip, return curves.

Knows lines, pairs and matplotlib. The caller saves them, as pdf, svg or png.
"""

from __future__ import annotations

import functools
import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._evaluate.columns import printable
from rollout_viewer._evaluate.lines import rows_of
from rollout_viewer._evaluate.statistics import (
    interquartile_mean,
    interquartile_mean_interval,
    mean_interval,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rollout_viewer._evaluate.lines import Line
    from rollout_viewer._evaluate.pairs import Comparison
    from rollout_viewer._recording.episode import Episode

_WIDTH_INCHES = 7.0  # the text width of most papers
_FONT_POINTS = 8
_MAX_NAME_CHARS = 24
# Okabe and Ito's, which differ for people with any colour vision; then again.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_GAINED, _LOST, _NEITHER = "#009e73", "#d55e00", "#8a8f98"
_MARKERS = {"gained": "^", "lost": "v", "": "o"}
# More curves than this are one dark patch: these are chosen evenly by return.
_MAX_CURVES = 40


def draw_result(lines: Sequence[Line], comparisons: Sequence[Comparison]) -> Figure:
    """Draw the returns of each policy, and the differences on each seed below."""
    shown = [one for one in comparisons if one.pairs]
    heights = [0.6 + 0.36 * len(lines), *[1.7] * len(shown)]
    figure = _new_figure(sum(heights) + 0.3 * len(heights))
    axes = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)
    _draw_returns(lines, axes[0, 0])
    for comparison, ax in zip(shown, axes[1:, 0], strict=True):
        _draw_differences(comparison, ax)
    return figure


def draw_curves(lines: Sequence[Line]) -> Figure:
    """Draw the return so far over each episode, a plot for each policy."""
    figure = _new_figure(2.3)
    (axes,) = figure.subplots(1, len(lines), sharex=True, sharey=True, squeeze=False)
    for number, (line, ax) in enumerate(zip(lines, axes, strict=True)):
        scalars = line.cache.scalars
        totals, steps = scalars["total_reward"], scalars["env_step"]
        episodes = _spread(line.episodes)
        for episode in episodes:
            rows = rows_of(line.cache, episode)
            curve = totals[rows, episode.env]
            ax.plot(
                steps[rows, episode.env],
                curve,
                linewidth=0.8,
                alpha=0.6,
                color=_colour(number),
            )
        left_out = len(line.episodes) - len(episodes)
        more = f" ({len(episodes)} of {len(line.episodes)})" if left_out else ""
        ax.set_title(f"{_name(line.name)}{more}", **_text())
        ax.set_xlabel("step", **_text())
        _plain(ax)
    axes[0].set_ylabel("return so far", **_text())
    return figure


# -- parts


def _draw_returns(lines: Sequence[Line], ax: Axes) -> None:
    """Draw a dot for each episode; the middle mean with its interval above them."""
    random = np.random.default_rng(0)
    for number, line in enumerate(lines):
        returns = np.array([one.total_reward for one in line.episodes], np.float64)
        at = number + 0.12 + random.uniform(-0.16, 0.16, len(returns))
        alpha = max(0.08, min(0.6, 20 / max(len(returns), 1)))
        ax.scatter(returns, at, s=12, alpha=alpha, color=_colour(number), linewidths=0)
        middle, interval = (
            interquartile_mean(returns),
            interquartile_mean_interval(returns),
        )
        if math.isnan(middle):
            continue
        if not math.isnan(interval.low):
            ax.plot([*interval], [number - 0.22] * 2, color="black", linewidth=1.5)
        ax.plot([middle], [number - 0.22], "|", color="black", markersize=9)
    names = [_name(line.name) for line in lines]
    ax.set_yticks(range(len(lines)), names, **_text())
    ax.set_ylim(len(lines) - 0.5, -0.5)
    ax.set_xlabel("return; above: interquartile mean, 95 % interval", **_text())
    _plain(ax)


def _draw_differences(comparison: Comparison, ax: Axes) -> None:
    """Draw a mark for each seed, from the worst to the best."""
    pairs = sorted(comparison.pairs, key=lambda pair: pair.difference)
    differences = np.array([pair.difference for pair in pairs], np.float64)
    flips = np.array([pair.flip for pair in pairs])
    at = np.arange(len(pairs))
    colours = {"gained": _GAINED, "lost": _LOST, "": _NEITHER}
    for flip, marker in _MARKERS.items():
        chosen = flips == flip
        if chosen.any():
            text = {"gained": "success gained", "lost": "success lost"}.get(flip)
            ax.scatter(
                at[chosen],
                differences[chosen],
                s=14,
                marker=marker,
                color=colours[flip],
                linewidths=0,
                label=f"{text} ({chosen.sum()})" if text else None,
            )
    ax.axhline(0, color="black", linewidth=0.6)
    low, high = mean_interval(differences)
    if not math.isnan(low):
        ax.axhspan(low, high, color=_NEITHER, alpha=0.2, linewidth=0)
    ax.axhline(differences.mean(), color=_NEITHER, linewidth=1, linestyle="--")
    names = f"{_name(comparison.other)} \u2212 {_name(comparison.first)}"
    ax.set_title(f"Difference of the returns on a seed: {names}", **_text())
    about = f"{len(pairs)} seeds by difference; band: mean, 95 %"
    ax.set_xlabel(about, loc="left", **_text())
    ax.set_xticks([])
    if ax.get_legend_handles_labels()[0]:
        # Below the axes, beside that text: among the marks it is one of them.
        ax.legend(
            fontsize=_FONT_POINTS,
            frameon=False,
            loc="upper right",
            bbox_to_anchor=(1, 0),
            ncols=2,
            borderaxespad=0,
            borderpad=0.2,
        )
    _plain(ax)


def _spread(episodes: Sequence[Episode]) -> list[Episode]:
    """Return some of many episodes, from the one of least return to that of most."""
    ordered = sorted(episodes, key=lambda one: one.total_reward)
    if len(ordered) <= _MAX_CURVES:
        return ordered
    chosen = np.linspace(0, len(ordered) - 1, _MAX_CURVES).round().astype(int)
    return [ordered[number] for number in chosen]


def _new_figure(height_inches: float) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_INCHES, height_inches), layout="constrained")
    # Pyplot does not hold it: a notebook shows it all the same.
    figure._repr_png_ = functools.partial(as_png, figure)  # type: ignore[attr-defined]
    return figure


def as_png(figure: Figure, dpi: float | None = None) -> bytes:
    """Return a figure as a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi or figure.dpi)
    return file.getvalue()


def _plain(ax: Axes) -> None:
    ax.tick_params(labelsize=_FONT_POINTS)
    ax.spines[["top", "right"]].set_visible(False)


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _name(name: str) -> str:
    name = printable(name)
    return name if len(name) <= _MAX_NAME_CHARS else f"{name[: _MAX_NAME_CHARS - 1]}…"


def _text() -> dict[str, Any]:
    """Return how texts are drawn: a dollar sign in a name begins no formula."""
    return {"fontsize": _FONT_POINTS, "parse_math": False}
