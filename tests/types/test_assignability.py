"""Which type stands where another is expected, and how a misfit is named."""

from __future__ import annotations

import pytest

from fedanalytics.errors import BadType
from fedanalytics.types import check_assignable, is_assignable

# (source, target, fits); the rows marked TFF are from computation_types_test.py, test_is_assignable_from.
TABLE = [
    ("int32", "int32", True),  # TFF
    ("bool", "int32", False),  # TFF
    ("int32[10]", "int32", False),  # TFF
    ("int32[10]", "int32[?]", True),  # TFF
    ("int32[?]", "int32[10]", False),  # TFF
    ("int32[?]", "int32[?]", True),
    ("int32[2,3]", "int32[2,?]", True),
    ("int32[2,3]", "int32[3,?]", False),
    ("int32[2]", "int32[2,?]", False),
    ("int32", "int64", False),
    ("float32", "float64", False),
    ("<int32,bool>", "<int32,bool>", True),  # TFF
    ("<a=int32,b=bool>", "<a=int32,c=bool>", False),  # TFF
    ("<a=int32,b=bool>", "<int32,bool>", False),  # TFF: unnamed from named
    ("<int32,bool>", "<a=int32,b=bool>", True),  # TFF: named from unnamed
    ("<int32,b=bool>", "<a=int32,b=bool>", True),
    ("<b=bool,a=int32>", "<a=int32,b=bool>", False),
    ("<int32>", "<int32,int32>", False),
    ("<>", "<>", True),
    ("int32*", "int32*", True),  # TFF
    ("int32*", "bool*", False),  # TFF
    ("int32[3]*", "int32[?]*", True),
    ("(int32 -> bool)", "(int32 -> bool)", True),  # TFF
    ("(bool -> bool)", "(int32 -> bool)", False),  # TFF
    ("(int32 -> int32)", "(int32 -> bool)", False),  # TFF
    ("( -> bool)", "(int32 -> bool)", False),
    ("(int32 -> bool)", "( -> bool)", False),
    ("(<> -> bool)", "( -> bool)", False),
    ("( -> int32[3])", "( -> int32[?])", True),
    ("(int32[?] -> bool)", "(int32[3] -> bool)", True),  # contravariant: takes any, is given three
    ("(int32[3] -> bool)", "(int32[?] -> bool)", False),
    ("((int32[3] -> bool) -> bool)", "((int32[?] -> bool) -> bool)", True),  # twice contravariant
    ("{int32}@CLIENTS", "{int32}@CLIENTS", True),  # TFF
    ("{int32}@CLIENTS", "{bool}@CLIENTS", False),  # TFF
    ("{int32}@CLIENTS", "int32@SERVER", False),  # TFF
    ("int32@CLIENTS", "int32@SERVER", False),
    ("{int32}@CLIENTS", "int32@CLIENTS", False),  # TFF
    ("int32@CLIENTS", "{int32}@CLIENTS", True),
    ("int32[3]@SERVER", "int32[?]@SERVER", True),
    ("int32", "int32@SERVER", False),
    ("int32@SERVER", "int32", False),
    ("int32*", "int32[?]", False),
    ("int32", "<int32>", False),
]


@pytest.mark.parametrize(("source", "target", "fits"), TABLE)
def test_the_table(source, target, fits):
    assert is_assignable(source, target) is fits
    if fits:
        check_assignable(source, target, what="x")
    else:
        with pytest.raises(BadType) as caught:
            check_assignable(source, target, what="argument 'x'")
        assert str(caught.value).startswith(f"argument 'x': {source} does not fit {target}: ")


@pytest.mark.parametrize(
    ("source", "target", "difference"),
    [
        ("float32", "float64", "float32 is not float64"),
        ("float32[2]", "float32[3]", "the shape of float32[2] is not that of float32[3]"),
        ("int32*", "int32", "a sequence is not a tensor"),
        ("int32@SERVER", "( -> int32)", "a placed value is not a function"),
        ("<int32>", "<int32,bool>", "1 fields are not 2"),
        ("<a=int32>", "<b=int32>", "field 0 is called 'a', the expected one is called 'b'"),
        ("<a=int32>", "<int32>", "field 0 is called 'a', the expected one has no name"),
        ("<int32,bool>", "<int32,int8>", "at field 1, bool is not int8"),
        ("( -> bool)", "(int32 -> bool)", "one of them has no parameter: ( -> bool), (int32 -> bool)"),
        ("(int32 -> bool)", "(int8 -> bool)", "at the parameter, int8 is not int32"),
        ("int32@CLIENTS", "int32@SERVER", "a value at CLIENTS is not at SERVER"),
        ("{int8}@CLIENTS", "int8@CLIENTS", "each client has its own value, where one value that all share is expected"),
        (
            "(int32 -> {<a=<float32>*>}@CLIENTS)",
            "(int32 -> {<a=<x=float64>*>}@CLIENTS)",
            "at the result, the member, field 'a', the element, field 'x', float32 is not float64",
        ),
    ],
)
def test_the_first_difference_is_named(source, target, difference):
    with pytest.raises(BadType) as caught:
        check_assignable(source, target, what="the model")
    assert str(caught.value) == f"the model: {source} does not fit {target}: {difference}"
