"""The type of a value."""

from __future__ import annotations

import collections
from dataclasses import dataclass

import numpy as np
import pytest

from fedanalytics.errors import BadType
from fedanalytics.types import type_of

Pair = collections.namedtuple("Pair", "a b")  # noqa: PYI024 - values without annotations have a type too


@dataclass
class Model:
    w: np.ndarray
    b: float


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "bool"),
        (3, "int64"),
        (-(2**63), "int64"),
        (1.5, "float64"),
        (float("nan"), "float64"),
        (1j, "complex128"),
        ("JFK", "str"),
        (np.float32(1), "float32"),
        (np.float64(1), "float64"),
        (np.uint64(2**64 - 1), "uint64"),
        (np.str_("a"), "str"),
        (np.bool_(0), "bool"),
        (np.zeros((2, 3), ">i2"), "int16[2,3]"),
        (np.array(1.5), "float64"),
        (np.array(["a", "bc"]), "str[2]"),
        (np.zeros((0, 3)), "float64[0,3]"),
        ({"a": 1, "b": [1.5]}, "<a=int64,b=float64*>"),
        ({}, "<>"),
        ((), "<>"),
        ((1, 2.5), "<int64,float64>"),
        (Pair(1, "x"), "<a=int64,b=str>"),
        (Model(np.zeros(2, np.float32), 0.5), "<w=float32[2],b=float64>"),
        ([1, 2, 3], "int64*"),
        ([[1], [2, 3]], "int64**"),
        ([{"x": 1.0}, {"x": 2.0}], "<x=float64>*"),
        ([np.zeros(2), np.ones(2)], "float64[2]*"),
    ],
)
def test_values(value, text):
    assert str(type_of(value)) == text


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (2**63, "does not fit int64; write its type, such as np.uint64"),
        (-(2**63) - 1, "does not fit int64"),
        ([], "an empty list has no element type"),
        ([1, 2.5], "must have one type, found int64, float64; a tuple may mix types"),
        ([1, True], "must have one type"),
        ([np.zeros(1), np.zeros(2)], r"found float64\[1\], float64\[2\]"),
        (None, "has no type"),
        ({1, 2}, "has no type"),
        (b"x", "has no type"),
        (np.array([None]), "has no type"),
        (np.datetime64("2020-01-01"), "has no type"),
        (np.longdouble(1), "has no type"),
        (Model, "has no type"),
        ({1: 2}, "keys must be strings, got 1"),
        ({"a b": 2}, "must be an identifier"),
        ({"a": {"b": None}}, "has no type"),
    ],
)
def test_values_without_a_type(value, problem):
    with pytest.raises(BadType, match=problem):
        type_of(value)
