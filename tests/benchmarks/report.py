"""What every benchmark tells: rows of figures, printed and written for comparison.

A row is ours beside the peers', how many times better that is, and whether the goal
is met. `make bench` runs the benchmarks as ``python -m tests.benchmarks.<name>``.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import pathlib
import platform
from typing import NamedTuple

FOLDER = pathlib.Path(__file__).parents[2] / "build" / "bench"


class Row(NamedTuple):
    """One figure: ours, the peers', and whether the goal is met."""

    what: str
    ours: float
    peers: dict[str, float]
    unit: str
    ratio: float  # how many times better than the best peer, or than the goal
    goal: str
    ok: bool


def tell(name: str, rows: list[Row]) -> None:
    """Print `rows` as a table and write them to build/bench/<name>.json, a list."""
    width = max(len(row.what) for row in rows)
    for row in rows:
        peers = ", ".join(f"{peer} {value:,.4g}" for peer, value in row.peers.items())
        print(
            f"{'ok  ' if row.ok else 'MISS'} {row.what:{width}}  "
            f"{row.ours:>9,.4g} {row.unit:6} {row.ratio:>8,.3g}x  "
            f"goal {row.goal:28} {peers}"
        )
    FOLDER.mkdir(parents=True, exist_ok=True)
    text = json.dumps([row._asdict() for row in rows], indent=2)
    (FOLDER / f"{name}.json").write_text(text + "\n")
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}"
    )
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    num_met = sum(row.ok for row in rows)
    print(f"{name}: {num_met} of {len(rows)} ({machine}, {today})")


def at_most(
    what: str,
    ours: float,
    goal: float,
    unit: str,
    peers: dict[str, float] | None = None,
) -> Row:
    """Return a row whose goal is a bound from above."""
    best = min(peers.values()) if peers else goal
    ratio = best / ours if ours > 0 else math.inf
    return Row(
        what, ours, peers or {}, unit, ratio, f"<= {goal:g} {unit}", ours <= goal
    )


def at_least(
    what: str,
    ours: float,
    goal: float,
    unit: str,
    peers: dict[str, float] | None = None,
) -> Row:
    """Return a row whose goal is a bound from below."""
    best = max(peers.values()) if peers else goal
    return Row(
        what, ours, peers or {}, unit, ours / best, f">= {goal:g} {unit}", ours >= goal
    )
