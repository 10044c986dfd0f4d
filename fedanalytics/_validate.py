"""Checks at the door: one keyword names the argument, so that the message can.

>>> positive(rho=-1)
Traceback (most recent call last):
...
fedanalytics.errors.BadArgument: rho= must be a positive finite number, got -1
"""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Iterable, Sequence
from typing import Any

from fedanalytics.errors import BadArgument


def real(value: object) -> bool:
    """Whether `value` is a number and not a bool (True is no privacy parameter)."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _only(argument: dict[str, Any]) -> tuple[str, Any]:
    ((name, value),) = argument.items()
    return name, value


def positive(**argument: Any) -> Any:
    """The value, if it is a positive finite number."""
    name, value = _only(argument)
    if not (real(value) and math.isfinite(value) and value > 0):
        raise BadArgument(f"{name}= must be a positive finite number, got {value!r}")
    return value


def probability(**argument: Any) -> float:
    """The value as a float, if it lies strictly between 0 and 1."""
    name, value = _only(argument)
    if not (real(value) and 0 < value < 1):
        raise BadArgument(f"{name}= must lie strictly between 0 and 1, got {value!r}")
    return float(value)


def rate(**argument: Any) -> float:
    """The value as a float, if it is above 0 and at most 1."""
    name, value = _only(argument)
    if not (real(value) and 0 < value <= 1):
        raise BadArgument(f"{name}= must be a probability in (0, 1], got {value!r}")
    return float(value)


def fraction(**argument: Any) -> float:
    """The value as a float, if it lies in [0, 1)."""
    name, value = _only(argument)
    if not (real(value) and 0 <= value < 1):
        raise BadArgument(f"{name}= must be a fraction in [0, 1), got {value!r}")
    return float(value)


def whole(minimum: int = 1, **argument: Any) -> int:
    """The value as an int, if it is a whole number of at least `minimum`."""
    name, value = _only(argument)
    if not (isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= minimum):
        raise BadArgument(f"{name}= must be a whole number of at least {minimum}, got {value!r}")
    return int(value)


def interval(**argument: Any) -> tuple[float, float]:
    """The value as (lower, upper), if both are finite and lower < upper."""
    name, value = _only(argument)
    ok = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2 and all(map(real, value))
    if not (ok and all(map(math.isfinite, value)) and value[0] < value[1]):
        raise BadArgument(f"{name}= must be (lower, upper), two finite numbers with lower < upper, got {value!r}")
    return float(value[0]), float(value[1])


def text(**argument: Any) -> str:
    """The value, if it is a string with something in it."""
    name, value = _only(argument)
    if not (isinstance(value, str) and value.strip()):
        raise BadArgument(f"{name}= must be a string that is not empty, got {value!r}")
    return value


def one_of(choices: Iterable[str], **argument: Any) -> str:
    """The value, if it is one of `choices`; the message suggests the nearest."""
    name, value = _only(argument)
    choices = tuple(choices)
    if value not in choices:
        raise BadArgument(
            f"{name}={value!r} is unknown{did_you_mean(value, choices)}; choose from {', '.join(choices)}"
        )
    return str(value)


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """', did you mean ...?' or nothing."""
    near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.6)
    return f", did you mean {near[0]!r}?" if near else ""
