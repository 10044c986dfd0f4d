"""Values in canonical form: what is accepted, what is refused, and the place that the message names."""

from __future__ import annotations

import collections
import enum
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from fedanalytics.errors import BadType
from fedanalytics.types import CLIENTS, FederatedType, TensorType, conform, conform_clients

INF, NAN = float("inf"), float("nan")


class Level(enum.IntEnum):
    HIGH = 3


AB = collections.namedtuple("AB", "a b")  # noqa: PYI024 - as callers write them
BA = collections.namedtuple("BA", "b a")  # noqa: PYI024


@dataclass
class Record:
    b: list
    a: float


def check(value, expected, dtype, shape=()):
    assert isinstance(value, np.ndarray if shape else np.generic)
    assert value.dtype == dtype or value.dtype.kind == "U" == np.dtype(dtype).kind
    assert value.shape == shape
    np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("bool", True, True),
        ("bool", np.False_, False),
        ("int8", -128, -128),
        ("int8", np.int64(127), 127),
        ("uint64", 2**64 - 1, 2**64 - 1),
        ("uint64", np.uint64(2**64 - 1), 2**64 - 1),
        ("int64", -(2**63), -(2**63)),
        ("int32", Level.HIGH, 3),
        ("int64", np.array(5, np.uint8), 5),
        ("float32", 1, 1.0),
        ("float32", 0.1, np.float32(0.1)),
        ("float32", np.float64(0.1), np.float32(0.1)),
        ("float32", 2**24 + 1, 2**24),
        ("float32", 16777217.0000001, 16777218.0),
        ("float32", NAN, NAN),
        ("float32", -INF, -INF),
        ("float32", 3.4028235e38, np.finfo(np.float32).max),
        ("float16", 65519.9, 65504.0),
        ("float64", 10**300, 1e300),
        ("float64", np.float16(0.5), 0.5),
        ("complex64", 1, 1 + 0j),
        ("complex64", 1 + 2j, 1 + 2j),
        ("complex128", 0.5, 0.5 + 0j),
        ("str", "JFK", "JFK"),
        ("str", "", ""),
        ("str", "a\0b", "a\0b"),
        ("str", np.str_("é"), "é"),
    ],
)
def test_scalars(kind, value, expected):
    check(conform(value, kind, what="x"), expected, TensorType(kind).dtype)
    column = conform_clients([value, value], kind, what="x")
    check(column, [expected, expected], TensorType(kind).dtype, (2,))


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        ("bool", 1, "1 (int) is not bool"),
        ("bool", np.int8(0), "is not bool"),
        ("int32", True, "True (bool) is not int32"),
        ("int32", np.True_, "is not int32"),
        ("int32", 1.0, "1.0 (float) is not int32"),
        ("int32", np.float32(1), "is not int32"),
        ("int32", "1", "'1' (str) is not int32"),
        ("int32", None, "None (NoneType) is not int32"),
        ("int8", 128, "128 does not fit int8 (-128 to 127)"),
        ("int8", np.int64(-129), "-129 does not fit int8"),
        ("uint8", -1, "does not fit uint8 (0 to 255)"),
        ("uint64", -1, "does not fit uint64"),
        ("uint64", 2**64, "does not fit uint64"),
        ("int64", 2**63, "does not fit int64"),
        ("int64", np.uint64(2**63), "does not fit int64"),
        ("int64", 10**400, "does not fit int64"),
        ("float32", True, "True (bool) is not float32"),
        ("float32", 1j, "1j (complex) is not float32"),
        ("float32", "1.5", "'1.5' (str) is not float32"),
        ("float32", Fraction(1, 3), "is not float32"),
        ("float32", 1e39, "1e+39 does not fit float32"),
        ("float32", 3.4028236e38, "does not fit float32"),
        ("float16", 65520, "65520.0 does not fit float16"),
        ("float64", 10**400, "does not fit float64"),
        ("float64", -(10**400), "does not fit float64"),
        ("complex64", 1e39 + 0j, "does not fit complex64"),
        ("complex128", False, "is not complex128"),
        ("complex128", 10**400, "does not fit complex128"),
        ("str", 1, "1 (int) is not str"),
        ("str", b"x", "b'x' (bytes) is not str"),
        ("str", "a\0", "ends in NUL"),
        ("float32", [1.0], "[1.0] (list) is not float32"),
        ("float32", np.zeros(3), "an array of shape (3,) where float32 is expected"),
        ("float32", np.longdouble(1), "is not float32"),
        ("int64", np.timedelta64(1, "s"), "is not int64"),
        ("float64", {}, "{} (dict) is not float64"),
        ("float64", float, "is not float64"),
        ("float64", np.float64, "is not float64"),
    ],
)
def test_bad_scalars(kind, value, problem):
    with pytest.raises(BadType) as caught:
        conform(value, kind, what="argument 'x'")
    assert str(caught.value).startswith("argument 'x': ")
    assert problem in str(caught.value)
    good = conform(np.zeros((), TensorType(kind).dtype), kind, what="x")
    with pytest.raises(BadType, match=r"^sensors: client 2: "):
        conform_clients([good, good, value], kind, what="sensors")


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("int32[3]", [1, 2, 3], [1, 2, 3]),
        ("int32[3]", (1, 2, 3), [1, 2, 3]),
        ("int32[3]", range(3), [0, 1, 2]),
        ("int32[3]", np.arange(3, dtype=">i2"), [0, 1, 2]),
        ("int32[3]", [1, np.int8(2), np.array(3)], [1, 2, 3]),
        ("float32[2,2]", [[1, 2.5], (3, 4)], [[1, 2.5], [3, 4]]),
        ("float32[2,2]", [[1, 2.5], np.array([3.0, 4.0])], [[1, 2.5], [3, 4]]),
        ("float32[2,2]", [np.array([1, 2]), np.array([3.0, 4.0])], [[1, 2], [3, 4]]),
        ("float32[2]", np.array([1, 2.5], object), [1, 2.5]),
        ("float32[2]", pd.Series([1.5, 2.5]), [1.5, 2.5]),
        ("str[2]", pd.Series(["a", "bcd"]), ["a", "bcd"]),
        ("str[2]", ["a", "bcd"], ["a", "bcd"]),
        ("int8[0]", [], []),
        ("int8[0]", np.array([]), []),
        ("int8[?]", [], []),
        ("int8[?,2]", [[1, 2]], [[1, 2]]),
        ("int8[2,?]", [[1, 2, 3], [4, 5, 6]], [[1, 2, 3], [4, 5, 6]]),
        ("int8[?,?]", np.ones((2, 1), np.int8), [[1], [1]]),
    ],
)
def test_arrays(kind, value, expected):
    dtype = TensorType(kind.split("[")[0]).dtype
    result = conform(value, kind, what="x")
    check(result, expected, dtype, np.shape(expected))


def test_an_integer_reaches_float32_through_float64_however_it_is_written():
    integer = 2**60 + 2**36 + 1  # float64 drops the 1 and leaves a tie; one rounding straight to float32 goes up
    expected = np.float32(np.float64(integer))
    assert np.array([integer]).astype(np.float32)[0] != expected
    for spelling in ([integer], [np.int64(integer)], np.array([integer]), np.array([integer], np.uint64)):
        check(conform(spelling, "float32[1]", what="x"), [expected], np.float32, (1,))


def test_results_are_in_native_byte_order():
    assert conform(np.array(["ab"], ">U2"), "str[1]", what="x").dtype.isnative
    assert conform(np.array([1.5], ">f4"), "float32[1]", what="x").dtype.isnative


def test_an_unknown_extent_of_nothing_is_zero():
    assert conform([], "int8[?,2]", what="x").shape == (0, 2)
    assert conform([], "int8[?,?]", what="x").shape == (0, 0)


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        ("int32[3]", [1, 2], "x: 2 items where int32[3] is expected"),
        ("int32[3]", [1, 2, True], "x: item 2: True (bool) is not int32"),
        ("int32[3]", [1, 2, 2.0], "x: item 2: 2.0 (float) is not int32"),
        ("int32[3]", np.array([1, 2, 3.0]), "x: item 0: float64 is not int32"),
        ("int32[3]", np.array([1, 2, 2**31]), "x: item 2: 2147483648 does not fit int32"),
        ("uint8[2]", np.array([1, -1], np.int8), "x: item 1: -1 does not fit uint8"),
        ("float32[3]", np.array([INF, NAN, 1e300]), "x: item 2: 1e+300 does not fit float32"),
        ("int32[2,2]", [[1, 2], [3, 2**40]], "x: item 1: item 1: 1099511627776 does not fit int32"),
        ("int32[2,2]", np.array([[1, 2], [3, 2**40]]), "x: item 1: item 1: 1099511627776 does not fit int32"),
        ("int32[2,2]", [[1, 2], [3]], "x: item 1: 1 items where int32[2] is expected"),
        ("int32[2,2]", [1, 2], "x: item 0: 1 (int) where several values are expected"),
        ("int32[2,2]", [[1, 2], np.array([3, 2**40])], "x: item 1: item 1: 1099511627776 does not fit int32"),
        ("int32[2,?]", [[1, 2], [3]], "items of different shapes [(1,), (2,)] do not make one int32[2,?]"),
        ("int32[2]", np.zeros((2, 1), np.int32), "an array of shape (2, 1) where int32[2] is expected"),
        ("int32[2]", {1, 2}, "several values are expected; give a list, a tuple or an array"),
        ("int32[2]", iter([1, 2]), "several values are expected"),
        ("int32[2]", {0: 1, 1: 2}, "several values are expected"),
        ("str[2]", "ab", "'ab' (str) where several values are expected"),
        ("int32[2]", np.ma.masked_array([1, 2], [True, False]), "a masked array hides values"),
        ("float64[2]", pd.Series([1, None], dtype=object), "x: item 1: None (NoneType) is not float64"),
        ("float64[1]", np.array(["2020-01-01"], "datetime64[D]"), "datetime64[D] is not float64"),
        ("str[2]", np.array([b"a", b"b"]), "is not str"),
    ],
)
def test_bad_arrays(kind, value, problem):
    with pytest.raises(BadType) as caught:
        conform(value, kind, what="x")
    assert problem in str(caught.value)


AB_KIND = "<a=float32,b=int8[2]>"


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1, "b": [1, 2]},
        {"b": np.array([1, 2]), "a": np.float64(1)},
        collections.OrderedDict(b=(1, 2), a=1),
        AB(1, [1, 2]),
        BA([1, 2], 1),
        Record([1, 2], 1.0),
        (1, [1, 2]),
        [1, (1, 2)],
    ],
)
def test_records_by_name_or_by_position(value):
    result = conform(value, AB_KIND, what="x")
    assert list(result) == ["a", "b"]
    check(result["a"], 1, np.float32)
    check(result["b"], [1, 2], np.int8, (2,))
    columns = conform_clients([value] * 3, AB_KIND, what="x")
    check(columns["a"], [1] * 3, np.float32, (3,))
    check(columns["b"], [[1, 2]] * 3, np.int8, (3, 2))
    mixed = conform_clients([value, {"a": 0, "b": (0, 0)}, (0, [0, 0])], AB_KIND, what="x")
    check(mixed["a"], [1, 0, 0], np.float32, (3,))


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        (AB_KIND, {"a": 1}, "field 'b' is missing; <a=float32,b=int8[2]> is expected"),
        (AB_KIND, {"a": 1, "b": [1, 2], "c": 3}, "unknown field 'c'"),
        ("<temp=float32>", {"tmep": 1}, "unknown field 'tmep', did you mean 'temp'?"),
        (AB_KIND, {"a": 1, 2: 3}, "unknown field 2"),
        (AB_KIND, {}, "0 values where <a=float32,b=int8[2]> is expected"),
        (AB_KIND, (1,), "1 values where"),
        (AB_KIND, 3, "3 (int) where <a=float32,b=int8[2]> is expected; give a dict or a tuple"),
        (AB_KIND, "ab", "'ab' (str) where"),
        (AB_KIND, np.zeros(2), "(ndarray) where"),
        (AB_KIND, {"a": 1, "b": [1, 300]}, "field 'b': item 1: 300 does not fit int8"),
        ("<int8,int8>", {"a": 1, "b": 2}, "fields with names where <int8,int8> is expected; give a tuple"),
        ("<int8,int8>", AB(1, 2), "fields with names"),
        ("<int8,int8>", (1, 2.5), "item 1: 2.5 (float) is not int8"),
        ("<a=int8,int8>", (1, None), "item 1: None (NoneType) is not int8"),
        ("<m=<w=int8>>", {"m": {"w": 1.5}}, "field 'm': field 'w': 1.5 (float) is not int8"),
    ],
)
def test_bad_records(kind, value, problem):
    with pytest.raises(BadType) as caught:
        conform(value, kind, what="x")
    assert problem in str(caught.value)
    with pytest.raises(BadType) as caught:
        conform_clients([value], kind, what="x")
    assert str(caught.value).startswith("x: client 0: ")
    assert problem in str(caught.value)


def test_positional_structs_are_tuples():
    assert conform([1, "a"], "<int8,str>", what="x") == (1, "a")
    assert conform((1, 2), "<a=int8,int8>", what="x") == (1, 2)
    assert conform((), "<>", what="x") == ()
    numbers, texts = conform_clients([(1, "a"), [2, "b"]], "<int8,str>", what="x")
    check(numbers, [1, 2], np.int8, (2,))
    check(texts, ["a", "b"], np.str_, (2,))


def test_sequences():
    check(conform([1, 2, 3], "float32*", what="x"), [1, 2, 3], np.float32, (3,))
    check(conform([], "float32[2]*", what="x"), np.empty((0, 2)), np.float32, (0, 2))
    check(conform(np.eye(2), "float32[2]*", what="x"), np.eye(2), np.float32, (2, 2))
    assert conform([{"a": 1}, (2,)], "<a=int8>*", what="x") == [{"a": 1}, {"a": 2}]
    ragged = conform([[1], [1, 2]], "int8[?]*", what="x")
    assert [array.tolist() for array in ragged] == [[1], [1, 2]]
    nested = conform([[1], [1, 2]], "int8**", what="x")
    assert [array.tolist() for array in nested] == [[1], [1, 2]]


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        ("float32*", 3, "3 (int) where several values are expected"),
        ("float32*", np.array(3.0), "where several values are expected"),
        ("float32*", "abc", "where several values are expected"),
        ("float32*", [1, "a"], "item 1: 'a' (str) is not float32"),
        ("float32[2]*", [[1, 2], [3]], "item 1: 1 items where float32[2] is expected"),
        ("<a=int8>*", [{"a": 1}, {"a": 300}], "item 1: field 'a': 300 does not fit int8"),
        ("int8**", [[1], [300]], "item 1: item 0: 300 does not fit int8"),
    ],
)
def test_bad_sequences(kind, value, problem):
    with pytest.raises(BadType) as caught:
        conform(value, kind, what="x")
    assert problem in str(caught.value)
    with pytest.raises(BadType) as caught:
        conform_clients([[], value], kind, what="x")
    assert str(caught.value).startswith("x: client 1: ")
    assert problem in str(caught.value)


# ---------------------------------------------------------------- clients


def test_an_array_of_clients_is_not_copied_when_it_is_right():
    readings = np.linspace(0, 1, 1000)
    assert np.shares_memory(conform_clients(readings, "float64", what="x"), readings)
    check(conform_clients(readings, "float32", what="x"), readings.astype(np.float32), np.float32, (1000,))


def test_a_million_clients_name_the_first_that_does_not_fit():
    readings = np.zeros(1_000_000)
    readings[[765_432, 999_999]] = 1e300
    with pytest.raises(BadType, match="x: client 765432: 1e\\+300 does not fit float32"):
        conform_clients(readings, "float32", what="x")
    values = readings[:100_000].tolist()
    values[99_999] = True
    with pytest.raises(BadType, match=r"x: client 99999: True \(bool\) is not float32"):
        conform_clients(values, "float32", what="x")


@pytest.mark.parametrize("values", [[], (), np.array([]), np.empty((0, 7), object)])
def test_no_clients(values):
    assert conform_clients(values, "int32", what="x").shape == (0,)
    assert conform_clients(values, "int32[3]", what="x").shape == (0, 3)
    assert conform_clients(values, "int32*", what="x") == []
    assert conform_clients(values, "int32[?]", what="x") == []
    columns = conform_clients(values, "<a=int32,b=<float32,str[2]>>", what="x")
    assert columns["a"].shape == (0,)
    assert columns["b"][1].shape == (0, 2)


@pytest.mark.parametrize("values", [3, "abc", {"a": 1}, {1, 2}, None, np.array(1.0), iter([1])])
def test_clients_come_in_a_list(values):
    with pytest.raises(BadType, match=r"^sensors: .* where several values are expected; give a list"):
        conform_clients(values, "float64", what="sensors")


def test_clients_with_the_wrong_shape():
    with pytest.raises(BadType, match=r"x: client 0: an array of shape \(3,\) where float64 is expected"):
        conform_clients(np.zeros((5, 3)), "float64", what="x")
    with pytest.raises(BadType, match=r"x: client 1: an array of shape \(2,\) where float64\[3\] is expected"):
        conform_clients([np.zeros(3), np.zeros(2)], "float64[3]", what="x")
    with pytest.raises(BadType, match=r"x: client 1: item 2: 'z' \(str\) is not float64"):
        conform_clients([[1, 2, 3], [1, 2, "z"]], "float64[3]", what="x")


def test_ragged_sequences_of_clients():
    for values in (
        [[1], [], [2, 3]],
        [(1,), [], (2, 3)],
        [np.array([1]), np.array([], int), np.array([2, 3])],
        [np.array([1]), np.array([]), [2, 3]],
    ):
        columns = conform_clients(values, "int16*", what="x")
        assert [column.tolist() for column in columns] == [[1], [], [2, 3]]
        assert {column.dtype for column in columns} == {np.dtype(np.int16)}


@pytest.mark.parametrize("spelling", [list, np.array, tuple])
def test_a_bad_element_of_a_ragged_sequence_is_placed(spelling):
    values = [spelling([]), spelling([1, 2]), spelling([]), spelling([3, 70_000])]
    values = [v.astype(int) for v in values] if spelling is np.array else values
    with pytest.raises(BadType, match="x: client 3: item 1: 70000 does not fit int16"):
        conform_clients(values, "int16*", what="x")
    with pytest.raises(BadType, match="x: client 3: field 'y': item 1: 70000 does not fit int16"):
        conform_clients([{"y": v} for v in values], "<y=int16*>", what="x")


def test_ragged_arrays_of_several_dtypes_are_judged_one_by_one():
    columns = conform_clients([np.array([1], np.uint64), np.array([2], np.int64)], "int16*", what="x")
    assert [column.tolist() for column in columns] == [[1], [2]]
    with pytest.raises(BadType, match="x: client 1: item 0: bool is not int16"):
        conform_clients([np.array([1]), np.array([True])], "int16*", what="x")
    with pytest.raises(BadType, match=r"x: client 1: item 0: an array of shape \(2,\) where float32\[3\] is expected"):
        conform_clients([np.ones((1, 3)), np.ones((1, 2))], "float32[3]*", what="x")


def test_sequences_of_matrix_rows():
    columns = conform_clients([np.ones((2, 3)), np.zeros((0, 3))], "float32[3]*", what="x")
    assert [column.shape for column in columns] == [(2, 3), (0, 3)]
    columns = conform_clients(np.ones((2, 4)), "float32*", what="x")
    assert [column.shape for column in columns] == [(4,), (4,)]
    objects = [np.array([1, 2.5], object), np.array([3], object)]
    assert [column.tolist() for column in conform_clients(objects, "float32*", what="x")] == [[1, 2.5], [3]]


def test_nested_records_of_clients():
    clients = [{"n": 1, "m": {"w": [1, 2], "t": ("a", True)}}, (2, ([3, 4], ("bc", False)))]
    columns = conform_clients(clients, "<n=int8,m=<w=float32[2],t=<str,bool>>>", what="x")
    check(columns["n"], [1, 2], np.int8, (2,))
    check(columns["m"]["w"], [[1, 2], [3, 4]], np.float32, (2, 2))
    check(columns["m"]["t"][0], ["a", "bc"], np.str_, (2,))
    check(columns["m"]["t"][1], [True, False], np.bool_, (2,))
    clients[1] = (2, (["no", 4], ("bc", False)))
    with pytest.raises(BadType, match="x: client 1: field 'm': field 'w': item 0: 'no'"):
        conform_clients(clients, "<n=int8,m=<w=float32[2],t=<str,bool>>>", what="x")


def test_a_pandas_column_of_clients():
    check(conform_clients(pd.Series([1, 2]), "float32", what="x"), [1, 2], np.float32, (2,))
    check(conform_clients(pd.Series(["a", "b"]), "str", what="x"), ["a", "b"], np.str_, (2,))


@pytest.mark.parametrize("kind", [FederatedType(int, CLIENTS), "(int32 -> int32)", {"f": "( -> bool)"}])
def test_only_data_has_a_canonical_form(kind):
    with pytest.raises(BadType, match="is not a type of data"):
        conform({"f": 1}, kind, what="x")
    with pytest.raises(BadType, match="is not a type of data"):
        conform_clients([{"f": 1}], kind, what="x")
