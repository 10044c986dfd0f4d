"""A Python function as data: what it says, for digests.

Two functions have the same fingerprint if they have the same qualified name, bytecode, constants, names, defaults,
closure and globals. Helpers of the same top-level package are read in turn; classes, and functions of other packages,
count by name. Line numbers and file names are left out, so that a function may move. The fingerprint is the same in
every process of one Python version. Nothing is ever executed from it.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import inspect
import types
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fedanalytics.errors import BadArgument
from fedanalytics.round.canonical import canonical, canonical_json

_GLOBALS = ("LOAD_GLOBAL", "LOAD_NAME")


def fingerprint(value: Any) -> Any:
    """A function, or anything that one refers to, as plain data for `canonical`.

    Raises:
        BadArgument: it refers to something that has no stable description.

    Example:
        >>> fingerprint(lambda x: x * 9)["constants"] == fingerprint(lambda x: x * 5)["constants"]
        False
    """
    return _described(value, ())


def code_objects(function: Any) -> Iterator[types.CodeType]:
    """The code that a call of the function may run, as far as it can be read: its own, nested, and its helpers'."""
    seen: set[types.CodeType] = set()
    todo = [function]
    while todo:
        current = _unwrapped(todo.pop())
        if isinstance(current, functools.partial):
            todo += [current.func, *current.args, *current.keywords.values()]
        elif isinstance(current, types.MethodType):
            todo.append(current.__func__)
        elif isinstance(current, types.FunctionType) and current.__code__ not in seen:
            seen.update(_nested(current.__code__))
            todo += [*_globals(current).values(), *_closure(current).values()]
        else:  # an object that is called by a method of its class
            todo += [
                m for m in [inspect.getattr_static(current, "__call__", None)] if isinstance(m, types.FunctionType)
            ]
    yield from seen


def _unwrapped(value: Any) -> Any:
    """What a decorator's object (a local computation, a cache) wraps; a wrapper function speaks for itself."""
    return value if isinstance(value, types.FunctionType | type) else getattr(value, "__wrapped__", value)


def _described(value: Any, within: tuple[types.CodeType, ...]) -> Any:
    """Code by what it says; containers part by part; everything else by `_plain`."""
    match value:
        case _ if _package(value) == "numpy" and hasattr(value, "__qualname__"):
            return _plain(value)
        case types.FunctionType():
            return _function(value, within)
        case types.CodeType():
            return _code(value)
        case functools.partial():
            parts = [_described(part, within) for part in (value.func, *value.args)]
            return {"partial": parts, "keywords": _all(value.keywords, within)}
        case types.MethodType():
            return {"method": _described(value.__func__, within), "of": _described(value.__self__, within)}
        case types.BuiltinFunctionType() if not isinstance(value.__self__, types.ModuleType | None):
            return {"method": value.__name__, "of": _described(value.__self__, within)}
        case tuple() | list():
            return [_described(part, within) for part in value]
        case set() | frozenset():
            return {"set": sorted((_described(part, within) for part in value), key=canonical_json)}
        case Mapping() if all(isinstance(key, str) for key in value):
            return _all(value, within)
        case Mapping():
            return {"pairs": sorted((_described(pair, within) for pair in value.items()), key=canonical_json)}
        case _ if _unwrapped(value) is not value:
            declared = getattr(value, "declared", type(value).__qualname__)
            return {"wraps": _described(_unwrapped(value), within), "as": declared}
        case _:
            return _plain(value)


def _plain(value: Any) -> Any:
    """Modules, classes and functions without Python code by name; data as it is, arrays by their hash."""
    match value:
        case types.ModuleType():
            return {"module": value.__name__}
        case np.ufunc():
            return {"ufunc": value.__name__}
        case np.ndarray() if value.dtype.kind != "O":
            data = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
            return {"dtype": str(value.dtype), "shape": list(value.shape), "sha256": data}
        case bytes() | complex() | np.complexfloating() | types.EllipsisType() | range() | slice():
            return {"constant": repr(value)}
        case _ if hasattr(value, "__qualname__"):
            return {"name": f"{value.__module__}.{value.__qualname__}"}
    try:
        return canonical(value)
    except BadArgument:
        raise BadArgument(
            f"a function refers to {value!r}, a {type(value).__name__} without a stable description, so it cannot be"
            " recognised later; pass the numbers that it needs as arguments, or give its class a describe() method"
        ) from None


def _function(function: types.FunctionType, within: tuple[types.CodeType, ...]) -> Any:
    if function.__code__ in within:
        return {"itself": function.__qualname__}
    inside = (*within, function.__code__)
    package = _package(function)
    free = {name: _near(value, package, inside) for name, value in _globals(function).items()}
    return {
        "function": function.__qualname__,
        **_code(function.__code__),
        "defaults": _described(function.__defaults__ or (), inside),
        "keyword_defaults": _all(function.__kwdefaults__ or {}, inside),
        "closure": {name: _near(value, package, inside) for name, value in _closure(function).items()},
        "globals": free,
    }


def _near(value: Any, package: str, within: tuple[types.CodeType, ...]) -> Any:
    """A helper of the same package is part of what the function says; another package's is known by its name."""
    wrapped = _unwrapped(value)
    if isinstance(wrapped, types.FunctionType) and _package(wrapped) != package:
        return {"name": f"{wrapped.__module__}.{wrapped.__qualname__}"}
    return _described(value, within)


def _package(value: Any) -> str:
    """The top-level package that defines it."""
    return str(getattr(value, "__module__", "")).partition(".")[0]


def _code(code: types.CodeType) -> dict[str, Any]:
    return {
        "bytecode": hashlib.sha256(code.co_code + code.co_exceptiontable).hexdigest(),
        "arguments": [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags],
        "constants": [_described(constant, ()) for constant in code.co_consts],
        "names": list(code.co_names),
    }


def _all(mapping: Mapping[str, Any], within: tuple[types.CodeType, ...]) -> Any:
    return {name: _described(part, within) for name, part in mapping.items()}


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _nested(constant)


def _globals(function: types.FunctionType) -> dict[str, Any]:
    """The module's names that the code reads, sorted; built-in names are in the code already."""
    read = {
        instruction.argval
        for code in _nested(function.__code__)
        for instruction in dis.get_instructions(code)
        if instruction.opname in _GLOBALS
    }
    return {name: function.__globals__[name] for name in sorted(read) if name in function.__globals__}


def _closure(function: types.FunctionType) -> dict[str, Any]:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return {name: cell.cell_contents for name, cell in cells if _filled(cell)}


def _filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018  # reading is the test
    except ValueError:
        return False
    return True
