"""Reports: two verdicts and no third, readable, and JSON that any reader takes."""

import json
import math
from dataclasses import FrozenInstanceError, replace

import pytest

from fedanalytics.auditing import AuditReport, Check, Count, Dp, Gdp, claimed
from fedanalytics.privacy import Exact, Gaussian

REPORT = AuditReport(
    claim=claimed(Gaussian(1.0)),
    unit="mu",
    lower_bound=1.25,
    limit=1.0,
    mu=1.25,
    epsilon=0.875,
    event="the output is at least 0.5",
    direction="in -> out",
    counts=(Count("with the record", 31201, 45875), Count("without it", 14030, 45875)),
    trials=65536,
    confidence=0.95,
    checks=(Check("replay", True, "two calls differ"), Check("timing", None, "1 microsecond")),  # noqa: FBT003
    seconds=0.5,
)


def test_a_bound_above_the_limit_violates():
    assert REPORT.verdict == "violated"
    assert replace(REPORT, lower_bound=1.0).verdict == "consistent"
    assert replace(REPORT, limit=math.inf).verdict == "consistent"


def test_a_failed_check_violates():
    failed = replace(REPORT, lower_bound=0.0, checks=(Check("replay", passed=False, finding="a fixed seed"),))
    assert failed.verdict == "violated"
    assert "replay: FAILED; a fixed seed" in str(failed)


def test_what_is_printed():
    assert str(REPORT).splitlines() == [
        "violated: the claim does not hold",
        "  claim   gaussian(noise_multiplier=1.0, relation=add-or-remove-one): mu-GDP with mu = 1",
        "  bound   mu >= 1.25, at 0.95; the claim admits 1",
        "          epsilon >= 0.875 at delta = 1e-06; the claim says 4.887",
        "  event   the output is at least 0.5 (in -> out)",
        "  seen    31,201 of 45,875 with the record, 14,030 of 45,875 without it",
        "  trials  65,536 in 0.5 s",
        "  check   replay: passed; two calls differ",
        "  check   timing: seen; 1 microsecond",
    ]
    assert "consistent: nothing found against it, which is no proof" in str(replace(REPORT, lower_bound=0.5))
    assert "proved" not in str(REPORT) + str(replace(REPORT, lower_bound=0.5))


@pytest.mark.parametrize("claim", [Gdp(1.0), Dp(1.0), claimed(Exact()), claimed(Gaussian(1.0).poisson_sampled(0.1))])
def test_json_is_standard_and_whole(claim):
    data = json.loads(json.dumps(replace(REPORT, claim=claim, limit=math.inf).to_json(), allow_nan=False))
    assert data["limit"] == "inf"
    assert data["counts"][0] == {"of": "with the record", "hits": 31201, "trials": 45875}
    assert data["checks"][1] == {"name": "timing", "passed": None, "finding": "1 microsecond"}
    assert data["claim"] == claim.to_json()
    assert set(data) >= {
        "verdict",
        "lower_bound",
        "mu",
        "epsilon",
        "delta",
        "event",
        "direction",
        "trials",
        "confidence",
    }


def test_it_is_frozen():
    with pytest.raises(FrozenInstanceError):
        REPORT.lower_bound = 0.0
