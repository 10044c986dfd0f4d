"""Types of options that may be left out, in the spelling that the oldest supported typer reads."""

from __future__ import annotations

from typing import Optional

MaybeText = Optional[str]  # noqa: UP045  # typer 0.12.0 does not know `str | None`; likewise below
MaybeWhole = Optional[int]  # noqa: UP045
MaybeNumber = Optional[float]  # noqa: UP045
MaybePair = Optional[tuple[float, float]]  # noqa: UP045
