"""Rounds, their canonical form and digest, and queries in lock step."""

import json
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.errors import BadArgument
from fedanalytics.round.blocks import Block, Noisy, Query, Round
from fedanalytics.round.canonical import canonical, canonical_json, digest
from fedanalytics.round.estimates import Noise
from fedanalytics.round.groups import Grouped
from fedanalytics.round.moments import Moments
from fedanalytics.round.one_hot import OneHot, Present
from fedanalytics.round.together import fractions_of, lockstep, together
from fedanalytics.round.work import Sql, Stack, identifier, literal


@dataclass(frozen=True)
class Halving:
    """A query of several rounds: each asks around the middle that the last answer left."""

    depth: int

    @property
    def shares(self):
        return (Fraction(1, self.depth),) * self.depth

    def rounds(self):
        low, high = 0.0, 1.0
        for _ in range(self.depth):
            middle = (low + high) / 2
            [counts] = yield Round((Block(Sql("avg(x)"), OneHot((-np.inf, middle, np.inf))),))
            low, high = (middle, high) if counts.values[0] < counts.values[1] else (low, middle)
        return (low, high)


def answer(round_, truth):
    return tuple(
        Noisy(np.array([b.encoder.edges[1] > truth, b.encoder.edges[1] <= truth], float), Noise(1.0))
        for b in round_.blocks
    )


def drive(rounds, truth):
    seen = []
    try:
        round_ = next(rounds)
        while True:
            seen.append(round_)
            round_ = rounds.send(answer(round_, truth))
    except StopIteration as stop:
        return stop.value, seen


def test_together_gives_each_query_what_it_would_get_alone():
    query = together(Halving(2), Halving(5), weights=[1, 3])
    assert isinstance(query, Query)
    assert sum(query.shares) == 1
    assert query.shares == (Fraction(11, 40), Fraction(11, 40), *[Fraction(3, 20)] * 3)
    result, seen = drive(query.rounds(), 0.3)
    assert result == (drive(Halving(2).rounds(), 0.3)[0], drive(Halving(5).rounds(), 0.3)[0])
    assert [len(r.blocks) for r in seen] == [2, 2, 1, 1, 1]
    for round_, share in zip(seen, query.shares, strict=True):
        assert sum(b.share for b in round_.blocks) == 1
        if len(round_.blocks) == 2:
            assert [b.share * share for b in round_.blocks] == [Fraction(1, 8), Fraction(3, 20)]


def test_a_query_that_asks_for_more_than_its_shares_is_stopped():
    @dataclass(frozen=True)
    class Greedy(Halving):
        @property
        def shares(self):
            return (Fraction(1),)

    with pytest.raises(BadArgument, match="more rounds than it has shares"):
        drive(together(Greedy(3)).rounds(), 0.3)


def test_lockstep_of_nothing():
    with pytest.raises(StopIteration) as stop:
        next(lockstep([]))
    assert stop.value.value == ()


@given(st.lists(st.floats(min_value=1e-6, max_value=1e6), min_size=1, max_size=9))
def test_weights_become_fractions_of_one(weights):
    assert sum(fractions_of(weights, len(weights))) == 1


@pytest.mark.parametrize("weights", [[1], [1, 0], [1, -1], [1, float("nan")], [1, float("inf")], ["a", 1], 3])
def test_bad_weights(weights):
    with pytest.raises(BadArgument, match="weights="):
        fractions_of(weights, 2)


@pytest.mark.parametrize("queries", [(), (1,), ("mean",)])
def test_together_wants_queries(queries):
    with pytest.raises(BadArgument, match="takes queries"):
        together(*queries)


@pytest.mark.parametrize("shares", [[], [Fraction(2)], [Fraction(1), Fraction(1, 9)], [Fraction(0)], [Fraction(-1)]])
def test_a_round_never_shares_out_more_than_all(shares):
    with pytest.raises(BadArgument, match="shares"):
        Round(tuple(Block(Sql("count(*)"), Present(), share) for share in shares))


def test_a_block_takes_what_its_encoder_reads():
    with pytest.raises(BadArgument, match="gives 2 values per client, and Present reads 1"):
        Block(Stack((Sql("count(*)"), Sql("count(*)"))), Present())
    with pytest.raises(BadArgument, match="gives 1 values per client, and Grouped reads 3"):
        Block(Sql("count(*)"), Grouped(Present(), 3, 3))


def test_equal_rounds_have_equal_digests_and_others_do_not():
    def make(upper=110.0, where=None):
        return Round((Block(Sql("avg(t)", where), Moments(0.0, upper)),))

    # Pinned: a ledger written by another process, or another version, must find its rounds again.
    assert make().digest == "1cbf5c60e998aa82575c9aba31909c669089f58e707707de06cb1ea94b1ad517"
    assert len({make().digest, make(111.0).digest, make(where="a > 1").digest}) == 3


def test_the_canonical_form_is_standard_json():
    text = canonical_json(Round((Block(Sql("avg(t)"), OneHot((-np.inf, 0.5, np.inf)), Fraction(1, 3)),)))
    assert json.loads(text) == {
        "is": "Round",
        "blocks": [
            {
                "is": "Block",
                "work": {"is": "Sql", "per_client": "avg(t)", "where": None, "magnitude": None},
                "encoder": {"is": "OneHot", "edges": ["-inf", 0.5, "inf"]},
                "share": "1/3",
            }
        ],
    }
    assert canonical(np.array([1, 2])) == {"dtype": "int64", "values": [1, 2]}
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})


def test_what_has_no_canonical_form_is_refused():
    with pytest.raises(BadArgument, match="no canonical form"):
        canonical(lambda: 1)


def test_names_and_values_as_sql_text():
    assert identifier('a "b"') == '"a ""b"""'
    assert literal("it's") == "'it''s'"
    assert (literal(3), literal(0.1), literal(np.float64(2.5)), literal(np.int64(7))) == ("3", "0.1", "2.5", "7")
