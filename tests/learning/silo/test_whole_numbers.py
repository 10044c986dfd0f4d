"""Sums and products that are exact whatever the order, and functions that treat every place of an array alike."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedanalytics.learning.silo.whole import Weights, Whole, exponential, softmax, tanh


def fractions(tensor):
    return [[Fraction(x) for x in row] for row in tensor.tolist()]


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float64, (3, 7), elements=st.floats(-1e30, 1e30, width=64)),
    arrays(np.float64, (7, 4), elements=st.floats(-1e20, 1e20, width=64)),
)
def test_products_are_those_of_fractions(rows, matrix):
    """Every entry of a product, against exact arithmetic on what the two sides hold."""
    left, right = Whole.of(torch.from_numpy(rows)), Weights.of(torch.from_numpy(matrix))
    exact = [
        [sum(a * b for a, b in zip(row, column, strict=True)) for column in zip(*fractions(right.values), strict=True)]
        for row in fractions(left.values)
    ]
    product = left.values @ right.values
    assert fractions(product) == exact
    assert left.values.abs().max() <= 2**22
    assert all(sum(x * x for x in row) <= 2**53 for row in fractions(left.values))
    wide = right.values.abs()
    assert max(wide.sum(0).max(), wide.sum(1).max()) <= 2**31
    assert torch.equal(left.times(right), product * (left.unit * right.unit)[:, None])


@pytest.mark.parametrize("width", [784, 5000])
def test_products_of_large_rows_of_one_sign_are_exact(width):
    """The largest partial sums that there are, against Python's integers."""
    generator = torch.Generator().manual_seed(0)
    left = Whole.of(1 + torch.rand(33, width, dtype=torch.float64, generator=generator))
    right = Weights.of(1 + torch.rand(width, 5, dtype=torch.float64, generator=generator))
    wanted = left.values.numpy().astype(int).astype(object) @ right.values.numpy().astype(int).astype(object)
    assert (left.values @ right.values).tolist() == wanted.tolist()
    assert 2**46 < wanted.max() < 2**53


@pytest.mark.parametrize("width", [1, 2, 511, 512, 513, 5000])
@pytest.mark.parametrize("scale", [1e-300, 1e-3, 1.0, 1e300])
def test_rounding_keeps_bounds_and_22_bits_or_what_the_width_leaves(width, scale):
    numbers = torch.randn(4, width, dtype=torch.float64, generator=torch.Generator().manual_seed(width)) * scale
    held = Whole.of(numbers)
    bits = min(22, (53 - math.ceil(math.log2(width))) // 2)
    assert held.values.abs().max() <= 2**bits
    assert (held.values == held.values.round()).all()
    assert sum(int(x) ** 2 for x in held.values[0]) <= 2**53
    assert held.lengths()[0] / held.unit[0] == math.sqrt(sum(int(x) ** 2 for x in held.values[0]))
    if scale >= 1e-3:
        off = (held.real() - numbers).abs().amax(1) / numbers.abs().amax(1)
        assert off.max() <= 2.0**-bits


def test_a_row_that_is_not_finite_is_nothing_and_says_so():
    numbers = torch.tensor([[1.0, math.nan], [math.inf, 1.0], [-math.inf, math.nan], [0.0, 0.0], [2.0, 1.0]])
    held = Whole.of(numbers)
    assert held.values[:4].abs().sum() == 0
    assert held.unit.isnan().tolist() == [True, True, True, False, False]
    product = held.times(Weights.of(torch.eye(2)))
    assert product[:3].isnan().all()
    assert product[3:].tolist() == [[0.0, 0.0], [2.0, 1.0]]
    assert Whole.of(numbers[4:]).times(Weights.of(torch.full((2, 2), math.inf))).isnan().all()


def test_functions_are_what_they_are_named_after():
    x = torch.linspace(-699, 0, 20_001, dtype=torch.float64)
    wanted = torch.tensor([math.exp(v) for v in x.tolist()], dtype=torch.float64)
    assert ((exponential(x) - wanted).abs() / wanted).max() < 2.0**-50
    assert exponential(torch.tensor([0.0, -1e300, -math.inf], dtype=torch.float64)).tolist() == [
        1.0,
        math.exp(-700),
        math.exp(-700),
    ]
    assert exponential(torch.tensor([math.nan], dtype=torch.float64)).isnan().all()
    y = torch.linspace(-20, 20, 4001, dtype=torch.float64)
    assert (tanh(y) - torch.tanh(y)).abs().max() < 1e-15
    scores = torch.randn(50, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 10
    assert (softmax(scores) - scores.softmax(1)).abs().max() < 2.0**-46
    assert softmax(
        torch.tensor([[math.inf, 0.0], [math.nan, 0.0], [0.0, 0.0]], dtype=torch.float64)
    ).isnan().tolist() == [
        [True, True],
        [True, True],
        [False, False],
    ]


@pytest.mark.parametrize("function", [exponential, tanh, lambda x: softmax(x.view(-1, 7)).flatten()])
def test_functions_treat_every_place_alike(function):
    """The same seven numbers wherever they stand: at the end of an array, beside others, at any number of them."""
    generator = torch.Generator().manual_seed(3)
    seven = -torch.rand(7, dtype=torch.float64, generator=generator) * 5
    alone = function(seven.clone())
    for before in range(0, 70, 7):
        for after in (0, 7, 63):
            others = [-torch.rand(n, dtype=torch.float64, generator=generator) * 9 for n in (before, after)]
            found = function(torch.cat([others[0], seven, others[1]]))
            assert torch.equal(found[before : before + 7], alone)
