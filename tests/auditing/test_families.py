"""Families: each audit gets its share of one risk, and no more."""

import json

import numpy as np
import pytest

from fedanalytics.auditing import Gdp, audit, family
from fedanalytics.errors import BadArgument


def one(sigma, seed):
    rng = np.random.default_rng(seed)
    return lambda confidence: audit(
        lambda data, n: data + np.rint(rng.normal(0, sigma * 1024, n)) / 1024,
        (0.0, 1.0),
        claim=Gdp(1.0),
        trials=2048,
        confidence=confidence,
    )


def test_each_has_its_share_and_the_guilty_one_is_named():
    found = family({"sound": one(1.0, 1), "loud": one(2.0, 2), "quiet": one(0.6, 3)}, alpha=3e-3)
    assert [report.confidence for _, report in found.reports] == [1 - 1e-3] * 3
    assert found.violated == ("quiet",)
    assert found.verdict == "violated"
    assert str(found).startswith("violated: 1 of 3 claims, at a risk of 0.003 in all\n\nsound\nconsistent")
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert list(data["audits"]) == ["sound", "loud", "quiet"]


def test_a_family_of_sound_ones_is_quiet():
    """60 at 5 % would raise three alarms; as a family at 1 %, none (and none at 1e-2 for this seed)."""
    found = family({str(seed): one(1.0, seed) for seed in range(60)}, alpha=1e-2)
    assert found.verdict == "consistent"
    alone = sum(one(1.0, seed)(0.5).verdict == "violated" for seed in range(60))
    assert alone > 5, "at a risk of one half they do raise alarms: the test can fail"


def test_what_cannot_be_a_family():
    with pytest.raises(BadArgument, match="audits= is empty"):
        family({})
    for alpha in (0, 1, -0.1, None):
        with pytest.raises(BadArgument, match="alpha= must lie strictly between 0 and 1"):
            family({"a": one(1.0, 1)}, alpha=alpha)
