"""Addresses of servers: what they mean, and that no password is ever shown."""

from __future__ import annotations

import logging
import sys
import traceback
from urllib.parse import unquote

import pytest

from fedanalytics.errors import BadArgument, LedgerUnwritable
from fedanalytics.ledger import Ledger, verify
from fedanalytics.ledger.connections import database

SECRET = "s3cr$t-%40%23word"  # noqa: S105  # nobody's


@pytest.fixture
def address(server):
    return server.schema()


@pytest.fixture
def name(address):
    """Of the schema."""
    return address.rpartition("%3D")[2]


class TestAddresses:
    @pytest.mark.parametrize(
        ("given", "shown"),
        [
            ("postgresql://ada@host/db", "postgresql://ada@host/db"),
            ("postgres://ada:PW@host:6432/db", "postgresql://ada@host:6432/db"),
            ("postgresql://ada:PW@one:1,two:2/db", "postgresql://ada@/db?host=one,two&port=1,2"),
            ("postgresql:///db?user=ada&password=PW&host=/tmp", "postgresql://ada@/db?host=/tmp"),
            ("postgresql://ada:PW@%2Ftmp/db", "postgresql://ada@/db?host=/tmp"),
            (
                "postgresql://host/db?options=-csearch_path%3Dledger&sslpassword=PW&sslmode=require",
                "postgresql://host/db?options=-csearch_path%3Dledger&sslmode=require",
            ),
            ("postgresql://ada%40home@host/a%2Fb", "postgresql://ada%40home@host/a%2Fb"),
        ],
    )
    def test_are_shown_without_passwords_and_can_be_given_again(self, given, shown):
        place = database(given.replace("PW", SECRET), 1.0)
        assert place.path == shown
        assert database(shown, 1.0).path == shown

    @pytest.mark.parametrize(
        "address",
        [
            "postgresql://ada:PW@host/db?nonsense=1",
            "postgresql://ada:PW%zz@host/db",
            "postgresql://ada:PW/x@host/db",
            "postgresql://ada:PW?x@host/db",
            "postgresql://ada:PW@x@host/db",
            "postgresql://ada:PW@[host/db",
        ],
    )
    def test_that_are_none_are_not_shown_at_all(self, address):
        with pytest.raises(BadArgument, match="path= is no PostgreSQL address") as caught:
            Ledger(address.replace("PW", SECRET))
        assert SECRET not in "".join(traceback.format_exception(caught.value))

    def test_need_a_driver(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "psycopg", None)
        with pytest.raises(BadArgument, match=r'pip install "fedanalytics\[postgres\]"'):
            Ledger("postgresql://host/db")


class TestOutOfReach:
    def test_a_wrong_password_is_not_shown(self, server, caplog):
        caplog.set_level(logging.DEBUG)
        address = server.address(user="locked").replace("locked@", f"locked:{SECRET}@")
        for act in (Ledger, verify):
            with pytest.raises(LedgerUnwritable, match=r"password authentication failed.*PGPASSWORD") as caught:
                act(address)
            for form in (SECRET, unquote(SECRET)):
                assert form not in "".join(traceback.format_exception(caught.value))
                assert form not in caplog.text

    def test_the_right_one_is_not_shown_either(self, server, address, name):
        Ledger(address).close()
        server.run(f"GRANT USAGE ON SCHEMA {name} TO locked", f"GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO locked")
        mine = address.replace("postgres@", "locked:open%20sesame@")
        with Ledger(mine) as ledger:
            assert ledger.head().seq == 0
            with pytest.raises(LedgerUnwritable, match="permission denied") as caught:
                ledger.budget("a", rho=1)
            for text in (ledger.path, repr(ledger), str(caught.value)):
                assert "sesame" not in text
        assert verify(mine).entries == 0

    def test_a_database_that_does_not_exist(self, server):
        with pytest.raises(LedgerUnwritable, match='database "none" does not exist'):
            Ledger(server.address("none"))

    def test_a_server_that_does_not_run(self, tmp_path):
        with pytest.raises(LedgerUnwritable, match="cannot be reached"):
            Ledger(f"postgresql:///db?host={tmp_path}")
