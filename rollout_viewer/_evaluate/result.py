"""The result of an evaluation: its numbers, and the recordings that show them."""

from __future__ import annotations

import functools
import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout_viewer._evaluate.figure import draw_result
from rollout_viewer._evaluate.findings import Findings
from rollout_viewer._evaluate.lines import lines_of
from rollout_viewer._evaluate.pairs import compare_lines, order_of_seeds, paired_columns
from rollout_viewer._evaluate.policy_table import policy_table
from rollout_viewer._evaluate.report import write_report
from rollout_viewer._evaluate.shown import shown_comparison
from rollout_viewer._evaluate.statistics import scipy_stats
from rollout_viewer._viewer.widget import view
from rollout_viewer.loggers._reports import find_log_report, log_report

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._evaluate.columns import Columns
    from rollout_viewer._evaluate.lines import Line, Success
    from rollout_viewer._evaluate.pairs import Comparison, PairedColumns
    from rollout_viewer._recording.episode import Episode
    from rollout_viewer._viewer.widget import RolloutViewer


class EvaluationResult:
    """Policies on the same seeds: how good each is, and where they differ.

    `rollout_viewer.evaluate` returns one; `from_recordings` makes one of what was
    recorded before. It has the episodes that had ended when it was made.

    Args:
        lines: The episodes of each policy; the others are compared with the first.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        scipy_stats("EvaluationResult")
        self._lines = tuple(lines)

    @classmethod
    def from_recordings(
        cls,
        sources: Any,
        *,
        segments: Sequence[str] | None = None,
        by: str | None = None,
        success: Success | None = None,
    ) -> EvaluationResult:
        """Return the result of what is recorded.

        Args:
            sources: A cache, a recorder or a path, whose segments are compared; or a
                dict of such by name, which are. Episodes outside of a segment are not
                compared with those inside.
            segments: Of the one recording, which; the others are compared with the
                first. None: all, in the order in which they began.
            by: Of the one recording, a label whose values are compared, as
                ``"train_step"`` of the evaluations of a training run.
            success: Called with each `Episode`, returns True, False or None (not
                known); None: `Episode.success`.

        Raises:
            RowError: No episode has ended, or there is no such segment or label.
            ValueError: A name, a segment or a path is there twice.
            TypeError: `sources` holds no recording, or is a list of caches, which have
                no names; or `segments` is no list of names.
            MissingDependencyError: scipy is not installed.
        """
        where = "EvaluationResult.from_recordings"
        return cls(
            lines_of(sources, success=success, segments=segments, by=by, where=where)
        )

    @property
    def lines(self) -> tuple[Line, ...]:
        """The episodes of each policy, and whether they succeed."""
        return self._lines

    @property
    def caches(self) -> Mapping[str, FrameCache]:
        """Policy -> the recording that has its episodes, maybe the same for all."""
        return {line.name: line.cache for line in self._lines}

    @functools.cached_property
    def table(self) -> Columns:
        """The numbers of each policy, by column; ``pandas.DataFrame`` takes it.

        ``policy``, ``n`` (episodes that ended), ``unfinished``, ``success_n`` (of how
        many success is known), ``success_rate`` with ``success_low`` and
        ``success_high`` (Wilson), ``return_mean``, ``return_median``, ``return_iqm``
        (mean of the middle half) with ``return_iqm_low`` and ``return_iqm_high``
        (bootstrap), ``length_mean``. Intervals are of 95 %; what is not known is NaN.
        """
        return policy_table(self._lines)

    @functools.cached_property
    def paired(self) -> PairedColumns:
        """Each pair of episodes of one seed, by column; the first policy is the other.

        ``seed``, ``policy``, ``against`` (the first policy), ``return`` and
        ``return_against``, ``difference``, ``winner`` ("": equal, or not known),
        ``success`` and ``success_against``, ``flip`` ("gained": only ``policy``
        succeeds, "lost": only the first does), ``length`` and ``length_against``.

        ``paired.summary`` has a line for each policy but the first: ``pairs``; how many
        episodes of it (``unpaired``) and of the first (``unpaired_against``) are of no
        seed that both have, and not compared; ``difference_mean`` with
        ``difference_low`` and ``difference_high`` (bootstrap, 95 %), on how many seeds
        it is ``better``, ``worse`` and ``equal``, ``sign_test_p`` of these,
        ``success_pairs``, how many successes were ``gained`` and ``lost``, and
        ``flips_p`` of these (McNemar's exact test). ``is_worse``: the interval is below
        zero, or it lost more than it gained with p < 0.05.
        """
        return paired_columns(self.comparisons)

    @functools.cached_property
    def comparisons(self) -> list[Comparison]:
        """The pairs of episodes, by policy."""
        return compare_lines(self._lines)

    @functools.cached_property
    def seeds(self) -> list[int]:
        """The seeds of all pairs: flips first, then the largest difference."""
        return order_of_seeds(self.comparisons)

    def figure(self) -> Figure:
        """Return a figure: the returns of each policy, and the difference on each seed.

        A dot is an episode; the bar above them the interquartile mean with its 95 %
        interval. A mark of the strip is a seed, a triangle where success flipped; the
        band is the 95 % interval of the mean difference.
        """
        return draw_result(self._lines, self.comparisons)

    def report(
        self,
        path: str | os.PathLike[str],
        *,
        title: str | None = None,
        max_mb: float = 20,
        overwrite: bool = False,
    ) -> Path:
        """Write one HTML page for a reader who was not there; it needs no network.

        What was compared and what came out, the tables, figures, strips of the flipped,
        best and worst episodes, and a viewer that plays the pairs among them. Pictures
        that are to be rendered are, of these episodes.

        Args:
            path: Of the page; a taken name gets ``-1``, ``-2``, ... unless `overwrite`.
            title: None: the names of the policies.
            max_mb: Largest size in megabytes (10**6 bytes). The viewer has fewer
                episodes or pictures where all are too large.
            overwrite: Replace a file of that name.

        Returns:
            The file, there whole or not at all.

        Raises:
            ValueError: `max_mb` is no number above zero, or `path` no name of a page.
            ExportTooLargeError: Tables and strips alone are larger.
            ExportError: The file cannot be written.
        """
        return write_report(
            self._findings, path, title=title, max_mb=max_mb, overwrite=overwrite
        )

    def dump(
        self,
        logger: Any,
        tag: str = "evaluation",
        step: int | None = None,
        *,
        title: str | None = None,
        max_mb: float = 20,
    ) -> list[Path]:
        """Hand a report to a logger.

        W&B shows it as HTML, MLflow has it as an artifact; `CSVLogger` and
        `TensorboardLogger` as a file in ``reports/``, of which TensorBoard has a text
        that says where it is.

        Args:
            logger: One of `rollout_viewer.loggers`, or of yours with
                ``log_report(name, path, step=)``; one of TorchRL or of
                Stable-Baselines3; a run of W&B or MLflow; torch's ``SummaryWriter``.
            tag: Its name there.
            step: Of the training; None: the logger counts, if it can.
            title: As for `report`.
            max_mb: Likewise.

        Returns:
            The files, as far as the logger returns them.

        Raises:
            TypeError: The logger can take no page; nothing is written then.
            ValueError: `max_mb` is no number above zero.
            ExportTooLargeError: Tables and strips alone are larger.
            ExportError: The logger failed.
        """
        find_log_report(logger)
        with tempfile.TemporaryDirectory(prefix="rollout_viewer_") as folder:
            page = self.report(Path(folder, "report.html"), title=title, max_mb=max_mb)
            return log_report(logger, tag, page, step)

    @functools.cached_property
    def viewer(self) -> RolloutViewer:
        """The episodes: a line of tiles for each policy, a column for each seed.

        Seeds on which success flipped come first, then those with the largest
        difference; all tiles start their episodes together. Its Compare tab has the
        numbers of `table` and `paired`. It shows the episodes of this result, whatever
        else is in the recording.
        """
        caches = self.caches
        is_one = len({id(cache) for cache in caches.values()}) == 1
        first_env = dict.fromkeys(caches, 0)
        if not is_one:  # beside each other, with their envs numbered on
            numbers = [cache.num_envs for cache in caches.values()]
            firsts = itertools.accumulate(numbers[:-1], initial=0)
            first_env = dict(zip(caches, firsts, strict=True))

        def place_of(policy: str, episode: Episode) -> tuple[int, int]:
            return first_env[policy] + episode.env, episode.index

        comparison = shown_comparison(
            self._findings,
            place_of,
            lines=[line.name for line in self._lines] if is_one else None,
            seeds=self.seeds,
        )
        source: Any = self._lines[0].cache if is_one else caches
        return view(source, comparison=comparison)

    @property
    def _findings(self) -> Findings:
        return Findings(
            self._lines, self.comparisons, self.table, self.paired, self.seeds
        )

    def __repr__(self) -> str:
        return repr(self.table)

    def _repr_html_(self) -> str:
        return self.table.as_html()


def report(
    sources: Any,
    path: str | os.PathLike[str],
    *,
    segments: Sequence[str] | None = None,
    by: str | None = None,
    success: Success | None = None,
    title: str | None = None,
    max_mb: float = 20,
    overwrite: bool = False,
) -> Path:
    """Write one HTML page about policies that were recorded; it needs no network.

    Args:
        sources: An `EvaluationResult`, or what its `from_recordings` takes: a recording
            whose segments are compared, or several by name.
        path: Of the page; a taken name gets ``-1``, ``-2``, ... unless `overwrite`.
        segments: As for `EvaluationResult.from_recordings`.
        by: Likewise.
        success: Likewise.
        title: As for `EvaluationResult.report`.
        max_mb: Likewise.
        overwrite: Likewise.

    Returns:
        The file, there whole or not at all.

    Raises:
        RowError: No episode has ended, or there is no such segment or label.
        ValueError: Segments, a label or success are given for an `EvaluationResult`,
            `max_mb` is no number above zero, or `path` is no name of a page.
        ExportTooLargeError, ExportError: As `EvaluationResult.report`.
    """
    if isinstance(sources, EvaluationResult):
        if any(given is not None for given in (segments, by, success)):
            raise ValueError(
                "rv.report: expected segments=, by= and success= with recordings, got "
                "one with an EvaluationResult, which has its own. Leave them out."
            )
        result = sources
    else:
        result = EvaluationResult(
            lines_of(
                sources, success=success, segments=segments, by=by, where="rv.report"
            )
        )
    return result.report(path, title=title, max_mb=max_mb, overwrite=overwrite)
