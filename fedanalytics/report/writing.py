"""The page in a file: replaced as a whole, so that nobody ever opens half of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from fedanalytics.errors import BadArgument, LedgerLocked
from fedanalytics.ledger import Head
from fedanalytics.report.page import html_of
from fedanalytics.report.reading import Book, head_of, read

EVERY = 2.0  # seconds between two looks


def write(path: str, file: str) -> Book:
    """Write the page of a ledger.

    Args:
        path: the ledger's file or address.
        file: where the page goes.

    Returns:
        what was read; its `problem` says why the ledger does not verify, where it does not.

    Raises:
        BadArgument: there is no such ledger, jinja2 is not installed, or the page's folder does not exist.
        LedgerError: the ledger cannot be read at all.
        OSError: the page cannot be written.
    """
    place = Path(file)
    if not place.parent.is_dir():
        raise BadArgument(f"-o {file!r} lies in a folder that does not exist; create {str(place.parent)!r} first")
    if place.is_dir():
        raise BadArgument(f"-o {file!r} is a folder; name a file in it: {str(place / 'report.html')!r}")
    book = read(path)
    replaced(place, html_of(book))
    return book


def replaced(place: Path, text: str) -> None:
    """Write a text beside a file, then move it there: a reader sees the old one or the new one.

    Raises:
        OSError: the storage refused; the old file is as it was.
    """
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)


def watch(path: str, file: str, said: Callable[[Book], None], *, every: float = EVERY) -> None:
    """Write the page, and again whenever the ledger has grown; for ever, until interrupted.

    Args:
        path: the ledger's file or address.
        file: where the page goes.
        said: is told of each page.
        every: how often to look, in seconds.

    Raises:
        Whatever `write` raises. That another process holds the ledger for a while is waited for.
    """
    written: Head | None = None
    while True:
        try:
            if head_of(path) != written:
                book = write(path, file)
                written = book.head
                said(book)
        except LedgerLocked:
            pass
        time.sleep(every)
