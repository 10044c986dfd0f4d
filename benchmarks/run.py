"""All figures as one table of ratios: ``scripts/bench``, or ``scripts/bench mean`` for the cases with that name."""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path

from cases import CASES

for more in (
    "noise",
    "accounting",
    "calibration",
    "ledger",
    "secure_aggregation",
    "report",
    "learning",
    "digits_by_writer",
    "silo",
    "auditing",
):  # each registers its cases
    importlib.import_module(more)


def main() -> None:
    """Prints a Markdown table."""
    wanted = sys.argv[1:]
    print("| work | floor or peer, same run | ratio (quartiles) | goal |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            if wanted and not any(word in case.__name__ for word in wanted):
                continue
            for row in case(Path(folder)):
                quartiles = "" if row.spread is None else f" ({row.spread[0]:.3g} to {row.spread[1]:.3g})"
                mark = "" if row.met else " **missed**"
                goal = f"<= {row.goal:.3g}{mark}"
                print(f"| {row.work} | {row.floor} | {row.ratio:.3g}{quartiles} | {goal} |", flush=True)


if __name__ == "__main__":
    main()
