"""Large answers: one file each, named by the SHA-256 of its content. The small ones live in the database."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedanalytics.errors import LedgerCorrupt, LedgerUnwritable
from fedanalytics.ledger.entries import text
from fedanalytics.round.canonical import canonical_json

_OURS = re.compile(r"[0-9a-f]{64}(\.part)?")
LARGE = 2**20  # bytes; a longer answer gets its own file


def written(body: Any) -> str:
    """The canonical JSON of an answer; the quick way, if it is JSON already."""
    try:
        return text(body)
    except (TypeError, ValueError):
        return canonical_json(body)


def sha256(content: str) -> str:
    """The name of an answer, in hex."""
    return hashlib.sha256(content.encode()).hexdigest()


def checked(name: str, body: str | None, files: ResultFiles | None) -> str:
    """The text of an answer, from the database (`body`) or from its file.

    Raises:
        LedgerCorrupt: it is missing or was changed.
    """
    if body is None:
        if files is None:
            raise LedgerCorrupt(f"the stored answer {name} is missing")
        return files.read(name)
    if sha256(body) != name:
        raise LedgerCorrupt(f"the stored answer {name} was changed: its SHA-256 is no longer its name")
    return body


@dataclass(frozen=True)
class ResultFiles:
    """The folder ``<ledger>.results``."""

    folder: Path

    def write(self, name: str, content: str) -> None:
        """Durable when it returns: content, then name, then folder are synced.

        Raises:
            LedgerUnwritable: the storage refused.
        """
        part = self.folder / f"{name}.part"
        with self._refusals():
            if not self.folder.is_dir():
                self.folder.mkdir(exist_ok=True)
                _sync_folder(self.folder.parent)
            try:
                with part.open("wb") as file:
                    file.write(content.encode())
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(self.folder / name)
            except OSError:
                part.unlink(missing_ok=True)
                raise
            _sync_folder(self.folder)

    def read(self, name: str) -> str:
        """The text of an answer.

        Raises:
            LedgerCorrupt: the file is missing or was changed.
        """
        path = self.folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise LedgerCorrupt(f"the stored answer {path} cannot be read ({error.strerror})") from error
        if hashlib.sha256(content).hexdigest() != name:
            raise LedgerCorrupt(f"the stored answer {path} was changed: its SHA-256 is no longer its name")
        return content.decode()

    def sweep(self, committed: Container[str]) -> None:
        """Delete what a killed commit left: an answer that nobody saw must not lie beside the one drawn after it.

        Raises:
            LedgerUnwritable: the storage refused.
        """
        with self._refusals(), contextlib.suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                if _OURS.fullmatch(path.name) and path.name not in committed:
                    path.unlink(missing_ok=True)

    def delete(self, name: str) -> None:
        """Destroy an answer whose commit failed."""
        with contextlib.suppress(OSError):
            (self.folder / name).unlink()

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LedgerUnwritable(
                f"{self.folder} refused an answer ({error.strerror}); it was not committed: make room, then run again "
                "with the same key"
            ) from error


def _sync_folder(folder: Path) -> None:
    """Make a rename durable, where folders can be synced (POSIX)."""
    with contextlib.suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
