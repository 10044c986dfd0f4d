"""What a caller may get wrong: named, before anything is sent."""

import numpy as np
import pytest

import fedanalytics as fa
from fedanalytics.secure_aggregation import Client, Identity, Parameters, Policy, Server, choose, run_round

ME = Identity.from_private(b"\x01" * 32)
ROSTER = (ME.public, b"b" * 32, b"c" * 32)
POLICY = Policy(8, 2)


@pytest.mark.parametrize(
    "vector",
    [
        np.array([1.0, 2.0]),
        np.array([np.nan, 1.0]),
        np.array([np.inf]),
        np.array([True, False]),
        np.array(["1"]),
        np.array([1, None]),
        [1.5],
        np.array(3),
        np.zeros((2, 2), int),
        np.array([], int),
        None,
    ],
    ids=repr,
)
def test_vectors_that_are_none(vector):
    with pytest.raises(fa.BadArgument, match="vector= must"):
        Client(0, ME, ROSTER, POLICY, vector)


@pytest.mark.parametrize(
    ("index", "roster", "message"),
    [
        (1, ROSTER, "index=1"),
        (3, ROSTER, "index=3"),
        (-1, ROSTER, "index="),
        (0.0, ROSTER, "index="),
        (0, list(ROSTER), "roster="),
        (0, (ME.public, b"short", b"c" * 32), "roster="),
        (0, (ME.public, ME.public, b"c" * 32), "same key twice"),
    ],
)
def test_rosters_that_do_not_hold_me(index, roster, message):
    with pytest.raises(fa.BadArgument, match=message):
        Client(index, ME, roster, POLICY, np.array([1]))


def test_servers_that_cannot_be():
    parameters = Parameters(4, 3, 2, 3, 3, 8)
    with pytest.raises(fa.BadArgument, match="roster= has 3 clients"):
        Server(parameters, ROSTER)
    with pytest.raises(fa.BadArgument, match="round_="):
        Server(Parameters(3, 2, 2, 3, 3, 8), ROSTER, b"short")
    with pytest.raises(fa.BadArgument, match="private="):
        Identity.from_private(b"short")


def test_simulations_that_cannot_be():
    parameters = choose(4, 2, 8, dropout=0.25, corrupt=0.0)
    with pytest.raises(fa.BadArgument, match="vectors= must have shape"):
        run_round(np.zeros((4, 3), int), parameters)
    with pytest.raises(fa.BadArgument, match="vector= must hold integers"):
        run_round(np.full((4, 2), np.nan), parameters)
    with pytest.raises(fa.BadArgument, match="drops="):
        run_round(np.zeros((4, 2), int), parameters, drops={4: "masked"})
    with pytest.raises(fa.BadArgument, match="did you mean 'masked'"):
        run_round(np.zeros((4, 2), int), parameters, drops={1: "maskd"})


def test_the_callers_vector_is_left_alone_and_a_bad_one_stops_nobody_else(four):
    before = four.vectors.copy()
    with pytest.raises(fa.BadArgument):
        Client(0, ME, four.roster, Policy(8, 3), np.array([np.nan] * 3))
    four.exchange(silent={0})
    assert four.finish().survivors == (1, 2, 3)
    assert (four.vectors == before).all()


def test_secrets_are_not_printed(four):
    four.until(3)
    printed = repr(four.clients[0]._stage) + repr(ME)
    held = four.clients[0]._stage.held
    assert repr(ME.private) not in printed
    for one in held:
        assert repr(one.shares) not in printed
        assert repr(one.peer.channel.boxes_in) not in printed
