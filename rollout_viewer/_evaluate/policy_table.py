"""The numbers of each policy: how often it succeeds, what it returns, how long."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._evaluate.columns import Columns
from rollout_viewer._evaluate.lines import notes_on_nan
from rollout_viewer._evaluate.statistics import (
    interquartile_mean,
    interquartile_mean_interval,
    rate_interval,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from rollout_viewer._evaluate.lines import Line


def policy_table(lines: Sequence[Line]) -> Columns:
    """Return a line for each policy; see `EvaluationResult.table`."""
    rows = [_numbers_of(line) for line in lines]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return Columns(columns, notes=notes_on_nan(lines))


def _numbers_of(line: Line) -> dict[str, Any]:
    returns = np.array([one.total_reward for one in line.episodes], np.float64)
    lengths = np.array([one.length for one in line.episodes], np.float64)
    known = [success for success in line.successes if success is not None]
    rate = rate_interval(sum(known), len(known))
    iqm = interquartile_mean_interval(returns)
    return {
        "policy": line.name,
        "n": len(line.episodes),
        "unfinished": line.num_unfinished,
        "success_n": len(known),
        "success_rate": sum(known) / len(known) if known else math.nan,
        "success_low": rate.low,
        "success_high": rate.high,
        "return_mean": _mean(returns),
        "return_median": float(np.median(returns)) if len(returns) else math.nan,
        "return_iqm": interquartile_mean(returns),
        "return_iqm_low": iqm.low,
        "return_iqm_high": iqm.high,
        "length_mean": _mean(lengths),
    }


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else math.nan
