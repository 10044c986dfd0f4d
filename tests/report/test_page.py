"""The page: its figures are the ledger's, it is whole and accessible, and nothing that people wrote has an effect."""

from __future__ import annotations

import datetime as dt
import itertools
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import fedanalytics as fa
from fedanalytics.errors import LedgerCorrupt
from fedanalytics.ledger import Answer, Entry
from fedanalytics.report import Book, accounts, html_of, page, standing
from fedanalytics.report.claims import claims, evidence
from fedanalytics.report.precision import precision
from fedanalytics.report.words import percent, shortened

STYLE = (Path(page.__file__).parent / "templates" / "style.css").read_text()
NOW = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
HOSTILE = [
    "<script>document.title='pwned';console.error('pwned')</script>",
    '" onload="alert(1)" x="',
    "'><img src=x onerror=console.error(1)>",
    "{{ 7*7 }}{% raw %}{# x",
    "</style><style>*{display:none}</style>",
    "</title><script>console.error('t')</script>",
    "x" * 5000,
    "مرحبا بالعالم",
    "\u202eevil gpj.exe",
    "👩‍🚀🛰️",
    "-->]]>&lt;b&gt;&#60;i&#62;",
    "a\nb\tc\x1b[31mred\x00",
]


@pytest.fixture(scope="module")
def tree(lived_book, parsed):
    return parsed(html_of(lived_book))


def cells(tree, caption):
    """The bodies of the tables with a caption."""
    return [table.rows() for table in tree.all("table") if any(c.text == caption for c in table.all("caption"))]


def test_the_cards_say_what_is_left(tree, lived_book):
    cards = list(tree.all("li", class_="card"))
    accounts = lived_book.accounts.by_name
    assert [card.one("h3").text for card in cards] == list(accounts)
    for card, account in zip(cards, accounts.values(), strict=True):
        each = standing(account, lived_book.now)
        assert f"{percent(account.cap - account.spent, account.cap)} left" in card.text
        assert f"{len(account.spends)} questions" in card.text
        full, part = card.all("rect")
        assert full.attributes["width"] == "100%"
        assert float(part.attributes["width"][:-1]) == pytest.approx(100 * (1 - account.spent / account.cap), abs=0.006)
        assert ("Nearly spent." in card.text) == (each.part >= 0.8)


def test_who_spent_what(tree, lived_book):
    accounts = lived_book.accounts.by_name.values()
    for account, rows in zip(accounts, cells(tree, "By person"), strict=True):
        spent = {}
        for spend in account.spends:
            count, units = spent.get(spend.actor, (0, 0))
            spent[spend.actor] = (count + 1, units + spend.units)
        expected = {name: [str(n), percent(units, account.cap)] for name, (n, units) in spent.items()}
        assert {row[0]: row[2:] for row in rows} == expected
    [columns, _, _] = cells(tree, "By column")
    assert [row[0] for row in columns] == ["temp", "(no column)", "hour", "region"]


def test_the_days_add_up_to_what_is_spent(tree, lived_book):
    for number, account in enumerate(lived_book.accounts.by_name.values(), start=1):
        [[day, questions, spent, in_all]] = tree.one("section", id=f"budget-{number}").one("figure").one("table").rows()
        assert day == account.spends[0].time.date().isoformat()
        assert questions == str(len(account.spends))
        assert spent == in_all == percent(account.spent, account.cap)


def test_every_question_has_its_cost_and_error(tree, lived_book):
    rows = tree.one("section", id="questions").one("table", class_="stack asked").rows()
    spends = lived_book.accounts.spends[::-1]
    assert len(rows) == len(spends) == 17
    for row, spend in zip(rows, spends, strict=True):
        cap = lived_book.accounts.by_name[spend.budget].cap
        said, budget, actor, _, cost, error, trust = row
        assert said.startswith(f"{spend.kind}")
        assert f"{spend.seq} · {spend.key}" in said
        assert (budget, actor, trust) == (spend.budget, spend.actor, spend.trust)
        assert cost == percent(spend.units, cap)
        found = precision(spend, lived_book.answers[spend.seq])
        assert error.startswith("± ")
        low = float(error.split()[1].replace(",", ""))
        assert low == pytest.approx(found.low, rel=0.006)
        assert error.endswith(percent(found.relative, 1))


def test_claims_stand_beside_trust_and_relation(tree, lived_book):
    shown = [
        section.one("table", class_="stack").rows()
        for section in tree.all("section")
        if "budget-" in section.attributes["id"]
    ]
    for rows, account in zip(shown, lived_book.accounts.by_name.values(), strict=True):
        found = claims(account.spends)
        assert len(rows) == len(found)
        for row, claim in zip(rows, found, strict=True):
            assert claim.noise in row[0]
            assert f"{claim.relation}: " in row[0]
            assert claim.trust in row[1]
            assert ("worth nothing" in row[1]) == ("SIMULATED" in claim.trust)
            assert row[3] == "no audit recorded"
            assert row[4:] == [str(claim.questions), percent(claim.units, account.cap)]


def test_the_seal_and_the_record(tree, lived_book):
    head = str(lived_book.head)
    seal = tree.one("div", class_="seal")
    assert seal.text.startswith(f"Verified. {lived_book.entries} entries form one unbroken chain")
    assert f"Head {head}" in seal.text
    assert f"verify FILE --head {head}" in tree.one("section", id="record").text


def test_budgets_of_the_same_people_are_named(tree):
    [note] = tree.all("p", class_="note")
    assert "Budgets sensors, shares and reports spend on the same people" in note.text
    assert "no one figure" in note.text


def test_it_is_one_file_without_script_or_network(lived_book):
    html = html_of(lived_book)
    assert not re.search(r"<(script|iframe|object|embed|img|form)\b|@import|url\(|\bon\w+\s*=|https?:", html)
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'" in html


def test_it_can_be_read_by_everybody(tree):
    html = tree.one("html")
    assert html.attributes["lang"] == "en"
    ids = [one.attributes["id"] for one in tree.all() if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    assert {a.attributes["href"][1:] for a in tree.all("a")} <= set(ids)
    levels = [int(one.tag[1]) for one in tree.all() if re.fullmatch("h[1-6]", one.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(th.attributes.get("scope") in {"col", "row"} for th in tree.all("th"))
    for svg in tree.all("svg"):
        nested = not ({"aria-hidden", "role"} & svg.attributes.keys())
        assert nested or svg.attributes.get("aria-hidden") == "true" or svg.attributes["aria-label"]
    for chart in tree.all("svg", class_="chart"):
        assert "The " in chart.attributes["aria-label"]
        assert "in the table below" in chart.attributes["aria-label"]
    charted = [figure for figure in tree.all("figure") if any(figure.all("svg", class_="chart"))]
    assert len(charted) == 4
    assert all(len(list(figure.one("details").all("table"))) == 1 for figure in charted)
    assert next(tree.one("body").all()).attributes["class"] == "skip"


def luminance(colour):
    """Of WCAG 2.2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def palettes():
    return [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    ]


@pytest.mark.parametrize("palette", palettes(), ids=["light", "dark", "print"])
def test_contrast(palette):
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for ink in ("ink", "soft", "accent", "warn", "bad"):
        for paper in ("paper", "card", "badtint"):
            assert contrast(palette[ink], palette[paper]) >= 4.5, (ink, paper)
    for drawn in ("s0", "s1", "s2", "s3", "s4", "s5", "accent"):
        assert contrast(palette[drawn], palette["paper"]) >= 3, drawn
    assert contrast(palette["accent"], palette["tint"]) >= 3


def shape(tree):
    """Tags and the names of attributes: all that a name could break out into."""
    return [(one.tag, sorted(one.attributes)) for one in tree.all()]


@pytest.fixture(scope="module")
def page_named(a_plan):
    def made(name, expression=None):
        expression = name if expression is None else expression
        with fa.Ledger(":memory:", actor=name) as ledger:
            people = {"unit": name, "dataset": name, "overlap": True}
            budget = ledger.budget(name, epsilon=1.0, delta=1e-6, group=(name, name), **people)
            ledger.budget(f"{name}.", epsilon=1.0, delta=1e-6, **people)
            query = {"is": name, "column": name, "where": expression, "by": expression}
            [held, _] = budget.reserve([a_plan(name + end, question={"query": query}, trust=name) for end in ("", "2")])
            budget.commit([Answer(held, 0, name, [[name]])])
            entries = list(ledger.entries())
        report = {"verdict": name, "claim": {"claim": name}, "unit": name, "lower_bound": 1.0, "limit": 2.0}
        audit = replace(entries[-1], seq=9, body={"type": "audit", "budget": name, "report": report})
        strange = replace(entries[-1], seq=10, body={"type": f"strange {name}", "budget": name})
        found = accounts([*entries, audit, strange])
        return html_of(Book(name, entries[-1].head, found, NOW, problem=f"entry 3 {name}"))

    return made


def test_hostile_names_have_no_effect(page_named, parsed):
    plain = shape(parsed(page_named("name")))
    for name in HOSTILE:
        html = page_named(name)
        tree = parsed(html)
        assert shape(tree) == plain, name
        assert "<script" not in html
        assert " ".join(shortened(name).split()) in [one.text for one in tree.all("bdi")]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example("<b>")
@given(st.text(min_size=1, max_size=40).filter(lambda s: s.strip() and "\x00" not in s))
def test_no_name_has_an_effect(page_named, parsed, name):
    try:
        html = page_named(name, "hour")
    except (fa.BadArgument, LedgerCorrupt):  # half a character, which no ledger takes
        return
    assert shape(parsed(html)) == shape(parsed(page_named("name", "hour")))


def test_the_comparison_would_see_an_effect(page_named, parsed, monkeypatch):
    """A fault is planted: escaping is switched off."""
    faulty = page._environment().overlay(autoescape=False)
    monkeypatch.setattr(page, "_template", lambda: faulty.get_template("page.html"))
    with pytest.raises(AssertionError):
        assert shape(parsed(page_named(HOSTILE[2]))) == shape(parsed(page_named("name")))


def test_long_names_are_shortened_and_signs_that_turn_the_line_are_shown_as_such(page_named):
    assert len(re.findall("x{121,}", page_named("x" * 5000))) == 1  # in the error message, which may be longer
    assert "\u202e" not in page_named("\u202eevil gpj.exe")
    assert "👩‍🚀" in page_named("👩‍🚀")


def test_a_ledger_that_does_not_verify_says_so_on_top(lived_book, parsed):
    tree = parsed(html_of(replace(lived_book, verification=None, problem="entry 3 was changed: its hash is not")))
    seal = tree.one("div", role="alert")
    assert seal.text.startswith("This ledger does not verify. entry 3 was changed")
    assert "Verified." not in tree.text
    tree = parsed(html_of(replace(lived_book, verification=None)))
    assert tree.one("div", class_="seal broken").text.startswith("Not verified.")


def test_figures_that_a_later_version_would_know_better_are_marked(lived_book, parsed):
    states = dict(lived_book.verification.budgets)
    states["shares"] = replace(states["shares"], cap=1)
    tree = parsed(html_of(replace(lived_book, verification=replace(lived_book.verification, budgets=states))))
    assert any("Budget shares: a later version wrote entries" in note.text for note in tree.all("p", class_="note"))


def test_audits_stand_beside_the_claims(lived_book, parsed):
    last = lived_book.accounts.by_name["sensors"].steps[-1].time.isoformat()
    report = {
        "verdict": "violated",
        "claim": {"claim": "gdp", "mu": 0.1},
        "unit": "mu",
        "lower_bound": 0.231,
        "limit": 0.1,
    }
    family = {"verdict": "consistent", "audits": {"mean": {**report, "verdict": "consistent", "trials": 2048}}}
    entries = (
        Entry(90, "", "", last, {"type": "audit", "budget": "sensors", "report": report}),
        Entry(91, "", "", last, {"type": "audit", "budget": "sensors", "report": family}),
    )
    found = evidence(entries)
    assert [(one.verdict, one.claim, one.trials) for one in found] == [
        ("consistent", "mean", 2048),
        ("violated", "gdp, mu = 0.1", 0),
    ]
    book = replace(lived_book, accounts=replace(lived_book.accounts, audits=entries))
    section = parsed(html_of(book)).one("section", id="budget-1")
    claimed, audits = section.all("table", class_="stack")
    assert [row[3] for row in claimed.rows()] == ["2 audits, violated"] * len(claimed.rows())
    assert audits.rows() == [
        ["consistent", "mean", "mu ≥ 0.231; the claim admits 0.1", "2,048", "91"],
        ["violated", "gdp, mu = 0.1", "mu ≥ 0.231; the claim admits 0.1", "not said", "90"],
    ]


def test_an_empty_ledger(ledger, book_of, parsed):
    tree = parsed(html_of(book_of(ledger)))
    assert "No budget has been opened." in tree.text
    ledger.budget("new", rho=1.0)
    tree = parsed(html_of(book_of(ledger)))
    assert "100 % left" in tree.text
    assert "Nothing was asked yet." in tree.text


def test_many_names_and_many_budgets_stay_small(ledger, a_plan, book_of, parsed):
    budget = ledger.budget("b", rho=1.0)
    budget.reserve([a_plan(f"k{i}", question={"query": {"is": f"Kind {i}"}}) for i in range(700)])
    for i in range(60):
        ledger.budget(f"other {i}", rho=1.0)
    html = html_of(book_of(ledger))
    tree = parsed(html)
    [kinds, *_] = cells(tree, "By kind of question")
    assert len(kinds) == 13
    assert kinds[-1][0] == "all others"
    assert kinds[-1][2] == "688"
    assert "400 older questions" in tree.text
    assert "24 of 61 budgets are shown in full" in tree.text
    assert len(list(tree.all("li", class_="card"))) == 61
    assert len(html) < 3_000_000 / 3


def test_without_jinja2_the_message_says_what_to_install(tmp_path):
    with fa.Ledger(tmp_path / "b.db") as ledger:
        ledger.budget("b", rho=1.0)
    script = (
        "import sys; sys.modules['jinja2'] = None\nimport fedanalytics.report as r\nr.write(sys.argv[1], sys.argv[2])"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "b.db"), str(tmp_path / "r.html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 'BadArgument: a report needs jinja2: pip install "fedanalytics[report]"' in done.stderr
    assert not (tmp_path / "r.html").exists()
