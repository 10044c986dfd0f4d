"""Errors on the page are those that the releases had, bit for bit; and of what is in doubt there is none."""

from __future__ import annotations

import numpy as np
import pytest

import fedanalytics as fa
from fedanalytics.report import accounts
from fedanalytics.report.precision import Stored, precision


def test_every_statistic_under_every_trust_model(lived, lived_book):
    _, releases = lived
    spends = lived_book.accounts.spends
    assert len(spends) == len(releases) == 17
    assert {spend.trust.partition(",")[0] for spend in spends} == {"central", "secure aggregation", "local"}
    for spend in spends:
        found = precision(spend, lived_book.answers[spend.seq])
        errors, values = (np.ravel(part) for part in (releases[spend.key].standard_error, releases[spend.key].value))
        shares = spend.trust.startswith("secure")
        assert found.low == pytest.approx(errors.min(), rel=1e-12 if shares else 0)
        assert found.high == pytest.approx(errors.max(), rel=1e-12 if shares else 0)
        assert found.relative == pytest.approx(np.linalg.norm(errors) / np.linalg.norm(values))
        assert found.numbers == len(errors)


@pytest.mark.parametrize(
    "planted",
    [
        lambda spend: spend._replace(event={**spend.event, "noise_multiplier": 3.0}),
        lambda spend: spend._replace(question={**spend.question, "query": {**spend.question["query"], "where": "a"}}),
        lambda spend: spend._replace(question={"query": {"is": "Training"}}),
        lambda spend: spend._replace(question={}),
        lambda spend: spend._replace(event={}),
        lambda spend: spend._replace(trust="the moon"),
    ],
)
def test_what_is_not_what_was_asked_has_no_error(lived_book, planted):
    spend = next(spend for spend in lived_book.accounts.spends if spend.kind == "Mean")
    stored = lived_book.answers[spend.seq]
    assert precision(spend, stored) is not None
    assert precision(planted(spend), stored) is None


@pytest.mark.parametrize("body", ["", "null", "[]", "[[]]", '[["x"]]', '{"a": 1}', "[" * 100_000])
def test_what_is_no_answer_has_no_error(lived_book, body):
    spend = next(spend for spend in lived_book.accounts.spends if spend.kind == "Mean")
    assert precision(spend, Stored(lived_book.answers[spend.seq].digest, body)) is None
    assert precision(spend, Stored("0" * 64, lived_book.answers[spend.seq].body)) is None
    assert precision(spend, None) is None


def test_several_rounds_and_traced_computations_have_none(fleet):
    with fa.Ledger(":memory:") as ledger:
        session = fa.Session(fleet, ledger.budget("b", rho=1.0))
        session.run(fa.together(fa.count(), fa.count(where="hour > 8")), rho=0.1)
        [spend] = accounts(ledger.entries()).spends
        with ledger.store.read() as connection:
            [(digest, body)] = connection.execute("SELECT digest, body FROM result").fetchall()
    assert precision(spend, Stored(digest, body)) is None
