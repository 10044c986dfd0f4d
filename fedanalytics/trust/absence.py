"""Clients that do not take part, and the round that ends for want of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from fedanalytics.errors import RoundAborted
from fedanalytics.trust.policy import Refused
from fedanalytics.trust.priced import Cohort


def all_but(gone: Iterable[int]) -> Cohort:
    """The cohort of all clients but some, by position in the roster."""
    absent = sorted(gone)

    def taking_part(clients: int) -> npt.NDArray[np.bool_]:
        mask = np.ones(clients, dtype=np.bool_)
        mask[absent] = False
        return mask

    return taking_part


def why(refused: Mapping[int, Refused]) -> str:
    """The reasons of those who refused, most frequent first: "90 refused (less noise than ...)"."""
    counts = Counter(f"{one.why.value}: {one.detail}" for one in refused.values())
    return "; ".join(f"{count} refused ({reason})" for reason, count in counts.most_common())


def aborted(reason: str) -> RoundAborted:
    """The error that ends a round."""
    return RoundAborted(f"the round ended without a sum: {reason}. Nothing was released; what was reserved stays spent")
