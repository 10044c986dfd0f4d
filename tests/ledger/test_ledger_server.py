"""What is PostgreSQL's own: schemas and roles, guards, locks, promises of durability."""

from __future__ import annotations

import contextlib

import psycopg
import pytest

from fedanalytics.errors import BadArgument, LedgerCorrupt, LedgerError, LedgerLocked, LedgerUnwritable
from fedanalytics.ledger import Answer, Ledger, verify
from fedanalytics.ledger.connections import database
from fedanalytics.ledger.postgresql_schema import SCHEMA


@pytest.fixture
def address(server):
    return server.schema()


@pytest.fixture
def name(address):
    """Of the schema."""
    return address.rpartition("%3D")[2]


class TestSchemas:
    def test_of_other_programs_are_left_alone(self, server, address, name):
        server.run("CREATE TABLE theirs (x int)", address=address)
        with pytest.raises(BadArgument, match=f"schema {name} holds another program's tables"):
            Ledger(address)
        server.run("CREATE TABLE entry (x int)", address=address)
        for act in (Ledger, verify):
            with pytest.raises(BadArgument, match=f"schema {name} holds another program's tables"):
                act(address)
        assert server.run(f"SELECT count(*) FROM pg_class WHERE relnamespace = '{name}'::regnamespace") == [(2,)]

    def test_that_do_not_exist(self, server):
        with pytest.raises(BadArgument, match="names no schema that exists"):
            Ledger(server.address(schema="none"))

    def test_without_a_ledger_are_not_verified_nor_touched(self, server, address, name):
        with pytest.raises(BadArgument, match="holds no ledger"):
            verify(address)
        assert not database(address, 1).exists()
        assert server.run(f"SELECT count(*) FROM pg_class WHERE relnamespace = '{name}'::regnamespace") == [(0,)]

    def test_hold_one_ledger_each(self, server):
        one, two = server.schema(), server.schema()
        with Ledger(one) as first, Ledger(two) as second:
            first.budget("a", rho=1)
            assert second.budgets() == {}
        assert database(one, 1).exists()

    def test_that_come_first_later_do_not_hide_a_ledger(self, server, address, name):
        """A new ledger there would grant every budget a second time."""
        with Ledger(address) as ledger:
            ledger.budget("a", rho=1)
        new = server.schema()
        with Ledger(f"{new},{name}") as ledger:
            assert list(ledger.budgets()) == ["a"]

    def test_a_temporary_table_does_not_hide_one(self, address, pay):
        with Ledger(address) as ledger:
            budget = ledger.budget("a", rho=1)
            ledger.store._connection.execute("CREATE TEMP TABLE budget (name text, terms text, spent text)")
            budget.reserve([pay("k")])
            assert budget.spent.units == 10**9

    def test_a_later_format(self, server, address):
        Ledger(address).close()
        server.run("COMMENT ON TABLE entry IS 'fedanalytics ledger, format 2'", address=address)
        for act in (Ledger, verify):
            with pytest.raises(LedgerError, match="format 2, this version knows 1"):
                act(address)

    def test_need_unicode(self, server):
        server.run("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        with pytest.raises(LedgerUnwritable, match=r"encoded in LATIN1.*ENCODING 'UTF8'"):
            Ledger(server.address("latin"))


REFUSED = [
    "UPDATE entry SET body = '{}' WHERE seq = 1",
    "DELETE FROM entry WHERE seq = 11",
    "TRUNCATE entry",
    "INSERT INTO entry SELECT seq, prev, hash, '{}' FROM entry WHERE seq = 3 ON CONFLICT (seq) DO UPDATE SET body = ''",
    "INSERT INTO entry SELECT 13, hash, hash, body FROM entry WHERE seq = 11",
    "MERGE INTO entry USING (SELECT 1) AS x ON seq = 3 WHEN MATCHED THEN UPDATE SET body = ''",
    "UPDATE result SET body = '[]'",
    "DELETE FROM result",
    "TRUNCATE result, budget",
    "INSERT INTO result SELECT reservation, position, seq, digest, hash, '[]' FROM result LIMIT 1",
]

WEAKENED = [
    ("entry", "ALTER TABLE entry ALTER COLUMN body DROP NOT NULL"),
    ("entry", "ALTER TABLE entry SET UNLOGGED"),
    ("entry", "ALTER TABLE entry DROP CONSTRAINT entry_pkey"),
    ("result", "DROP TABLE result"),
    ("result", "ALTER TABLE result ADD COLUMN more text"),
    ("budget", "DROP TABLE budget"),
    ("reservation", "ALTER TABLE reservation DROP CONSTRAINT reservation_pkey"),
    (
        "entry_order",
        "CREATE OR REPLACE FUNCTION entry_order() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    ),
    (
        "append_only",
        "CREATE OR REPLACE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    ),
    ("append_only", "ALTER FUNCTION append_only() RESET search_path"),
    ("entry_insert", "DROP TRIGGER entry_insert ON entry"),
    ("entry_kept", "ALTER TABLE entry DISABLE TRIGGER entry_kept"),
    ("result_kept", "ALTER TABLE result ENABLE REPLICA TRIGGER result_kept"),
]


class TestGuards:
    @pytest.fixture
    def filled(self, on_server):
        return on_server.address

    @pytest.mark.parametrize("statement", REFUSED)
    def test_the_past_cannot_be_changed(self, server, filled, statement):
        with pytest.raises(psycopg.IntegrityError, match=r"append-only|appended in order|duplicate key"):
            server.run(statement, address=filled)
        assert verify(filled).entries == 11

    @pytest.mark.parametrize(("name", "statement"), WEAKENED)
    def test_a_weaker_guard_is_noticed(self, server, filled, name, statement):
        server.run(statement, address=filled)
        for act in (Ledger, verify):
            with pytest.raises(LedgerCorrupt, match=rf"\b{name}\b.* is missing, disabled or not as we made it"):
                act(filled)

    def test_every_object_is_in_the_table_above(self):
        assert {name for name, _ in WEAKENED} == SCHEMA.keys()

    def test_a_role_that_may_only_spend(self, server, filled, pay):
        """Who spends need not own the tables, and then cannot change the past by any means."""
        schema = filled.rpartition("%3D")[2]
        server.run(
            "DROP ROLE IF EXISTS spender",
            "CREATE ROLE spender LOGIN",
            f"GRANT USAGE ON SCHEMA {schema} TO spender",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO spender",
            "GRANT INSERT ON entry, result, budget, reservation TO spender",
            "GRANT UPDATE ON budget TO spender",
            "GRANT DELETE ON reservation TO spender",
            address=filled,
        )
        mine = filled.replace("postgres@", "spender@")
        with Ledger(mine) as ledger:
            budget = ledger.budget("one")
            held = budget.reserve([pay("x"), pay("y")])
            budget.commit([Answer(held[0], 0, "d", 1)])
            budget.release([held[1]], "no client was asked")
            ledger.budget("three", rho=1)
        assert verify(mine).entries == 16
        for statement in ("ALTER TABLE entry DISABLE TRIGGER USER", "DROP TRIGGER entry_kept ON entry", *REFUSED[:3]):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                server.run(statement, address=mine)
        server.run("DROP OWNED BY spender", "DROP ROLE spender")


class TestDurability:
    def test_a_commit_waits_for_the_disk_whatever_is_usual_here(self, address):
        lax = address.replace("-csearch_path", "-csynchronous_commit%3Doff%20-csearch_path")
        for given, level in ((lax, "on"), (address, "on"), (lax.replace("Doff", "Dremote_apply"), "remote_apply")):
            with Ledger(given) as ledger, ledger.store.read() as connection:
                assert connection.execute("SHOW synchronous_commit").fetchone() == (level,)

    def test_a_server_that_does_not_sync_is_refused(self, careless):
        for act in (Ledger, verify):
            with pytest.raises(LedgerUnwritable, match=r"fsync = off: a crash would free what was spent"):
                act(careless.address())

    def test_a_server_that_fell_behind_is_noticed(self, server, address, pay):
        """As when a copy that lags behind takes over: the head that this process knows is not there."""
        with Ledger(address) as ledger:
            budget = ledger.budget("a", rho=1)
            budget.reserve([pay("k")])
            toggled = ("ALTER TABLE entry DISABLE TRIGGER USER", "ALTER TABLE entry ENABLE TRIGGER USER")
            lost = "DELETE FROM entry WHERE seq = 2", "DELETE FROM reservation", "UPDATE budget SET spent = '0'"
            server.run(toggled[0], *lost, toggled[1], address=address)
            with pytest.raises(LedgerCorrupt, match=r"does not contain the known head 2.*would spend the same budget"):
                budget.reserve([pay("again")])
            with pytest.raises(LedgerCorrupt, match="known head 2"):
                verify(ledger)


@pytest.fixture(scope="module")
def careless(server):
    made = type(server)(fsync="off")
    yield made
    made.remove()


class TestReadOnly:
    @pytest.fixture
    def frozen(self, address):
        return address.replace("-csearch_path", "-cdefault_transaction_read_only%3Don%20-csearch_path")

    def test_is_read_and_verified_and_not_written(self, address, frozen, pay):
        with Ledger(address) as ledger:
            ledger.budget("a", rho=1)
        with Ledger(frozen) as ledger:
            budget = ledger.budget("a")
            with pytest.raises(LedgerUnwritable, match=r"read-only transaction.*nothing was reserved"):
                budget.reserve([pay("k")])
            assert budget.spent.units == 0
            assert verify(frozen) == verify(ledger)

    def test_holds_no_new_ledger(self, frozen):
        with pytest.raises(LedgerUnwritable, match="read-only"):
            Ledger(frozen)


class TestTurns:
    @contextlib.contextmanager
    def held(self, address):
        """Another program in mid-write, in this process."""
        with Ledger(address) as other, contextlib.suppress(KeyboardInterrupt), other.store.write() as transaction:
            transaction.append({"type": "none"})
            yield
            raise KeyboardInterrupt

    def test_are_waited_for_and_then_it_says_so(self, address, pay):
        with Ledger(address, timeout=0.2) as ledger:
            budget = ledger.budget("a", rho=1)
            with self.held(address):
                with pytest.raises(LedgerLocked, match=r"held by another program; waited 0.2 s and changed nothing"):
                    budget.reserve([pay("k")])
                assert budget.spent.units == 0  # readers wait for nobody
                assert verify(address).entries == 1
            budget.reserve([pay("k")])
            assert verify(address).entries == 2

    def test_of_one_ledger_are_nothing_to_another(self, server, address, pay):
        with Ledger(address) as one, Ledger(server.schema(), timeout=0.5) as two:
            one.budget("a", rho=1)
            with self.held(address):
                two.budget("a", rho=1).reserve([pay("k")])

    def test_end_with_the_patience_of_the_server(self, address):
        """A host that vanished in mid-write must not stop the others for ever."""
        with Ledger(address) as ledger, ledger.store.read() as connection:
            assert connection.execute("SHOW idle_in_transaction_session_timeout").fetchone() == ("1min",)
            assert connection.execute("SHOW lock_timeout").fetchone() == ("30s",)

    def test_a_writer_who_takes_no_turn_cannot_fork_the_chain(self, server, address, pay):
        """The number of an entry is a primary key: of two next entries, one is refused."""
        with Ledger(address, timeout=5) as ledger:
            budget = ledger.budget("a", rho=1)
            with contextlib.closing(server.connect(address)) as rude:
                rude.execute("BEGIN")
                rude.execute("INSERT INTO entry VALUES (2, '', '', '')")
                with pytest.raises(LedgerLocked):
                    Ledger(address, timeout=0.2).budget("a").reserve([pay("k")])
                rude.execute("ROLLBACK")
            budget.reserve([pay("k")])
            assert verify(address).entries == 2


class TestCommits:
    def test_that_the_server_refuses_commit_nothing(self, server, address, pay):
        with Ledger(address) as ledger:
            budget = ledger.budget("a", rho=1)
            server.run(
                "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE disk_full; END'",
                "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON reservation DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
                " EXECUTE FUNCTION full_disk()",
                address=address,
            )
            with pytest.raises(LedgerUnwritable, match=r"disk_full.*nothing was reserved or committed: .* disk full"):
                budget.reserve([pay("k")])
            server.run("DROP TRIGGER late ON reservation", address=address)
            assert not budget.reserve([pay("k")])[0].replayed
            assert verify(address).entries == 2

    def test_of_what_an_error_has_ended_are_no_success(self, address):
        """PostgreSQL answers such a COMMIT with ROLLBACK, and no error."""

        def swallow():
            with ledger.store.write() as transaction:
                transaction.append({"type": "none"})
                with contextlib.suppress(psycopg.Error):
                    transaction.connection.execute("SELECT nonsense")

        with Ledger(address) as ledger:
            with pytest.raises(LedgerError, match=r"did not commit \(ROLLBACK\); nothing was reserved"):
                swallow()
            assert ledger.head().seq == 0


class TestTexts:
    @pytest.mark.parametrize(
        "key",
        [
            "nothing\0more",
            pytest.param("".join(chr(0x4E00 + i * 7919 % 20000) for i in range(4000)), id="longer than an index takes"),
            "\ud800",
        ],
    )
    def test_that_cannot_be_stored_are_refused_and_nothing_reserved(self, address, pay, key):
        with Ledger(address) as ledger:
            budget = ledger.budget("a", rho=1)
            with pytest.raises(BadArgument, match="no text that"):
                budget.reserve([pay("fine"), pay(key)])
            assert budget.spent.units == 0
            assert verify(ledger).entries == 1

    def test_of_every_kind_come_back(self, address, pay):
        strange = "é \\ ' \" % %s ? $1 {} 𝛆 \x7f\n\t"
        with Ledger(address) as ledger:
            budget = ledger.budget(strange, rho=1, unit=strange)
            [held] = budget.reserve([pay(strange)])
            assert budget.commit([Answer(held, 0, "d", [strange, "\0"])]) == ([strange, "\0"],)
            assert list(ledger.budgets()) == [strange]
            assert verify(address).budgets[strange].spent == 10**9
