"""A client's update and the numbers beside it: one vector whose norm is a fact about integers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedanalytics.errors import BadArgument
from fedanalytics.privacy.relations import Relation
from fedanalytics.round.blocks import Noisy
from fedanalytics.round.estimates import Noise
from fedanalytics.round.updates import Updates

anything = st.floats(width=64) | st.sampled_from([np.nan, np.inf, -np.inf, 1e308, 5e-324])


@given(
    values=hnp.arrays(np.float64, (5, 6), elements=anything),
    radius=st.floats(1e-3, 1e3),
    weights=st.sampled_from([(), (0.03,), (1.0, 0.001)]),
)
def test_no_row_exceeds_the_sensitivity(values, radius, weights):
    encoder = Updates(radius, 6 - len(weights), weights)
    for steps in (encoder.coarsest, encoder.finest):
        rows = encoder.rows(values, steps).astype(object)
        assert rows.shape == (5, 6)
        bound = encoder.sensitivity(steps, Relation.ADD_OR_REMOVE_ONE)
        assert (np.square(rows).sum(axis=1) <= bound.l2_squared).all()
        assert (abs(rows).sum(axis=1) <= bound.l1 + 1).all()
        assert (rows.sum(axis=0) == encoder.sums(values, steps)).all()
        replaced = encoder.sensitivity(steps, Relation.REPLACE_ONE)
        assert replaced.l2_squared == 4 * bound.l2_squared
    lost = ~np.isfinite(values[:, : encoder.coordinates]).all(axis=1)
    assert not rows[lost].any()


def test_estimates_are_in_the_callers_units():
    encoder = Updates(0.5, 2, (0.25,))
    steps = encoder.finest
    total = encoder.sums(np.array([[0.1, 0.2, 1.0], [0.3, -0.1, -0.5]]), steps)
    noisy = Noisy(total / steps, Noise(2.0))
    assert encoder.estimate(noisy).value == pytest.approx([0.4, 0.1], abs=1e-5)
    assert encoder.estimate(noisy).standard_error == pytest.approx([1.0, 1.0])
    assert encoder.numbers(noisy) == pytest.approx([0.5], abs=1e-4)
    assert encoder.assumed(100).shape == (3,)
    assert encoder.sensitivity(steps, Relation.ZERO_OUT).l2 / steps == pytest.approx(math.sqrt(1 + 1 / 16), rel=1e-6)


@pytest.mark.parametrize("fields", [(0.0, 2), (1.0, 0), (1.0, 2, (2.0,)), (1.0, 2, (0.0,)), (1.0, 2, (math.nan,))])
def test_bad_fields_are_named(fields):
    with pytest.raises(BadArgument, match=r"radius=|coordinates=|weights="):
        Updates(*fields)
