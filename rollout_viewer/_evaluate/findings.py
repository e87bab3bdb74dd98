"""All that was found out about policies: what a figure, a viewer and a report show."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_viewer._evaluate.columns import Columns
    from rollout_viewer._evaluate.lines import Line
    from rollout_viewer._evaluate.pairs import Comparison, PairedColumns


class Findings(NamedTuple):
    """The numbers of an evaluation, and the episodes that they are of.

    Attributes:
        lines: The episodes of each policy.
        comparisons: Each policy but the first against the first.
        table: A line for each policy.
        paired: A line for each pair of episodes.
        seeds: Of all pairs: flips first, then the largest difference.
    """

    lines: Sequence[Line]
    comparisons: Sequence[Comparison]
    table: Columns
    paired: PairedColumns
    seeds: Sequence[int]
