"""Reads the compact notation, the inverse of `str(type)`.

```
type   := atom { '*' | '@' place }
atom   := dtype [ '[' extent { ',' extent } ']' ]        float32, int32[2,?]
        | '<' [ field { ',' field } ] '>'                <a=float32,b=int32[3]>
        | '(' [ type ] '->' type ')'                     ({float32}@CLIENTS -> float32@SERVER)
        | '{' type '}' '@' place                         {float32}@CLIENTS
field  := [ identifier '=' ] type
extent := digits | '?'
place  := 'CLIENTS' | 'SERVER'
```
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from fedanalytics._validate import did_you_mean
from fedanalytics.errors import BadType
from fedanalytics.types.base import Type, to_type
from fedanalytics.types.dtypes import DTYPES
from fedanalytics.types.kinds import FederatedType, Field, FunctionType, SequenceType, StructType, TensorType
from fedanalytics.types.placement import Placement

MAX_DEPTH = 100  # a text from outside must not exhaust the interpreter's stack
_WINDOW = 50  # characters shown on either side of an error

T = TypeVar("T")


@to_type.register(str)
def parse_type(text: str) -> Type:
    """The type that `text` is the compact notation of; ``parse_type(str(type)) == type``.

    Spaces are free between tokens. Types nest at most 100 deep.

    Raises:
        BadType: the text is no type; the message says what was expected, with a caret under the place.

    >>> parse_type("( {<x = float32[2,?], y = int32>*}@CLIENTS -> float32@SERVER )")
    ({<x=float32[2,?],y=int32>*}@CLIENTS -> float32@SERVER)
    >>> parse_type("<a=float31,b=int32>")
    Traceback (most recent call last):
    ...
    fedanalytics.errors.BadType: not a type: expected a dtype, '<', '(' or '{', found 'float31',
    did you mean 'float32'? (at character 4)
      <a=float31,b=int32>
         ^
    """
    if not isinstance(text, str):
        raise BadType(f"text= must be a string in the compact notation, got {text!r}")
    reader = _Reader(text)
    result = reader.type(MAX_DEPTH)
    if reader.peek():
        raise reader.unexpected("the end of the text, '*' or '@'")
    return result


class _Reader:
    """A text and how far it has been read: the only state, gone when the type is there."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    # ---- tokens

    def peek(self) -> str:
        """The next token without taking it: a word, a number, '->' or one character; '' at the end."""
        while self.text[self.position : self.position + 1].isspace():
            self.position += 1
        start = self.text[self.position : self.position + 1]
        if start.isidentifier():
            return self._run(lambda c: ("_" + c).isidentifier())
        if start.isascii() and start.isdigit():
            return self._run(lambda c: c.isascii() and c.isdigit())
        return "->" if self.text.startswith("->", self.position) else start

    def _run(self, belongs: Callable[[str], bool]) -> str:
        end = self.position + 1
        while end < len(self.text) and belongs(self.text[end]):
            end += 1
        return self.text[self.position : end]

    def take(self, token: str) -> bool:
        """Whether the next token was `token`, which is then read."""
        found = self.peek() == token
        self.position += len(token) if found else 0
        return found

    def expect(self, token: str, expected: str) -> None:
        if not self.take(token):
            raise self.unexpected(expected)

    # ---- errors

    def unexpected(self, expected: str, hint: str = "") -> BadType:
        token = self.peek()
        return self.error(f"expected {expected}, found {repr(token) if token else 'the end'}{hint}", self.position)

    def error(self, problem: str, at: int) -> BadType:
        first = max(0, at - _WINDOW)
        shown = "".join(c if c.isprintable() else " " for c in self.text[first : at + _WINDOW])
        return BadType(f"not a type: {problem} (at character {at + 1})\n  {shown}\n  {' ' * (at - first)}^")

    def make(self, at: int, constructor: Callable[..., T], *arguments: object, **named: object) -> T:
        """Constructs, and points at `at` if the parts do not make a type."""
        try:
            return constructor(*arguments, **named)
        except BadType as error:
            raise self.error(str(error), at) from None

    # ---- grammar

    def type(self, depth: int) -> Type:
        self.peek()
        at = self.position
        if depth <= 0:
            raise self.error(f"it nests more than {MAX_DEPTH} deep", at)
        result, depth = self.atom(depth - 1), depth - 1
        while True:
            if self.take("*"):
                depth -= 1
                if depth < 0:
                    raise self.error(f"it nests more than {MAX_DEPTH} deep", at)
                result = self.make(at, SequenceType, result)
            elif self.take("@"):
                result = self.make(at, FederatedType, result, self.place(), all_equal=True)
            else:
                return result

    def atom(self, depth: int) -> Type:
        at = self.position
        if self.take("<"):
            return self.make(at, StructType, self.fields(depth))
        if self.take("("):
            parameter = None if self.peek() == "->" else self.type(depth)
            self.expect("->", "'->', '*' or '@'" if parameter is not None else "'->'")
            result = self.type(depth)
            self.expect(")", "')', '*' or '@'")
            return FunctionType(parameter, result)
        if self.take("{"):
            member = self.type(depth)
            self.expect("}", "'}' or '*'")
            self.expect("@", "'@' and a placement")
            return self.make(at, FederatedType, member, self.place(), all_equal=False)
        word = self.peek()
        if word not in DTYPES:
            raise self.unexpected("a dtype, '<', '(' or '{'", did_you_mean(word, DTYPES))
        self.take(word)
        return self.make(at, TensorType, word, self.shape())

    def fields(self, depth: int) -> tuple[Field, ...]:
        if self.take(">"):
            return ()
        fields = [self.field(depth)]
        while not self.take(">"):
            self.expect(",", "',', '>', '*' or '@'")
            fields.append(self.field(depth))
        return tuple(fields)

    def field(self, depth: int) -> Field:
        name = self.peek()
        start = self.position
        if name.isidentifier():
            self.position += len(name)
            if self.take("="):
                return name, self.type(depth)
            self.position = start
        return None, self.type(depth)

    def shape(self) -> tuple[int | None, ...]:
        if not self.take("["):
            return ()
        extents = [self.extent()]
        while not self.take("]"):
            self.expect(",", "',' or ']'")
            extents.append(self.extent())
        return tuple(extents)

    def extent(self) -> int | None:
        if self.take("?"):
            return None
        digits = self.peek()
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 19:
            # int() reads other scripts' digits too, and refuses thousands of digits without naming a place
            raise self.unexpected("an extent below 2**63, or '?'")
        self.take(digits)
        return int(digits)

    def place(self) -> Placement:
        word = self.peek()
        if word not in Placement.__members__:
            raise self.unexpected("CLIENTS or SERVER")
        self.take(word)
        return Placement[word]
