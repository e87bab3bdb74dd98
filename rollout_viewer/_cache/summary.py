"""The figures of a recording's episodes: returns, lengths, and how many succeeded.

The only module of the package that imports scipy.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rollout_viewer._recording.episode import Episode

_NO_SCIPY = 'its interval needs: pip install "rollout-viewer[stats]"'


@dataclass(frozen=True, repr=False)
class Summary(Mapping[str, Any]):
    """Figures of episodes, by key or attribute; printed and shown as a table.

    Attributes:
        num_episodes: All that have begun.
        num_finished: Those that terminated or were truncated. Returns and lengths are
            theirs; None: there is none.
        return_mean: Mean of `Episode.total_reward`.
        return_median: Its median.
        return_min: Its least.
        return_max: Its greatest.
        length_mean: Mean of `Episode.length`.
        num_known: Episodes whose success is known; the rate is theirs.
        num_successes: Those of them that succeeded.
        success_rate: 0..1; None: of no episode it is known.
        success_interval: Its 95% Wilson score interval; None: no rate, or no scipy.
    """

    num_episodes: int
    num_finished: int
    return_mean: float | None
    return_median: float | None
    return_min: float | None
    return_max: float | None
    length_mean: float | None
    num_known: int
    num_successes: int
    success_rate: float | None
    success_interval: tuple[float, float] | None

    def __getitem__(self, name: str) -> Any:
        if name not in self._names():
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> list[str]:
        return [field.name for field in fields(self)]

    def lines(self) -> list[tuple[str, str]]:
        """Return the table that is shown: names and texts."""
        lines = [
            ("episodes", f"{self.num_episodes} ({self.num_finished} finished)"),
        ]
        if self.return_mean is not None:
            lines += [
                ("return mean", f"{self.return_mean:.4g}"),
                ("return median", f"{self.return_median:.4g}"),
                ("return range", f"{self.return_min:.4g} to {self.return_max:.4g}"),
                ("length mean", f"{self.length_mean:.4g}"),
            ]
        if self.success_rate is not None:
            text = f"{self.success_rate:.1%} ({self.num_successes} of {self.num_known})"
            lines.append(("success rate", text))
            if self.success_interval is None:
                lines.append(("", _NO_SCIPY))
            else:
                low, high = self.success_interval
                lines.append(("95% interval", f"{low:.1%} to {high:.1%} (Wilson)"))
        return lines

    def __repr__(self) -> str:
        return "\n".join(f"{name:<14}{text}" for name, text in self.lines())

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
            for name, text in self.lines()
        )
        return f"<table>{rows}</table>"


def summary_of(episodes: Sequence[Episode]) -> Summary:
    """Return the figures of episodes."""
    finished = [episode for episode in episodes if episode.is_finished]
    returns = np.array([episode.total_reward for episode in finished])
    known = [one.success for one in episodes if one.success is not None]
    count, successes = len(known), sum(known)
    return Summary(
        num_episodes=len(episodes),
        num_finished=len(finished),
        return_mean=float(returns.mean()) if finished else None,
        return_median=float(np.median(returns)) if finished else None,
        return_min=float(returns.min()) if finished else None,
        return_max=float(returns.max()) if finished else None,
        length_mean=float(np.mean([e.length for e in finished])) if finished else None,
        num_known=count,
        num_successes=successes,
        success_rate=successes / count if count else None,
        success_interval=wilson_interval(successes, count),
    )


def wilson_interval(successes: int, count: int) -> tuple[float, float] | None:
    """Return the 95% Wilson score interval of a rate; None: no trial, or no scipy.

    Source: Wilson (1927), recommended for few trials and rates near 0 or 1 by Brown,
    Cai and DasGupta (2001), "Interval Estimation for a Binomial Proportion".

    Example:
        >>> low, high = wilson_interval(8, 10)
        >>> print(f"{low:.3f} {high:.3f}")
        0.490 0.943
    """
    if not count:
        return None
    try:
        from scipy.stats import binomtest
    except ImportError:
        return None
    found = binomtest(successes, count).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)
