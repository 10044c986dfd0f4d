"""Every way to write a type, and what is no type."""

from __future__ import annotations

import collections
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypedDict

import numpy as np
import pytest

from fedanalytics.errors import BadType
from fedanalytics.types import CLIENTS, FederatedType, TensorType, to_type


class Reading(NamedTuple):
    temp: np.float32
    station: str


@dataclass
class Batch:
    x: list[Reading]
    y: TensorType(np.int32, (3,))
    weight: float = 1.0


@dataclass
class Labelled(Batch):
    label: (str, (None,)) = ()


class Row(TypedDict):
    n: int
    ok: bool


@dataclass
class Selfish:
    inner: list[Selfish]


@dataclass
class Unresolved:
    a: Nowhere  # noqa: F821 - the point of the test


Untyped = collections.namedtuple("Untyped", "a b")  # noqa: PYI024 - the point of the test


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (bool, "bool"),
        (int, "int64"),
        (float, "float64"),
        (complex, "complex128"),
        (str, "str"),
        (np.float32, "float32"),
        (np.bool_, "bool"),
        (np.str_, "str"),
        (np.longlong, "int64"),
        (np.dtype("u2"), "uint16"),
        (np.dtype(">f4"), "float32"),
        (TensorType(int), "int64"),
        ("float32", "float32"),
        (" < a = int32 > ", "<a=int32>"),
        ((np.float32, (3,)), "float32[3]"),
        ((np.float32, [None, 2]), "float32[?,2]"),
        ((np.float32, ()), "float32"),
        ((float, (np.int64(3),)), "float64[3]"),
        (("float32", (3,)), "float32[3]"),
        ((np.int32, np.bool_), "<int32,bool>"),
        ([np.int32, np.bool_], "<int32,bool>"),
        ((np.int32,), "<int32>"),
        ((), "<>"),
        ({}, "<>"),
        ([("a", np.int32), ("b", np.bool_)], "<a=int32,b=bool>"),
        ([np.bool_, ("a", np.int32)], "<bool,a=int32>"),
        ([(None, int)], "<int64>"),
        ((("a", np.int32), ("b", "int8*")), "<a=int32,b=int8*>"),
        ({"a": np.float32, "b": (np.int32, (3,))}, "<a=float32,b=int32[3]>"),
        (collections.OrderedDict(foo=np.int32), "<foo=int32>"),
        ((np.int32, (np.float32, np.bool_)), "<int32,<float32,bool>>"),
        ({"p": FederatedType(int, CLIENTS)}, "<p={int64}@CLIENTS>"),
        (Reading, "<temp=float32,station=str>"),
        (Batch, "<x=<temp=float32,station=str>*,y=int32[3],weight=float64>"),
        (Labelled, "<x=<temp=float32,station=str>*,y=int32[3],weight=float64,label=str[?]>"),
        (Row, "<n=int64,ok=bool>"),
        (list[float], "float64*"),
        (list[Batch], "<x=<temp=float32,station=str>*,y=int32[3],weight=float64>*"),
        (typing.List[int], "int64*"),  # noqa: UP006 - old code is written so
        (Sequence[int], "int64*"),
        (Iterable[int], "int64*"),
        (typing.Sequence[int], "int64*"),
        (tuple[int, ...], "int64*"),
        (tuple[int, np.float32], "<int64,float32>"),
        (list[list[int]], "int64**"),
    ],
)
def test_spellings(spec, text):
    assert str(to_type(spec)) == text


@pytest.mark.parametrize(
    "spec",
    [
        None,
        3,
        1.5,
        object(),
        object,
        list,
        dict,
        np.ndarray,
        np.floating,
        np.longdouble,
        TensorType,
        FederatedType,
        (3,),
        (int, 3),
        [("a", None)],
        {"a": 3},
        dict[str, int],
        int | None,
        set[int],
        {1: int},
        b"int32",
        lambda: int,
    ],
)
def test_no_type(spec):
    with pytest.raises(BadType):
        to_type(spec)


@pytest.mark.parametrize(
    ("spec", "shown"), [(3, "3"), (TensorType, "TensorType'>"), (dict[str, int], "dict.str, int.")]
)
def test_the_message_says_what_is_accepted(spec, shown):
    with pytest.raises(
        BadType, match=rf"{shown} cannot be read as a type; write a type; a numpy dtype such as np.float32"
    ):
        to_type(spec)


@pytest.mark.parametrize("spec", [Unresolved, Untyped])
def test_records_need_annotations(spec):
    with pytest.raises(BadType, match=f"the fields of {spec.__name__} need annotations that can be resolved"):
        to_type(spec)


def test_a_record_of_itself_has_no_type():
    with pytest.raises(BadType, match="Selfish refers to itself"):
        to_type(Selfish)


def test_a_dtype_with_fields_is_no_tensor():
    with pytest.raises(BadType, match="dtype= must be one of"):
        to_type(np.dtype([("a", "f4")]))
