"""An evaluation as a page shows it: its numbers, its pairs, and where they are.

`compare` of the manifest; `rollout_viewer._page.protocol` specifies it. The page
computes no statistics: what it shows of them is here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rollout_viewer._evaluate.report_text import finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rollout_viewer._evaluate.findings import Findings
    from rollout_viewer._evaluate.pairs import Pair
    from rollout_viewer._recording.episode import Episode

    Place = tuple[int, int] | None
    PlaceOf = Callable[[str, Episode], Place]

# That a page is sent: 0.7 MB, and more bars than a screen has pixels.
_MAX_PAIRS = 10_000
_FLIPS = {"gained": 1, "lost": -1, "": 0}


def shown_comparison(
    found: Findings,
    place_of: PlaceOf,
    *,
    lines: Sequence[str] | None,
    seeds: Iterable[int],
) -> dict[str, Any]:
    """Return ``compare`` of the manifest.

    Args:
        found: The evaluation.
        place_of: Of a policy's episode, the env and index in what the page shows; None:
            the page does not have it.
        lines: The segments of the policies; None: they are compared recordings.
        seeds: The columns to begin with, in this order; none: the page begins with
            the rows.
    """
    return {
        "lines": None if lines is None else list(lines),
        "seeds": [str(seed) for seed in seeds],
        "policies": [_known(line) for line in found.table.lines()],
        "against": [
            {**_known(line), "finding": finding(line)}
            for line in found.paired.summary.lines()
        ],
        "pairs": _pairs(found, place_of),
    }


def _pairs(found: Findings, place_of: PlaceOf) -> dict[str, list[Any]]:
    """Return the pairs by column; where they are too many, those to look at first."""
    numbered = [
        (number, comparison, pair)
        for number, comparison in enumerate(found.comparisons, 1)
        for pair in comparison.pairs
    ]
    if len(numbered) > _MAX_PAIRS:
        rank = {seed: number for number, seed in enumerate(found.seeds)}
        numbered.sort(key=lambda one: rank[one[2].seed])
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    for number, comparison, pair in numbered[:_MAX_PAIRS]:
        other = place_of(comparison.other, pair.other.episode)
        first = place_of(comparison.first, pair.first.episode)
        values = _values(number, pair, other, first)
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
    return columns


_COLUMNS = (
    *("line", "seed", "env", "episode", "env_against", "episode_against"),
    *("return", "return_against", "difference", "flip"),
)


def _values(number: int, pair: Pair, other: Place, first: Place) -> tuple[Any, ...]:
    nowhere = (None, None)
    return (
        *(number, str(pair.seed), *(other or nowhere), *(first or nowhere)),
        _short(pair.other.episode.total_reward),
        _short(pair.first.episode.total_reward),
        _short(pair.difference),
        _FLIPS[pair.flip],
    )


def _known(line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _short(value) if isinstance(value, float) else value
        for name, value in line.items()
    }


def _short(value: float) -> float | str | None:
    """Return a number in as many digits as are shown; JSON has no NaN and infinity."""
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(f"{value:.7g}")
