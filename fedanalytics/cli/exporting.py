"""Outcomes and rehearsals for programs: JSON, CSV and receipts."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fedanalytics._version import __version__
from fedanalytics.cli.asking import CONFIDENCE, Outcome, Rehearsal
from fedanalytics.cli.failures import Unwritten
from fedanalytics.cli.job import Job
from fedanalytics.cli.question import Question
from fedanalytics.errors import BadArgument, NotPrivate
from fedanalytics.privacy import units
from fedanalytics.session import Price, Release
from fedanalytics.trust.priced import Guarantee

COLUMNS = ("query", "group", "label", "value", "standard_error", "lower", "upper", "rho", "stored", "trust", "floor")


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """What a run answered."""
    results = [_result(*row) for row in zip(outcome.job.questions, outcome.releases, strict=True)]
    return {
        **_frame(outcome.job),
        "results": results,
        "spent_now": {outcome.balance.counts: units.rho(outcome.spent), "units": outcome.spent},
        "budget": outcome.balance.to_json(),
        "head": str(outcome.head),
    }


def rehearsal_json(rehearsal: Rehearsal) -> dict[str, Any]:
    """What a dry run found."""
    previews = [
        {
            "name": question.name,
            "statistic": question.statistic,
            "standard_error": _plain(preview.standard_error),
            "of": preview.of,
            "cost": _price(preview.cost),
            "trust": rehearsal.job.trusted.model.name,
            "guarantee": _guarantee(guarantee),
            "paid": paid,
        }
        for question, preview, paid, guarantee in zip(
            rehearsal.job.questions, rehearsal.previews, rehearsal.paid, rehearsal.guarantees, strict=True
        )
    ]
    asked = {rehearsal.balance.counts: units.rho(rehearsal.asked), "units": rehearsal.asked}
    ends = {"would_spend": asked, "fits": rehearsal.fits, "budget": rehearsal.balance.to_json()}
    return {**_frame(rehearsal.job), "dry_run": True, "previews": previews, **ends}


def receipts_json(outcome: Outcome) -> list[dict[str, Any]]:
    """The proof of each answer."""
    pairs = zip(outcome.job.questions, outcome.releases, strict=True)
    return [{"name": question.name, "receipt": _plain(release.receipt.to_json())} for question, release in pairs]


def text_of(data: Any) -> str:
    """JSON as text: standard, readable, and in ASCII, which every pipe can carry."""
    return json.dumps(data, indent=2, allow_nan=False)


def csv_of(outcome: Outcome) -> str:
    """A row per number."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for question, release in zip(outcome.job.questions, outcome.releases, strict=True):
        writer.writerows(_csv_rows(question, release))
    return buffer.getvalue()


def writable(folder: str) -> Path:
    """The folder, made if need be; found out before anything is spent.

    Raises:
        BadArgument: it cannot be made or written to.
    """
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        raise BadArgument(f"--out {folder!r} cannot be written ({error.strerror}); nothing was spent") from error
    return place


def write(outcome: Outcome, folder: Path) -> None:
    """results.json, results.csv and receipts.json, each as a whole or not at all.

    Raises:
        Unwritten: the storage refused; the answers are safe in the ledger.
    """
    files = {
        "results.json": text_of(outcome_json(outcome)) + "\n",
        "results.csv": csv_of(outcome),
        "receipts.json": text_of(receipts_json(outcome)) + "\n",
    }
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix="writing-") as writing:
            for name, text in files.items():
                (Path(writing) / name).write_text(text, encoding="utf-8")
            for name in files:
                (Path(writing) / name).replace(folder / name)
    except OSError as error:
        raise Unwritten(
            f"--out {str(folder)!r} could not be written ({error.strerror}); the answers are stored under their keys: "
            "run the same again elsewhere, it costs nothing"
        ) from error


def _frame(job: Job) -> dict[str, Any]:
    return {"fedanalytics": __version__, "study": job.title, "key": job.period, "ledger": job.place}


def _result(question: Question, release: Release) -> dict[str, Any]:
    lower, upper = release.interval(CONFIDENCE)
    return {
        "name": question.name,
        "statistic": question.statistic,
        "key": release.receipt.key,
        "value": _plain(release.value),
        "standard_error": _plain(release.standard_error),
        "interval": {"confidence": CONFIDENCE, "lower": _plain(lower), "upper": _plain(upper)},
        "labels": [list(axis) for axis in release.labels],
        "cost": _price(release.cost),
        "trust": release.receipt.trust,
        "guarantee": _guarantee(release.receipt.guarantee),
        "stored": release.receipt.replayed,
    }


def _csv_rows(question: Question, release: Release) -> Iterator[tuple[Any, ...]]:
    axes = release.labels
    grouped = question.query.groups is not None
    names = list(itertools.product(*axes)) or [()]
    lower, upper = release.interval(CONFIDENCE)
    numbers = [np.ravel(x).tolist() for x in (release.value, release.standard_error, lower, upper)]
    rho, stored, receipt = _rho(release.cost), release.receipt.replayed, release.receipt
    floor = (receipt.guarantee or {}).get("floor")
    for name, *row in zip(names, *numbers, strict=True):
        group = name[0] if grouped else ""
        label = name[-1] if len(name) > grouped else ""
        yield question.name, group, label, *row, rho, str(stored).lower(), receipt.trust, floor


def _price(price: Price) -> dict[str, Any]:
    return {"rho": _rho(price), "units": price.units, "epsilon": price.epsilon, "delta": price.delta}


def _rho(price: Price) -> float | None:
    """None where a budget that counts epsilon pays for noise that has no rho."""
    with contextlib.suppress(NotPrivate):
        return price.rho
    return None


def _guarantee(guarantee: Guarantee | None) -> dict[str, Any] | None:
    return None if guarantee is None else _plain(dict(guarantee))


def _plain(value: Any) -> Any:
    """Lists and numbers, an infinite one as text: standard JSON has none."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
