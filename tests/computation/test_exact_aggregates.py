"""What a simulation computes: integers exact, empty cohorts and NaN as documented, structs field by field."""

# ruff: noqa: PLW0108  # a table holds one case per line, and its lambdas are what is traced

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from fedanalytics.computation.evaluate import GROUP
from fedanalytics.errors import BadArgument, BadType
from fedanalytics.types import CLIENTS, SERVER

quiet = settings(deadline=None)


def over(operator, kind, **options):
    return federated_computation(f"{{{kind}}}@CLIENTS")(lambda x: operator(x, **options))


INTEGERS = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def limits(kind):
    return (0, 1) if kind == "bool" else (int(np.iinfo(kind).min), int(np.iinfo(kind).max))


@st.composite
def integers(draw):
    kind = draw(st.sampled_from(INTEGERS))
    low, high = limits(kind)
    near = st.one_of(st.integers(low, high), st.sampled_from([low, high, low + 1, high - 1]), st.integers(0, 1))
    values = draw(st.lists(near.filter(lambda v: low <= v <= high), min_size=1, max_size=8))
    return kind, values * draw(st.sampled_from([1, 1, 40]))


@quiet
@given(integers())
def test_integer_sums_are_exact_or_an_error(case):
    kind, values = case
    array = np.array(values, kind)
    exact, wide = sum(values), "uint64" if kind.startswith("u") else "int64"
    total = over(federated_sum, kind)
    assert str(total.type_signature.result) == f"{wide}@SERVER"
    low, high = limits(wide)
    if low <= exact <= high:
        result = total(array)
        assert int(result) == exact
        assert result.dtype == wide
    else:
        with pytest.raises(BadArgument, match=f"federated_sum at .*: the sum {exact} does not fit {wide}; map the"):
            total(array)


@quiet
@given(integers())
def test_integer_means_are_the_nearest_float(case):
    kind, values = case
    result = over(federated_mean, kind)(np.array(values, kind))
    assert result == float(Fraction(sum(values), len(values)))
    assert result.dtype == np.float64


@pytest.mark.parametrize("kind", INTEGERS)
def test_vectors_of_integers(kind):
    _, high = limits(kind)
    rows = np.array([[high, 0], [high, 1], [0, 1]], kind)
    if kind in {"int64", "uint64"}:
        with pytest.raises(BadArgument, match="does not fit"):
            over(federated_sum, f"{kind}[2]")(rows)
    else:
        assert over(federated_sum, f"{kind}[2]")(rows).tolist() == [2 * high, 2]
    assert over(federated_mean, f"{kind}[2]")(rows).tolist() == [float(Fraction(2 * high, 3)), 2 / 3]
    assert over(federated_max, f"{kind}[2]")(rows).tolist() == [high, 1]


@quiet
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50))
def test_float32_is_accumulated_in_float64(values):
    array = np.array(values, np.float32)
    mean, total = over(federated_mean, "float32")(array), over(federated_sum, "float32")(array)
    assert mean.dtype == total.dtype == np.float32
    assert mean == pytest.approx(math.fsum(array.tolist()) / len(array), rel=1e-6, abs=1e-9)
    assert total == np.float32(np.add.reduce(array, dtype=np.float64))


def test_a_million_float32_do_not_drift():
    ones = np.full(1_000_000, 0.1, np.float32)
    assert over(federated_mean, "float32")(ones) == np.float32(0.1)
    assert over(federated_sum, "float32")(np.full(3, 3e38)) == np.inf


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "complex64", "complex128"])
def test_floats_keep_their_type(kind):
    values = np.array([1, 2, 4.5], kind)
    assert over(federated_sum, kind)(values).dtype == kind
    assert over(federated_mean, kind)(values) == np.dtype(kind).type(2.5)


def test_an_empty_cohort():
    assert over(federated_sum, "float32")([]) == 0
    assert over(federated_sum, "int64[2]")([]).tolist() == [0, 0]
    for operator in (federated_mean, federated_min, federated_max):
        with pytest.raises(BadArgument, match=r"there is no client, and a \w+ over none does not exist"):
            over(operator, "float32")([])
    mapped = federated_computation("{float32}@CLIENTS")(lambda x: federated_map(lambda v: v + 1, x))
    assert mapped([]).tolist() == []


def test_nan_propagates():
    for operator in (federated_sum, federated_mean, federated_min, federated_max):
        assert np.isnan(over(operator, "float64")([1.0, math.nan, 2.0]))
        assert np.isnan(over(lambda x, op=operator: op(x, bounds=(0, 1)), "float64")([1.0, math.nan]))
    assert over(federated_max, "float64")([1.0, math.inf]) == math.inf


def test_weights():
    weighted = federated_computation("{float32[2]}@CLIENTS", "{int32}@CLIENTS")(
        lambda x, w: federated_mean(x, weight=w)
    )
    assert str(weighted.type_signature.result) == "float32[2]@SERVER"
    assert weighted([[1, 10], [2, 20], [5, 50]], [1, 3, 0]).tolist() == [1.75, 17.5]
    whole = federated_computation("{int8}@CLIENTS", "{float64}@CLIENTS")(lambda x, w: federated_mean(x, w))
    assert whole([100, 120, 127], [0.5, 0.5, 1.0]) == 118.5
    with pytest.raises(BadArgument, match="the weights of all 2 clients are 0"):
        whole([1, 2], [0, 0])
    with pytest.raises(BadArgument, match=r"weight= must not be negative, client 1 has -1.0"):
        whole([1, 2], [3.0, -1.0])
    with pytest.raises(BadArgument, match="over none does not exist"):
        whole([], [])
    same = federated_computation("{float64}@CLIENTS")(lambda x: federated_mean(x, federated_value(2.0, CLIENTS)))
    assert same([1.0, 4.0]) == 2.5


def test_structs_field_by_field():
    kind = "<n=int8,v=<float32[2],bool>>"
    values = [{"n": 100, "v": ([1, 2], True)}, {"n": 27, "v": ([3, 4], False)}]
    total = over(federated_sum, kind)
    assert str(total.type_signature.result) == "<n=int64,v=<float32[2],int64>>@SERVER"
    result = total(values)
    assert result["n"] == 127
    assert result["v"][0].tolist() == [4, 6]
    assert result["v"][1] == 1
    mean = over(federated_mean, kind)(values)
    assert (mean["n"], mean["v"][0].tolist(), mean["v"][1]) == (63.5, [2, 3], 0.5)
    least = over(federated_min, kind)
    assert str(least.type_signature.result) == f"{kind}@SERVER"
    assert least(values)["v"][1] == np.False_


def test_any_other_fold_is_merged_in_groups():
    @federated_computation("{float64}@CLIENTS")
    def spread(x):
        return federated_aggregate(
            x,
            {"n": 0, "low": math.inf, "high": -math.inf},
            lambda a, v: {"n": a.n + 1, "low": min(a.low, v), "high": max(a["high"], v)},
            lambda a, b: {"n": a.n + b.n, "low": min(a.low, b.low), "high": max(a.high, b.high)},
            lambda a: (a.n, a.high - a.low),
        )

    assert str(spread.type_signature.result) == "<int64,float64>@SERVER"
    for n in (1, GROUP - 1, GROUP, GROUP + 1, 3 * GROUP + 5):
        assert spread(np.arange(n, dtype=float)) == (n, n - 1.0)
    assert spread([]) == (0, -math.inf)


def test_merge_is_really_used():
    def count(merge):
        return federated_computation("{float64}@CLIENTS")(
            lambda x: federated_aggregate(x, 0, lambda a, _: a + 1, merge, lambda a: a)
        )

    values = np.zeros(2 * GROUP)
    assert count(lambda a, b: a + b)(values) == 2 * GROUP
    assert count(lambda a, b: b)(values) == GROUP


@quiet
@given(
    st.lists(st.lists(st.floats(-1e200, 1e200), min_size=3, max_size=3), min_size=1, max_size=5),
    st.sampled_from(["l1", "l2", "linf"]),
    st.floats(1e-3, 1e3),
)
def test_clip_by_norm(rows, norm, radius):
    clipped = federated_computation("{float64[3]}@CLIENTS")(lambda x: clip(x, **{norm: radius}))(rows)
    order = {"l1": 1, "l2": 2, "linf": np.inf}[norm]
    for before, after in zip(np.array(rows), clipped, strict=True):
        scale = np.abs(before).max() or 1.0
        inside = np.linalg.norm(before / scale, order) * scale <= radius
        if inside:
            assert np.allclose(after, before, rtol=1e-12)
        else:
            assert np.linalg.norm(after, order) == pytest.approx(radius, rel=1e-9)
            if norm != "linf":
                direction = before / scale / np.linalg.norm(before / scale)
                assert np.allclose(after, direction * np.linalg.norm(after), rtol=1e-9, atol=1e-9 * radius)


def test_clip_by_norm_takes_structs_as_one_vector():
    kind = "<a=float32,b=float64[2]>"
    clipped = federated_computation(f"{{{kind}}}@CLIENTS")(lambda x: clip(x, l2=1.0))
    assert clipped.type_signature.result == clipped.type_signature.parameter
    [first, second, third] = clipped([{"a": 2, "b": [1, 2]}, {"a": 0, "b": [0, 0]}, {"a": math.nan, "b": [1, 0]}])
    assert (first["a"], *first["b"]) == pytest.approx((2 / 3, 1 / 3, 2 / 3))
    assert (second["a"], *second["b"]) == (0, 0, 0)
    assert np.isnan(third["a"])


@pytest.mark.parametrize(("kind", "bounds"), [("int8", (-5, 300)), ("uint8", (-5, 300)), ("float16", (-1e6, 5))])
def test_clip_keeps_the_type(kind, bounds):
    clipped = federated_computation(f"{{{kind}}}@CLIENTS")(lambda x: clip(x, bounds))
    result = clipped([0, 7, 100])
    assert result.dtype == kind
    assert result.tolist() == [0, min(7, bounds[1]), min(100, bounds[1])]


def test_clip_of_what_all_clients_share():
    computation = federated_computation("{float64}@CLIENTS", "float64@SERVER")(
        lambda x, s: federated_sum(x * clip(federated_broadcast(s), (0, 2)))
    )
    assert computation([1.0, 2.0], 5.0) == 6.0


# ---------------------------------------------------------------- moving values


def test_constants_and_broadcast_values_count_every_client():
    @federated_computation("{float32}@CLIENTS", "float64@SERVER")
    def counts(x, s):
        one = federated_value(1, CLIENTS)
        told = federated_broadcast(s)
        return {
            "n": federated_sum(one),
            "s": federated_sum(told * 2),
            "mean": federated_mean(federated_zip({"x": x, "s": told})),
            "told": told + 1,
            "constant": federated_value((1.5, "a"), SERVER),
        }

    result = counts([1, 2, 6], 0.5)
    assert (result["n"], result["s"], result["told"]) == (3, 3.0, 1.5)
    assert result["mean"] == {"x": 3.0, "s": 0.5}
    assert result["constant"] == (1.5, "a")
    assert str(counts.type_signature.result["told"]) == "float64@CLIENTS"


def test_zips_and_fields():
    @federated_computation("{<a=float32,b=int32[2]>}@CLIENTS", "{str*}@CLIENTS")
    def regroup(r, words):
        z = federated_zip([r.b, words])
        swapped = federated_zip(z[1], r["a"], z[-2])
        return swapped, federated_map(lambda pair: pair[0].sum(), z), federated_sum(r.a)

    swapped, sums, total = regroup([{"a": 1, "b": [1, 2]}, {"a": 2, "b": [3, 4]}], [["x"], []])
    assert [s[0].tolist() for s in swapped] == [["x"], []]
    assert [s[1] for s in swapped] == [1, 2]
    assert sums.tolist() == [3, 7]
    assert total == 3
    assert str(regroup.type_signature.result[0]) == "{<str*,float32,int32[2]>}@CLIENTS"


def test_a_struct_or_a_list_fills_several_parameters_or_one():
    pair = "{<a=float32,b=float32>}@CLIENTS"
    values = [{"a": 1, "b": 10}, {"a": 2, "b": 20}]
    two = federated_computation(pair)(lambda r: federated_map(lambda a, b: a + b, r))
    one = federated_computation(pair)(lambda r: federated_map(lambda r: r.a + r.b, r))
    assert two(values).tolist() == one(values).tolist() == [11, 22]
    listed = federated_computation(pair)(lambda r: federated_map(lambda p: p[0] - p[1], [r.b, r.a]))
    assert listed(values).tolist() == [9, 18]
    named = federated_computation(pair)(lambda r: federated_map(lambda p: p.y - p.x, {"x": r.a, "y": r.b}))
    assert named(values).tolist() == [9, 18]


def test_ufuncs_classes_and_builtins_are_functions_too():
    @federated_computation("{float32}@CLIENTS")
    def several(x):
        return federated_map(np.sqrt, x), federated_map(np.float64, x), federated_map(float, x), federated_map(abs, x)

    larger = federated_computation("{float32}@CLIENTS", "{float32}@CLIENTS")(lambda x, y: federated_map(max, [x, y]))
    assert larger([1, 5], [3, 2]).tolist() == [3, 5]
    root, wide, number, magnitude = several([4, 9])
    assert (root.tolist(), wide.dtype, number.dtype) == ([2, 3], np.float64, np.float64)
    assert magnitude.dtype == np.float32


def test_open_shapes_and_sequences_through_maps():
    @federated_computation("{float32[?,2]}@CLIENTS", "{<x=float32[?]>*}@CLIENTS")
    def lengths(rows, batches):
        doubled = federated_map(lambda r: r * 2, rows)
        sizes = federated_map(lambda bs: sum(len(b.x) for b in bs), batches)
        heads = federated_map(lambda bs: [b.x for b in bs], batches)
        return doubled, sizes, heads

    assert str(lengths.type_signature.result) == "<{float32[?,2]}@CLIENTS,{int64}@CLIENTS,{float32[?]*}@CLIENTS>"
    doubled, sizes, heads = lengths([[[1, 2]], [[1, 2], [3, 4]]], [[{"x": [1.0]}, {"x": []}], []])
    assert [d.shape for d in doubled] == [(1, 2), (2, 2)]
    assert sizes.tolist() == [1, 0]
    assert [len(h) for h in heads] == [2, 0]


def test_declared_results_convert_or_raise():
    half = local_computation(returns=np.float32)(lambda x: x / 2)
    assert federated_computation("{int64}@CLIENTS")(lambda x: federated_map(half, x))([1, 2]).dtype == np.float32

    @local_computation
    def annotated(x) -> np.float64:
        return x

    assert federated_computation("{float32}@CLIENTS")(lambda x: federated_map(annotated, x))([1]).dtype == np.float64
    small = local_computation(returns=np.int8)(lambda x: x * 100)
    shrink = federated_computation("{int8}@CLIENTS")(lambda x: federated_map(small, federated_map(np.int64, x)))
    assert shrink([1]).tolist() == [100]
    with pytest.raises(BadType, match=r"client 1: .*200 .*does not fit int8.*declare another result"):
        shrink([1, 2])


def test_an_error_in_a_function_says_whose():
    partial = local_computation(returns=np.float64)(lambda x: 1 / (3 - int(x)))
    computation = federated_computation("{float64}@CLIENTS")(lambda x: federated_map(partial, x))
    with pytest.raises(ZeroDivisionError) as caught:
        computation([1.0, 2.0, 3.0, 3.0])
    [note] = caught.value.__notes__
    assert "client 2" in note
    assert "test_exact_aggregates.py:" in note


def test_nested_computations_are_inlined():
    @federated_computation("{float32}@CLIENTS")
    def mean(x):
        return federated_mean(x)

    @federated_computation("{float32}@CLIENTS", "float32@SERVER")
    def around(x, centre):
        return federated_sum((x - federated_broadcast(centre)) ** 2)

    @federated_computation("{float32}@CLIENTS")
    def both(x):
        x += 1
        return around(x, mean(x)), around(x, centre=0.0)

    assert both([0, 2]) == (2.0, 10.0)
    assert [row.op for row in both.privacy] == ["federated_mean", "federated_sum", "federated_sum"]
    with pytest.raises(BadType, match=r"a nested call: argument 'centre': 'a' \(str\)"):
        federated_computation("{float32}@CLIENTS")(lambda x: around(x, "a"))


def test_a_deep_graph_does_not_exhaust_the_stack():
    def long(x):
        for _ in range(3000):
            x = x + 1
        return federated_sum(x)

    deep = federated_computation("{float64}@CLIENTS")(long)
    assert deep([0.5]) == 3000.5
    assert len(deep.describe()["nodes"]) == 3002


def test_results_may_be_named_and_nested():
    from typing import NamedTuple

    class Both(NamedTuple):
        low: object
        rest: object

    named = federated_computation("{float64}@CLIENTS")(
        lambda x: Both(federated_min(x), [federated_max(x), {"mean": federated_mean(x)}])
    )
    assert named([1.0, 3.0]) == Both(1.0, (3.0, {"mean": 2.0}))
    assert str(named.type_signature.result) == "<low=float64@SERVER,rest=<float64@SERVER,<mean=float64@SERVER>>>"


def test_a_computation_of_the_server_alone():
    @federated_computation
    def constant():
        return federated_value(2.0, SERVER) ** 2

    assert (constant(), str(constant.type_signature)) == (4.0, "( -> float64@SERVER)")
    double = federated_computation("<a=float64[2]>@SERVER")(lambda m: federated_map(lambda v: {"a": v.a * 2}, m))
    assert double({"a": [1, 2]})["a"].tolist() == [2, 4]
    same = federated_computation("<a=float64[2]>@SERVER")(lambda m: federated_map(lambda v: v, m))
    result = same({"a": [1, 2]})
    result["a"][0] = 7.0  # the caller's own


def test_a_local_computation_called_directly():
    @local_computation(np.float32, {"w": np.float64})
    def scaled(x, model):
        """Scales."""
        return x * model.w

    assert scaled(2, {"w": 0.5}) == 1.0
    assert str(scaled.type_signature) == "(<x=float32,model=<w=float64>> -> float64)"
    assert scaled.__name__ == "scaled"
    assert local_computation(lambda r: r.a[0].b)({"a": [{"b": 3}]}) == 3


def test_what_all_clients_share_zipped_with_what_they_do_not():
    @federated_computation("{float32}@CLIENTS", "str*@SERVER", "<a=float32[?],b=int32>@SERVER")
    def describe(x, words, model):
        told = federated_broadcast(federated_zip(words, model))
        every = federated_zip(x, told[0], told[1])
        return federated_map(lambda one: one[0] + len(one[1]) + len(one[2].a) + one[2].b, every), federated_zip(words)

    sums, (words,) = describe([1, 2], ["u", "v"], {"a": [0, 0, 0], "b": 10})
    assert sums.tolist() == [16, 17]
    assert list(words) == ["u", "v"]


def test_annotations_for_readers_are_left_alone():
    from typing import Any

    @local_computation
    def any_result(x) -> Any:
        return x * 2

    @federated_computation("{float32}@CLIENTS")
    def total(x) -> Any:
        return federated_sum(federated_map(any_result, x))

    assert total([1, 2]) == 6


def test_ones_may_be_outside_what_a_function_is_for():
    zero_only = local_computation(lambda xs: [1 / (1 - int(x)) for x in xs] + [0.0])
    computation = federated_computation("{float64*}@CLIENTS")(lambda x: federated_map(zero_only, x))
    assert str(computation.type_signature.result) == "{float64*}@CLIENTS"
    assert [list(r) for r in computation([[0.0], []])] == [[1.0, 0.0], [0.0]]


@pytest.mark.parametrize(
    ("function", "kind", "result"),
    [
        (lambda x: x, "int32[?]", "int32[?]"),
        (lambda x: x.sum(), "int32[?]", "int64"),
        (lambda x: np.outer(x, [1.0, 2.0]), "float64[?]", "float64[?,2]"),
        (lambda x: x, "<a=float32[?],b=<str,bool>*>", "<a=float32[?],b=<str,bool>*>"),
        (lambda x: x > 0, "float16", "bool"),
        (lambda x: 1, "float16", "int64"),
        (lambda x: "a" if x else "b", "bool", "str"),
        (lambda x: [x, x], "float32", "float32*"),
        (lambda x: {"a": x, "b": (1, 2.0)}, "int8", "<a=int8,b=<int64,float64>>"),
    ],
)
def test_result_types_are_found_by_an_abstract_run(function, kind, result):
    computation = federated_computation(f"{{{kind}}}@CLIENTS")(lambda x: federated_map(function, x))
    assert str(computation.type_signature.result) == f"{{{result}}}@CLIENTS"


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x if x > 0 else [x],
        lambda x: np.zeros(int(x) + 1) if x < 1 else np.zeros((2, 2)),
        lambda x: {"a": x} if x else {"b": x},
        lambda x: {"a": x} if x else {"a": 1},
        lambda x: [x] if x else [1],
    ],
)
def test_a_result_whose_type_depends_on_values_needs_a_declaration(function):
    with pytest.raises(BadType, match="its type depends on the values"):
        federated_computation("{float32}@CLIENTS")(lambda x: federated_map(function, x))


def test_cost_and_bounds_of_truth_values_and_integers():
    rainy = federated_computation("{bool}@CLIENTS")(lambda x: federated_sum(x, bounds=(0, 1), rho=0.5))
    assert str(rainy.type_signature.result) == "float64@SERVER"
    assert rainy([True, False, True]) == 2.0
    counts = federated_computation("{int16}@CLIENTS")(lambda x: federated_mean(x, bounds=(0, 10), rho=0.5))
    assert counts([3, 200]) == 6.5
