"""NOT PRIVATE: exact values, to show what noise does in a demonstration on public data.

They are printed beside the private ones and nowhere else: no ledger, no file, no JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fedanalytics.fleet import Fleet
from fedanalytics.round.blocks import Noisy
from fedanalytics.round.estimates import Noise
from fedanalytics.statistics.statistic import Statistic


def exact_values(fleet: Fleet, queries: Sequence[Statistic]) -> list[Any]:
    """What each query estimates, from sums without noise: clipped to the bounds, on the finest grid."""
    encoders = [query.block.encoder for query in queries]
    totals = fleet.sums([query.block for query in queries], [encoder.finest for encoder in encoders])
    return [
        encoder.estimate(Noisy(total / encoder.finest, Noise(0.0))).value
        for encoder, total in zip(encoders, totals, strict=True)
    ]
