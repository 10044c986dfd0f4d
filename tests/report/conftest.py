"""Ledgers to report on, and a page taken apart by the standard library's parser."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import fedanalytics as fa
from fedanalytics.ledger import Answer, Plan
from fedanalytics.privacy import Gaussian
from fedanalytics.privacy.filters import Gdp
from fedanalytics.report import Book, accounts
from fedanalytics.report.reading import read

VOID = {"meta", "link", "br", "img", "hr", "input"}
NOW = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)


@dataclass
class Element:
    """A tag with its attributes, its text and what is inside."""

    tag: str
    attributes: dict[str, str | None]
    inside: list = field(default_factory=list)

    @property
    def text(self):
        """All of it, with single spaces."""
        return " ".join(self.raw.split())

    @property
    def raw(self):
        """The same with its spaces."""
        return "".join(one if isinstance(one, str) else one.raw for one in self.inside)

    def all(self, tag=None, **attributes):
        """The elements below with that tag, and these attributes (class is class_)."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        for one in self.inside:
            if isinstance(one, Element):
                if (tag is None or one.tag == tag) and all(one.attributes.get(k) == v for k, v in wanted.items()):
                    yield one
                yield from one.all(tag, **attributes)

    def one(self, tag=None, **attributes):
        """The only one."""
        [found] = self.all(tag, **attributes)
        return found

    def rows(self):
        """The cells of a table's body, as text."""
        [body] = self.all("tbody")
        return [[cell.text for cell in row.inside if isinstance(cell, Element)] for row in body.all("tr")]


class _Tree(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"an attribute stands twice in <{tag}>: {attrs}"
        element = Element(tag, dict(attrs))
        self.open[-1].inside.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.open[-1].inside.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data):
        self.open[-1].inside.append(data)


@pytest.fixture(scope="session")
def parsed():
    """HTML text -> its tree; every tag must be closed in order."""

    def parse(html):
        tree = _Tree()
        tree.feed(html)
        tree.close()
        assert tree.open == [tree.root], f"<{tree.open[-1].tag}> is not closed"
        return tree.root

    return parse


@pytest.fixture(scope="session")
def fleet():
    """2,000 sensors in three regions."""
    draw = np.random.Generator(np.random.PCG64(5))
    n = 2000
    frame = {
        "sensor": np.repeat([f"s{i:04d}" for i in range(n)], 2),
        "temp": draw.normal(60, 15, 2 * n),
        "hour": draw.integers(0, 24, 2 * n),
        "region": np.tile(["north", "south"], n),
    }
    return fa.Fleet.from_pandas(pd.DataFrame(frame), client="sensor", population=n, dataset="readings-2026")


@pytest.fixture(scope="session")
def lived(tmp_path_factory, fleet):
    """The path of a ledger that people have asked things of, under every trust model, with the releases by key."""
    path = tmp_path_factory.mktemp("lived") / "budget.db"
    releases = {}

    def ask(actor, name, trust, queries, terms, **cost):
        with fa.Ledger(path, actor=actor) as ledger:
            session = fa.Session(fleet, ledger.budget(name, overlap=True, **terms), trust=trust)
            keys = [f"{name}/{len(releases) + i}" for i in range(len(queries))]
            releases.update(zip(keys, session.run(queries, key=keys, **cost), strict=True))

    central = {"epsilon": 3.0, "delta": 1e-6}
    questions = [
        fa.count(where="temp > 50"),
        fa.mean("temp", bounds=(0, 110)),
        fa.histogram("temp", edges=[-np.inf, 40, 60, np.inf]),
        fa.variance("temp", bounds=(0, 110)),
        fa.sum("temp", bounds=(0, 110), where="hour >= 8"),
        fa.mean("temp", bounds=(0, 110), by="region", groups=["north", "south"]),
        fa.count(weight="record", max_records=2),
    ]
    ask("ada", "sensors", fa.Central(), questions, central, rho=0.07)
    ask("björk", "sensors", fa.Central(), [fa.count(), fa.mean("temp", bounds=(0, 110))], central, epsilon=0.2)
    shares = {"epsilon": 2.0, "delta": 1e-6, "relation": "zero-out", "filter": "renyi"}
    ask("ada", "shares", fa.SecureAggregation(simulate=True), questions[:5], shares, epsilon=0.5, delta=1e-6)
    reports = {"epsilon": 8.0, "relation": "replace-one"}
    ask("cron", "reports", fa.Local(), questions[:3], reports, epsilon=4.0)
    return str(path), releases


@pytest.fixture(scope="session")
def lived_book(lived):
    """The same, read and verified."""
    return read(lived[0], now=NOW)


def plan(key, units=None, noise=100.0, question=None, trust="central"):
    """A plan with Gaussian noise, that pays what it costs under a "gdp" filter."""
    event = Gaussian(noise)
    asked = {"query": {"is": "Count", "where": None}, "shares": ["1"]} if question is None else question
    return Plan(key, asked, event, Gdp().price(event) if units is None else units, trust)


@pytest.fixture
def ledger():
    """A ledger in memory."""
    with fa.Ledger(":memory:", actor="ada") as made:
        yield made


@pytest.fixture
def pay():
    """Reserve plans, answer all but the last `unanswered` ones, give the last `returned` ones back."""

    def paid(budget, plans, unanswered=0, returned=0):
        reservations = budget.reserve(plans)
        answered = len(plans) - unanswered - returned
        budget.commit([Answer(held, 0, "d" * 64, [[1.0]]) for held in reservations[:answered]])
        budget.release(reservations[len(plans) - returned :], "nobody was asked")
        return reservations

    return paid


@pytest.fixture(scope="session")
def book_of():
    """A ledger in memory -> what was read of it."""

    def read_of(ledger, now=NOW):
        return Book("budget.db", ledger.head(), accounts(ledger.entries()), now)

    return read_of


@pytest.fixture(scope="session")
def a_plan():
    """`plan`, for tests that need no import from here."""
    return plan
