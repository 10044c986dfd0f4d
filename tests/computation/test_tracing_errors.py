"""What is wrong is said where it is written: operator, argument, types, fix, file and line."""

# ruff: noqa: E501, PLW0108  # a table holds one case per line, and its lambdas are what is traced

import functools

import numpy as np
import pytest

from fedanalytics.computation import (
    clip,
    federated_aggregate,
    federated_broadcast,
    federated_computation,
    federated_map,
    federated_max,
    federated_mean,
    federated_min,
    federated_sum,
    federated_value,
    federated_zip,
    local_computation,
)
from fedanalytics.errors import BadArgument, BadType, FedAnalyticsError
from fedanalytics.types import CLIENTS, SERVER, FederatedType

X = "{float32}@CLIENTS"
N = "{int32}@CLIENTS"
S = "float32@SERVER"
V = "{float32[3]}@CLIENTS"
REC = "{<a=float32,b=int32>}@CLIENTS"
TEXT = "{str}@CLIENTS"
SEQ = "{float32*}@CLIENTS"
FREE = "{float32[?]}@CLIENTS"


@local_computation(np.float32)
def typed(x):
    return x + 1


@local_computation
def untyped(x):
    return x + 1


def returns_nothing(x):
    x + 1  # the mistake


def changing(x):
    return 0 if x < 1 else x


other = {}


@federated_computation(X)
def leaks(x):
    other["value"] = x
    return federated_mean(x)


BAD_TYPES = [
    # placements
    ("mean of a server value", (S,), lambda s: federated_mean(s), "federated_mean: s is float32@SERVER where", "federated_broadcast(s)"),
    ("sum of a server value", (S,), lambda s: federated_sum(s), "federated_sum: s is", "federated_broadcast(s)"),
    ("broadcast of client values", (X,), lambda x: federated_broadcast(x), "federated_broadcast: x is {float32}@CLIENTS", "aggregate it first, such as federated_mean(x)"),
    ("operands in two places", (X, S), lambda x, s: federated_mean(x - s), "-: x is {float32}@CLIENTS and s is float32@SERVER", "broadcast the server value first: federated_broadcast(s)"),
    ("map over two places", (X, S), lambda x, s: federated_map(np.add, [x, s]), "federated_map: x is", "federated_broadcast(s)"),
    ("zip of two places", (X, S), lambda x, s: federated_zip(x, s), "federated_zip: x is", "live in different places"),
    ("clip at the server", (S,), lambda s: clip(s, (0, 1)), "clip: s is float32@SERVER", "clip is for client values"),
    ("weight at the server", (X, S), lambda x, s: federated_mean(x, s), "federated_mean: s is float32@SERVER", "federated_broadcast(s)"),
    ("a plain list", (X,), lambda x: federated_sum([x, x]), "federated_sum: value= must be a placed value", "(list)"),
    ("a plain number", (X,), lambda x: federated_mean(3.5), "federated_mean: value= must be a placed value, got 3.5 (float)", "federated_value(x, placement)"),
    ("map over a number", (X,), lambda x: federated_map(np.sqrt, 4.0), "federated_map: value= must be a placed value", "4.0 (float)"),
    ("map over a list with a number", (X,), lambda x: federated_map(np.add, [x, 1]), "federated_map: value 1 must be a placed value", "federated_value(x, CLIENTS)"),
    ("map over nothing", (X,), lambda x: federated_map(np.add, []), "federated_map: give at least one placed value", ""),
    ("zip of nothing", (X,), lambda x: federated_zip(), "federated_zip: give at least one", ""),
    ("zip of a number", (X,), lambda x: federated_zip(x, 3), "federated_zip: argument 1 must be a placed value", "3 (int)"),
    ("zip with a bad name", (X,), lambda x: federated_zip({"not a name": x}), "federated_zip: a field's name must be", ""),
    ("value in no place", (X,), lambda x: federated_value(1, "SERVER"), "federated_value: placement= must be CLIENTS or SERVER", ""),
    ("value of a value", (X,), lambda x: federated_value(x, SERVER), "federated_value: value= is placed already", ""),
    ("value without a type", (X,), lambda x: federated_value(object(), SERVER), "federated_value:", "has no type"),
    # uses of a placed value as a number
    ("truth", (X,), lambda x: x if x > 1 else -x, "a truth value (if, and, or, not)", "federated_map"),
    ("float()", (X,), lambda x: float(x), "float(): x is {float32}@CLIENTS, a placed value", "federated_map"),
    ("int()", (X,), lambda x: int(x), "int(): x is", "federated_map"),
    ("complex()", (X,), lambda x: complex(x), "complex(): x is", "federated_map"),
    ("len()", (X,), lambda x: len(x), "len(): x is", "federated_map"),
    ("round()", (X,), lambda x: round(x), "round(): x is", "federated_map"),
    ("iteration", (REC,), lambda x: list(x), "iteration: x is", "federated_map"),
    ("unpacking", (REC,), lambda x: tuple(federated_mean(part) for part in x), "iteration: x is", ""),
    ("an index", (X,), lambda x: [1, 2][x], "an index: x is", ""),
    ("np.mean", (X,), lambda x: np.mean(x), "np.mean: a placed value", "federated_mean"),
    ("np.asarray", (X,), lambda x: np.asarray(x), "a numpy array: x is", ""),
    ("a reduction", (X,), lambda x: np.add.reduce(x), "+: only plain element-by-element use", "federated_map"),
    ("where=", (X,), lambda x: np.add(x, 1, where=True), "+: only plain element-by-element use", ""),
    ("matmul", (V,), lambda v: v @ v, "np.matmul: only plain element-by-element use", ""),
    # fields
    ("no struct", (X,), lambda x: x.temp, ".temp: {float32}@CLIENTS is not a struct", "federated_map(lambda x: x.temp, x)"),
    ("an item of a vector", (V,), lambda v: v[0], "[0]: {float32[3]}@CLIENTS is not a struct", "federated_map(lambda x: x[0], v)"),
    ("no such field", (REC,), lambda r: r.c, ".c: <a=float32,b=int32> has no field 'c'", ""),
    ("no such position", (REC,), lambda r: r[2], "[2]: <a=float32,b=int32> has no field 2", ""),
    # types
    ("arithmetic on a struct", (REC,), lambda r: r * 2, "*: it has no meaning for {<a=float32,b=int32>}@CLIENTS and 2 (int)", "unsupported operand"),
    ("arithmetic on text", (TEXT,), lambda t: t * 2.0, "*: it has no meaning for {str}@CLIENTS and 2.0 (float)", ""),
    ("shapes", (V, "{float32[2]}@CLIENTS"), lambda v, w: v + w, "+: it has no meaning for {float32[3]}@CLIENTS and {float32[2]}@CLIENTS", "broadcast"),
    ("sum of text", (TEXT,), lambda t: federated_sum(t), "federated_sum: t is {str}@CLIENTS, which is not made of numbers", "federated_map(f, t)"),
    ("mean of sequences", (SEQ,), lambda s: federated_mean(s), "federated_mean: s is {float32*}@CLIENTS", "federated_map(f, s)"),
    ("sum of open shapes", (FREE,), lambda s: federated_sum(s), "federated_sum: s is {float32[?]}@CLIENTS", "of fixed shape"),
    ("max of complex", ("{complex64}@CLIENTS",), lambda z: federated_max(z), "federated_max: z is {complex64}@CLIENTS", ""),
    ("a vector as weight", (X, V), lambda x, v: federated_mean(x, v), "weight= must be one real number per client", "{float32[3]}@CLIENTS"),
    ("clip text", (TEXT,), lambda t: clip(t, (0, 1)), "clip: bounds= needs real numbers", "t is {str}@CLIENTS"),
    ("clip integers by norm", (N,), lambda n: clip(n, l2=1.0), "clip: l2= needs floats", "n is {int32}@CLIENTS"),
    # local functions
    ("a declared argument", (N,), lambda n: federated_map(typed, n), "federated_map: argument 0 of typed: int32 does not fit float32", ""),
    ("too many arguments", (X,), lambda x: federated_map(typed, [x, x]), "federated_map: argument 0 of typed: <float32,float32> does not fit float32", ""),
    ("not so many", (X,), lambda x: federated_map(lambda a, b, c: a, [x, x]), "cannot be called with 2 arguments", ""),
    ("not just one", (X,), lambda x: federated_map(lambda a, b: a, x), "cannot be called with one argument, x of type {float32}@CLIENTS", ""),
    ("not a function", (X,), lambda x: federated_map(3, x), "federated_map: fn= must be a function", "3 (int)"),
    ("a computation as function", (X,), lambda x: federated_map(leaks, x), "fn= must be a function of plain values", "call a computation directly"),
    ("a local call", (X,), lambda x: untyped(x), "untyped is a local computation", "federated_map(untyped, x)"),
    ("no return in it", (X,), lambda x: federated_map(returns_nothing, x), "returns_nothing of {float32}@CLIENTS: it returns nothing", "did you forget the return?"),
    ("it raises", (X,), lambda x: federated_map(lambda v: v.nope, x), "raised AttributeError", "declare the result"),
    ("its type depends on values", (X,), lambda x: federated_map(changing, x), "its type depends on the values", "int64 on zeros and float32 on ones"),
    ("its result is not as declared", (X,), lambda x: federated_map(local_computation(returns=np.int32)(lambda v: v / 2), x), "its result: ", "(float32) is not int32"),
    ("a placed value in it", (X, S), lambda x, s: federated_map(lambda v: v - s, x), "uses a placed value from outside", "federated_broadcast(y)"),
    ("a placed value decides in it", (X, S), lambda x, s: federated_map(lambda v: v if s > 0 else -v, x), "a truth value", ""),
    ("zero is placed", (X, S), lambda x, s: federated_aggregate(x, s, np.add, np.add, np.sqrt), "federated_aggregate: zero= must be a plain value", ""),
    ("accumulate", (X,), lambda x: federated_aggregate(x, 0, lambda a, v: a + v, np.add, np.sqrt), "accumulate= must return what zero= is", "float64 does not fit int64"),
    ("merge", (X,), lambda x: federated_aggregate(x, 0.0, lambda a, v: a + v, lambda a, b: a > b, np.sqrt), "merge= must return what zero= is", "bool"),
    # results
    ("no return", (X,), lambda x: None, "it returns nothing; did you forget the return?", ""),
    ("a plain result", (X,), lambda x: 3.5, "it returns 3.5 (float), which is not placed", "federated_value(x, SERVER)"),
    ("a plain part", (X,), lambda x: (federated_mean(x), 2), "it returns 2 (int), which is not placed", ""),
    ("an empty result", (X,), lambda x: (), "it returns an empty structure", ""),
    ("another computation's value", (X,), lambda x: federated_mean(x + other["value"]), "uses 'x', a value of another computation", ""),
    ("no clients", (S,), lambda s: federated_sum(federated_broadcast(s)), "no parameter is at the clients", "federated_sum"),
    ("a nested argument", (N,), lambda n: leaks(n), "a nested call: argument 'x': {int32}@CLIENTS does not fit {float32}@CLIENTS", ""),
]  # fmt: skip

BAD_ARGUMENTS = [
    ("two bounds", (X,), lambda x: clip(x, (0, 1), l2=1.0), "clip: give exactly one of bounds=, l1=, l2=, linf=; found bounds, l2"),
    ("no bound", (X,), lambda x: clip(x), "found none"),
    ("reversed bounds", (X,), lambda x: clip(x, (1, 0)), "clip: bounds= must be (lower, upper)"),
    ("infinite bounds", (X,), lambda x: federated_sum(x, bounds=(0, np.inf), rho=1.0), "bounds= must be (lower, upper)"),
    ("a negative radius", (X,), lambda x: clip(x, l1=-1.0), "clip: l1= must be a positive finite number"),
    ("fractions for integers", (N,), lambda n: clip(n, (0, 1.5)), "bounds= of integers must be whole numbers"),
    ("bounds out of reach", ("{uint8}@CLIENTS",), lambda n: clip(n, (-5, -1)), "bounds=[-5, -1] hold no uint8"),
    ("bounds above", ("{int8}@CLIENTS",), lambda n: clip(n, (1000, 2000)), "hold no int8"),
    ("a cost without bounds", (X,), lambda x: federated_mean(x, rho=0.1), "federated_mean: a cost needs a bound"),
    ("a clip that is not last", (X,), lambda x: federated_sum(clip(x, (0, 1)) * 2, rho=0.1), "as the last step before it"),
    ("two costs", (X,), lambda x: federated_mean(x, bounds=(0, 1), rho=0.1, epsilon=1.0), "exactly one form"),
    ("a delta alone", (X,), lambda x: federated_mean(x, bounds=(0, 1), delta=1e-6), "exactly one form"),
    ("a negative cost", (X,), lambda x: federated_mean(x, bounds=(0, 1), rho=-0.1), "rho= must be a positive finite number"),
    ("a cost below the unit", (X,), lambda x: federated_mean(x, bounds=(0, 1), rho=1e-13), "below the ledger's unit"),
    ("a noised minimum", (X,), lambda x: federated_min(x, bounds=(0, 1), rho=0.1), "federated_min: it has no noised form"),
    ("a noised maximum", (X,), lambda x: federated_max(x, epsilon=1.0), "federated_max: it has no noised form"),
    ("a noised fold", (X,), lambda x: federated_aggregate(x, 0.0, np.add, np.add, np.sqrt, rho=1.0), "federated_aggregate: it has no noised form"),
    ("a noised weighted mean", (X, X), lambda x, w: federated_mean(x, w, bounds=(0, 1), rho=0.1), "a weighted mean has no noised form"),
    ("bounds for a vector", (V,), lambda v: federated_sum(v, bounds=(0, 1), rho=0.1), "bound the whole vector by its norm: clip(x, l2=1.0)"),
    ("a nested list", (X, S), lambda x, s: nested([1.0], s), "argument 'x' must be a placed value like the others"),
    ("two mechanisms", (X,), lambda x: (federated_sum(x, bounds=(0, 1), rho=0.1), federated_sum(x, bounds=(0, 1), epsilon=0.1)), "one kind of noise"),
]  # fmt: skip


@federated_computation(X, S)
def nested(x, s):
    return federated_mean(x - federated_broadcast(s))


@pytest.mark.parametrize(("types", "function", "what", "fix"), [pytest.param(*row[1:], id=row[0]) for row in BAD_TYPES])
def test_bad_types(types, function, what, fix):
    with pytest.raises(BadType) as caught:
        federated_computation(*types)(function)
    message = str(caught.value)
    assert what in message
    assert fix in message
    assert f"(at {__file__}:" in message


@pytest.mark.parametrize(("types", "function", "what"), [pytest.param(*row[1:], id=row[0]) for row in BAD_ARGUMENTS])
def test_bad_arguments(types, function, what):
    with pytest.raises(BadArgument) as caught:
        federated_computation(*types)(function)
    message = str(caught.value)
    assert what in message
    assert f"(at {__file__}:" in message


def test_the_line_is_that_of_the_call():
    line = test_the_line_is_that_of_the_call.__code__.co_firstlineno + 6

    def wrong(x, s):
        y = x * 2
        z = (
            y + s  # here
        )
        return federated_mean(z)

    with pytest.raises(BadType, match=f"test_tracing_errors.py:{line}\\)"):
        federated_computation(X, S)(wrong)


def no_types(x):
    return federated_mean(x)


def plain_annotation(x: np.float32):
    return federated_mean(x)


def bad_annotation(x: "no such type"):  # noqa: F722  # the mistake
    return federated_mean(x)


def declares_another(x: X) -> "float64@SERVER":  # noqa: F821  # the compact notation of a type
    return federated_mean(x)


def yields(x):
    yield federated_mean(x)


async def waits(x):
    return federated_mean(x)


def starred(*x):
    return federated_mean(x[0])


@pytest.mark.parametrize(
    ("decorate", "what"),
    [
        (
            lambda: federated_computation(no_types),
            "parameter 'x' has no type; write FederatedType(np.float32, CLIENTS)",
        ),
        (lambda: federated_computation(plain_annotation), "parameter 'x' has the type float32, which has no placement"),
        (lambda: federated_computation(bad_annotation), "the annotation 'no such type' of 'x' cannot be read"),
        (lambda: federated_computation(np.float32)(no_types), "the type float32, which has no placement"),
        (lambda: federated_computation(X, S)(no_types), "2 types were given for 1 parameters"),
        (lambda: federated_computation(3)(no_types), "parameter 'x': 3 cannot be read as a type"),
        (lambda: federated_computation(declares_another), "float32@SERVER does not fit float64@SERVER"),
        (lambda: federated_computation(X)(yields), "it cannot yield or await"),
        (lambda: federated_computation(X)(waits), "it cannot yield or await"),
        (lambda: federated_computation(X)(starred), "a computation takes a fixed number of values"),
        (lambda: local_computation(returns=np.float32)(3), "a function is needed, got 3 (int)"),
        (lambda: local_computation(np.float32)(returns_nothing), "did you forget the return?"),
        (lambda: untyped.type_signature, "untyped takes values of any type"),
        (lambda: typed(1.0, 2.0), "typed takes 1 arguments, 2 were given"),
        (lambda: typed("text"), "argument 0 of typed"),
    ],
)
def test_bad_decorations(decorate, what):
    with pytest.raises(BadType) as caught:
        decorate()
    assert what in str(caught.value)


@pytest.mark.parametrize(
    ("call", "error", "what"),
    [
        (lambda: nested([1.0, 2.0]), BadType, "missing a required argument: 's'"),
        (lambda: nested([1.0], 2.0, 3.0), BadType, "too many positional arguments"),
        (lambda: nested(1.0, 2.0), BadType, "argument 'x': 1.0 (float) where several values are expected"),
        (lambda: nested(["a"], 2.0), BadType, "argument 'x': client 0: 'a' (str) is not float32"),
        (lambda: nested([1.0], "b"), BadType, "argument 's': 'b' (str) is not float32"),
        (lambda: nested([], 2.0), BadArgument, "there is no client, and a mean over none does not exist"),
        (lambda: two_parameters([1.0, 2.0], [1.0]), BadArgument, "their numbers must agree: 'x' has 2, 'y' has 1"),
    ],
)
def test_bad_calls(call, error, what):
    with pytest.raises(error) as caught:
        call()
    assert what in str(caught.value)


@federated_computation(X, X)
def two_parameters(x, y):
    return federated_mean(x * y)


def test_missing_fields_are_missing_attributes():
    seen = []

    @federated_computation(REC)
    def look(r):
        seen.extend([hasattr(r, "a"), hasattr(r, "c"), hasattr(r, "__deepcopy__"), repr(r.a), repr(r)])
        return federated_mean(r.a)

    assert seen == [True, False, False, "<field: {float32}@CLIENTS>", "<parameter: {<a=float32,b=int32>}@CLIENTS>"]


def test_all_errors_are_ours():
    for _, types, function, *_ in BAD_TYPES + BAD_ARGUMENTS:
        with pytest.raises(FedAnalyticsError):
            federated_computation(*types)(function)


def test_a_partial_has_no_name_and_still_a_message():
    with pytest.raises(BadType, match=r"partial of .*: it raised"):
        federated_computation(X)(lambda x: federated_map(functools.partial(lambda k, v: v.nope, 1), x))


def test_placed_types_are_objects_or_text():
    @federated_computation(FederatedType(np.float32, CLIENTS))
    def total(x):
        return federated_sum(x)

    assert total([1.0, 2.0]) == 3.0
