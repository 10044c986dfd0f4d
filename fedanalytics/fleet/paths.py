"""What the operator calls files -> the files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from glob import glob
from pathlib import Path

from fedanalytics.errors import BadArgument

OnePath = str | os.PathLike[str]
Paths = OnePath | Iterable[OnePath]


def each(paths: Paths) -> tuple[str, ...]:
    """One path or several, as texts.

    Raises:
        BadArgument: one of them is no path, or there is none.
    """
    several = (paths,) if isinstance(paths, str | os.PathLike) else tuple(paths)
    if not several or not all(isinstance(p, str | os.PathLike) for p in several):
        raise BadArgument(f"expected a path, a pattern such as 'data/*.csv', or a list of those, got {paths!r}")
    return tuple(os.fspath(p) for p in several)


def matching(paths: tuple[str, ...]) -> tuple[str, ...]:
    """The files that paths and patterns name: absolute, each once, those of a pattern in order.

    Raises:
        BadArgument: a path matches no file, or a file has a name that the engine would take for a pattern.
    """
    found: dict[str, None] = {}
    for path in paths:
        whole = Path(path).expanduser().absolute()
        # Path.glob takes no absolute pattern.
        matches = [whole] if whole.is_file() else map(Path, sorted(glob(str(whole), recursive=True)))  # noqa: PTH207
        files = [str(match) for match in matches if match.is_file()]
        if not files:
            hint = f"; it is a folder: write {path.rstrip('/')}/*" if whole.is_dir() else ""
            raise BadArgument(f"no file matches {path!r}{hint}")
        found.update(dict.fromkeys(files))
    if strange := [f for f in found if re.search(r"[*?\[]", f)]:
        raise BadArgument(f"{strange[0]!r} would be read as a pattern; rename it without * ? [")
    return tuple(found)
