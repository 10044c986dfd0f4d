"""Exit codes that cron can use, and errors in words.

| code | means |
|---|---|
| 0 | done; a stored answer is done too |
| 1 | a fault in this program |
| 2 | bad input: an option, a study, the data; nothing was spent |
| 3 | the budget cannot pay; nothing was spent (in a dry run: it would not be able to) |
| 4 | the ledger does not verify |
| 5 | the ledger is held by another process, or a file could not be read or written |
| 6 | a round ended without a sum for want of clients; what was reserved stays spent |
| 7 | an audit contradicts a claim |
| 8 | a budget is spent to the mark of an alert |
| 130 | interrupted; what was reserved stays spent, and the same keys resume it |
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import typer.core
from rich.text import Text

from fedanalytics.cli.screen import screen
from fedanalytics.errors import (
    BudgetExceeded,
    DataChanged,
    FedAnalyticsError,
    LedgerCorrupt,
    LedgerError,
    RoundAborted,
)

FAULT, BAD_INPUT, EXCEEDED, CORRUPT, STORAGE, ABORTED, INTERRUPTED = 1, 2, 3, 4, 5, 6, 130


class Unwritten(FedAnalyticsError):
    """Results could not be written to a file."""


def code(error: BaseException) -> int:
    """The exit code of an error."""
    if isinstance(error, BudgetExceeded):
        return EXCEEDED
    if isinstance(error, LedgerCorrupt):
        return CORRUPT
    if isinstance(error, LedgerError | DataChanged | Unwritten | OSError):
        return STORAGE
    if isinstance(error, RoundAborted):
        return ABORTED
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return BAD_INPUT if isinstance(error, FedAnalyticsError) else FAULT


def words(error: BaseException) -> str:
    """What is printed. The text of an error that is not ours may quote data: only its type is shown."""
    if isinstance(error, FedAnalyticsError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror or type(error).__name__}"
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; what was reserved stays spent, the same keys resume it"
    *_, last = traceback.extract_tb(error.__traceback__) or [None]
    place = f" in {Path(last.filename).name}, line {last.lineno}" if last else ""
    return f"a fault in this program ({type(error).__name__}{place}); please report it"


class Group(typer.core.TyperGroup):
    """Commands whose errors are a few clear words and an exit code, never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, typer.Abort | BrokenPipeError) or hasattr(error, "exit_code"):
                raise  # typer's own, from whichever copy of click it uses; and a closed pipe, which it passes over
            message = Text.assemble(("error: ", "bold red"), words(error))
            screen(error=True).print(message, soft_wrap=True)
            raise typer.Exit(code(error)) from error
