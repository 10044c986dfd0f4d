"""What audits found, on the record: an empirical audit's report becomes an entry, beside the claims that it tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.ledger.entries import text
from fedanalytics.round.canonical import canonical

VERDICTS = ("consistent", "violated")
_LARGEST = 2**16  # characters


def checked(report: Any) -> dict[str, Any]:
    """A report, or its JSON, in canonical form.

    Raises:
        BadArgument: it has no verdict that is known, or neither a claim nor audits of several; or it is too large for
            the chain.
    """
    if hasattr(report, "to_json"):
        report = report.to_json()
    said = isinstance(report, Mapping) and "verdict" in report and (report.get("claim") or report.get("audits"))
    if not said:
        raise BadArgument(
            f"report= is an audit's report, with its verdict and its claim: fa.audit(...); got {report!r:.80}"
        )
    _validate.one_of(VERDICTS, verdict=report["verdict"])
    plain: dict[str, Any] = canonical(dict(report))
    if len(text(plain)) > _LARGEST:
        raise BadArgument(f"report= has more than {_LARGEST:,} characters: keep it elsewhere, and record its summary")
    return plain
