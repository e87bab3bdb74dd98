"""What a report says in words and tables, for a reader who was not there.

Everything from outside (names, ids, labels) goes through `text` once. Knows HTML and an
evaluation's numbers. Knows no pictures.
"""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

from rollout_viewer._evaluate.columns import printable, text_of
from rollout_viewer._evaluate.lines import notes_on_nan
from rollout_viewer._evaluate.pairs import difference_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rollout_viewer._evaluate.chosen import Chosen
    from rollout_viewer._evaluate.lines import Line
    from rollout_viewer._evaluate.pairs import Comparison, PairedColumns

# Lines of the table of seeds that are open at first, and that there are at most.
_FIRST_SEEDS = 12
_MAX_SEEDS = 1000

HOW_TO_READ = """\
<details><summary>How to read these numbers</summary>
<p>Every interval covers 95 %. The success rate has Wilson's interval. The
interquartile mean is that of the middle half of the returns, so that single extreme
episodes change little; its interval, and that of the mean difference, are percentile
bootstraps of 2,000 resamples. Differences are between episodes of the same seed. The
sign test asks whether one policy is better on more seeds than chance explains; for
successes it is McNemar's exact test. All are about these policies: another training
run could give others.</p></details>"""


def text(value: object) -> str:
    """Return any text as it may be in a page, in an attribute too."""
    return html.escape(printable(str(value)))


def title_of(lines: Sequence[Line]) -> str:
    """Return the heading where the caller names none."""
    names = [line.name for line in lines]
    if len(names) == 1:
        return f"Evaluation of {names[0]}"
    if len(names) == 2:
        return f"{names[1]} against {names[0]}"
    return f"Evaluation of {len(names)} policies"


def introduction(lines: Sequence[Line], comparisons: Sequence[Comparison]) -> str:
    """Return what was compared, and what came out."""
    return "".join(f"<p>{text(one)}</p>" for one in _sentences(lines, comparisons))


def _sentences(
    lines: Sequence[Line], comparisons: Sequence[Comparison]
) -> Iterable[str]:
    num_episodes = sum(len(line.episodes) for line in lines)
    policies = "policies" if len(lines) > 1 else "policy"
    ids = [line.cache.metadata.get("env_id") for line in lines]
    known = sorted({str(one) for one in ids if one is not None})  # of any type
    where = f" in {', '.join(known)}" if known else ""
    yield (
        f"{len(lines)} {policies}{where}, {num_episodes} episodes that ended, all of "
        "them recorded."
    )
    num_unfinished = sum(line.num_unfinished for line in lines)
    if num_unfinished:
        yield f"{num_unfinished} more episodes were cut before their end: not counted."
    yield from notes_on_nan(lines)
    for comparison in comparisons:
        if not comparison.pairs:
            yield (
                f"{comparison.other} and {comparison.first} have no seed in common, so "
                "that nothing is compared seed by seed."
            )
        elif any(comparison.num_alone):
            first, other = comparison.num_alone
            yield (
                f"{other} episodes of {comparison.other} and {first} of "
                f"{comparison.first} are of seeds that the other does not have, and "
                "not compared seed by seed."
            )


def finding(line: Mapping[str, Any]) -> str:
    """Return in words whether a policy returns more, from a line of the summary."""
    low, high = line["difference_low"], line["difference_high"]
    if math.isnan(low):
        word = "is not known to return more or less than"
    elif low > 0:
        word = "returns more than"
    elif high < 0:
        word = "returns less than"
    else:
        word = "is not shown to return more or less than"
    return f"{line['policy']} {word} {line['against']}"


def verdict(line: Mapping[str, Any]) -> str:
    """Return in words what the pairs of a policy say, from a line of the summary."""
    first, n = line["against"], line["pairs"]
    difference = difference_in_words(line, f" on average over {n} seeds")
    found = (
        f"{finding(line)}: {difference}. It is better on {line['better']} of them and "
        f"worse on {line['worse']} (sign test: p = {text_of(line['sign_test_p'])})."
    )
    if line["success_pairs"]:
        found += (
            f" It succeeds on {line['gained']} seeds where {first} fails, and fails on "
            f"{line['lost']} where {first} succeeds (p = {text_of(line['flips_p'])})."
        )
    return found


def policies_table(lines: Iterable[Mapping[str, Any]]) -> str:
    """Return the numbers of each policy as a table."""
    rows = list(lines)
    has_success = any(row["success_n"] for row in rows)
    success = ["Success rate"] if has_success else []
    returns = ["Mean return", "Median", "Interquartile mean", "Mean length"]
    heads = ["Policy", "Episodes", *success, *returns]
    body = [
        [
            text(row["policy"]),
            f"{row['n']:,}",
            *([_rate(row)] if has_success else []),
            text_of(row["return_mean"]),
            text_of(row["return_median"]),
            _with_interval(row, "return_iqm"),
            text_of(row["length_mean"]),
        ]
        for row in rows
    ]
    return _table(heads, body, num_left=1)


def seeds_table(paired: PairedColumns, order: Sequence[int]) -> str:
    """Return the pairs as a table, the first ones open and the others to be opened."""
    rank = {seed: number for number, seed in enumerate(order)}
    rows = sorted(paired.lines(), key=lambda row: rank[row["seed"]])
    heads = ["Seed", "Policy", "Return", "against", "Return", "Difference", "Success"]
    body = [
        [
            str(row["seed"]),
            text(row["policy"]),
            text_of(row["return"]),
            text(row["against"]),
            text_of(row["return_against"]),
            _signed(row["difference"]),
            _flip(row),
        ]
        for row in rows[:_MAX_SEEDS]
    ]
    shown = _table(heads, body[:_FIRST_SEEDS], num_left=2)
    if len(body) > _FIRST_SEEDS:
        more = _table(heads, body[_FIRST_SEEDS:], num_left=2)
        count = len(body) - _FIRST_SEEDS
        shown += f"<details><summary>{count:,} more pairs</summary>{more}</details>"
    if len(rows) > _MAX_SEEDS:
        shown += f"<p>{len(rows) - _MAX_SEEDS:,} more are in the recordings.</p>"
    return shown


def caption(one: Chosen, *, with_seed: bool) -> str:
    """Return what is known of an episode, for the line above its pictures."""
    episode = one.episode
    seed = f", seed {episode.seed}" if with_seed and episode.seed is not None else ""
    outcome = {True: ", succeeded", False: ", failed", None: ""}[one.success]
    end = "terminated" if episode.terminated else "truncated"
    return text(
        f"{one.policy}{seed}: return {episode.total_reward:.4g}, {episode.length} "
        f"steps{outcome}, {end}"
    )


def sources_list(lines: Sequence[Line], when: str, version: str) -> str:
    """Return where the numbers come from."""
    names = dict.fromkeys(
        "a temporary recording" if line.cache.recording.is_temporary else path.name
        for line in lines
        for path in line.cache.recording.paths
    )
    weights = [line.cache.metadata.get("reward_weights") for line in lines]
    known = dict.fromkeys(_listed(one) for one in weights if one is not None)
    items = [
        f"Recordings: {', '.join(names)}",
        f"Policies: {', '.join(line.name for line in lines)}",
        *(f"Rewards: several objectives, weighted {one}" for one in known),
        f"Written {when} by rollout_viewer {version}",
    ]
    return f"<ul>{''.join(f'<li>{text(item)}</li>' for item in items)}</ul>"


def _listed(weights: Any) -> str:
    """Return metadata, which may be anything, as text."""
    numbers = weights if isinstance(weights, list) else [weights]
    return ", ".join(text_of(one) for one in numbers)


def _rate(row: Mapping[str, Any]) -> str:
    if not row["success_n"]:
        return "-"
    low, high = (100 * row[f"success_{end}"] for end in ("low", "high"))
    known = "" if row["success_n"] == row["n"] else f" of {row['success_n']:,}"
    return f"{100 * row['success_rate']:.1f} %{known} ({low:.1f} to {high:.1f})"


def _with_interval(row: Mapping[str, Any], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    value = text_of(row[name])
    return value if math.isnan(low) else f"{value} ({text_of(low)} to {text_of(high)})"


def _signed(value: float) -> str:
    return text_of(value) if math.isnan(value) else f"{value:+.4g}"


def _flip(row: Mapping[str, Any]) -> str:
    word = {True: "yes", False: "no", None: "-"}
    first, other = word[row["success_against"]], word[row["success"]]
    if row["flip"]:
        return f'<b class="{row["flip"]}">{row["flip"]}</b>'
    return first if first == other else f"{first} / {other}"


def _table(
    heads: Sequence[str], body: Iterable[Sequence[str]], *, num_left: int
) -> str:
    """Return a table; cells are HTML, and those after the first ones are numbers."""

    def line(tag: str, cells: Sequence[str]) -> str:
        shown = (
            f"<{tag}{'' if number < num_left else ' class=n'}>{cell}</{tag}>"
            for number, cell in enumerate(cells)
        )
        return f"<tr>{''.join(shown)}</tr>"

    rows = "".join(line("td", cells) for cells in body)
    head = f"<thead>{line('th', [text(one) for one in heads])}</thead>"
    return f'<div class="wide"><table>{head}<tbody>{rows}</tbody></table></div>'
