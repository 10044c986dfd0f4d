"""Where in the user's own source a call was written: what every message and every row of `privacy` points at."""

from __future__ import annotations

import inspect
import os

import numpy as np

# A ufunc on a placed value passes through numpy's own operator mixin, which is nobody's line either.
_NOT_THE_USER = tuple(os.path.dirname(path) + os.sep for path in (__file__, np.__file__))  # noqa: PTH120  # text is compared


def user_line() -> str:
    """``file:line`` of the innermost call outside this package and numpy.

    It is for people only: no digest holds it, so moving a function changes no query.
    """
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(_NOT_THE_USER):
        frame = frame.f_back
    return "?" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"
