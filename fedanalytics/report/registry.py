"""Records for the Differential Privacy Deployments Registry, one for each budget, as drafts to be completed.

The fields are those of ``schemas/deployments-schema.yaml`` in opendp/deployments-registry-data, as of 15 July 2026
(commit 3e9c812a). What a ledger does not know (who publishes, where, what for) says so, in capitals, where the registry
requires it; what it does not require is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from fedanalytics._version import __version__
from fedanalytics.ledger import Head
from fedanalytics.report.claims import Claim, claims, evidence
from fedanalytics.report.reading import Book
from fedanalytics.report.spends import ANSWERED, RETURNED, Account, Spend
from fedanalytics.report.summary import Standing, standing
from fedanalytics.report.words import plural

TO_FILL_IN = "TO FILL IN"
_DRAWN = (
    "whole-number noise on exact whole-number sums, drawn from the operating system's randomness through AES-256; "
    "timing is not protected"
)
_MODELS = {"central": "Central", "local": "Local", "secure aggregation": "Federated"}
_PUBLIC = {
    "add-or-remove-one": "None: how many there are is protected too.",
    "replace-one": "How many there are.",
    "zero-out": "Who takes part, and so how many there are.",
}


def registry(book: Book) -> list[dict[str, Any]]:
    """A draft for each budget, in the order in which they were opened.

    Example:
        >>> import datetime as dt
        >>> from fedanalytics.ledger import Ledger
        >>> from fedanalytics.report.spends import accounts
        >>> with Ledger(":memory:") as ledger:
        ...     _ = ledger.budget("Aircraft 2013", epsilon=3.0, delta=1e-6, unit="tailnum", dataset="2013")
        ...     book = Book("budget.db", ledger.head(), accounts(ledger.entries()), dt.datetime.now(dt.UTC))
        >>> [record] = registry(book)
        >>> record["url_slug"], record["deployment"]["privacy_loss"]["privacy_parameters"]
        ('aircraft-2013', {'epsilon': 3.0, 'delta': 1e-06})
    """
    slugs = _slugs(list(book.accounts.by_name))
    return [
        {
            "url_slug": slug,
            "status": "Draft",
            "tier": 2,
            "deployment": _deployment(standing(account, book.now), book),
        }
        for slug, account in zip(slugs, book.accounts.by_name.values(), strict=True)
    ]


def _deployment(each: Standing, book: Book) -> dict[str, Any]:
    spends = [spend for spend in each.account.spends if spend.state != RETURNED]
    found, rule = claims(spends), each.account.terms.rule.rule
    return {
        "basic": _basic(each, spends),
        "dp_variant": _variant(each),
        "privacy_loss": _loss(each),
        "deployment_model": _model(found, spends),
        "accounting": {
            "post_processing": "Estimates, standard errors and intervals are computed from the noisy sums.",
            "composition": f"A filter holds the cap while questions are chosen adaptively: {rule}.",
        },
        "implementation": _implementation(found, each.account),
        "administrative": _administrative(book.head, each, book),
    }


def _basic(each: Standing, spends: Sequence[Spend]) -> dict[str, Any]:
    kinds = Counter(spend.kind for spend in spends).most_common(8)
    asked = ", ".join(f"{count} {kind}" for kind, count in kinds) or "none yet"
    answered = [spend.time for spend in spends if spend.state == ANSWERED]
    return {
        "name": each.name,
        "data_curators": [f"{TO_FILL_IN}: who publishes the answers"],
        "intended_use": f"{TO_FILL_IN}: what the answers are for",
        "data_product_type": "Summary statistics",
        "data_product_region": f"{TO_FILL_IN}: whom the data describe, whose law applies",
        "description": f"{plural(len(spends), 'question')} about {_people(each)}: {asked}.",
        "publication_date": min(answered, default=each.account.steps[0].time).date().isoformat(),
    }


def _people(each: Standing) -> str:
    terms = each.account.terms
    return f"each {terms.unit or 'client'} of {terms.dataset or 'a dataset that is not bound yet'}"


def _variant(each: Standing) -> dict[str, Any]:
    terms = each.account.terms
    form = "Zero-concentrated DP" if terms.epsilon is None else "Pure DP" if terms.delta is None else "Approximate DP"
    return {"variant_name": form, "unprotected_quantities": _PUBLIC.get(terms.relation, "Not known.")}


def _loss(each: Standing) -> dict[str, Any]:
    terms = each.account.terms
    parameters = {"epsilon": each.epsilon, "delta": terms.delta}
    if each.epsilon is None:
        parameters["rho"] = each.account.cap / 1e12
    group = "" if terms.group is None else f" Only those with {terms.group[0]} = {terms.group[1]}."
    return {
        "privacy_unit": f"One {terms.unit or 'client'}, with all its rows.{group}",
        "privacy_unit_details": f"Neighbouring relation: {terms.relation}.",
        "privacy_parameters": {name: value for name, value in parameters.items() if value is not None},
        "privacy_parameters_details": _held(each),
    }


def _held(each: Standing) -> str:
    """What the parameters are the cap of."""
    account = each.account
    changed = f" The cap was amended {plural(len(account.amendments), 'time')}." if account.amendments else ""
    if account.terms.window is None:
        return f"The cap of everything that is ever answered; {each.part:.2%} of it is spent.{changed}"
    return (
        f"The cap of what is answered in each window of {account.terms.window}; over several windows the losses add up "
        f"({plural(account.windows, 'window')} so far), unless what is asked in a window is about that window's data "
        f"alone. {each.part:.2%} of the current one is spent.{changed}"
    )


def _model(found: Sequence[Claim], spends: Sequence[Spend]) -> dict[str, Any]:
    models = {_MODELS.get(claim.trust.partition(",")[0], "Varies") for claim in found}
    name = {"model_name": models.pop() if len(models) == 1 else "Varies"} if models else {}
    days = [spend.time.date().isoformat() for spend in spends if spend.state == ANSWERED]
    return name | {
        "model_name_details": "; ".join(dict.fromkeys(claim.trust for claim in found)) or "Nothing was asked yet.",
        "actors": " ".join(dict.fromkeys(claim.sees for claim in found)) or "Nothing was asked yet.",
        "release_type": "One release" if len(days) == 1 else "Many releases",
        "release_type_details": f"{len(days)} answers, {days[0]} to {days[-1]}." if days else "None yet.",
    }


def _implementation(found: Sequence[Claim], account: Account) -> dict[str, Any]:
    noises = "; ".join(f"{claim.noise} {claim.strength}".strip() for claim in found) or "None yet"
    drawn = "for tests only: seeded noise, or a simulation" if any(claim.insecure for claim in found) else _DRAWN
    return {
        "preprocessing_and_hyperparameter_tuning": (
            "All that stands in the ledger was charged; exploration outside of it is not recorded."
        ),
        "mechanisms": f"{noises}. fedanalytics {__version__}: {drawn}.",
        "justification": f"{TO_FILL_IN}: why {account.terms.label} was chosen",
    }


def _administrative(head: Head, each: Standing, book: Book) -> dict[str, Any]:
    audits = [one for one in evidence(book.accounts.audits) if one.budget in {each.name, ""}]
    said = "; ".join(f"{one.claim}: {one.verdict} ({one.bound})" for one in audits) or "none recorded"
    return {
        "sources": f"Ledger at head {head}",
        "notes": f"Empirical audits: {said}. Fields that say {TO_FILL_IN} are not known to the ledger.",
        "registry_authors": [f"{TO_FILL_IN}: who completes this record"],
    }


def _slugs(names: Sequence[str]) -> list[str]:
    """Addresses, each of them once."""
    made: list[str] = []
    for number, name in enumerate(names, start=1):
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:80] or f"budget-{number}"
        made.append(slug if slug not in made else f"{slug}-{number}")
    return made
