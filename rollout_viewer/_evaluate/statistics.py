"""Rates, means and their intervals: scipy's, with the choices that they need.

An interval covers 95 %. One that its numbers do not give (of no rate, of a single
return) is NaN. Knows numbers alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._cache.summary import wilson_interval
from rollout_viewer._errors import requires

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Numbers = npt.NDArray[np.float64]

CONFIDENCE = 0.95
# Resamples of a bootstrap: rliable's default for a single statistic, and enough for
# three digits. 1,000 seeds take 0.1 s.
NUM_RESAMPLES = 2000
_SEED = 0  # of the resampling: the same numbers give the same interval
# Of each end, so that the mean is of the middle half.
_IQM_CUT = 0.25


class Interval(NamedTuple):
    """Both ends of a confidence interval, or NaN."""

    low: float
    high: float


_NONE = Interval(math.nan, math.nan)


def scipy_stats(who: str = "rv.evaluate") -> Any:
    """Return `scipy.stats`.

    Raises:
        MissingDependencyError: It is not installed.
    """
    with requires(who, "stats", "scipy"):
        import scipy.stats

        return scipy.stats


def rate_interval(num_successes: int, num_episodes: int) -> Interval:
    """Return the Wilson interval of a success rate.

    Example:
        >>> low, high = rate_interval(8, 10)
        >>> f"{low:.3f} {high:.3f}"
        '0.490 0.943'

    Source: E. B. Wilson, 1927. Unlike the interval of the textbooks (Wald's) it stays
        within 0..1 and is not empty where all episodes succeed.
    """
    found = wilson_interval(num_successes, num_episodes)
    if found is None:
        return _NONE
    return Interval(*found)


def mean_interval(values: Numbers) -> Interval:
    """Return the bootstrap interval of a mean."""
    return _bootstrap(values, np.mean)


def interquartile_mean(values: Numbers) -> float:
    """Return the mean of the middle half: outliers of either side change nothing.

    Source: Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical
        Precipice", NeurIPS 2021, which is what rliable computes.
    """
    return float(_iqm(values)) if len(values) else math.nan


def interquartile_mean_interval(values: Numbers) -> Interval:
    """Return the bootstrap interval of the interquartile mean."""
    return _bootstrap(values, _iqm)


def sign_test(num_above: int, num_below: int) -> float:
    """Return how likely counts at least so unequal are where neither is likelier.

    The two-sided p-value; ties are not counted. Of two policies' successes on the same
    seeds, this is McNemar's exact test. NaN: there is nothing but ties.
    """
    num_pairs = num_above + num_below
    if not num_pairs:
        return math.nan
    return float(scipy_stats().binomtest(num_above, num_pairs, 0.5).pvalue)


def _iqm(values: Numbers, axis: int = -1) -> Any:
    return scipy_stats().trim_mean(values, _IQM_CUT, axis=axis)


def _bootstrap(values: Numbers, statistic: Callable[..., Any]) -> Interval:
    if len(values) < 2 or not np.isfinite(values).all():
        return _NONE
    found = scipy_stats().bootstrap(
        # In whichever order episodes ended.
        (np.sort(values),),
        statistic,
        confidence_level=CONFIDENCE,
        n_resamples=NUM_RESAMPLES,
        vectorized=True,
        # Defined also where all values are equal, as BCa is not.
        method="percentile",
        rng=np.random.default_rng(_SEED),
    )
    interval = found.confidence_interval
    return Interval(float(interval.low), float(interval.high))
