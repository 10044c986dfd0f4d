"""Laws that hold for every type and every value, under hypothesis."""

from __future__ import annotations

import copy
import re

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fedanalytics.errors import BadType
from fedanalytics.types import (
    CLIENTS,
    SERVER,
    FederatedType,
    FunctionType,
    SequenceType,
    StructType,
    TensorType,
    conform,
    conform_clients,
    is_assignable,
    parse_type,
    to_type,
    type_of,
    zeros,
)

DTYPES = [
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128", "str"),
]
quiet = settings(deadline=None)

# ---------------------------------------------------------------- strategies

names = st.one_of(
    st.sampled_from(["a", "b", "temp", "_x1", "int32", "CLIENTS", "class", "größe", "℘"]),
    st.text("abc_09é", min_size=1, max_size=4).filter(str.isidentifier),
)


def shapes(extents):
    return st.lists(extents, max_size=3).map(tuple)


def tensors(extents):
    return st.builds(TensorType, st.sampled_from(DTYPES), shapes(extents))


@st.composite
def structs(draw, members):
    types = draw(st.lists(members, max_size=3))
    labels = draw(st.lists(names, min_size=len(types), max_size=len(types), unique=True))
    how = draw(st.sampled_from(["named", "positional", "mixed"]))
    keep = [how == "named" or (how == "mixed" and draw(st.booleans())) for _ in types]
    return StructType(tuple((label if k else None, t) for label, k, t in zip(labels, keep, types, strict=True)))


def data_types(extents):
    """Types of data: what a sequence, a client or the server can hold."""
    return st.recursive(
        tensors(extents), lambda inner: st.one_of(structs(inner), st.builds(SequenceType, inner)), max_leaves=4
    )


any_extent = st.one_of(st.none(), st.integers(0, 3), st.just(2**63 - 1))
data = data_types(any_extent)
small_data = data_types(st.one_of(st.none(), st.integers(0, 3)))
federated = st.one_of(
    st.builds(FederatedType, data, st.just(CLIENTS), st.one_of(st.none(), st.booleans())),
    st.builds(FederatedType, data, st.just(SERVER)),
)
all_types = st.recursive(
    st.one_of(data, federated),
    lambda inner: st.one_of(structs(inner), st.builds(FunctionType, st.one_of(st.none(), inner), inner)),
    max_leaves=5,
)


@st.composite
def moved(draw, kind, *, up=True):
    """A type that `kind` fits (up), or that fits `kind` (down)."""
    match kind:
        case TensorType(dtype, shape):
            change = st.sampled_from([None]) if up else st.integers(0, 3)
            return TensorType(dtype, [draw(change) if (e is None) != up and draw(st.booleans()) else e for e in shape])
        case StructType():
            fields = [(name, draw(moved(member, up=up))) for name, member in kind.fields]
            if up:
                fresh = (name for name in map("new{}".format, range(99)) if name not in kind.names)
                return StructType([(n or (next(fresh) if draw(st.booleans()) else None), t) for n, t in fields])
            return StructType([(n if draw(st.booleans()) else None, t) for n, t in fields])
        case SequenceType(element):
            return SequenceType(draw(moved(element, up=up)))
        case FunctionType(parameter, result):
            source = None if parameter is None else draw(moved(parameter, up=not up))
            return FunctionType(source, draw(moved(result, up=up)))
    member = draw(moved(kind.member, up=up))
    if kind.placement is SERVER:
        return FederatedType(member, SERVER)
    flip = draw(st.booleans())
    return FederatedType(member, CLIENTS, kind.all_equal and flip if up else kind.all_equal or flip)


def texts():
    return st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3)


@st.composite
def values(draw, kind):
    """A value of a type in one of the spellings that a caller may use."""
    match kind:
        case TensorType(dtype, shape):
            extents = tuple(draw(st.integers(0, 2)) if e is None else e for e in shape)
            array = draw(
                hnp.arrays("U3", extents, elements=texts()) if dtype.kind == "U" else hnp.arrays(dtype, extents)
            )
            return draw(st.sampled_from([array, array[()], array.tolist(), array.astype(array.dtype.newbyteorder())]))
        case StructType():
            parts = [draw(values(member)) for member in kind.types]
            if not kind.named:
                return draw(st.sampled_from([tuple, list]))(parts)
            pairs = draw(st.permutations(list(zip(kind.names, parts, strict=True))))
            return draw(st.sampled_from([dict(pairs), tuple(parts)]))
    return draw(st.sampled_from([tuple, list]))(draw(st.lists(values(kind.element), max_size=3)))


def same(left, right):
    """Equality of canonical values: dtypes and shapes included, NaN equal to itself, any width of text."""
    if isinstance(left, dict):
        return isinstance(right, dict) and list(left) == list(right) and all(same(left[k], right[k]) for k in left)
    if isinstance(left, (tuple, list)):
        return type(left) is type(right) and len(left) == len(right) and all(map(same, left, right))
    ok = type(left) is type(right) and left.dtype.kind == right.dtype.kind and left.shape == right.shape
    return ok and (left.dtype.kind == "U" or left.dtype == right.dtype) and _same_elements(left, right)


def _same_elements(left, right):
    return np.array_equal(left, right, equal_nan=left.dtype.kind in "fc")


def of_client(columns, member, i):
    """Client i's value, read from the columns: the definition of `conform_clients`."""
    if isinstance(member, StructType):
        if member.named:
            return {name: of_client(columns[name], member[name], i) for name in member.names}
        return tuple(of_client(column, inner, i) for column, inner in zip(columns, member, strict=True))
    return columns[i]


# ---------------------------------------------------------------- types


@quiet
@given(all_types)
def test_the_notation_round_trips(kind):
    assert parse_type(str(kind)) == kind
    assert to_type(str(kind)) == kind
    assert repr(kind) == str(kind)


@quiet
@given(all_types, all_types)
def test_the_notation_tells_types_apart(left, right):
    assert (str(left) == str(right)) == (left == right)
    assert left != right or hash(left) == hash(right)


@quiet
@given(all_types, st.randoms(use_true_random=False))
def test_spaces_between_tokens_do_not_matter(kind, random):
    spaced = re.sub(
        "->|[^\\w ]", lambda m: random.choice(["", " ", "\n  "]) + m[0] + random.choice(["", "\t "]), str(kind)
    )
    assert parse_type(spaced) == kind


@quiet
@given(all_types)
def test_a_type_is_a_value(kind):
    twin = copy.deepcopy(kind)
    assert twin == kind
    assert {kind: 1}[twin] == 1
    assert to_type(kind) is kind
    with pytest.raises((AttributeError, TypeError)):
        kind.dtype = kind.fields = kind.element = kind.result = kind.member = None


@quiet
@given(st.text("<>(){}[],=*@?->abint32float CLIENTSERVER0 ", max_size=30))
def test_any_text_is_a_type_or_a_bad_type_with_a_caret(text):
    try:
        kind = parse_type(text)
    except BadType as error:
        problem, shown, caret = str(error).rsplit("\n", 2)
        at = int(problem.rsplit("(at character ", 1)[1].rstrip(")")) - 1
        assert 0 <= at <= len(text)
        assert caret == "  " + " " * at + "^"
        assert shown == "  " + text
    else:
        assert parse_type(str(kind)) == kind


# ---------------------------------------------------------------- assignability


@quiet
@given(all_types)
def test_assignability_is_reflexive(kind):
    assert is_assignable(kind, kind)


@quiet
@given(st.data())
def test_assignability_is_transitive_along_chains(drawn):
    first = drawn.draw(all_types)
    second = drawn.draw(moved(first))
    third = drawn.draw(moved(second))
    below = drawn.draw(moved(first, up=False))
    assert is_assignable(first, second)
    assert is_assignable(second, third)
    assert is_assignable(below, first)
    assert is_assignable(first, third)
    assert is_assignable(below, third)
    for lower, upper in [(first, second), (second, third), (below, first)]:
        assert lower == upper or not is_assignable(upper, lower), "two types that fit each other are equal"


@quiet
@given(all_types, all_types, all_types)
def test_assignability_is_transitive_and_antisymmetric_on_unrelated_types(a, b, c):
    if is_assignable(a, b) and is_assignable(b, c):
        assert is_assignable(a, c)
    if is_assignable(a, b) and is_assignable(b, a):
        assert a == b


@quiet
@given(all_types, all_types)
def test_functions_are_contravariant(source, target):
    take_source, take_target = FunctionType(source, int), FunctionType(target, int)
    assert is_assignable(take_target, take_source) == is_assignable(source, target)
    give_source, give_target = FunctionType(None, source), FunctionType(None, target)
    assert is_assignable(give_source, give_target) == is_assignable(source, target)


@quiet
@given(st.data())
def test_a_value_of_a_type_is_a_value_of_every_type_it_fits(drawn):
    source = drawn.draw(small_data)
    target = drawn.draw(moved(source))
    value = conform(drawn.draw(values(source)), source, what="value")
    conform(value, target, what="value")


# ---------------------------------------------------------------- values


@quiet
@given(st.data())
def test_conform_accepts_every_spelling_and_is_idempotent(drawn):
    kind = drawn.draw(small_data)
    value = conform(drawn.draw(values(kind)), kind, what="value")
    assert same(conform(value, kind, what="value"), value)


@quiet
@given(st.sampled_from(DTYPES), st.data())
def test_a_list_and_an_array_give_the_same_bits(dtype, drawn):
    kind = TensorType(dtype, (2, 3))
    source = drawn.draw(st.sampled_from([d for d in DTYPES if d != "str"]))
    array = drawn.draw(hnp.arrays(np.dtype(source), (2, 3)))
    spellings = [array, array.tolist(), list(array), list(map(list, array)), array.astype(object)]
    if source in {"float32", "float16", "complex64"}:
        assume(np.dtype(dtype).kind in "fc")
    verdicts = []
    for spelling in spellings:
        try:
            verdicts.append(conform(spelling, kind, what="value").tobytes())
        except BadType:
            verdicts.append(None)
    if np.isfinite(array).all():  # the payload of a NaN is not promised
        assert len(set(verdicts)) == 1
    else:
        assert len({v is None for v in verdicts}) == 1


@quiet
@given(st.data())
def test_columns_hold_every_client(drawn):
    member = drawn.draw(small_data)
    clients = drawn.draw(st.lists(values(member), max_size=4))
    columns = conform_clients(clients, member, what="values")
    for i, value in enumerate(clients):
        assert same(of_client(columns, member, i), conform(value, member, what="value"))


junk = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.integers(-3, 300),
        st.floats(),
        st.text("a\0", max_size=2),
        hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=2)),
        hnp.from_dtype(np.dtype("float32")),
        st.just(b"bytes"),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.tuples(inner, inner), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(quiet, max_examples=400)
@given(st.data())
def test_columns_refuse_exactly_what_one_client_would_be_refused(drawn):
    member = drawn.draw(small_data)
    clients = drawn.draw(st.lists(st.one_of(values(member), junk), min_size=1, max_size=3))
    refused = [i for i, value in enumerate(clients) if problem(conform, value, member)]
    found = problem(conform_clients, clients, member)
    assert bool(found) == bool(refused)
    assert not found or any(found.startswith(f"value: client {i}: ") for i in refused)


def problem(conforming, value, kind):
    """The text of the error, or nothing."""
    try:
        conforming(value, kind, what="value")
    except BadType as error:
        return str(error)
    return ""


@quiet
@given(small_data)
def test_zero_is_canonical(kind):
    zero = zeros(kind)
    assert same(conform(zero, kind, what="zero"), zero)


@quiet
@given(st.data())
def test_the_type_of_a_canonical_value_fits(drawn):
    kind = drawn.draw(st.one_of(tensors(st.integers(0, 3)), structs(tensors(st.integers(0, 3)))))
    if isinstance(kind, StructType) and not kind.named:
        kind = StructType(kind.types)  # a tuple has no names, and names may be missing
    value = conform(drawn.draw(values(kind)), kind, what="value")
    assert type_of(value) == kind
