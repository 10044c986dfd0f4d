"""One ledger, many who use it: handles that close, readers that take their time, threads that race."""

from __future__ import annotations

import datetime as dt
import itertools
import threading

import pytest

from fedanalytics.errors import BudgetExceeded, LedgerError
from fedanalytics.ledger import Answer, Ledger, entries, tables, verify
from fedanalytics.ledger.results import LARGE


@pytest.fixture
def budget(ledger):
    return ledger.budget("a", rho=1)


class TestClosing:
    def test_is_final_and_harmless_twice(self, place):
        with Ledger(place) as ledger:
            budget = ledger.budget("a", rho=1)
        ledger.close()
        for act in (ledger.head, lambda: budget.spent, lambda: ledger.budget("a"), ledger.budgets):
            with pytest.raises(LedgerError, match="was closed"):
                act()
        assert repr(budget) == "Budget('a')"

    def test_an_interrupt_leaves_no_open_transaction(self, ledger, budget, pay):
        def plans():
            yield pay("a")
            raise KeyboardInterrupt

        def interrupted():
            with ledger.store.write() as transaction:
                transaction.append({"type": "none"})
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        with pytest.raises(KeyboardInterrupt):
            budget.reserve(plans())
        assert ledger.head().seq == 1
        budget.reserve([pay("a")])
        assert verify(ledger).entries == 2


def test_entries_are_read_in_pages_while_others_write(ledger, budget, pay):
    for i in range(30):
        budget.reserve([pay(f"{i}-{j}", 1) for j in range(20)])
    seen = []
    for entry in ledger.entries():
        if entry.seq == 3:
            budget.reserve([pay("meanwhile", 1)])
        seen.append(entry)
    assert [entry.seq for entry in seen] == list(range(1, 603))
    assert all(late.prev == early.hash for early, late in itertools.pairwise(seen))


def test_threads_share_a_ledger_and_grant_exactly_the_cap(place, pay):
    with Ledger(place) as ledger:
        budget = ledger.budget("a", rho=1e-10)
        granted, errors = [], []

        def spend(name):
            for i in range(40):
                try:
                    [held] = budget.reserve([pay(f"{name}-{i}", 1)])
                    granted.append(budget.commit([Answer(held, 0, "d", [name, i])]))
                except BudgetExceeded:
                    pass
                except Exception as error:  # noqa: BLE001  # seen below, in the main thread
                    errors.append(error)

        threads = [threading.Thread(target=spend, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len(granted) == budget.spent.units == 100
        assert verify(ledger).entries == 201


def test_two_ledgers_of_one_process_see_each_other(place, pay):
    with Ledger(place) as one, Ledger(place) as two:
        a, b = one.budget("a", rho=1), two.budget("a", rho=1)
        [held] = a.reserve([pay("k")])
        b.commit([Answer(held, 0, "d", 1)])
        assert a.reserve([pay("k")])[0].answers[0].body == 1
        assert verify(place) == verify(one) == verify(two)


def test_a_reader_sees_one_moment(place, pay):
    with Ledger(place) as here, Ledger(place) as there:
        budget = there.budget("a", rho=1)
        with here.store.read() as connection:
            before = tables.last_entry(connection), tables.budget(connection, "a")
            budget.reserve([pay("k")])
            assert (tables.last_entry(connection), tables.budget(connection, "a")) == before
            assert list(tables.reservations(connection)) == []
        assert here.head().seq == 2


def test_large_answers_come_back(place, pay):
    long = "x" * (LARGE + 1)
    with Ledger(place) as ledger:
        budget = ledger.budget("a", rho=1)
        [held] = budget.reserve([pay("k")])
        assert budget.commit([Answer(held, 0, "d", long), Answer(held, 1, "d", "short")]) == (long, "short")
    with Ledger(place) as ledger:
        budget = ledger.budget("a")
        [again] = budget.reserve([pay("k")])
        assert {i: stored.body for i, stored in again.answers.items()} == {0: long, 1: "short"}
        assert budget.commit([Answer(held, 0, "d", f"{long}!")]) == (long,)
        assert verify(place) == verify(ledger)


def test_hosts_whose_clocks_are_a_day_apart_share_a_ledger(place, pay, monkeypatch):
    """Entries are ordered by their numbers; their times are what each host believed."""
    with Ledger(place) as here, Ledger(place) as there:
        one, two = here.budget("a", rho=1), there.budget("a", rho=1)
        [held] = one.reserve([pay("early")])
        with monkeypatch.context() as behind:
            behind.setattr(entries, "dt", Slow)
            [late] = two.reserve([pay("late")])
            two.commit([Answer(held, 0, "d", 1)])
        one.commit([Answer(late, 0, "d", 2)])
        assert one.reserve([pay("late")])[0].answers[0].body == 2
        assert [row["key"] for row in one.spent.queries] == ["early", "late"]
        times = [dt.datetime.fromisoformat(entry.time) for entry in here.entries()]
        assert times[2] - times[1] < -dt.timedelta(hours=23)
        assert times[4] - times[3] > dt.timedelta(hours=23)
        assert verify(place).budgets["a"].spent == 2 * 10**9


class Slow:
    """The `datetime` module of a host whose clock is a day behind."""

    UTC = dt.UTC

    class datetime:  # noqa: N801  # its name there
        @staticmethod
        def now(zone):
            return dt.datetime.now(zone) - dt.timedelta(days=1)
