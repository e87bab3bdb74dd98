"""The episodes that a report shows: flips, the largest differences, best and worst."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._evaluate.lines import Line
    from rollout_viewer._evaluate.pairs import Comparison, Pair
    from rollout_viewer._recording.episode import Episode

# Of each kind.
_MAX_FLIPS = 4


class Chosen(NamedTuple):
    """An episode that is shown, and of which policy it is."""

    policy: str
    cache: FrameCache
    episode: Episode
    success: bool | None


class Group(NamedTuple):
    """Episodes that are shown together.

    Attributes:
        title: Why.
        seed: Of all of them; None: each has its own.
        episodes: In the order of the policies.
    """

    title: str
    seed: int | None
    episodes: Sequence[Chosen]


def choose_groups(
    lines: Sequence[Line], comparisons: Sequence[Comparison]
) -> list[Group]:
    """Return what to show first, each pair once, then each policy's extremes."""
    groups = []
    for comparison in comparisons:
        shown: set[int] = set()
        for title, pair in _pairs_to_show(comparison):
            if id(pair) not in shown:
                shown.add(id(pair))
                groups.append(_group_of(title, comparison, pair, lines))
    return [*groups, *(_extremes(line) for line in lines if line.episodes)]


def _pairs_to_show(comparison: Comparison) -> Iterator[tuple[str, Pair]]:
    first, other = comparison.first, comparison.other
    ordered = sorted(comparison.pairs, key=lambda pair: -pair.size)
    for flip, title in (
        ("lost", f"{first} succeeds, {other} fails"),
        ("gained", f"{other} succeeds, {first} fails"),
    ):
        flipped = [pair for pair in ordered if pair.flip == flip]
        yield from ((title, pair) for pair in flipped[:_MAX_FLIPS])
    for sign, title in (
        (-1, f"{other} loses most to {first}"),
        (1, f"{other} gains most on {first}"),
    ):
        chosen = [pair for pair in ordered if sign * pair.difference > 0]
        yield from ((title, pair) for pair in chosen[:1])


def _group_of(
    title: str, comparison: Comparison, pair: Pair, lines: Sequence[Line]
) -> Group:
    caches = {line.name: line.cache for line in lines}
    return Group(
        title,
        pair.seed,
        [
            Chosen(name, caches[name], attempt.episode, attempt.success)
            for name, attempt in (
                (comparison.first, pair.first),
                (comparison.other, pair.other),
            )
        ],
    )


def _extremes(line: Line) -> Group:
    known = [
        Chosen(line.name, line.cache, episode, success)
        for episode, success in zip(line.episodes, line.successes, strict=True)
    ]
    known.sort(key=lambda one: one.episode.total_reward)
    episodes = [known[-1], known[0]] if len(known) > 1 else known
    return Group(f"Best and worst of {line.name}", None, episodes)
