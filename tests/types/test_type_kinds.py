"""The five kinds of type: constructors, fields, and what cannot be built."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fedanalytics import types as ft
from fedanalytics.errors import BadType
from fedanalytics.types import (
    CLIENTS,
    SERVER,
    FederatedType,
    FunctionType,
    Placement,
    SequenceType,
    StructType,
    TensorType,
    zeros,
)

ALL_DTYPES = [
    *(np.bool_, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64),
    *(np.float16, np.float32, np.float64, np.complex64, np.complex128),
]


def test_placements_print_their_names():
    assert (str(CLIENTS), repr(SERVER), f"{SERVER}") == ("CLIENTS", "SERVER", "SERVER")
    assert CLIENTS is not SERVER
    assert list(Placement) == [CLIENTS, SERVER]


@pytest.mark.parametrize("scalar", ALL_DTYPES)
def test_every_numpy_dtype_of_fixed_width(scalar):
    dtype = np.dtype(scalar)
    kind = TensorType(scalar)
    assert str(kind) == dtype.name
    assert kind == TensorType(dtype) == TensorType(dtype.name) == TensorType(dtype.newbyteorder(">"))
    assert kind.dtype.isnative
    assert hash(kind) == hash(TensorType(dtype.name))


@pytest.mark.parametrize("code", "?bBhHiIlLqQefdFD")
def test_platform_names_of_a_dtype_are_the_same_type(code):
    kind = TensorType(np.dtype(code))
    assert kind == TensorType(np.dtype(code).type) == TensorType(np.dtype(code).name)
    assert kind.dtype.itemsize == np.dtype(code).itemsize


def test_text_has_one_type_whatever_its_width():
    assert TensorType(str) == TensorType(np.str_) == TensorType(np.dtype("U7")) == TensorType("str")
    assert str(TensorType("str")) == "str"


@pytest.mark.parametrize(
    "dtype", [object, bytes, np.longdouble, np.clongdouble, "datetime64[s]", "S3", None, 3, "float", [], np.floating]
)
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(BadType, match=r"dtype= must be one of bool, int8"):
        TensorType(dtype)


def test_a_misspelt_dtype_is_suggested():
    with pytest.raises(BadType, match="did you mean 'float32'"):
        TensorType("floot32")


@pytest.mark.parametrize("shape", [(-1,), (1.5,), (True,), ("3",), (2**63,)])
def test_bad_extents(shape):
    with pytest.raises(BadType, match="an extent of shape= must be a whole number"):
        TensorType(int, shape)


@pytest.mark.parametrize("shape", [3, "3", None])
def test_a_shape_is_a_tuple(shape):
    with pytest.raises(BadType, match=r"shape= must be a tuple of extents such as \(3,\)"):
        TensorType(int, shape)


def test_extents_of_numpy_are_python_ints():
    kind = TensorType(int, [np.int32(3), None])
    assert kind.shape == (3, None)
    assert type(kind.shape[0]) is int


def test_fields_by_name_and_by_index():
    struct = StructType([("a", np.float32), np.int32, ("b", bool)])
    assert struct["a"] == struct[0] == TensorType(np.float32)
    assert struct[-1] == struct["b"] == TensorType(bool)
    assert struct.names == ("a", None, "b")
    assert list(struct) == list(struct.types)
    assert len(struct) == 3
    assert not struct.named
    assert StructType({"a": int}).named


@pytest.mark.parametrize(("key", "hint"), [("tmep", "did you mean 'temp'"), (2, "no field 2"), (None, "no field None")])
def test_an_unknown_field(key, hint):
    with pytest.raises(BadType, match=hint):
        StructType({"temp": float, "day": int})[key]


def test_the_empty_struct_is_a_type_like_any_other():
    empty = StructType(())
    assert empty, "a type is never false, so that 'if parameter' asks whether there is one"
    assert FunctionType(empty, int) != FunctionType(None, int)
    with pytest.raises(BadType):
        empty[0]


@pytest.mark.parametrize("name", ["", "1a", "a b", "a-b", "a.b", "<"])
def test_names_are_identifiers(name):
    with pytest.raises(BadType, match="must be an identifier"):
        StructType([(name, int)])


def test_names_differ():
    with pytest.raises(BadType, match="two fields are called 'b'"):
        StructType([("a", int), ("b", int), ("b", float)])


@pytest.mark.parametrize("fields", ["ab", 3, None, TensorType(int), StructType({"a": int})])
def test_fields_are_pairs(fields):
    with pytest.raises(BadType, match="fields= must be a dict or a list of"):
        StructType(fields)


def test_a_function_of_python_parameters():
    assert str(FunctionType.of([], int)) == "( -> int64)"
    assert str(FunctionType.of([("x", float)], int)) == "(float64 -> int64)"
    assert str(FunctionType.of([("x", float), ("y", "{int32}@CLIENTS")], int)) == (
        "(<x=float64,y={int32}@CLIENTS> -> int64)"
    )
    assert str(FunctionType.of([(None, float), (None, int)], int)) == "(<float64,int64> -> int64)"


PLACED, CALLABLE = FederatedType(int, CLIENTS), FunctionType(int, int)


@pytest.mark.parametrize("bad", [PLACED, CALLABLE, StructType([int, PLACED]), {"f": {"g": CALLABLE}}])
def test_data_holds_no_functions_and_no_placed_values(bad):
    with pytest.raises(BadType, match="the element of a sequence must be data, it cannot hold a"):
        SequenceType(bad)
    with pytest.raises(BadType, match="the member of a federated type must be data, it cannot hold a"):
        FederatedType(bad, SERVER)


def test_all_equal_defaults_to_what_the_placement_means():
    assert FederatedType(int, CLIENTS).all_equal is False
    assert FederatedType(int, CLIENTS) == FederatedType(int, CLIENTS, all_equal=False)
    assert FederatedType(int, SERVER).all_equal is True
    assert FederatedType(int, SERVER) == FederatedType(int, SERVER, all_equal=True)


def test_a_server_cannot_differ_from_itself():
    with pytest.raises(BadType, match=r"the server holds one value.*write int64@SERVER"):
        FederatedType(int, SERVER, all_equal=False)


@pytest.mark.parametrize("placement", ["CLIENTS", "clients", None, 1])
def test_placement_is_one_of_two(placement):
    with pytest.raises(BadType, match="placement= must be CLIENTS or SERVER"):
        FederatedType(int, placement)


@pytest.mark.parametrize("all_equal", [1, "no"])
def test_all_equal_is_a_bool(all_equal):
    with pytest.raises(BadType, match="all_equal= must be True, False or None"):
        FederatedType(int, CLIENTS, all_equal)


@pytest.mark.parametrize("kind", [TensorType(int), StructType({"a": int}), SequenceType(int), CALLABLE, PLACED])
def test_types_are_frozen(kind):
    name = dataclasses.fields(kind)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(kind, name, None)


def test_kinds_with_the_same_content_differ():
    kinds = [TensorType(int), SequenceType(int), FunctionType(None, int), FunctionType(int, int), StructType([int])]
    kinds += [FederatedType(int, CLIENTS), FederatedType(int, CLIENTS, all_equal=True), FederatedType(int, SERVER)]
    assert len(set(kinds)) == len(kinds)


def test_zero_of_a_sequence_is_empty():
    assert zeros("float32[2]*").shape == (0, 2)
    assert zeros("float32*").shape == (0,)


def test_zero_of_unknown_extents_is_empty():
    assert zeros("float32[?,2]").shape == (0, 2)
    assert zeros("float32[?]*") == []
    assert zeros("<int8,<>>") == (np.int8(0), ())
    assert zeros("<a=int8>*") == []
    assert (zeros("str"), zeros("bool")) == ("", np.False_)


@pytest.mark.parametrize("kind", [PLACED, CALLABLE, [int, CALLABLE]])
def test_only_data_has_a_zero(kind):
    with pytest.raises(BadType, match="has no zero; only data has"):
        zeros(kind)


def test_the_public_names():
    assert set(ft.__all__) == {
        *("CLIENTS", "SERVER", "Placement", "Type"),
        *("TensorType", "StructType", "SequenceType", "FunctionType", "FederatedType"),
        *("to_type", "parse_type", "type_of", "is_assignable", "check_assignable", "conform", "conform_clients"),
        "zeros",
    }
    assert all(hasattr(ft, name) for name in ft.__all__)
