"""All clients at once is the same as one by one, bit for bit, and no function ever sees two clients."""

# ruff: noqa: PLW0108  # a table holds one case per line, and its lambdas are what is traced

import functools
import itertools
import math
import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedanalytics.computation import federated_broadcast, federated_computation, federated_map, local_computation
from fedanalytics.computation import vectorise as vectorise_module
from fedanalytics.computation.vectorise import vectorised
from fedanalytics.computation.views import Argument
from fedanalytics.types import to_type

quiet = settings(deadline=None, max_examples=150)
ODD = [0.0, -0.0, 1.0, -1.5, 1e-300, 1e300, math.inf, -math.inf, math.nan, 3e38, 1e-45]
floats = st.one_of(st.sampled_from(ODD), st.floats(width=32), st.floats(-100, 100))

# ---------------------------------------------------------------- random expressions

UNARY = [operator.neg, operator.pos, abs, np.sqrt, np.floor, np.rint, np.sign, np.square, np.isnan]
BINARY = [
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod),
    *(operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne),
    *(np.maximum, np.minimum, np.fmax, np.copysign, np.hypot, np.arctan2),
]
constants = st.one_of(
    st.integers(-3, 9), st.floats(-10, 10, width=32), st.just(np.float32(0.1)), st.just(np.float64(2.5))
)


@st.composite
def expressions(draw, depth=3):
    """A function of (x, y) that works on placed values, arrays and numbers alike, and its text."""
    kind = draw(st.sampled_from(["x", "y", "unary", "binary", "constant"] if depth else ["x", "y"]))
    if kind in {"x", "y"}:
        return (lambda x, y: x) if kind == "x" else (lambda x, y: y)
    inner = draw(expressions(depth=depth - 1))
    if kind == "unary":
        function = draw(st.sampled_from(UNARY))
        return lambda x, y: function(inner(x, y) * 1.0)
    function = draw(st.sampled_from(BINARY))
    if kind == "binary":
        other = draw(expressions(depth=depth - 1))
        return lambda x, y: function(inner(x, y) * 1.0, other(x, y) * 1.0)
    constant, swapped = draw(constants), draw(st.booleans())
    if swapped:
        return lambda x, y: function(constant, inner(x, y) * 1.0)
    return lambda x, y: function(inner(x, y) * 1.0, constant)


def same_bits(left, right):
    left, right = np.asarray(left), np.asarray(right)
    assert left.dtype == right.dtype
    assert left.shape == right.shape
    if left.dtype.kind == "f":
        assert np.array_equal(np.isnan(left), np.isnan(right))  # the payload of a NaN is not promised
        left, right = np.nan_to_num(left, nan=7.0), np.nan_to_num(right, nan=7.0)
    assert left.tobytes() == right.tobytes()


dtypes = st.sampled_from(["float32", "float64", "int32"])


@st.composite
def columns(draw, dtype, n):
    values = st.integers(-50, 50) if dtype == "int32" else floats
    with np.errstate(over="ignore"):
        return np.array(draw(st.lists(values, min_size=n, max_size=n)), np.float64 if dtype != "int32" else int).astype(
            dtype
        )


@quiet
@given(st.data())
def test_arithmetic_on_placed_values_is_numpys(drawn):
    f, dx, dy, n = drawn.draw(expressions()), drawn.draw(dtypes), drawn.draw(dtypes), drawn.draw(st.integers(1, 9))
    x, y = drawn.draw(columns(dx, n)), drawn.draw(columns(dy, n))
    traced = federated_computation(f"{{{dx}}}@CLIENTS", f"{{{dy}}}@CLIENTS")(f)
    with np.errstate(all="ignore"):
        same_bits(traced(x, y), f(x, y))


@quiet
@given(st.data())
def test_mapped_at_once_is_mapped_one_by_one(drawn):
    f, dx, dy, n = drawn.draw(expressions()), drawn.draw(dtypes), drawn.draw(dtypes), drawn.draw(st.integers(1, 9))
    x, y = drawn.draw(columns(dx, n)), drawn.draw(columns(dy, n))

    def one_by_one(a, b):
        str(a)  # which a stand-in for many clients refuses
        return f(a, b)

    types = (f"{{{dx}}}@CLIENTS", f"{{{dy}}}@CLIENTS")
    at_once = federated_computation(*types)(lambda a, b: federated_map(f, [a, b]))
    looped = federated_computation(*types)(lambda a, b: federated_map(one_by_one, [a, b]))
    same_bits(at_once(x, y), looped(x, y))


@quiet
@given(st.data())
def test_a_server_computes_what_one_client_does(drawn):
    f = drawn.draw(expressions())
    x, y = drawn.draw(st.floats(width=32)), drawn.draw(st.floats(width=32))
    at_server = federated_computation("float32@SERVER", "float32@SERVER")(lambda a, b: federated_map(f, [a, b]))
    at_client = federated_computation("{float32}@CLIENTS", "{float32}@CLIENTS")(lambda a, b: federated_map(f, [a, b]))
    same_bits(at_server(x, y), at_client([x], [y])[0])


TRANSCENDENTAL = [np.exp, np.log1p, np.sin, np.tanh, np.cbrt, np.log2, np.arcsinh, np.expm1]


@pytest.mark.parametrize("function", [*TRANSCENDENTAL, lambda x: x**2.5, lambda x: 1.1**x], ids=str)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_position_and_company_do_not_change_a_bit(function, dtype):
    x = np.random.default_rng(3).normal(0, 3, 203).astype(dtype)
    kind = to_type(dtype)

    def run(array):
        return vectorised(function, [Argument(array, kind, shared=False)], len(array), kind)

    together = run(x)
    for i in (0, 1, 7, 100, 202):
        assert run(x[i : i + 1]).tobytes() == together[i : i + 1].tobytes()
        assert run(x[i:]).tobytes() == together[i:].tobytes()
        assert run(x[::2]).tobytes() == together[::2].tobytes(), "also from memory that is not contiguous"


FOR_FLOATS = [u for u in vectorise_module.ADMITTED if any(t.startswith("d" * u.nin + "->") for t in u.types)]


@pytest.mark.parametrize("ufunc", sorted(FOR_FLOATS, key=lambda u: u.__name__), ids=lambda u: u.__name__)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_admitted_ufunc_does_not_see_positions(ufunc, dtype):
    """Odd values in all combinations: each gives the same bits in the bulk, at the end, and alone."""
    odd = [*ODD, -1e-45, 0.5, 2.0, -3e38]
    pairs = np.array(list(itertools.product(odd, repeat=ufunc.nin)) * 2)
    np.random.default_rng(5).shuffle(pairs)
    with np.errstate(over="ignore"):
        columns = [np.ascontiguousarray(column) for column in pairs.astype(dtype).T]

    def run(*arrays):
        with np.errstate(all="ignore"):
            results = ufunc(*arrays)
        return results if isinstance(results, tuple) else (results,)

    whole = run(*columns)
    for i in range(0, len(pairs), 3):
        for result, alone, rest in zip(
            whole, run(*(c[i : i + 1] for c in columns)), run(*(c[i:] for c in columns)), strict=True
        ):
            same_bits(alone, result[i : i + 1])
            same_bits(rest, result[i:])


@pytest.mark.parametrize("function", [np.clip, lambda x, a, b: np.where(x > a, x, b)], ids=["clip", "where"])
@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (-0.0, 0.0), (-1.5, 0.0), (math.nan, 1.0), (-math.inf, -0.0)])
def test_clip_and_where_do_not_see_positions(function, a, b):
    x, kind = np.array([*ODD, -0.5] * 20), to_type("float64")

    def run(array):
        return vectorised(lambda v: function(v, a, b), [Argument(array, kind, shared=False)], len(array), kind)

    whole = run(x)
    for i in range(len(x)):
        same_bits(run(x[i : i + 1]), whole[i : i + 1])
        same_bits(run(x[i:]), whole[i:])


def test_the_ufuncs_that_see_positions_are_refused():
    kind = to_type("float64")
    argument = Argument(np.zeros(9), kind, shared=False)
    for ufunc in (np.fmax, np.fmin):
        assert ufunc not in vectorise_module.ADMITTED
        assert vectorised(lambda x, u=ufunc: u(x, -0.0), [argument], 9, kind) is None


# ---------------------------------------------------------------- what is refused

CROSSING = {
    "mean": lambda x: x - np.mean(x),
    "sum": lambda x: x / np.sum(x),
    "method": lambda x: x - x.mean(),
    "sort": lambda x: np.sort(x)[0] if np.ndim(x) else x * 1,
    "cumsum": lambda x: np.cumsum(x)[-1] * np.float32(1),
    "reduce": lambda x: np.add.reduce([x, 1]),
    "accumulate": lambda x: np.add.accumulate([x, 1.0])[-1],
    "outer": lambda x: np.add.outer(x, x) * 1,
    "norm": lambda x: x / (1 + np.linalg.norm([x])),
    "len": lambda x: x * (len(x) if hasattr(x, "__len__") else 1),
    "size": lambda x: x * x.size,
    "shape": lambda x: x * (1 + len(x.shape)),
    "max": lambda x: max(x, 3),
    "branch": lambda x: x if x > 1 else -x,
    "while": lambda x: x if abs(x) <= 1 else x / abs(x),
    "isinstance": lambda x: x * 2 if isinstance(x, np.floating) else x * 3,
    "type": lambda x: x * 2 if type(x) is np.float32 else x * 3,
    "class": lambda x: x * 2 if x.__class__ is np.float32 else x * 3,
    "identity": lambda x: x * (1 if id(x) else 2),
    "text": lambda x: x * len(f"{x:.3f}"),
    "repr": lambda x: x * len(repr(x)),
    "math": lambda x: math.sin(x),
    "float": lambda x: float(x) * 2,
    "int": lambda x: int(x) * 2.0,
    "round": lambda x: round(x, 1),
    "item": lambda x: x.item() * 2,
    "index": lambda x: np.arange(9.0)[int(abs(x)) % 9],
    "lookup": lambda x: {0.0: 1.0}.get(x, 2.0),
    "contains": lambda x: x * 2 if x in {0.0, 1.0} else x,
    "array": lambda x: np.array([x, x]).sum(),
    "where with one argument": lambda x: x * len(np.where([x])),
    "masked": lambda x: np.add(x, 1, where=x > 0, out=np.zeros(())) * 1,
    "vectorize": lambda x: np.vectorize(lambda v: v + 1)(x) * 1,
    "frompyfunc": lambda x: float(np.frompyfunc(lambda v: v + 1, 1, 1)(x)),
    "constant": lambda x: 3.5,
    "swallowed": lambda x: _swallowing(x),
    "swallowed round": lambda x: _rounding(x),
    "match": lambda x: _matching(x),
    "object": lambda x: np.add(x, np.array(1, object)) * 1.0,
    "list": lambda x: np.add(x, [1.0])[0],
}


def _swallowing(x):
    try:
        return x if x > 0 else -x
    except Exception:  # noqa: BLE001  # the fault under test
        return x * 1000


def _rounding(x):
    try:
        return round(x)
    except TypeError:
        return x * 1000


def _matching(x):
    match x:
        case np.floating():
            return x * 2
        case _:
            return x * 1000


@pytest.mark.parametrize("name", CROSSING)
def test_what_is_not_elementwise_runs_one_by_one(name):
    """A stand-in never answers a question about its values, so these give what they give for one client alone."""
    function = CROSSING[name]
    local = local_computation(returns=np.float64)(function)
    mapped = federated_computation("{float32}@CLIENTS")(lambda x: federated_map(local, x))
    x = np.array([0.0, 1.0, -2.5, 4.0, 7.25], np.float32)
    with np.errstate(all="ignore"):
        expected = [np.float64(function(v)) for v in x]
    together = mapped(x)
    alone = [mapped([v])[0] for v in x]
    same_bits(together, np.array(expected))
    same_bits(np.array(alone), np.array(expected))


@pytest.mark.parametrize("name", sorted(set(CROSSING) - {"type", "identity"}))
def test_the_stand_in_itself_refuses(name):
    kind = to_type("float32")
    x = np.array([0.0, 1.0, -2.5], np.float32)
    assert vectorised(CROSSING[name], [Argument(x, kind, shared=False)], 3, to_type("float64")) is None


def test_a_function_that_asks_for_types_is_recognised_also_through_helpers():
    def helper(x):
        return type(x)

    direct, nested = local_computation(lambda x: type(x)), local_computation(lambda x: [helper(x)])
    assert direct.indiscreet
    assert nested.indiscreet
    assert not local_computation(lambda x: x + 1).indiscreet
    assert local_computation(functools.partial(lambda k, x: [helper(x)], 1)).indiscreet
    assert local_computation(Asking().ask).indiscreet
    assert local_computation(Asking()).indiscreet


class Asking:
    def ask(self, x):
        return x if type(x) is np.float32 else -x

    def __call__(self, x):
        return self.ask(x) if id(x) else x


def test_a_change_in_place_of_an_array_is_refused():
    def change(x):
        x += 1
        return x

    kind, x = to_type("float64[2]"), np.zeros((3, 2))
    assert vectorised(change, [Argument(x, kind, shared=False)], 3, kind) is None
    assert not x.any()


ELEMENTWISE = {
    "arithmetic": lambda x: x * 9 / 5 + 32,
    "in place": lambda x: _in_place(x),
    "where": lambda x: np.where(x > 1, x, 0.0),
    "clip": lambda x: np.clip(x, -1, 2),
    "several": lambda x: np.divmod(x, 3)[1],
    "keywordless ufuncs": lambda x: np.maximum(np.sqrt(abs(x)), 1),
    "squares": lambda x: x**2,
    "nested": lambda x: local_computation(lambda v: v + 1)(x),
    "a table": lambda x: x * TABLE.max(),
}
TABLE = np.array([1.0, 2.0], np.float32)


def _in_place(x):
    y = x
    x += 1
    x *= 2
    return x - y


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_what_is_elementwise_runs_at_once(name):
    function, kind = ELEMENTWISE[name], to_type("float32")
    x = np.array([0.0, 1.0, -2.5, 4.0], np.float32)
    result = vectorised(function, [Argument(x, kind, shared=False)], 4, kind)
    same_bits(result, np.array([function(v) for v in x]))


@pytest.mark.parametrize(
    ("function", "at_once"),
    [
        (lambda n: n**2, True),
        (lambda n: n**-1.0, True),
        (lambda n: 2**n, False),
        (lambda n: n**n, False),
        (lambda n: n ** np.array([2, -2]), False),
    ],
)
def test_integer_powers_that_may_raise_run_one_by_one(function, at_once):
    kind = to_type("int64")
    result = vectorised(function, [Argument(np.arange(1, 5), kind, shared=False)], 4, kind)
    assert (result is not None) == at_once


# ---------------------------------------------------------------- members with axes, structs, shared values

SHAPES = ["float64", "float64[3]", "float64[2,3]", "float64[1]", "float64[2,1]"]


@quiet
@given(st.sampled_from(SHAPES), st.sampled_from(SHAPES), st.sampled_from(SHAPES), st.sampled_from([1, 2, 3, 5]))
def test_members_broadcast_within_a_client_never_across(left, right, told, n):
    random = np.random.default_rng(n)

    def some(kind, *first):
        return random.normal(size=(*first, *to_type(kind).shape))

    def function(a, b, w):
        return (a * w + b) / (1 + abs(w))

    try:
        expected_shape = np.broadcast_shapes(*(to_type(kind).shape for kind in (left, right, told)))
    except ValueError:
        return
    a, b, w = some(left, n), some(right, n), some(told)
    computed = federated_computation(f"{{{left}}}@CLIENTS", f"{{{right}}}@CLIENTS", f"{told}@SERVER")(
        lambda a, b, w: federated_map(function, [a, b, federated_broadcast(w)])
    )(a, b, w)
    assert computed.shape == (n, *expected_shape)
    same_bits(computed, np.stack([function(a[i], b[i], w) for i in range(n)]))


STRUCT = "<temp=float64,at=<x=float64,y=float64[2]>>"


@local_computation
def moved(r, shift):
    return {"far": r.at.y * r.temp + shift, "near": (r["at"]["x"] > 0, r.temp)}


def test_structs_are_vectorised_by_field():
    values = [{"temp": float(i), "at": {"x": i - 1.0, "y": [i, 2.0 * i]}} for i in range(4)]
    computation = federated_computation(f"{{{STRUCT}}}@CLIENTS", "float64@SERVER")(
        lambda r, s: federated_map(moved, [r, federated_broadcast(s)])
    )
    assert str(computation.type_signature.result) == "{<far=float64[2],near=<bool,float64>>}@CLIENTS"
    results = computation(values, 0.5)
    assert [r["near"] for r in results] == [(False, 0.0), (False, 1.0), (True, 2.0), (True, 3.0)]
    assert [r["far"].tolist() for r in results] == [[i * i + 0.5, 2 * i * i + 0.5] for i in range(4)]


def test_blocks_make_no_difference(monkeypatch):
    x, kind = np.linspace(-3, 3, 101), to_type("float64")
    pair = to_type("<a=float64,b=float64>")

    def function(v):
        return {"a": np.exp(v), "b": v * 2}

    def run():
        return vectorised(function, [Argument(x, kind, shared=False)], len(x), pair)

    whole = run()
    monkeypatch.setattr(vectorise_module, "BLOCK", 7)
    parts = run()
    assert [parts[name].tobytes() for name in "ab"] == [whole[name].tobytes() for name in "ab"]


@pytest.mark.parametrize("result", [{"a": 1.0}, {"b": 1.0, "a": 2.0, "c": 3.0}, (1.0,), 1.0, [1.0, 2.0]])
def test_results_of_another_structure_run_one_by_one(result):
    pair, kind = to_type("<a=float64,b=float64>"), to_type("float64")
    argument = [Argument(np.ones(3), kind, shared=False)]
    assert vectorised(lambda x: result, argument, 3, pair) is None
    assert vectorised(lambda x: x, argument, 3, pair) is None
    assert vectorised(lambda x: (x, x), argument, 3, kind) is None


def test_a_function_cannot_change_what_another_client_sees():
    @local_computation
    def spoil(x, model):
        model["w"] = model["w"] + x
        return model["w"]

    @local_computation
    def overwrite(x, model):
        str(x)
        model.w[0] = 7.0
        return x

    types = ("{float64}@CLIENTS", "<w=float64[2]>@SERVER")
    add = federated_computation(*types)(lambda x, m: federated_map(spoil, [x, federated_broadcast(m)]))
    assert add([1.0, 2.0], {"w": [0.0, 10.0]}).tolist() == [[1.0, 11.0], [2.0, 12.0]]
    from fedanalytics.errors import BadType

    with pytest.raises(BadType, match="read-only"):
        federated_computation(*types)(lambda x, m: federated_map(overwrite, [x, federated_broadcast(m)]))
    declared = local_computation(returns=np.float64)(overwrite.function)
    late = federated_computation(*types)(lambda x, m: federated_map(declared, [x, federated_broadcast(m)]))
    with pytest.raises(ValueError, match="read-only") as caught:
        late([1.0], {"w": [0.0, 0.0]})
    assert "client 0; a function sees values read-only" in caught.value.__notes__[0]
