"""Budgets with windows: each has the whole cap, the losses of several add up, and clocks decide which one pays."""

from __future__ import annotations

import datetime as dt
import itertools
import math

import pytest

from fedanalytics.errors import BadArgument, BudgetExceeded, LedgerError
from fedanalytics.ledger import Answer, Ledger, Window, verify
from fedanalytics.ledger.windows import behind, window
from fedanalytics.privacy import gdp
from fedanalytics.privacy.relations import Relation

MONTH = {"epsilon": 1.0, "delta": 1e-6, "unit": "phone", "dataset": "words", "window": "30d"}
CAP = 28014481912


@pytest.fixture
def budget(clock, ledger):
    return ledger.budget("words", **MONTH)


class TestTheCalendar:
    @pytest.mark.parametrize(
        ("text", "hours", "shown"),
        [("1h", 1, "1h"), ("36h", 36, "36h"), ("24h", 24, "1d"), ("30d", 720, "30d"), ("1w", 168, "7d")],
    )
    def test_lengths(self, text, hours, shown):
        assert window(text) == Window(hours)
        assert str(window(text)) == shown
        assert window(shown) == window(text)

    @pytest.mark.parametrize("text", ["", "d", "0d", "-1d", "1.5d", "1 d", "30", "1m", "month", "999999d", 30, None])
    def test_what_is_no_length(self, text):
        with pytest.raises(BadArgument, match="window= is a length"):
            window(text)

    @pytest.mark.parametrize(
        ("length", "time", "start", "end"),
        [
            ("1d", "2026-03-02T00:00:00.000000+00:00", "2026-03-02", "2026-03-03"),
            ("1d", "2026-03-02T23:59:59.999999+00:00", "2026-03-02", "2026-03-03"),
            ("1w", "2026-03-08T23:59:59.999999+00:00", "2026-03-02", "2026-03-09"),  # a Sunday
            ("2w", "2026-03-08T23:59:59.999999+00:00", "2026-03-02", "2026-03-16"),
            ("30d", "2026-03-02T12:00:00.000000+00:00", "2026-02-10", "2026-03-12"),
            ("1d", "1969-12-31T12:00:00.000000+00:00", "1969-12-31", "1970-01-01"),
        ],
    )
    def test_windows(self, length, time, start, end):
        found = window(length).start(time)
        assert found == f"{start}T00:00:00+00:00"
        assert window(length).end(found) == f"{end}T00:00:00+00:00"
        assert window(length).start(found) == found

    def test_windows_follow_each_other_without_gaps(self):
        days, moment = window("7h"), dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
        starts = [days.start((moment + dt.timedelta(minutes=10 * i)).isoformat()) for i in range(1000)]
        assert starts == sorted(starts)
        assert all(b in {a, days.end(a)} for a, b in itertools.pairwise(starts))

    def test_how_far_clocks_may_be_apart(self):
        noon = "2026-03-02T12:00:00.000000+00:00"
        assert behind("2026-03-02T11:55:00.000000+00:00", noon) is None
        assert behind("2026-03-02T11:54:59.000000+00:00", noon) == dt.timedelta(seconds=301)
        assert behind(noon, "2026-03-02T11:00:00.000000+00:00") is None
        assert behind(noon, "") is None


class TestEachWindow:
    def test_has_the_whole_cap(self, budget, clock, ledger, pay):
        budget.reserve([pay("march", CAP)])
        assert budget.remaining.units == 0
        with pytest.raises(
            BudgetExceeded,
            match=r"in each window of 30d.*nothing is left; the next window begins 2026-03-12T00:00:00\+00:00",
        ):
            budget.reserve([pay("more", 1)])
        clock.forward(days=20)
        assert (budget.spent.units, budget.remaining.units, budget.total.units) == (0, CAP, CAP)
        budget.reserve([pay("april", CAP)])
        state = verify(ledger).budgets["words"]
        assert (state.spent, state.windows, state.fullest.spent) == (2 * CAP, 2, CAP)

    def test_and_over_several_the_losses_add_up(self, budget, clock, ledger, pay):
        for month in range(4):
            budget.reserve([pay(f"{month}", CAP)])
            clock.forward(days=30)
        whole = gdp.epsilon_of(math.sqrt(4) * gdp.mu_of(1.0, 1e-6), 1e-6)
        assert budget.total.epsilon == pytest.approx(whole, rel=1e-9)
        state = verify(ledger).budgets["words"]
        assert state.epsilon == pytest.approx(whole, rel=1e-5)
        assert state.fullest.second.amount == pytest.approx(1.0, rel=1e-5)
        assert whole > 2.1

    def test_shows_its_own_queries(self, budget, clock, pay):
        budget.reserve([pay("old")])
        clock.forward(days=30)
        budget.reserve([pay("new", 2 * 10**9)])
        assert [row["key"] for row in budget.spent.queries] == ["new"]
        assert [row["key"] for row in budget.total.queries] == ["old", "new"]
        assert sum(row["units"] for row in budget.spent.queries) == budget.spent.units

    def test_says_which_one_paid(self, budget, clock, ledger, pay):
        budget.reserve([pay("k")])
        *_, entry = ledger.entries()
        assert entry.body["window"] == "2026-02-10T00:00:00+00:00"
        assert entry.body["version"] == 2
        assert entry.time == "2026-03-02T12:00:00.000000+00:00"

    def test_a_key_stands_for_one_question_in_all_of_them(self, budget, clock, pay):
        [held] = budget.reserve([pay("k")])
        budget.commit([Answer(held, 0, "d", [1.0])])
        clock.forward(days=300)
        [again] = budget.reserve([pay("k")])
        assert again.replayed
        assert (budget.spent.units, budget.total.units) == (0, 10**9)

    def test_what_is_given_back_belongs_to_its_own(self, budget, clock, ledger, pay):
        held = budget.reserve([pay("a"), pay("b")])
        budget.release(held[:1], "not asked")
        assert budget.spent.units == 10**9
        clock.forward(days=30)
        budget.reserve([pay("c")])
        budget.release(held[1:], "not asked")
        assert (budget.spent.units, budget.total.units) == (10**9, 10**9)
        assert verify(ledger).budgets["words"].spent == 10**9

    def test_an_answer_may_come_later(self, budget, clock, ledger, pay):
        [held] = budget.reserve([pay("k")])
        clock.forward(days=30)
        assert budget.commit([Answer(held, 0, "d", [1.0])]) == ([1.0],)
        assert verify(ledger).budgets["words"].open == ()

    @pytest.mark.parametrize(
        "terms",
        [
            {"epsilon": 1.0, "delta": 1e-6, "filter": "zcdp"},
            {"epsilon": 1.0, "delta": 1e-6, "filter": "renyi"},
            {"epsilon": 1.0, "delta": 1e-6, "filter": "pld"},
            {"epsilon": 1.0},
            {"rho": 0.01},
        ],
    )
    def test_under_every_filter(self, clock, ledger, terms):
        from fedanalytics.ledger import Plan
        from fedanalytics.privacy.events import DiscreteLaplace, Gaussian

        budget = ledger.budget("b", **terms, window="1d")
        event = DiscreteLaplace(50.0) if terms == {"epsilon": 1.0} else Gaussian(30.0)
        price = budget.filter.price(event)
        most = budget.cap // price
        for day in range(3):
            budget.reserve([Plan(f"{day} {i}", {}, event, price, "central") for i in range(most)])
            with pytest.raises(BudgetExceeded):
                budget.reserve([Plan("more", {}, event, price, "central")])
            clock.forward(days=1)
        state = verify(ledger).budgets["b"]
        assert (state.windows, state.fullest.spent, state.spent) == (3, most * price, 3 * most * price)
        if terms.get("filter") == "pld":
            assert state.charged.delta == pytest.approx(3 * 1e-6, rel=0.2)  # each window has its own


class TestClocks:
    def test_within_the_slack_the_newest_window_pays(self, budget, clock, ledger, pay):
        """Midnight has passed on one host and not on another: what the old window left is gone."""
        clock.time = dt.datetime(2026, 3, 11, 23, 0, tzinfo=dt.UTC)
        budget.reserve([pay("old")])
        clock.time = dt.datetime(2026, 3, 12, 0, 1, tzinfo=dt.UTC)
        budget.reserve([pay("new")])
        clock.time = dt.datetime(2026, 3, 11, 23, 58, tzinfo=dt.UTC)
        budget.reserve([pay("late")])
        assert budget.spent.units == 2 * 10**9
        *_, entry = ledger.entries()
        assert (entry.body["window"], entry.time[:10]) == ("2026-03-12T00:00:00+00:00", "2026-03-11")
        assert verify(ledger).backdated == ()

    def test_a_host_that_is_further_behind_is_refused(self, budget, clock, ledger, pay):
        budget.reserve([pay("a")])
        head = ledger.head()
        clock.forward(minutes=-5, seconds=-1)
        with pytest.raises(
            LedgerError, match=r"this host's clock says 2026-03-02T11:54:59.*0:05:01 before.*set the cl"
        ):
            budget.reserve([pay("b")])
        assert ledger.head() == head
        assert budget.reserve([pay("a")])[0].replayed  # what was paid is still delivered
        clock.forward(seconds=1)
        budget.reserve([pay("b")])
        assert verify(ledger).budgets["words"].spent == 2 * 10**9

    def test_what_an_old_window_left_cannot_be_had_by_setting_the_clock_back(self, budget, clock, pay):
        clock.forward(days=30)
        budget.reserve([pay("all", CAP)])
        clock.forward(days=-30)
        with pytest.raises(LedgerError, match="clock"):
            budget.reserve([pay("old")])

    def test_other_budgets_do_not_mind(self, clock, ledger, pay):
        plain, weekly = ledger.budget("plain", rho=1), ledger.budget("weekly", rho=1, window="1w")
        clock.forward(days=700)
        plain.reserve([pay("a")])
        clock.forward(days=-700)
        weekly.reserve([pay("b")])
        plain.reserve([pay("c")])
        assert verify(ledger).backdated == (4, 5)


class TestTerms:
    def test_are_found_again_and_never_change(self, budget, ledger, place):
        assert ledger.budget("words").window == ledger.budget("words", window="720h").window == Window(720)
        for other in ("1w", "31d"):
            with pytest.raises(BadArgument, match=rf"was opened with window='30d', not window='{window(other)}'"):
                ledger.budget("words", window=other)
        ledger.budget("plain", rho=1)
        with pytest.raises(BadArgument, match=r"was opened with window=None, not window='30d'"):
            ledger.budget("plain", window="30d")
        assert ledger.budget("plain").window is None
        with Ledger(place) as again:
            assert again.budget("words").window == Window(720)

    def test_say_what_is_promised(self, budget, ledger):
        assert budget.promise == (
            "(1, 1e-06)-DP for each phone under add-or-remove-one, in each window of 30d (UTC); over several windows "
            "the losses add up, unless what is asked in a window is about that window's data alone: then the unit of "
            "privacy is (phone, window)"
        )
        plain = ledger.budget("plain", rho=0.5, relation=Relation.ZERO_OUT, group=("state", "north"))
        assert plain.promise == "0.5-zCDP for each client with state = 'north' under zero-out, for good"
        assert ledger.budget("pure", epsilon=2.0).promise.startswith("2-DP for each client")
        assert repr(budget) == (
            "Budget('words', epsilon=1.0, delta=1e-06 in each window of 30d, spent rho=0 of 0.0280145)"
        )
        assert "since 2026-02-10" in str(budget.epsilon_spent)

    def test_share_people_as_others_do(self, budget, ledger):
        with pytest.raises(BadArgument, match="shares the data of budget 'words'"):
            ledger.budget("more", **MONTH)

    def test_stand_in_the_first_entry(self, budget, ledger):
        [entry] = ledger.entries()
        assert (entry.body["window"], entry.body["version"]) == ("30d", 2)
        assert "actor_caps" not in entry.body
