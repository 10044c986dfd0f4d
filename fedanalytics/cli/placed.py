"""Refusals in the words of a file: an argument that the library names becomes the key that it was read from."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from fedanalytics.errors import BadArgument


@contextlib.contextmanager
def placed(**places: str) -> Iterator[None]:
    """What is refused inside names these places instead of these arguments.

    Example:
        >>> with placed(cohort="training.cohort", population="data.population"):
        ...     raise BadArgument("cohort=9 is larger than population=3; cohort= must be less")
        Traceback (most recent call last):
        ...
        fedanalytics.errors.BadArgument: training.cohort = 9 is larger than data.population = 3; training.cohort must be
        less
    """
    try:
        yield
    except BadArgument as error:
        raise BadArgument(_in_places(str(error), places)) from error


def _in_places(refusal: str, places: dict[str, str]) -> str:
    def place(found: re.Match[str]) -> str:
        name, value = found.groups()
        return f"{places[name]} = {value}" if value else places[name]

    return re.sub(rf"\b({'|'.join(places)})=([^\s,;:.)]?)", place, refusal)
