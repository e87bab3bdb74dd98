"""Episodes of the same seed side by side: which policy won, and which flipped.

Each policy is compared with the first one. The k-th episode of a seed is paired with
the other's k-th of that seed; episodes without a seed are in no pair.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._evaluate.columns import Columns, text_of
from rollout_viewer._evaluate.statistics import mean_interval, sign_test

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rollout_viewer._evaluate.lines import Line
    from rollout_viewer._recording.episode import Episode

# p-values from here on say nothing against chance.
_SIGNIFICANT = 0.05
# Seeds in a line of text.
_MAX_NAMED = 20


class Attempt(NamedTuple):
    """One episode, with what counts of it."""

    episode: Episode
    success: bool | None


class Pair(NamedTuple):
    """Two episodes of one seed.

    Attributes:
        seed: Of both.
        first: Of the first policy.
        other: Of the one that is compared with it.
    """

    seed: int
    first: Attempt
    other: Attempt

    @property
    def difference(self) -> float:
        """The return of the other, less the first one's."""
        return self.other.episode.total_reward - self.first.episode.total_reward

    @property
    def size(self) -> float:
        """How large the difference is; 0 where it is infinite or not known."""
        size = abs(self.difference)
        return size if math.isfinite(size) else 0.0

    @property
    def flip(self) -> str:
        """Where only one succeeds: "gained" if it is the other, "lost"; else ""."""
        if self.first.success is None or self.other.success is None:
            return ""
        if self.first.success == self.other.success:
            return ""
        return "gained" if self.other.success else "lost"


class Comparison(NamedTuple):
    """A policy against the first one, seed by seed.

    Attributes:
        first: Its name.
        other: The name of the one that is compared with it.
        pairs: Of the seeds that both have.
        num_alone: Episodes of the first and of the other that are in no pair.
    """

    first: str
    other: str
    pairs: Sequence[Pair]
    num_alone: tuple[int, int] = (0, 0)


class PairedColumns(Columns):
    """The pairs of an evaluation, a line for each; see `EvaluationResult.paired`.

    Attributes:
        summary: A line for each policy but the first: what its pairs say together.
    """

    summary: Columns


def compare_lines(lines: Sequence[Line]) -> list[Comparison]:
    """Return each line but the first, against the first."""
    first = _by_seed(lines[0])
    return [_compared(lines[0], first, line) for line in lines[1:]]


def _compared(
    line: Line, first: Mapping[tuple[int, int], Attempt], other: Line
) -> Comparison:
    pairs = list(_pairs(first, _by_seed(other)))
    alone = len(line.episodes) - len(pairs), len(other.episodes) - len(pairs)
    return Comparison(line.name, other.name, pairs, alone)


def paired_columns(comparisons: Sequence[Comparison]) -> PairedColumns:
    """Return the pairs, and what they say."""
    summary = summary_of(comparisons)
    pairs = [(one, pair) for one in comparisons for pair in one.pairs]
    columns = PairedColumns(
        {
            "seed": [pair.seed for _, pair in pairs],
            "policy": [one.other for one, _ in pairs],
            "against": [one.first for one, _ in pairs],
            "return": [pair.other.episode.total_reward for _, pair in pairs],
            "return_against": [pair.first.episode.total_reward for _, pair in pairs],
            "difference": [pair.difference for _, pair in pairs],
            "winner": [_winner(one, pair) for one, pair in pairs],
            "success": [pair.other.success for _, pair in pairs],
            "success_against": [pair.first.success for _, pair in pairs],
            "flip": [pair.flip for _, pair in pairs],
            "length": [pair.other.episode.length for _, pair in pairs],
            "length_against": [pair.first.episode.length for _, pair in pairs],
        },
        caption=[sentence(line) for line in summary.lines()],
        notes=[text for one in comparisons for text in _flips_in_words(one)],
    )
    columns.summary = summary
    return columns


def summary_of(comparisons: Sequence[Comparison]) -> Columns:
    """Return what the pairs of each comparison say together, a line for each."""
    lines = [_summary(comparison) for comparison in comparisons]
    names = lines[0] if lines else ()
    return Columns({name: [line[name] for line in lines] for name in names})


def sentence(line: Mapping[str, Any]) -> str:
    """Return a line of the summary in words."""
    names = f"{line['policy']} against {line['against']}"
    if not line["pairs"]:
        return f"{names}: no seed that both have."
    seeds = "1 seed" if line["pairs"] == 1 else f"{line['pairs']} seeds"
    text = (
        f"{names}, on {seeds}{_left_out(line)}: return "
        f"{difference_in_words(line)}, better on {line['better']}, worse on "
        f"{line['worse']}, equal on {line['equal']}"
    )
    compared = line["better"] + line["worse"] + line["equal"]
    if compared < line["pairs"]:
        text += f", not known on {line['pairs'] - compared}"
    text += f" (sign test p = {text_of(line['sign_test_p'])})"
    if line["success_pairs"]:
        text += (
            f"; successes gained {line['gained']}, lost {line['lost']} "
            f"(p = {text_of(line['flips_p'])})"
        )
    return f"{text}."


def difference_in_words(line: Mapping[str, Any], over: str = "") -> str:
    """Return the mean difference of a line of the summary, with its interval.

    Args:
        line: Of the summary.
        over: What the mean is of, in words after the number.
    """
    low, high = line["difference_low"], line["difference_high"]
    mean = line["difference_mean"]
    if math.isnan(mean):
        return "not known, as some are infinite"
    interval = (
        "no interval"
        if math.isnan(low)
        else f"95 % interval {text_of(low)} to {text_of(high)}"
    )
    return f"{mean:+.4g}{over} ({interval})"


def _left_out(line: Mapping[str, Any]) -> str:
    counts = line["unpaired"], line["unpaired_against"]
    if not any(counts):
        return ""
    return (
        f" that both have ({counts[0]} episodes of {line['policy']} and {counts[1]} of "
        f"{line['against']} are not compared)"
    )


def order_of_seeds(comparisons: Sequence[Comparison]) -> list[int]:
    """Return the seeds of all pairs: flips first, the largest difference first."""
    flipped: Counter[int] = Counter()
    largest: dict[int, float] = {}
    for comparison in comparisons:
        for pair in comparison.pairs:
            flipped[pair.seed] += bool(pair.flip)
            largest[pair.seed] = max(largest.get(pair.seed, 0.0), pair.size)
    return sorted(largest, key=lambda seed: (-flipped[seed], -largest[seed], seed))


def _by_seed(line: Line) -> dict[tuple[int, int], Attempt]:
    """Return its episodes by seed, and by how many had that seed before."""
    counts: Counter[int] = Counter()
    found: dict[tuple[int, int], Attempt] = {}
    for episode, success in zip(line.episodes, line.successes, strict=True):
        if episode.seed is not None:
            found[episode.seed, counts[episode.seed]] = Attempt(episode, success)
            counts[episode.seed] += 1
    return found


def _pairs(
    first: Mapping[tuple[int, int], Attempt], other: Mapping[tuple[int, int], Attempt]
) -> Iterator[Pair]:
    for key in sorted(first.keys() & other.keys()):
        yield Pair(key[0], first[key], other[key])


def _flips_in_words(comparison: Comparison) -> Iterator[str]:
    for flip, verb in (("gained", "succeeds"), ("lost", "fails")):
        seeds = [pair.seed for pair in comparison.pairs if pair.flip == flip]
        if seeds:
            more = f" and {len(seeds) - _MAX_NAMED:,} more" * (len(seeds) > _MAX_NAMED)
            named = ", ".join(map(str, seeds[:_MAX_NAMED]))
            opposite = "fails" if verb == "succeeds" else "succeeds"
            yield (
                f"{comparison.other} {verb} where {comparison.first} {opposite}: "
                f"seeds {named}{more}"
            )


def _winner(comparison: Comparison, pair: Pair) -> str:
    if pair.difference > 0:
        return comparison.other
    return comparison.first if pair.difference < 0 else ""


def _summary(comparison: Comparison) -> dict[str, Any]:
    pairs = comparison.pairs
    differences = np.array([pair.difference for pair in pairs], np.float64)
    better, worse = int((differences > 0).sum()), int((differences < 0).sum())
    flips = Counter(pair.flip for pair in pairs)
    interval = mean_interval(differences)
    flips_p = sign_test(flips["gained"], flips["lost"])
    is_less = interval.high < 0
    fails_more = flips["lost"] > flips["gained"] and flips_p < _SIGNIFICANT
    return {
        "policy": comparison.other,
        "against": comparison.first,
        "pairs": len(pairs),
        "unpaired": comparison.num_alone[1],
        "unpaired_against": comparison.num_alone[0],
        "difference_mean": float(differences.mean()) if len(pairs) else math.nan,
        "difference_low": interval.low,
        "difference_high": interval.high,
        "better": better,
        "worse": worse,
        "equal": int((differences == 0).sum()),
        "sign_test_p": sign_test(better, worse),
        "success_pairs": sum(
            pair.first.success is not None and pair.other.success is not None
            for pair in pairs
        ),
        "gained": flips["gained"],
        "lost": flips["lost"],
        "flips_p": flips_p,
        "is_worse": is_less or fails_more,
    }
