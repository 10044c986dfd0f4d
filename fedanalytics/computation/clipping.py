"""`clip`: client values held to a bound, and the statement of that bound for a noised sum or mean of them."""

from __future__ import annotations

import numpy as np

from fedanalytics import _validate
from fedanalytics.computation.bounds import Bound, Radius, Range
from fedanalytics.computation.values import Value, bad_argument, bad_type, node, placed, shown
from fedanalytics.computation.vectors import leaves
from fedanalytics.computation.views import fixed
from fedanalytics.errors import BadArgument
from fedanalytics.types import CLIENTS, TensorType, Type


def clip(
    value: Value,
    bounds: tuple[float, float] | None = None,
    *,
    l1: float | None = None,
    l2: float | None = None,
    linf: float | None = None,
) -> Value:
    """Clips client values, and states the bound that a noised sum or mean of them needs.

    Args:
        value: numbers (tensors, or structs of them) at the clients.
        bounds: (lower, upper): numbers outside become the nearest end; NaN stays.
        l1: a radius; the numbers, which must be floats, side by side as one vector are scaled onto the ball.
        l2: likewise.
        linf: a radius; each number, which must be a float, is cut off.

    Raises:
        BadType: the value is not made of numbers, or not at the clients.
        BadArgument: not exactly one bound, or one that cannot be meant.
    """
    placed("clip", value, CLIENTS, "clip is for client values; broadcast the server value first")
    radii = {"l1": l1, "l2": l2, "linf": linf}
    given = [name for name, found in (("bounds", bounds), *radii.items()) if found is not None]
    if len(given) != 1:
        raise bad_argument("clip", f"give exactly one of bounds=, l1=, l2=, linf=; found {', '.join(given) or 'none'}")
    letters = "iuf" if bounds is not None else "f"
    if not fixed(value.type.member, letters):
        wanted = "real numbers" if bounds is not None else "floats"
        raise bad_type("clip", f"{given[0]}= needs {wanted} of fixed shape, {shown(value)} is {value.type}")
    try:
        bound: Bound = (
            Range(*_validate.interval(bounds=bounds))
            if bounds is not None
            else Radius(given[0], float(_validate.positive(**{given[0]: radii[given[0]]})))  # type: ignore[arg-type]  # a name of NORMS
        )
        _suits(bound, value.type.member)
    except BadArgument as error:
        raise bad_argument("clip", str(error)) from None
    return node("clip", value.type, (value,), bound=bound)


def _suits(bound: Bound, member: Type) -> None:
    """Refuses a range that integers of this type cannot be clipped to."""
    whole = [leaf.dtype for leaf in leaves(member) if leaf.dtype.kind in "iu"]
    if not isinstance(bound, Range) or not whole:
        return
    if not (bound.lower.is_integer() and bound.upper.is_integer()):
        raise BadArgument(f"bounds= of integers must be whole numbers, got ({bound.lower!r}, {bound.upper!r})")
    for dtype in whole:
        clipped = bound.clipped(np.zeros(1, dtype), TensorType(dtype))[0]
        if not bound.lower <= clipped <= bound.upper:
            raise BadArgument(f"bounds={bound} hold no {dtype}")
