"""Windows, caps of actors, amendments and audits: what the page, the exports and the commands say of them."""

from __future__ import annotations

import datetime as dt
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fedanalytics as fa
from fedanalytics.ledger import Plan, verify
from fedanalytics.privacy import Gaussian
from fedanalytics.report import Book, accounts, csv_of, html_of, registry, standing
from fedanalytics.report.charts import burn_down
from fedanalytics.report.sharing import shared
from fedanalytics.report.summary import shares

HOUR = dt.timedelta(hours=1)
START = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)  # a Monday
UNITS = 10**10


class Life:
    """A ledger in memory whose clock is set by hand."""

    def __init__(self, monkeypatch):
        self.now, self.keys = START, count()
        self.ledger = fa.Ledger(":memory:", actor="ada")
        for module in ("entries", "budget"):
            monkeypatch.setattr(
                f"fedanalytics.ledger.{module}.now", lambda: self.now.isoformat(timespec="microseconds")
            )

    def ask(self, name, hours, units=UNITS, actor="ada"):
        """One question, so many hours later."""
        self.now += hours * HOUR
        self.ledger.actor = actor
        plan = Plan(f"k{next(self.keys)}", {"is": "Count"}, Gaussian(100.0), units, "central")
        return self.ledger.budget(name).reserve([plan])

    def account(self, name):
        """What its entries say."""
        return accounts(self.ledger.entries()).by_name[name]

    def page(self):
        """The page, verified."""
        found = accounts(self.ledger.entries())
        return html_of(Book("budget.db", self.ledger.head(), found, self.now, verification=verify(self.ledger)))


@pytest.fixture
def life():
    with pytest.MonkeyPatch.context() as patch:
        made = Life(patch)
        yield made
        made.ledger.close()


def said(page):
    """Its text as it is read."""
    return " ".join(page.replace("\N{NO-BREAK SPACE}", " ").split())


@given(hours=st.lists(st.integers(0, 60), min_size=1, max_size=12))
def test_what_is_left_is_what_the_ledger_says_after_any_hours(hours):
    with pytest.MonkeyPatch.context() as patch:
        life = Life(patch)
        budget = life.ledger.budget("weekly", rho=1.0, window="1d")
        for pause in hours:
            life.ask("weekly", pause)
            account = life.account("weekly").at(life.now)
            assert account.cap - account.spent == budget.remaining.units
            assert account.total == budget.total.units == verify(life.ledger).budgets["weekly"].spent
            assert account.renews.isoformat() == budget.renews
            assert account.windows == verify(life.ledger).budgets["weekly"].windows
        life.now += 25 * HOUR
        assert standing(life.account("weekly"), life.now).left == budget.remaining.units == budget.cap


def test_a_reservation_of_an_earlier_window_is_not_given_back_to_this_one(life):
    budget = life.ledger.budget("daily", rho=1.0, window="1d")
    early = life.ask("daily", 1)
    life.ask("daily", 24)
    budget.release(early, "nobody was asked")
    account = life.account("daily")
    assert (account.spent, account.total) == (UNITS, UNITS)
    assert budget.spent.units == UNITS


def test_the_forecast_knows_when_the_next_window_begins(life):
    life.ledger.budget("daily", rho=0.1, window="1d")
    for _ in range(3):
        life.ask("daily", 1)
    pace = standing(life.account("daily"), life.now).pace
    assert (pace.units, pace.left) == (3 * UNITS, 7 * UNITS)
    assert pace.renews == dt.datetime(2026, 3, 3, tzinfo=dt.UTC)
    assert pace.lasts
    for _ in range(6):
        life.ask("daily", 0)
    pace = standing(life.account("daily"), life.now).pace
    assert not pace.lasts  # one left, nine a day
    never = life.ledger.budget("once", rho=0.1)
    life.ask(never.name, 0)
    assert standing(life.account("once"), life.now).pace.renews is None


def test_the_chart_is_full_again_where_a_window_begins(life):
    life.ledger.budget("daily", rho=0.1, window="1d")
    life.ask("daily", 1, 5 * UNITS)
    life.ask("daily", 72, UNITS)
    levels = [
        float(part.split("V")[1]) for part in burn_down(standing(life.account("daily"), life.now)).line.split("H")[1:]
    ]
    assert levels == [50.0, 0.0, 10.0, 10.0]


def test_the_page_says_what_windows_mean(life):
    life.ledger.budget("weekly", epsilon=1.0, delta=1e-6, window="1w")
    for _ in range(2):
        life.ask("weekly", 7 * 24)
    page = said(life.page())
    assert "in one window of 7d" in page
    assert "over several windows the losses add up: 2 windows so far, ε = " in page
    assert "ends on 23 Mar 2026" in page
    assert "by an accountant that shares no figure with the one that charged" in page
    assert ", every 7d" in page


def test_caps_of_actors_are_shown_with_what_is_spent_of_them(life):
    caps = {"ada": 0.5, "*": 0.2, "idle": 0.1}
    life.ledger.budget("team", rho=0.1, actor_caps=caps, window="1d")
    life.ask("team", 0, 4 * UNITS)
    life.ask("team", 30, 2 * UNITS)
    life.ask("team", 0, UNITS, actor="bob")
    found = shares(life.account("team"))
    assert [tuple(one) for one in found] == [
        ("ada", 2 * UNITS, 5 * UNITS),
        ("bob", UNITS, 2 * UNITS),
        ("idle", 0, UNITS),
    ]
    theirs = life.ledger.budget("team").actors
    assert {one.actor: (one.spent, one.cap) for one in found} == {
        name: (spent.units, cap.units) for name, (spent, cap) in theirs.items()
    }
    page = said(life.page())
    assert "Caps of actors, in this window" in page
    assert '<bdi>bob</bdi></th><td class="right">20 %</td><td class="right">50 %</td>' in page
    plain = life.ledger.budget("plain", rho=0.1)
    life.ask(plain.name, 0)
    assert shares(life.account("plain")) == ()


def test_an_amendment_is_on_the_page_with_its_reason(life):
    budget = life.ledger.budget("b", epsilon=1.0, delta=1e-6)
    budget.amend(epsilon=2.0, reason="a second season <b>approved</b>")
    page = said(life.page())
    assert "by <bdi>ada</bdi>, from epsilon=1.0, delta=1e-06 to epsilon=2.0, delta=1e-06" in page
    assert "a second season &lt;b&gt;approved&lt;/b&gt;" in page
    assert "The promise is the highest cap to which it would have been raised" in page


def test_an_audit_stands_beside_the_claim_that_it_tried(life):
    budget = life.ledger.budget("b", rho=1.0)
    life.ask("b", 0)
    central = fa.audit(fa.count(), trials=64, rho=0.5, budget=budget)
    assert list(verify(life.ledger).budgets["b"].audits) == [(3, central.verdict)]
    page = said(life.page())
    assert "1 audit, nothing found" in page
    assert f"{central.unit} ≥ " in page
    budget.record_audit({**central.to_json(), "trust": "local"})
    budget.record_audit({**central.to_json(), "relation": "replace-one"})
    page = said(life.page())
    assert "1 audit, nothing found" in page
    budget.record_audit({"verdict": "violated", "claim": "rho = 0.5"})
    assert '2 audits, <strong class="bad">violated</strong>' in said(life.page())


def test_windows_of_the_same_people_have_no_one_figure(life):
    people = {"unit": "u", "dataset": "d", "overlap": True}
    life.ledger.budget("a", epsilon=1.0, delta=1e-6, **people)
    life.ledger.budget("b", epsilon=1.0, delta=1e-6, window="1d", **people)
    [found] = shared(account.terms for account in accounts(life.ledger.entries()).by_name.values())
    assert (found.epsilon, found.why) == (None, "not all of them are capped for good: windows add up")


def test_exports_say_which_window(life):
    life.ledger.budget("daily", epsilon=1.0, delta=1e-6, window="1d", unit="sensor")
    life.ask("daily", 0)
    header, row, _ = csv_of(accounts(life.ledger.entries())).split("\n")
    assert dict(zip(header.split(",")[-2:], row.split(",")[-2:], strict=True)) == {
        "window": "2026-03-02T00:00:00+00:00",
        "state": "unanswered",
    }
    found = accounts(life.ledger.entries())
    [record] = registry(Book("budget.db", life.ledger.head(), found, life.now))
    loss = record["deployment"]["privacy_loss"]
    assert loss["privacy_unit"] == "One sensor, with all its rows."
    assert (
        "in each window of 1d; over several windows the losses add up (1 window so far)"
        in (loss["privacy_parameters_details"])
    )
