"""From the clients to the server: sums, means, extremes, and any other fold; exact, or noised with a bound and a cost.

Every value that the server learns passes through one of these. With ``bounds=`` (or a `clip`) and a cost, a sum or a
mean is released with noise when a `Session` runs the computation. A direct call is a simulation: it computes the same
exactly, on values clipped in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fedanalytics.computation import exact
from fedanalytics.computation.bounds import Range
from fedanalytics.computation.clipping import clip
from fedanalytics.computation.local import as_local
from fedanalytics.computation.offers import Offer
from fedanalytics.computation.values import Value, bad_argument, bad_type, node, placed, shown
from fedanalytics.computation.vectors import leaves
from fedanalytics.computation.views import fixed, is_number
from fedanalytics.errors import BadArgument, FedAnalyticsError
from fedanalytics.types import CLIENTS, SERVER, FederatedType, TensorType, check_assignable, conform, type_of


def federated_sum(
    value: Value,
    *,
    bounds: tuple[float, float] | None = None,
    rho: float | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    noise_multiplier: float | None = None,
) -> Value:
    """The sum over the clients, at the server; structs field by field.

    Without a cost it is exact. Integers never wrap: the sum of intN and bool is int64, of uintN uint64, and a sum
    beyond that is an error; floats keep their dtype (accumulated in float64). Over no clients it is 0; NaN propagates.

    Args:
        value: numbers at the clients.
        bounds: (lower, upper); the same as summing ``clip(value, bounds)``.
        rho: the cost of a noised release (zCDP), which needs bounds. Formal guarantee: `round.moments.Interval`, for a
            vector `round.ball.Ball`. The result is a float.
        epsilon: the cost in another form: pure, or with `delta`.
        delta: goes with `epsilon`.
        noise_multiplier: the cost in another form.

    Raises:
        BadType: the value is not made of numbers, or not at the clients.
        BadArgument: a cost without a bound, two costs, bad bounds.
    """
    return _aggregate("sum", value, bounds, _offer("sum", rho, epsilon, delta, noise_multiplier))


def federated_mean(
    value: Value,
    weight: Value | None = None,
    *,
    bounds: tuple[float, float] | None = None,
    rho: float | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    noise_multiplier: float | None = None,
) -> Value:
    """The mean over the clients, at the server; structs field by field.

    Without a cost it is exact: float64 for integers and bool, else the dtype of the value, accumulated in float64. It
    does not exist over no clients, and a simulation then says so; NaN propagates.

    Args:
        value: numbers at the clients.
        weight: a number >= 0 per client; the sum of all must not be 0. There is no noised form with weights.
        bounds: (lower, upper); the same as the mean of ``clip(value, bounds)``.
        rho: the cost of a noised release (zCDP), which needs bounds. Formal guarantee: `round.moments.Moments`. A
            clipped vector is released as a noisy sum (`round.ball.Ball`) and a noisy count, which gets
            1 / (1 + sqrt(d)) of the cost: that share makes the worst total squared error of Gaussian noise least,
            d / s + 1 / (1 - s). The number of clients is private too.
        epsilon: the cost in another form: pure, or with `delta`.
        delta: goes with `epsilon`.
        noise_multiplier: the cost in another form.

    Raises:
        BadType: the value is not made of numbers, or not at the clients.
        BadArgument: a cost without a bound, two costs, bad bounds, a cost with weights.
    """
    offer = _offer("mean", rho, epsilon, delta, noise_multiplier)
    if weight is not None:
        placed("federated_mean", weight, CLIENTS, "broadcast the server value first: federated_broadcast({})", "weight")
        member = weight.type.member
        if not (isinstance(member, TensorType) and member.shape == () and member.dtype.kind in "biuf"):
            raise bad_type("federated_mean", f"weight= must be one real number per client, it is {weight.type}")
        if offer is not None:
            raise bad_argument(
                "federated_mean",
                "a weighted mean has no noised form; release two noised sums, federated_sum(x * w, bounds=..., rho=...)"
                " and federated_sum(w, bounds=..., rho=...), and divide them",
            )
    return _aggregate("mean", value, bounds, offer, *(() if weight is None else (weight,)))


federated_average = federated_mean


def federated_min(
    value: Value,
    *,
    bounds: tuple[float, float] | None = None,
    rho: float | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    noise_multiplier: float | None = None,
) -> Value:
    """The least value over the clients, exact, at the server; structs field by field. There is no noised form.

    Raises:
        BadType: the value is not made of real numbers, or not at the clients.
        BadArgument: a cost.
    """
    return _extreme("min", value, bounds, _offer("min", rho, epsilon, delta, noise_multiplier))


def federated_max(
    value: Value,
    *,
    bounds: tuple[float, float] | None = None,
    rho: float | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    noise_multiplier: float | None = None,
) -> Value:
    """The greatest value over the clients, exact, at the server; structs field by field. There is no noised form.

    Raises:
        BadType: the value is not made of real numbers, or not at the clients.
        BadArgument: a cost.
    """
    return _extreme("max", value, bounds, _offer("max", rho, epsilon, delta, noise_multiplier))


def federated_aggregate(
    value: Value,
    zero: Any,
    accumulate: Callable[[Any, Any], Any],
    merge: Callable[[Any, Any], Any],
    report: Callable[[Any], Any],
    *,
    rho: float | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    noise_multiplier: float | None = None,
) -> Value:
    """Any other aggregate, exact: groups of clients are accumulated from `zero`, merged in order, and reported.

    Args:
        value: at the clients.
        zero: a plain value; its type is the accumulator's.
        accumulate: (accumulator, one client's value) -> accumulator.
        merge: (accumulator, accumulator) -> accumulator; the result must not depend on how clients are grouped.
        report: accumulator -> result.
        rho: refused, like the other costs: there is no noised form.
        epsilon: refused.
        delta: refused.
        noise_multiplier: refused.

    Raises:
        BadType: the functions do not fit each other, or the value is not at the clients.
        BadArgument: a cost; there is no noised form.
    """
    op = "federated_aggregate"
    placed(op, value, CLIENTS, "broadcast the server value first: federated_broadcast({})")
    if _offer("aggregate", rho, epsilon, delta, noise_multiplier) is not None:
        raise _no_noise(op)
    if isinstance(zero, Value):
        raise bad_type(op, "zero= must be a plain value, such as 0.0; it is placed")
    try:
        kind = type_of(zero)
        functions = [as_local(function) for function in (accumulate, merge, report)]
        for name, function, types in zip(
            ("accumulate", "merge"), functions, ((kind, value.type.member), (kind, kind)), strict=False
        ):
            check_assignable(function.typed(types), kind, what=f"{name}= must return what zero= is; the result")
        result = functions[2].typed((kind,))
        start = conform(zero, kind, what="zero=")
    except FedAnalyticsError as error:
        raise bad_type(op, str(error)) from None
    names = dict(zip(("accumulate", "merge", "report"), functions, strict=True))
    return node("aggregate", FederatedType(result, SERVER), (value,), zero=start, accumulator=kind, **names)


# ---------------------------------------------------------------- what they share


def _aggregate(op: str, value: Value, bounds: Any, offer: Offer | None, *weight: Value) -> Value:
    name = f"federated_{op}"
    placed(name, value, CLIENTS, "broadcast the server value first: federated_broadcast({})")
    member = value.type.member
    letters = "biuf" if op in {"min", "max"} else "biufc"
    if not fixed(member, letters) or not list(leaves(member)):
        raise bad_type(
            name,
            f"{shown(value)} is {value.type}, which is not made of numbers of fixed shape; compute them first:"
            f" federated_map(f, {shown(value)})",
        )
    if bounds is not None:
        value = clip(_as_number(value), bounds)
    kind = exact.sum_type(member) if op == "sum" else member if op in {"min", "max"} else exact.mean_type(member)
    if offer is None:
        return node(op, FederatedType(kind, SERVER), (value, *weight))
    _check_bounded(name, value)
    return node(op, FederatedType(exact.mean_type(member), SERVER), (value,), cost=offer)


def _extreme(op: str, value: Value, bounds: Any, offer: Offer | None) -> Value:
    if offer is not None:
        raise _no_noise(f"federated_{op}")
    return _aggregate(op, value, bounds, None)


def _no_noise(name: str) -> BadArgument:
    return bad_argument(
        name,
        "it has no noised form, so it takes no cost; leave the cost out for a simulation, or release a noised"
        " federated_mean or federated_sum with bounds=",
    )


def _check_bounded(name: str, value: Value) -> None:
    """A noised release needs a bound that its encoder can hold."""
    if value.op != "clip":
        raise bad_argument(
            name,
            f"a cost needs a bound on what one client can change: {name}(x, bounds=(0, 110), rho=0.01),"
            " or clip(x, l2=1.0) for a vector, as the last step before it",
        )
    if isinstance(value.attrs["bound"], Range) and not is_number(value.type.member):
        raise bad_argument(
            name,
            f"bounds= holds one number per client, {shown(value.args[0])} is {value.type}; bound the whole vector by"
            " its norm: clip(x, l2=1.0)",
        )


def _as_number(value: Value) -> Value:
    """A truth value as 0 or 1, which has bounds."""
    if isinstance(value.type.member, TensorType) and value.type.member.dtype.kind == "b":
        value = value + 0
    return value


def _offer(
    op: str, rho: float | None, epsilon: float | None, delta: float | None, noise_multiplier: float | None
) -> Offer | None:
    if (rho, epsilon, delta, noise_multiplier) == (None,) * 4:
        return None
    try:
        return Offer(rho, epsilon, delta, noise_multiplier)
    except BadArgument as error:
        raise bad_argument(f"federated_{op}", str(error)) from None
