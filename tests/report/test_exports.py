"""CSV that adds up and starts no formula; registry records that keep to the registry's schema."""

from __future__ import annotations

import csv
import io
import json

import jsonschema
import pytest

import fedanalytics as fa
from fedanalytics.report import csv_of, registry
from fedanalytics.report.registry import TO_FILL_IN
from fedanalytics.report.sheet import COLUMNS

TEXT = {"type": "string"}


def record(required=(), **fields):
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": fields}


def texts(*names):
    return dict.fromkeys(names, TEXT)


def one_of(*values):
    return {"enum": list(values)}


# The names, enumerations and demands of schemas/deployments-schema.yaml (opendp/deployments-registry-data, 3e9c812a).
SOME = {"type": "array", "items": TEXT, "minItems": 1}
BASIC = ("name", "data_curators", "description", "intended_use", "data_product_type", "data_product_region")
SCHEMA = record(
    ("url_slug", "status", "tier", "deployment"),
    url_slug=TEXT,
    status=one_of(
        "Converted",
        "Draft",
        "Pending",
        "Changes Required",
        "Approved",
        "Approved (Update Requested)",
        "Approved (Pending)",
    ),
    tier=one_of(1, 2, 3),
    deployment=record(
        ("basic",),
        basic=record(
            (*BASIC, "publication_date"),
            **texts("name", "intended_use", "data_product_region", "description"),
            data_curators=SOME,
            data_product_type=one_of(
                "Summary statistics",
                "Machine learning model",
                "Dataset",
                "Synthetic data",
                "Interactive API",
                "SQL queries",
            ),
            publication_date={"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
            data_product_sector=one_of("Technology", "Healthcare", "Education", "Government", "Energy", "Finance"),
        ),
        dp_variant=record(
            variant_name=one_of("Pure DP", "Approximate DP", "Zero-concentrated DP", "Renyi DP", "Custom"),
            **texts("data_domain", "unprotected_quantities"),
        ),
        privacy_loss=record(
            **texts("privacy_unit", "privacy_unit_details"),
            privacy_parameters=record(
                epsilon={"type": "number"}, delta={"type": ["number", "string"]}, rho={"type": "number"}
            ),
            privacy_parameters_details={},
        ),
        deployment_model=record(
            model_name=one_of("Local", "Central", "Shuffle", "Federated", "Varies"),
            **texts("model_name_details", "actors", "release_type_details"),
            release_type=one_of("One release", "Many releases"),
            data_source_type=one_of("Static", "Dynamic"),
            data_source_type_details={},
            access_type=one_of("Interactive", "Non-interactive"),
            access_type_details={},
        ),
        accounting=record(**texts("post_processing", "composition")),
        implementation=record(
            **texts("preprocessing_and_hyperparameter_tuning", "mechanisms", "justification"),
        ),
        administrative=record(("registry_authors",), **texts("sources", "notes"), registry_authors=SOME),
    ),
)


def test_the_registrys_records(lived_book):
    records = json.loads(json.dumps(registry(lived_book), allow_nan=False))
    for one in records:
        jsonschema.validate(one, SCHEMA)
    sensors, shares, reports = (one["deployment"] for one in records)
    assert [one["url_slug"] for one in records] == ["sensors", "shares", "reports"]
    assert [d["deployment_model"]["model_name"] for d in (sensors, shares, reports)] == [
        "Central",
        "Federated",
        "Local",
    ]
    assert [d["dp_variant"]["variant_name"] for d in (sensors, shares, reports)] == [
        "Approximate DP",
        "Approximate DP",
        "Pure DP",
    ]
    assert sensors["privacy_loss"]["privacy_parameters"] == {"epsilon": 3.0, "delta": 1e-6}
    assert reports["privacy_loss"]["privacy_parameters"] == {"epsilon": 8.0}
    assert "9 questions about each sensor of readings-2026" in sensors["basic"]["description"]
    assert sensors["basic"]["publication_date"] == lived_book.accounts.spends[0].time.date().isoformat()
    assert str(lived_book.head) in sensors["administrative"]["sources"]
    assert sensors["basic"]["data_curators"][0].startswith(TO_FILL_IN)
    assert "SIMULATED" in shares["deployment_model"]["model_name_details"]


def test_the_schema_of_the_test_would_refuse(lived_book):
    [one, *_] = registry(lived_book)
    for planted in ({**one, "budget": 1}, {**one, "tier": 4}, {"tier": 2}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(planted, SCHEMA)


def test_budgets_in_rho_unused_and_named_alike(ledger, book_of):
    for name in ("A b", "a-b", "日本"):
        ledger.budget(name, rho=0.25)
    records = registry(book_of(ledger))
    for one in records:
        jsonschema.validate(one, SCHEMA)
    assert [one["url_slug"] for one in records] == ["a-b", "a-b-2", "budget-3"]
    assert records[0]["deployment"]["privacy_loss"]["privacy_parameters"] == {"rho": 0.25}
    assert records[0]["deployment"]["dp_variant"]["variant_name"] == "Zero-concentrated DP"


def test_csv_has_every_question(lived_book):
    rows = list(csv.DictReader(io.StringIO(csv_of(lived_book.accounts))))
    spends = lived_book.accounts.spends
    assert tuple(rows[0]) == COLUMNS
    assert [int(row["entry"]) for row in rows] == [spend.seq for spend in spends]
    for row, spend in zip(rows, spends, strict=True):
        account = lived_book.accounts.by_name[row["budget"]]
        assert (row["actor"], row["key"], row["kind"]) == (spend.actor, spend.key, spend.kind)
        assert json.loads(row["event"]) == spend.event
        assert int(row["units"]) == spend.units
        assert float(row["amount"]) == spend.units / 1e12
        assert float(row["part_of_budget"]) == spend.units / account.cap
        assert row["counts"] == account.terms.rule.counts


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", 'a"b', "a,b\nc", "<b>"])
def test_csv_starts_no_formula_and_breaks_no_row(a_plan, book_of, name):
    with fa.Ledger(":memory:", actor=name) as ledger:
        ledger.budget(name, rho=1.0).reserve(
            [a_plan(name, question={"query": {"is": name, "column": name}}, trust=name)]
        )
        [row] = csv.DictReader(io.StringIO(csv_of(book_of(ledger).accounts), newline=""))
    for column in ("budget", "actor", "key", "kind", "columns", "trust"):
        assert row[column].removeprefix("'") == name
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row.values())
