"""The compact notation: what is printed, what is read, and where a bad text is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from fedanalytics.errors import BadType
from fedanalytics.types import (
    CLIENTS,
    SERVER,
    FederatedType,
    FunctionType,
    SequenceType,
    StructType,
    TensorType,
    parse_type,
)

XY = StructType([("X", np.float32), ("Y", np.float32)])

# From TensorFlow Federated: the section "Type System" of its guide federated_core.md, and the tables of
# core/impl/types/computation_types_test.py. Left out: abstract and placement types, which it does not expose either.
TFF = [
    ("int32", TensorType(np.int32)),
    ("int32[10]", TensorType(np.int32, (10,))),
    ("int32[?]", TensorType(np.int32, (None,))),
    ("float32[?,3]", TensorType(np.float32, (None, 3))),
    ("<int32,bool>", StructType([np.int32, np.bool_])),
    ("<a=int32,b=bool>", StructType([("a", np.int32), ("b", np.bool_)])),
    ("<bool,a=int32>", StructType([np.bool_, ("a", np.int32)])),
    ("<int32,<x=float32[2],bool[3]>>", StructType([np.int32, [("x", (np.float32, [2])), (np.bool_, [3])]])),
    ("int32*", SequenceType(np.int32)),
    ("<X=float32,Y=float32>*", SequenceType(XY)),
    ("(int32 -> bool)", FunctionType(np.int32, np.bool_)),
    ("( -> bool)", FunctionType(None, np.bool_)),
    ("(int32* -> int32)", FunctionType(SequenceType(np.int32), np.int32)),
    ("{int32}@CLIENTS", FederatedType(np.int32, CLIENTS)),
    ("int32@CLIENTS", FederatedType(np.int32, CLIENTS, True)),  # noqa: FBT003 - TFF's own signature
    ("int32@SERVER", FederatedType(np.int32, SERVER)),
    ("{<X=float32,Y=float32>*}@CLIENTS", FederatedType(SequenceType(XY), CLIENTS)),
    (
        "<weights=float32[10,5],bias=float32[5]>@SERVER",
        FederatedType({"weights": (np.float32, (10, 5)), "bias": (np.float32, (5,))}, SERVER),
    ),
    (
        "({float32}@CLIENTS -> float32@SERVER)",
        FunctionType(FederatedType(np.float32, CLIENTS), FederatedType(np.float32, SERVER)),
    ),
]

OURS = [
    ("<>", StructType(())),
    ("(<> -> <>)", FunctionType((), ())),
    ("str[2]**", SequenceType(SequenceType((str, (2,))))),
    ("<a=float32,b=int32[3]>", StructType({"a": np.float32, "b": (np.int32, (3,))})),
    ("(<a=int64,b=bool> -> str)", FunctionType.of([("a", int), ("b", bool)], str)),
    ("((int64 -> int64) -> ( -> bool))", FunctionType(FunctionType(int, int), FunctionType(None, bool))),
    ("<int64@SERVER,f=( -> bool)>", StructType([FederatedType(int, SERVER), ("f", FunctionType(None, bool))])),
    ("float64[0,9223372036854775807]", TensorType(float, (0, 2**63 - 1))),
]


@pytest.mark.parametrize(("text", "kind"), TFF + OURS)
def test_prints_and_reads(text, kind):
    assert str(kind) == text
    assert parse_type(text) == kind


@pytest.mark.parametrize("name", ["bool", "uint8", "int64", "float16", "float32", "complex128", "str"])
def test_a_dtype_may_also_be_a_fields_name(name):
    assert parse_type(f"< {name} = {name} >") == StructType({name: name})


BAD = [
    ("", 0, "expected a dtype, '<', '(' or '{', found the end"),
    ("   ", 3, "found the end"),
    ("flaot32", 0, "found 'flaot32', did you mean 'float32'?"),
    ("string", 0, "did you mean 'str'?"),
    ("float", 0, "did you mean 'float"),
    ("int", 0, "found 'int'"),
    ("float32 x", 8, "expected the end of the text, '*' or '@', found 'x'"),
    ("int32]", 5, "found ']'"),
    ("int32[", 6, "expected an extent below 2**63, or '?', found the end"),
    ("int32[]", 6, "found ']'"),
    ("int32[-1]", 6, "found '-'"),
    ("int32[3", 7, "expected ',' or ']', found the end"),
    ("int32[3 4]", 8, "found '4'"),
    ("int32[1.5]", 7, "found '.'"),
    ("int32[²]", 6, "found '²'"),
    ("int32[" + "9" * 19 + "]", 0, "an extent of shape= must be a whole number >= 0"),
    ("int32[" + "9" * 30 + "]", 6, "expected an extent below 2**63"),
    ("<a=float32,b=int31>", 13, "did you mean 'int"),
    ("<a=float32", 10, "expected ',', '>', '*' or '@', found the end"),
    ("<a=float32,>", 11, "found '>'"),
    ("<a=float32 b=int32>", 11, "found 'b'"),
    ("<1a=float32>", 1, "found '1'"),
    ("<a=>", 3, "found '>'"),
    ("<a=int32,a=bool>", 0, "two fields are called 'a'"),
    ("(float32)", 8, "expected '->', '*' or '@', found ')'"),
    ("(-> int32", 9, "expected ')', '*' or '@', found the end"),
    ("(int32 - > int32)", 7, "found '-'"),
    ("( -> )", 5, "found ')'"),
    ("{float32}", 9, "expected '@' and a placement, found the end"),
    ("{float32@CLIENTS", 16, "expected '}' or '*', found the end"),
    ("{float32}@SERVER", 0, "the server holds one value"),
    ("float32@", 8, "expected CLIENTS or SERVER, found the end"),
    ("float32@clients", 8, "expected CLIENTS or SERVER, found 'clients'"),
    ("{float32@SERVER}@CLIENTS", 0, "the member of a federated type must be data, it cannot hold a placed value"),
    ("{{float32}@CLIENTS}@CLIENTS", 0, "cannot hold a placed value"),
    ("<int32,(int32 -> bool)>@SERVER", 0, "cannot hold a function"),
    ("<a={int32}@CLIENTS*>", 3, "the element of a sequence must be data"),
    ("int32@SERVER@SERVER", 0, "cannot hold a placed value"),
    ("int32;", 5, "found ';'"),
    ("int32\0", 5, "found"),
    ("<" * 200, 100, "it nests more than 100 deep"),
    ("(" * 100_000, 100, "it nests more than 100 deep"),
    ("int32" + "*" * 100_000, 0, "it nests more than 100 deep"),
    ("{" * 200, 100, "it nests more than 100 deep"),
]


@pytest.mark.parametrize(("text", "at", "problem"), BAD)
def test_a_bad_text_is_pointed_at(text, at, problem):
    with pytest.raises(BadType) as caught:
        parse_type(text)
    message, shown, caret = str(caught.value).rsplit("\n", 2)
    assert message.startswith("not a type: ")
    assert problem in message
    assert message.endswith(f"(at character {at + 1})")
    assert caret.endswith("^")
    if len(text) < 50:
        assert shown == "  " + text.replace("\0", " ")
        assert caret == " " * (at + 2) + "^"


def test_a_long_bad_text_is_shown_in_part():
    text = "<" + ",".join(f"field{i}=float32" for i in range(1000)) + ",x=floot32>"
    with pytest.raises(BadType) as caught:
        parse_type(text)
    _, shown, caret = str(caught.value).rsplit("\n", 2)
    assert len(shown) < 120
    assert shown[caret.index("^") :] == "floot32>"


def test_one_hundred_levels_are_fine():
    assert str(parse_type("int32" + "*" * 99)) == "int32" + "*" * 99
    assert str(parse_type("<" * 99 + "int32" + ">" * 99)) == "<" * 99 + "int32" + ">" * 99


def test_only_text_is_parsed():
    with pytest.raises(BadType, match="must be a string in the compact notation, got 3"):
        parse_type(3)
