"""Partitioners: who gets which of the examples that lie in one place.

Enters: functions from labels, ids or a number of examples, and a seed, to a list with each client's indices: disjoint
and complete. Stays out: the arrays themselves; `fedanalytics.datasets.from_partition` deals them out.

Names and rules are those that people know from Flower's partitioners; the examples of a share are always drawn at
random, and no class or example is ever left out.
"""

from fedanalytics.datasets.partition.by_id import natural
from fedanalytics.datasets.partition.by_label import dirichlet, pathological
from fedanalytics.datasets.partition.by_size import by_sizes, exponential, iid, linear, square

__all__ = ["by_sizes", "dirichlet", "exponential", "iid", "linear", "natural", "pathological", "square"]
