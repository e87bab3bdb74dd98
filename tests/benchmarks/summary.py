"""The last line of `make bench`: how many goals all benchmarks together met.

Reads what the others wrote to build/bench/.
"""

from __future__ import annotations

import json

from tests.benchmarks.report import FOLDER


def main() -> None:
    rows = [
        row for path in FOLDER.glob("*.json") for row in json.loads(path.read_text())
    ]
    print(f"{sum(row['ok'] for row in rows)} of {len(rows)} goals met")


if __name__ == "__main__":
    main()
