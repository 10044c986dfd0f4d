"""The operator's own Python file, in which a model is built: the one place where a file that is named is run.

It runs with all that the program may do, as ``python net.py`` would: it belongs to whoever starts the training, on
their machine, and is to be trusted as they trust the program. Nothing of it is sent to a client or stored; what clients
run is the library's own local training of the module that it builds. It lies beside the file that names it, or in a
folder below, so that a configuration cannot point elsewhere. It is run before any data is opened.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fedanalytics._validate import did_you_mean
from fedanalytics.cli import reading
from fedanalytics.errors import BadArgument

_MODULE = "fedanalytics_own_code"


def own_file(value: Any) -> str:
    """The name of such a file, relative to the one that names it."""
    path = Path(reading.text(value))
    if path.suffix != ".py" or path.is_absolute() or ".." in path.parts:
        raise BadArgument(
            f"must name a Python file beside this one, or in a folder below it, such as 'net.py', got {value!r}"
        )
    return str(value)


def identifier(value: Any) -> str:
    """The name of a function."""
    if not reading.text(value).isidentifier():
        raise BadArgument(f"must be the name of a function, such as 'make_model', got {value!r}")
    return str(value)


def own_functions(path: Path, names: tuple[str, ...], place: str) -> tuple[Callable[..., Any], ...]:
    """Runs the file, and returns these functions of it.

    Args:
        path: the file.
        names: theirs.
        place: how a message calls what names the file.

    Raises:
        BadArgument: there is no such file, it fails, or has no such functions.
    """
    with told(path, f"{place} = {path.name!r} cannot be loaded"):
        module = _run(path)
    found = {name: value for name, value in vars(module).items() if callable(value)}
    for name in names:
        if name not in found:
            raise BadArgument(f"{place} = {path.name!r} has no function {name!r}{did_you_mean(name, found)}")
    return tuple(found[name] for name in names)


@contextlib.contextmanager
def told(path: Path, what: str) -> Iterator[None]:
    """Whatever the operator's code raises, as a refusal that names the line; no data is open, so it may be shown.

    Raises:
        BadArgument: it raised.
    """
    try:
        yield
    except BadArgument:
        raise
    except (Exception, SystemExit) as error:
        line = error.lineno if isinstance(error, SyntaxError) else _line(error, path)
        where = "" if line is None else f" in line {line}"
        said = " ".join(str(error).split())
        raise BadArgument(f"{what}: {type(error).__name__}{where}{': ' * bool(said)}{said}") from error


def _run(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    if spec is None or spec.loader is None:
        raise BadArgument(f"{str(path)!r} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module  # dataclasses and torch look a class's module up there
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # a dry run leaves no trace beside the file
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = writes
    return module


def _line(error: BaseException, path: Path) -> int | None:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).name == path.name]
    return lines[-1] if lines else None
