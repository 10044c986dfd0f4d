"""LEAF's JSON files: users with their examples, in one file or in many that belong together."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fedanalytics.datasets.arrays import Examples, examples
from fedanalytics.datasets.characters import LEAF_CHARACTERS, characters
from fedanalytics.datasets.clients import ClientDatasets, checked_id, from_clients
from fedanalytics.errors import BadArgument

OnePath = str | os.PathLike[str]


def from_leaf(paths: OnePath | Iterable[OnePath], *, vocabulary: str | None = LEAF_CHARACTERS) -> ClientDatasets:
    """The users of LEAF JSON files, in memory.

    | x of an example              | y                          | features, labels                                   |
    |------------------------------|----------------------------|----------------------------------------------------|
    | numbers (FEMNIST: 784, 0..1) | whole numbers              | float32 or int64 (n, ...), int64 classes           |
    | numbers                      | other numbers              | float32 or int64 (n, ...), float32 targets         |
    | a text (Shakespeare: 80)     | one character              | `characters`: int64 (n, 80), int64 classes         |
    | texts (Sent140: 6 fields; CelebA: an image's name) | whole numbers | the texts as they are, int64 classes      |

    JSON has one kind of number, so 3.0 is a class if every label of every user is whole. The field ``hierarchies`` and
    each user's ``raw`` are not read. Training and test data of LEAF lie in folders of their own: read each.

    Source: https://github.com/TalwalkarLab/leaf, models/utils/model_utils.py and data/utils.

    Args:
        paths: a folder, all of whose files ``*.json`` are read, or a file, or several files.
        vocabulary: of the windows of text; None keeps them as they are, for which the labels must be numbers.

    Raises:
        BadArgument: there is no such file, or none in the folder; a file is no LEAF JSON; a user stands in two files,
            has other than ``num_samples`` says, or has examples that `fedanalytics.datasets.arrays` refuses.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), "all_data_0.json")
        >>> data = {"users": ["u"], "num_samples": [2], "user_data": {"u": {"x": ["to be", "or no"], "y": [" ", "t"]}}}
        >>> _ = file.write_text(json.dumps(data))
        >>> from_leaf(file.parent).dataset("u")
        (array([[72, 67,  1, 54, 57],
               [67, 70,  1, 66, 67]]), array([ 1, 72]))
    """
    clients: dict[str, Examples] = {}
    came_from: dict[str, Path] = {}
    for file in _files(paths):
        for user, data in _users(file).items():
            if user in came_from:
                raise BadArgument(f"user {user!r} stands in {came_from[user]} and in {file}; merge or rename one")
            came_from[user] = file
            clients[user] = _examples(data, vocabulary, f"{file}: user {user!r}")
    return from_clients(_classes(clients))


def _files(paths: OnePath | Iterable[OnePath]) -> list[Path]:
    several = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    files = [file for path in several for file in _found(Path(path))]
    if not files:
        raise BadArgument("paths= names no file")
    return files


def _found(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise BadArgument(f"paths= names {str(path)!r}, which is no file or folder")
    files = sorted(path.glob("*.json"))
    if not files:
        below = sorted({str(file.parent) for file in path.glob("*/*.json")})
        hint = f"; there are some in {', '.join(below)}: read each of them" if below else ""
        raise BadArgument(f"the folder {str(path)!r} has no files *.json{hint}")
    return files


def _users(file: Path) -> Mapping[str, Any]:
    """The data of each user, if the file's three parts agree."""
    users, counts, data = _content(file)
    names = [checked_id(user) for user in users]
    if len(names) != len(counts):
        raise BadArgument(f"{file}: users lists {len(names)}, num_samples {len(counts)}")
    if odd := set(names) ^ set(data):
        raise BadArgument(f"{file}: user {min(odd)!r} stands in only one of users and user_data")
    if len(data) < len(names):
        raise BadArgument(f"{file}: users lists {next(u for u in names if names.count(u) > 1)!r} twice")
    for user, count in zip(names, counts, strict=True):
        _check_user(data[user], count, f"{file}: user {user!r}")
    return data


def _content(file: Path) -> tuple[list[Any], list[Any], dict[str, Any]]:
    """The parts users, num_samples and user_data."""
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BadArgument(f"{file} cannot be read as JSON: {error}") from None
    match content:
        case {"users": list(users), "num_samples": list(counts), "user_data": dict(data)}:
            return users, counts, data
    raise BadArgument(f"{file} is no LEAF file: it must have lists users and num_samples, and an object user_data")


def _check_user(data: object, count: object, what: str) -> None:
    if not (isinstance(data, dict) and isinstance(data.get("x"), list) and isinstance(data.get("y"), list)):
        raise BadArgument(f"{what} must have lists x and y")
    if len(data["y"]) != count:
        raise BadArgument(f"{what} has {len(data['y'])} labels, num_samples says {count!r}")


def _examples(data: Mapping[str, Any], vocabulary: str | None, what: str) -> Examples:
    x, y = data["x"], data["y"]
    windows = (
        bool(y) and all(isinstance(text, str) for text in x) and all(isinstance(c, str) and len(c) == 1 for c in y)
    )
    if windows and vocabulary is not None:
        x, y = characters(x, vocabulary, f"{what}: x"), characters(y, vocabulary, f"{what}: y")[:, 0]
    return examples(x, y, what)


def _classes(clients: Mapping[str, Examples]) -> Mapping[str, Examples]:
    """The labels as classes if all are whole numbers, else as targets."""
    labels = [y for _, y in clients.values()]
    floats = [y for y in labels if y.dtype.kind == "f"]
    if not floats:
        return clients
    whole = all(np.isfinite(y).all() and (y == np.rint(y)).all() for y in floats)
    kind = np.int64 if whole else np.float32
    return {user: (x, y.astype(kind, copy=False)) for user, (x, y) in clients.items()}
