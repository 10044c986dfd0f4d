"""``fedanalytics epsilon``: what a list of events costs, by four accountings."""

from __future__ import annotations

import json as json_
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from fedanalytics import _validate
from fedanalytics._version import __version__
from fedanalytics.cli.accountings import NAMES, Figure, figures
from fedanalytics.cli.drawings import table
from fedanalytics.cli.exporting import text_of
from fedanalytics.cli.hints import MaybeText
from fedanalytics.cli.plots import Curve, drawn
from fedanalytics.cli.screen import screen
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.events import from_json

EXAMPLE = """
    fedanalytics epsilon events.json --delta 1e-6 --delta 1e-9

    echo '{"event": "laplace", "noise_multiplier": 10.0, "relation": "add-or-remove-one"}' | fedanalytics epsilon -
"""
_BOUNDS = "Upper bounds, for events that were fixed in advance; in brackets what ε is at least."
_LARGEST = 2**26  # characters of a file that is read
_DRAWN = tuple(10.0**-k for k in range(2, 13))  # the deltas of a picture


def epsilon(
    file: Annotated[
        str,
        typer.Argument(metavar="EVENTS.json", help="An event, a list of them, or an accountant; - is standard input."),
    ],
    *,
    delta: Annotated[
        list[float], typer.Option(metavar="DELTA", help="Once, or several times.", show_default="1e-6")
    ] = [1e-6],  # noqa: B006  # typer's way to give a default
    json: Annotated[bool, typer.Option("--json", help="JSON alone on standard output.")] = False,
    plot: Annotated[
        MaybeText, typer.Option(metavar="PNG", help="Draw epsilon against delta into a file.", show_default=False)
    ] = None,
) -> None:
    """Say what events that were fixed in advance cost: upper bounds on epsilon, by each accounting that there is."""
    for one in delta:
        _validate.probability(delta=one)
    accountant = read(file)
    rows = [(one, figures(accountant, one)) for one in delta]
    if plot is not None:
        drawn(plot, _curves(accountant), "δ", "ε")
    if json:
        typer.echo(text_of(_json(accountant, rows)))
    else:
        _print(screen(), accountant, rows)


def read(file: str) -> Accountant:
    """The events of a file, or of standard input.

    Raises:
        BadArgument: it cannot be read, is no JSON, or holds what is no event known to this version.
    """
    name = "standard input" if file == "-" else file
    try:
        return accountant_of(json_.loads(_text(file), parse_constant=_no_number))
    except OSError as error:
        raise BadArgument(f"{name} cannot be read: {error.strerror or type(error).__name__}") from error
    except BadArgument as error:
        raise BadArgument(f"{name}: {error}") from error
    except json_.JSONDecodeError as error:
        raise BadArgument(f"{name} is no JSON: {error.msg} in line {error.lineno}, column {error.colno}") from error
    except (ValueError, RecursionError) as error:  # no text, a number too long, too many brackets
        raise BadArgument(f"{name} is no JSON that can be read ({type(error).__name__})") from error


def accountant_of(data: Any) -> Accountant:
    """The accountant of parsed JSON: one event, a list of events, or what `Accountant.to_json` wrote.

    Raises:
        BadArgument: it is none of them.

    Example:
        >>> accountant_of([{"event": "gaussian", "noise_multiplier": 2.0, "relation": "zero-out"}] * 3)
        Accountant(3 of gaussian)
    """
    if isinstance(data, dict) and "counts" in data:
        return Accountant.from_json(data)
    accountant = Accountant()
    for event in data if isinstance(data, list) else [data]:
        accountant.compose(from_json(event))
    return accountant


def _text(file: str) -> str:
    if file == "-":
        text = sys.stdin.read(_LARGEST + 1)
    else:
        with Path(file).open(encoding="utf-8") as stream:
            text = stream.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise BadArgument(f"there are more than {_LARGEST:,} characters")
    return text


def _no_number(text: str) -> NoReturn:
    raise BadArgument(f"{text} is no number in JSON")


def _curves(accountant: Accountant) -> list[Curve]:
    """One for each accounting that says something."""
    columns = [(delta, figures(accountant, delta)) for delta in _DRAWN]
    made = []
    for i, name in enumerate(NAMES):
        points = [(delta, row[i].epsilon) for delta, row in columns]
        known = [(delta, epsilon) for delta, epsilon in points if epsilon is not None]
        made += [Curve(name, tuple(known))] * bool(known)
    return made


def _json(accountant: Accountant, rows: Sequence[tuple[float, tuple[Figure, ...]]]) -> dict[str, Any]:
    found = [{"delta": delta, "accountings": [figure.to_json() for figure in row]} for delta, row in rows]
    return {"fedanalytics": __version__, "events": accountant.to_json(), "epsilon": found}


def _print(console: Console, accountant: Accountant, rows: Sequence[tuple[float, tuple[Figure, ...]]]) -> None:
    kinds = ", ".join(f"{count:,} of {_kind(event)}" for event, count in accountant.counts.items())
    console.print(Text(kinds or "nothing was released", style="bold"), soft_wrap=True)
    made = table("ε by", *((f"δ = {delta:g}", "right") for delta, _ in rows))
    for i, name in enumerate(NAMES):
        made.add_row(name, *(_cell(row[i]) for _, row in rows))
    console.print(made)
    reasons = {figure.why: figure.name for _, row in rows for figure in reversed(row) if figure.why}
    for why, name in reversed(reasons.items()):
        same = [figure.name for figure in rows[0][1] if figure.why == why] or [name]
        console.print(Text(f"no {' or '.join(same)}: {why}", style="dim"), soft_wrap=True)
    if any(getattr(event, "rate", 1) < 1 for event in accountant.counts):
        console.print(Text("zCDP and basic do not make use of sampling.", style="dim"), soft_wrap=True)
    console.print(Text(_BOUNDS, style="dim"), soft_wrap=True)


def _cell(figure: Figure) -> str:
    if figure.epsilon is None:
        return "-"
    above = f"{_up(figure.epsilon):.4f}"
    return above if figure.lower is None else f"{above} (≥ {math.floor(figure.lower * 1e4) / 1e4:.4f})"


def _up(value: float) -> float:
    """Rounded up, but for a hair: 0.1 with its roundings is shown as 0.1."""
    return math.ceil(value * 1e4 - 1e-6) / 1e4


def _kind(event: Any) -> str:
    inner = getattr(event, "of", None)
    own = f"{inner.kind}, sampled at {event.rate:g}" if inner is not None else str(event.kind)
    noise = getattr(inner if inner is not None else event, "noise_multiplier", None)
    return own if noise is None else f"{own}, noise multiplier {noise:g}"
