"""Claims in words: every event that there is has some, and an unknown one does no harm."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedanalytics.privacy import events
from fedanalytics.privacy.events import Composed, DiscreteLaplace, Gaussian, Laplace, Skellam
from fedanalytics.report.claims import claims, evidence, noise_of


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Gaussian(2.0), "Gaussian noise"),
        (Gaussian(2.0).poisson_sampled(0.1), "Gaussian noise, on a secret sample of the clients"),
        (
            Gaussian(2.0).poisson_sampled(0.1).repeated(9),
            "Gaussian noise, on a secret sample of the clients, 9 times",
        ),
        (Composed((Gaussian(2.0), Gaussian(3.0), Laplace(1.0))), "Gaussian noise and Laplace noise"),
        (Skellam(1e4, 10, 10), "Skellam noise, a share from each client"),
        (DiscreteLaplace(2.0), "two-sided geometric noise"),
    ],
)
def test_what_was_done_in_words(event, words):
    assert noise_of(event.to_json()) == words


def test_every_event_has_words_of_its_own():
    kinds = {getattr(events, name).kind for name in events.__all__ if hasattr(getattr(events, name), "kind")}
    for kind in kinds - {"poisson-sampled", "repeated", "composed"}:
        assert noise_of({"event": kind}) != kind


@pytest.mark.parametrize("event", [None, 3, [], {}, {"event": 7}, {"event": "repeated"}, {"event": "composed"}])
def test_an_event_that_is_none_does_no_harm(event):
    assert noise_of(event) in {"unknown", "repeated", "nothing about the data"}


def test_what_was_given_back_claims_nothing(ledger, a_plan, pay, book_of):
    pay(ledger.budget("b", rho=1.0), [a_plan("a"), a_plan("b", noise=50.0)], returned=1)
    [claim] = claims(book_of(ledger).accounts.spends)
    assert (claim.questions, claim.strength) == (1, "multiplier 100")


def test_a_trust_model_and_a_relation_of_a_later_version(lived_book):
    spend = lived_book.accounts.spends[0]._replace(trust="the moon", relation="next-door")
    [claim] = claims([spend])
    assert (claim.against, claim.insecure) == ("unknown", False)
    assert "does not know" in claim.sees
    assert "does not know" in claim.neighbours


@pytest.mark.parametrize("body", [{}, {"report": 3}, {"report": {"a": {"b": {"c": {"verdict": "deep"}}}}}])
def test_an_audit_entry_without_a_verdict_says_nothing(ledger, body):
    ledger.budget("b", rho=1.0)
    [entry] = ledger.entries()
    assert evidence([replace(entry, body={"type": "audit", **body})]) == ()
