"""Where the commands write: a console that never wraps what a script may read, and that old terminals can show."""

from __future__ import annotations

import sys
from typing import TextIO

from rich.console import Console

_ASCII = str.maketrans(
    {
        "±": "+-",
        "…": "..",
        "·": "-",
        "ε": "epsilon",
        "δ": "delta",
        "█": "#",
        "▒": ":",
        "░": ".",
        "●": "o",
        "─": "-",
        "├": "|",
        "┤": "|",
        "│": "|",
    }
)


class Ascii:
    """A stream for encodings without the signs we draw with."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = stream.encoding

    def write(self, text: str) -> int:
        """Writes the nearest signs there are."""
        plain = (
            text.replace("± ", "+-").replace("… ", "..").translate(_ASCII)
        )  # as wide as before: columns stay straight
        return self._stream.write(plain.encode(self.encoding, "replace").decode(self.encoding))

    def flush(self) -> None:
        """Flushes the stream."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The stream's."""
        return self._stream.fileno()


def screen(*, error: bool = False) -> Console:
    """Standard output, or standard error, as it is now. Nothing that is printed is read as markup."""
    stream: TextIO = sys.stderr if error else sys.stdout
    unicode = (stream.encoding or "utf-8").lower().startswith("utf")
    file = stream if unicode else Ascii(stream)
    return Console(file=file, markup=False, highlight=False, emoji=False)  # type: ignore[arg-type]  # all that it needs
