"""Events are data: frozen, hashable, with a JSON form that keeps its meaning."""

import json
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.errors import BadArgument, NotPrivate
from fedanalytics.privacy.events import Composed, DiscreteLaplace, Exact, Gaussian, NoOp, from_json
from fedanalytics.privacy.relations import Relation

multipliers = st.floats(min_value=1e-3, max_value=1e9)
simple = st.one_of(
    st.builds(Gaussian, multipliers, st.sampled_from(Relation)),
    st.builds(DiscreteLaplace, multipliers, st.sampled_from(Relation)),
    st.just(NoOp()),
    st.just(Exact()),
)
events = st.one_of(simple, st.lists(simple, max_size=3).map(lambda e: Composed(tuple(e))))


@given(events)
def test_json_keeps_the_meaning(event):
    again = from_json(json.loads(json.dumps(event.to_json())))
    assert again == event
    assert hash(again) == hash(event)


def test_the_json_form_is_a_contract():
    assert Gaussian(2.0).to_json() == {
        "event": "gaussian",
        "noise_multiplier": 2.0,
        "relation": "add-or-remove-one",
    }
    assert from_json({"event": "discrete-laplace", "noise_multiplier": 0.5, "relation": "replace-one"}).epsilon == 2
    assert Composed((Exact(), NoOp())).to_json() == {
        "event": "composed",
        "events": [{"event": "exact"}, {"event": "no-op"}],
    }


@pytest.mark.parametrize(
    "data",
    [
        {"event": "quantum"},
        {"event": "gaussian"},
        {"event": "gaussian", "noise_multiplier": 1.0},
        {"event": "gaussian", "noise_multiplier": 1.0, "relation": "nearby"},
        {"event": "gaussian", "noise_multiplier": 0.0, "relation": "replace-one"},
        {"event": "gaussian", "noise_multiplier": 1.0, "relation": "replace-one", "rate": 0.1},
        {"noise_multiplier": 1.0},
        {"event": "composed", "events": [{"event": "quantum"}]},
        "gaussian",
        None,
    ],
)
def test_an_unknown_event_is_refused_never_ignored(data):
    with pytest.raises(BadArgument):
        from_json(data)


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf, "1", None, True])
def test_a_multiplier_is_a_positive_number(bad):
    with pytest.raises(BadArgument, match="noise_multiplier"):
        Gaussian(bad)


def test_rho_is_exact():
    assert Gaussian(2.0).rho == Fraction(1, 8)
    assert DiscreteLaplace(4.0).rho == Fraction(1, 32)
    assert Composed((Gaussian(2.0), DiscreteLaplace(4.0), NoOp())).rho == Fraction(5, 32)
    with pytest.raises(NotPrivate):
        _ = Composed((Gaussian(1.0), Exact())).rho


@given(
    st.builds(Gaussian, multipliers) | st.builds(DiscreteLaplace, multipliers),
    st.lists(st.integers(1, 50), min_size=1, max_size=8),
)
def test_parts_whose_shares_sum_to_one_cost_no_more_than_the_whole(event, weights):
    parts = [event.part(Fraction(w, sum(weights))) for w in weights]
    if isinstance(event, Gaussian):
        assert sum(p.rho for p in parts) <= event.rho
    else:
        assert sum(p.epsilon for p in parts) <= event.epsilon
    assert sum(float(p.rho) for p in parts) == pytest.approx(
        float(event.rho)
        if isinstance(event, Gaussian)
        else sum((float(event.epsilon) * w / sum(weights)) ** 2 / 2 for w in weights),
        rel=1e-9,
    )


def test_parts_of_the_others():
    assert Composed((Gaussian(1.0), Gaussian(2.0))).part(Fraction(1, 4)).events[0].noise_multiplier == pytest.approx(2)
    assert NoOp().part(Fraction(1, 2)) == NoOp()
    assert Exact().part(Fraction(1, 2)) == Exact()
    assert NoOp().describe() == {"event": "no-op"}
