"""docs/threat-model.md: the tests that it names exist, none is named in vain, and its figures are computed again."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import fedanalytics as fa
from fedanalytics.privacy.costs import cost
from fedanalytics.privacy.relations import Relation
from fedanalytics.round.blocks import Round

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
BEFORE, _, LIST = TEXT.partition("\n## The tests\n")
NAMED = dict(re.findall(r"^\| ([A-Z]\d+) \| `(.+)` \|$", LIST, re.MULTILINE))
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for part in re.findall(r"shown by \|\n\|---\|---\|---\|\n((?:\|.*\n)+)", BEFORE)
    for line in part.splitlines()
]


@cache
def written_in(path):
    """The names of the tests in a file, those in classes behind the name of their class."""
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    classes = {node.name: node.body for node in body if isinstance(node, ast.ClassDef)}
    groups = [("", body), *((f"{name}::", inner) for name, inner in classes.items())]
    functions = [(prefix, node.name) for prefix, nodes in groups for node in nodes if isinstance(node, ast.FunctionDef)]
    return {prefix + name for prefix, name in functions if name.startswith("test_")}


def exists(name):
    path, _, test = name.partition("::")
    return (ROOT / path).is_file() and test in written_in(path)


@pytest.mark.parametrize("name", NAMED.values())
def test_a_named_test_exists(name):
    assert exists(name)


def test_one_that_does_not_exist_is_seen():
    assert not exists("tests/test_threat_model.py::test_that_nobody_wrote")
    assert not exists("tests/test_no_such_file.py::test_a_named_test_exists")
    assert not exists("tests/ledger/test_ledger_budgets.py::test_is_refused_when_opened")
    assert exists("tests/ledger/test_ledger_budgets.py::TestSharedData::test_is_refused_when_opened")


def test_every_name_is_on_the_list_once_and_every_letter_is_used():
    assert re.findall(r"`[^`]*::[^`]*`", TEXT) == [f"`{name}`" for name in NAMED.values()]
    assert len(set(NAMED.values())) == len(NAMED) == LIST.count("::test_")
    assert set(re.findall(r"\b[A-Z]\d{1,2}\b", BEFORE)) == set(NAMED)


def test_what_is_stopped_is_shown():
    unproved = [row[0] for row in ROWS if not row[-1]]
    assert len(ROWS) >= 30
    assert unproved == ["add any vector of the ring"]


@pytest.mark.parametrize(
    "subject",
    [
        *("ranges", "malicious server", "Sybil", "timing", "sampling", "shuffler", "several clients per person"),
        *("correlated clients", "time window", "bias", "key management", "intermediate outputs", "hyper-parameter"),
    ],
)
def test_what_is_not_promised_is_said(subject):
    _, _, missing = BEFORE.partition("\n## What is not promised\n")
    assert len(re.findall(rf"^\| [^|]*{subject}", missing, re.MULTILINE)) == 1


def test_the_local_figures():
    columns, figures = (
        [cell.strip() for cell in row.split("|")[1:]]
        for row in re.findall(r"^\| (?:clients|local epsilon) (\|.+)\|$", BEFORE, re.MULTILINE)
    )
    assert len(columns) == 4
    for clients, written in zip(columns, figures, strict=True):
        trust = fa.SecureAggregation(dropout=0.1, corrupt=0.05, simulate=True)
        price = cost(epsilon=1.0, delta=1e-6, relation=Relation.ZERO_OUT)
        priced = trust.price(Round((fa.count().block,)), price, int(clients.replace(",", "")))
        exact = trust.guarantee((priced,), 1e-6)["local"]["epsilon"]
        step = 10.0 ** -len(written.partition(".")[2])
        assert exact <= float(written) < exact + step
