"""Real data to try things on, and formats that users bring.

Enters: functions that make a file, or read one, of data whose clients are real. Stays out: fleets and queries; a data
set here is a path that a fleet opens like any other.
"""

from fedanalytics.datasets.aircraft import aircraft

__all__ = ["aircraft"]
