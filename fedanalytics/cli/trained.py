"""A trained model in files: its parameters, its card, its history."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fedanalytics._version import __version__
from fedanalytics.cli.failures import Unwritten
from fedanalytics.cli.scorer import Figure
from fedanalytics.cli.training_run import Trained

FILES = ("model.safetensors", "card.md", "card.json", "history.csv")
_FIGURES = ("metric", "value", "standard_error", "lower", "upper")


def write(trained: Trained, folder: Path) -> None:
    """The files, each as a whole or not at all.

    Raises:
        Unwritten: the storage refused; the run is safe in the ledger.
    """
    card = trained.result.card.with_metrics(metrics(trained.figures))
    texts = {
        "card.md": card.to_markdown(),
        "card.json": json.dumps(card.to_json(), indent=2) + "\n",
        "history.csv": history(trained),
    }
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix="writing-") as writing:
            _save(trained, Path(writing) / FILES[0])
            for name, text in texts.items():
                (Path(writing) / name).write_text(text, encoding="utf-8")
            for name in FILES:
                (Path(writing) / name).replace(folder / name)
    except OSError as error:
        raise Unwritten(
            f"--out {str(folder)!r} could not be written ({error.strerror}); the training is kept in the ledger: run "
            "it again with --resume, it costs nothing"
        ) from error


def metrics(figures: tuple[Figure, ...]) -> dict[str, Any]:
    """As a card has them."""
    if not figures:
        return {"none": "no figure was paid for"}
    return {
        f"{each.metric} after round {each.round}": (
            f"{each.value:.4f} ± {each.standard_error:.4f}, 95 % in {each.lower:.4f} to {each.upper:.4f}; mean over "
            f"the clients that evaluate, noise included; paid from the same budget, {each.cost}"
        )
        for each in figures
    }


def history(trained: Trained) -> str:
    """A row per round: what was released, and figures where there are any."""
    buffer = io.StringIO()
    figures = {each.round: each for each in trained.figures}
    rows = [asdict(row) for row in trained.result.history]
    writer = csv.DictWriter(buffer, [*rows[0], *(_FIGURES if figures else ())], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        found = figures.get(row["round"])
        writer.writerow(row | ({} if found is None else {name: getattr(found, name) for name in _FIGURES}))
    return buffer.getvalue()


def _save(trained: Trained, path: Path) -> None:
    from safetensors.torch import save_model  # noqa: PLC0415  # of the extra `learning`

    named = {"version": __version__, "training": trained.job.key, "receipt": trained.result.release.receipt.hash}
    save_model(trained.result.model, str(path), metadata={"fedanalytics": json.dumps(named)})  # one: their order varies
