"""The only door: price, reserve, collect, commit, release.

Enters: the driver, what it returns (`Release`), and the dry run (`Preview`). Stays out: how anything is estimated,
noised, stored or computed on a client.
"""

from fedanalytics.session.preview import Preview
from fedanalytics.session.release import Price, Receipt, Release
from fedanalytics.session.session import Session

__all__ = ["Preview", "Price", "Receipt", "Release", "Session"]
