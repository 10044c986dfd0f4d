"""Federated statistics: frozen queries, one file each. Bounds and per-client meaning are explicit.

Enters: queries made of works, encoders and estimators. Stays out: costs, trust models, fleets, ledgers.
"""

from fedanalytics.statistics.count import Count, count
from fedanalytics.statistics.histogram import Histogram, histogram
from fedanalytics.statistics.mean import Mean, mean
from fedanalytics.statistics.sum import Sum, sum  # noqa: A004  # fa.sum is the name people look for
from fedanalytics.statistics.variance import Variance, variance

__all__ = ["Count", "Histogram", "Mean", "Sum", "Variance", "count", "histogram", "mean", "sum", "variance"]
