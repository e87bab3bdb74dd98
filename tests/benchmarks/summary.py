"""The last line of `make bench`: how many goals all benchmarks together met.

Reads what the others wrote to build/bench/.
"""

from __future__ import annotations

import json
import pathlib

FOLDER = pathlib.Path(__file__).parents[2] / "build" / "bench"


def main() -> None:
    reports = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
    is_met = [row["ok"] for report in reports for row in report["rows"]]
    print(f"{sum(is_met)} of {len(is_met)} goals met")


if __name__ == "__main__":
    main()
