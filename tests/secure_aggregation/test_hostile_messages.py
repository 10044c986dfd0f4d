"""Messages that were changed, repeated, swapped, delayed, made up: an abort or a dropped client, never a wrong sum."""

import numpy as np
import pytest

from fedanalytics.secure_aggregation import (
    Abort,
    Aggregate,
    Client,
    Identity,
    Parameters,
    Policy,
    Reason,
    Refusal,
    keys,
    wire,
)
from fedanalytics.secure_aggregation.client import signed
from fedanalytics.secure_aggregation.wire import SERVER, Kind


def check_sum(run, closed):
    """No sum, or that of the clients that it names."""
    assert isinstance(closed, Abort | Aggregate)
    if isinstance(closed, Aggregate):
        assert len(closed.survivors) >= run.parameters.floor
        assert closed.total.tolist() == run.expected(closed.survivors)


def exchange_with(run, victim, to_client=None, from_client=None):
    """A stage in which one client's message, one way, is replaced; whether anybody noticed."""
    noticed = False
    for i, message in run.outgoing.items():
        sent = to_client if i == victim and to_client is not None else message
        answer = run.clients[i].receive(sent)
        if isinstance(answer, bytes):
            replaced = from_client(answer) if i == victim and from_client else answer
            noticed |= run.server.receive(replaced) is not None
        else:
            noticed = True
    return run.advance(), noticed


def flipped(data, at, bit):
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


@pytest.mark.parametrize("stage", range(5))
def test_every_byte_that_is_flipped_drops_a_client_or_ends_the_round(four, stage):
    """All bytes of the messages from and to one client; which bit, changes from byte to byte."""
    run, victim = four.until(stage), 1
    message = run.outgoing[victim]
    size = len(run.copy().clients[victim].receive(message))
    for at in range(len(message) + size):
        attacked = run.copy()
        if at < len(message):
            closed, noticed = exchange_with(attacked, victim, to_client=flipped(message, at, at % 8))
        else:
            there = at - len(message)
            closed, noticed = exchange_with(attacked, victim, from_client=lambda a, x=there: flipped(a, x, x % 8))
        assert noticed, at
        closed = attacked.finish() or closed
        check_sum(attacked, closed)
        if stage < 3 and isinstance(closed, Aggregate):
            assert closed.survivors == (0, 2, 3)


@pytest.mark.parametrize("stage", range(5))
def test_cut_and_lengthened_messages(four, stage):
    run = four.until(stage)
    message = run.outgoing[1]
    for replaced in (b"", message[:-1], message[:26], message + b"\0", message * 2):
        attacked = run.copy()
        closed, noticed = exchange_with(attacked, 1, to_client=replaced)
        assert noticed
        check_sum(attacked, attacked.finish() or closed)
    for change in (lambda a: a[:-1], lambda a: a[:26], lambda a: a + b"\0", lambda a: a[:20] + a[24:], lambda _: 7):
        attacked = run.copy()
        closed, noticed = exchange_with(attacked, 1, from_client=change)
        assert noticed
        check_sum(attacked, attacked.finish() or closed)


def test_repeated_late_and_early_messages_change_nothing(four):
    past = []
    while four.outgoing:
        for i, message in four.outgoing.items():
            for old in past:
                assert four.clients[i].receive(old).reason in {Reason.WRONG_STAGE, Reason.UNKNOWN_SENDER}
                assert four.server.receive(old).reason in {Reason.WRONG_STAGE, Reason.UNKNOWN_SENDER}
            answer = four.clients[i].receive(message)
            again = four.clients[i].receive(message)
            assert again.reason is (Reason.ENDED if message[1] == Kind.CONFIRMATIONS else Reason.WRONG_STAGE)
            assert four.server.receive(answer) is None
            assert four.server.receive(answer) == Refusal(Reason.DUPLICATE, f"client {i}")
            past += [message, answer] if i == 3 else []
        closed = four.advance()
    assert closed.total.tolist() == four.expected(range(4))
    assert four.server.receive(answer) == Refusal(Reason.ENDED)
    assert four.server.close() == Abort(Reason.ENDED)


def test_a_late_answer_is_dropped_and_its_client_with_it(four):
    late = four.clients[0].receive(four.outgoing[0])
    for i in (1, 2, 3):
        four.server.receive(four.clients[i].receive(four.outgoing[i]))
    assert four.server.missing == {0}
    four.advance()
    assert four.server.receive(late).reason is Reason.WRONG_STAGE
    assert 0 not in four.outgoing
    assert four.finish().survivors == (1, 2, 3)


@pytest.mark.parametrize("stage", range(5))
def test_messages_of_another_round_are_refused(four, cohort, stage):
    other = cohort(four.vectors + 1, four.parameters).until(stage)
    run = four.until(stage)
    strange = other.clients[1].receive(other.outgoing[1])
    assert run.copy().server.receive(strange) == Refusal(Reason.WRONG_ROUND)
    closed, noticed = exchange_with(run, 1, from_client=lambda _: strange)
    assert noticed
    check_sum(run, run.finish() or closed)
    if stage:
        run = cohort(four.vectors, four.parameters).until(stage)
        assert run.clients[1].receive(other.outgoing[1]).reason is Reason.WRONG_ROUND
        assert run.finish().survivors == (0, 1, 2, 3)


def test_another_clients_messages_are_refused(four):
    for stage in range(5):
        run = four.copy().until(stage)
        answer = run.clients[1].receive(run.outgoing[1])
        for i in (0, 2):
            posing = wire.HEADER.pack(1, answer[1], answer[2:18], i, len(answer) - 26) + answer[26:]
            assert run.server.receive(posing).reason in {Reason.BAD_SIGNATURE, Reason.WRONG_ECHO}
        assert run.server.receive(answer) is None


def test_who_is_not_on_the_roster_is_refused(four):
    stranger = Identity.generate()
    roster = (*four.roster[:3], stranger.public)
    policy = Policy(8, 3)
    outsider = Client(3, stranger, roster, policy, four.vectors[3])
    assert outsider.receive(four.outgoing[3]) == Abort(Reason.WRONG_ROSTER)
    member = four.clients[0]._member
    body = four.clients[0].receive(four.outgoing[0])[58:-64]
    for index in (4, 77, SERVER):
        posing = wire.unsigned(Kind.ADVERTISE, four.outgoing[0][2:18], index, bytes(32), body)
        assert four.server.receive(posing + member.identity.sign(posing)).reason is Reason.UNKNOWN_SENDER


def advertise(run, i, body):
    """What a client with its own identity could send instead."""
    client, message = run.clients[i], run.outgoing[i]
    return signed(client._member, Kind.ADVERTISE, message[2:18], wire.digest(message), body)


def test_keys_that_are_unusable_or_anothers_are_refused(four):
    good = four.clients[0].receive(four.outgoing[0])
    assert four.server.receive(good) is None
    channel, mask = good[58:90], good[90:122]
    fresh = keys.Pair.generate().public
    zero, one = bytes(32), b"\x01" + bytes(31)
    for body in (fresh + fresh, fresh + mask, channel + fresh, mask + fresh, zero + fresh, fresh + one):
        assert four.server.receive(advertise(four, 1, body)).reason is Reason.BAD_KEYS
    assert four.server.receive(advertise(four, 1, fresh)).reason is Reason.MALFORMED


def test_a_client_that_shares_rubbish_harms_the_round_and_nobody_else(four):
    """Its boxes do not open, so its seed cannot be recovered: the round ends without a sum."""
    four.exchange()
    rubbish = signed(
        four.clients[1]._member,
        Kind.SHARES,
        four.outgoing[1][2:18],
        wire.digest(four.outgoing[1]),
        bytes(32) + bytes(3 * 88),
    )
    exchange_with(four, 1, from_client=lambda _: rubbish)
    closed = four.finish()
    assert closed == Abort(Reason.BELOW_THRESHOLD, "shares of client 1")


def unmask_answer(run, i, change):
    """Client i's last message, its body changed and signed again."""

    def changed(answer):
        member = run.clients[i]._member
        return signed(member, Kind.UNMASK, answer[2:18], answer[26:58], change(answer[58:-64]))

    return changed


def test_a_wrong_share_is_seen_and_where_others_are_left_made_good(four):
    four.until(4)
    closed, noticed = exchange_with(
        four, 1, from_client=unmask_answer(four, 1, lambda body: flipped(flipped(body, 1, 0), 40, 3))
    )
    assert not noticed
    assert closed.total.tolist() == four.expected(range(4))


def test_wrong_shares_without_others_end_the_round(cohort):
    run = cohort(np.ones((4, 2), int), Parameters(4, 3, 3, 4, 2, 8)).until(4)
    closed, _ = exchange_with(run, 1, from_client=unmask_answer(run, 1, lambda body: flipped(body, 1, 0)))
    assert closed.reason is Reason.BAD_SHARES
    run = cohort(np.ones((4, 2), int), Parameters(4, 3, 3, 4, 2, 8)).until(4)
    outside = unmask_answer(run, 1, lambda body: body[:1] + b"\xff" * (len(body) - 1))
    closed, noticed = exchange_with(run, 1, from_client=outside)
    assert noticed
    assert closed.reason is Reason.BELOW_THRESHOLD


def test_wrong_shares_of_a_dropped_clients_key_are_seen(cohort):
    run = cohort(np.array([[1], [2], [3], [4]]), Parameters(4, 3, 2, 3, 1, 8)).until(2)
    run.exchange(silent={3})
    run.exchange()
    wrong = unmask_answer(run, 0, lambda body: flipped(body, len(body) - 1, 0))  # the share of client 3, the last
    closed, noticed = exchange_with(run.copy(), 0, from_client=wrong)
    assert not noticed
    assert closed.total.tolist() == [6]

    def shifted(body):
        """All shares moved by the same: they give a secret again, another one."""
        lowest = int.from_bytes(body[-36:-32], "little")
        return body[:-36] + ((lowest + 64) % (2**31 - 1)).to_bytes(4, "little") + body[-32:]

    for i, message in run.outgoing.items():
        answer = run.clients[i].receive(message)
        assert run.server.receive(unmask_answer(run, i, shifted)(answer)) is None
    assert run.advance() == Abort(Reason.BAD_SHARES, "of client 3")


# ---------------------------------------------------------------- a server that lies


def survivors(run, members):
    flags = np.isin(np.arange(run.parameters.clients), list(members))
    return wire.frame(Kind.SURVIVORS, run.outgoing[0][2:18], SERVER, wire.flagged(flags))


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({0, 2, 3}, Reason.INCONSISTENT),  # without me
        ({0, 1}, Reason.BELOW_FLOOR),
        (set(), Reason.INCONSISTENT),
        ({0, 1, 2, 3, 4}, Reason.MALFORMED),  # beyond the roster
    ],
)
def test_a_survivor_list_that_cannot_be_is_refused(four, members, reason):
    four.until(3)
    flags = wire.flagged(np.isin(np.arange(5), list(members)))
    lie = wire.frame(Kind.SURVIVORS, four.outgoing[1][2:18], SERVER, flags)
    assert four.clients[1].receive(lie).reason is reason
    assert four.clients[1].receive(four.outgoing[1]) == Refusal(Reason.ENDED)


def test_a_survivor_list_with_one_that_is_dead_is_refused(four):
    four.exchange()
    four.exchange(silent={3})
    four.exchange()
    assert four.clients[1].receive(survivors(four, {0, 1, 2, 3})).reason is Reason.INCONSISTENT
    assert isinstance(four.clients[0].receive(survivors(four, {0, 1, 2})), bytes)


def test_no_share_without_t_confirmations_of_the_same_list(four):
    """Each client gets its own list; nobody gives a share."""
    four.until(3)
    lists = {0: {0, 1, 2}, 1: {0, 1, 3}, 2: {0, 1, 2, 3}, 3: {1, 2, 3}}
    tags = {}
    for i, members in lists.items():
        answer = four.clients[i].receive(survivors(four, members))
        near = sorted(members - {i})
        tags[i] = {j: answer[58 + 16 * at :][:16] for at, j in enumerate(near)}
    for i, members in lists.items():
        near = sorted(members - {i})
        flags = np.array([i in tags[j] for j in near])
        body = wire.flagged(flags) + b"".join(tags[j][i] for j in near if i in tags[j])
        answer = four.clients[i].receive(wire.frame(Kind.CONFIRMATIONS, four.outgoing[0][2:18], SERVER, body))
        assert answer == Abort(Reason.UNCONFIRMED, "the survivor list")


@pytest.mark.parametrize("changed", ["roster", "clients", "threshold", "floor", "bits", "degree", "length"])
def test_a_hostile_offer_is_refused(cohort, changed):
    good = Parameters(6, 5, 4, 5, 3, 8)
    run = cohort(np.zeros((6, 3), int), good, corrupt=0.3)
    offers = {
        "threshold": Parameters(6, 5, 3, 5, 3, 8),
        "floor": Parameters(6, 5, 4, 4, 3, 8),
        "bits": Parameters(6, 5, 4, 5, 3, 9),
        "degree": Parameters(6, 2, 2, 5, 3, 8),
        "length": Parameters(6, 5, 4, 5, 4, 8),
        "clients": Parameters(5, 4, 4, 5, 3, 8),
    }
    digest = bytes(32) if changed == "roster" else keys.roster_digest(run.roster)
    body = offers.get(changed, good).encoded() + digest
    answer = run.clients[0].receive(wire.frame(Kind.OFFER, bytes(16), SERVER, body))
    expected = Reason.WRONG_ROSTER if changed in {"roster", "clients"} else Reason.WEAK_PARAMETERS
    assert answer.reason is expected
    assert run.clients[0].receive(run.outgoing[0]) == Refusal(Reason.ENDED)
    assert isinstance(run.clients[1].receive(run.outgoing[1]), bytes)


def test_parameters_without_form_are_refused(four):
    message = four.outgoing[0]
    for at in range(26, 26 + 22):
        other = message[:at] + b"\xff" + message[at + 1 :]
        assert four.copy().clients[0].receive(other).reason in {Reason.WEAK_PARAMETERS, Reason.WRONG_ROSTER}


def test_keys_that_the_server_made_up_are_refused(four):
    """Signed by nobody on the roster, though the commitment is right."""
    four.exchange()
    message = four.outgoing[1]
    advert = 26 + 1 + 4 * 32
    fresh = keys.Pair.generate().public + keys.Pair.generate().public
    binding = four.server._stage.opening.binding
    commitment = wire.digest(wire.unsigned(Kind.ADVERTISE, message[2:18], 0, binding, fresh))
    forged = message[:27] + commitment + message[59:advert] + fresh + message[advert + 64 :]
    assert four.copy().clients[1].receive(forged).reason is Reason.BAD_SIGNATURE
    repeated = message[:advert] + message[advert : advert + 128] * 3
    assert four.copy().clients[1].receive(repeated).reason is Reason.BAD_KEYS
    own = message[:59] + bytes(32) + message[91:]
    assert four.clients[1].receive(own).reason is Reason.BAD_KEYS


def test_signed_keys_other_than_those_committed_to_are_refused(four):
    """A corrupt neighbour signs two pairs of keys; the graph was drawn from the first."""
    fresh = keys.Pair.generate().public + keys.Pair.generate().public
    second = advertise(four, 0, fresh)[58:]
    four.exchange()
    message, advert = four.outgoing[1], 26 + 1 + 4 * 32
    shown = message[:advert] + second + message[advert + 128 :]
    assert four.clients[1].receive(shown) == Abort(Reason.BAD_KEYS, "client 0 committed to others")


def test_too_few_surviving_neighbours_are_refused_before_anything_is_confirmed(cohort):
    run = cohort(np.zeros((8, 1), int), Parameters(8, 4, 3, 2, 1, 8)).until(3)
    stage = run.clients[0]._stage
    near = [one.peer.index for one in stage.held]
    assert run.clients[0].receive(survivors(run, set(range(8)) - set(near[:2]))).reason is Reason.BELOW_THRESHOLD


def test_a_client_ends_for_good(four):
    client = four.clients[0]
    assert client.receive(b"rubbish").reason is Reason.MALFORMED
    assert client.receive(wire.frame(Kind.OFFER, bytes(16), 3, b"")).reason is Reason.UNKNOWN_SENDER
    assert isinstance(client.receive(four.outgoing[0]), bytes)
    assert client.receive(wire.frame(Kind.KEYS, four.outgoing[0][2:18], SERVER, b"")) == Abort(
        Reason.MALFORMED, "the body is too short"
    )
    assert client._stage is None
    assert client.receive(b"") == Refusal(Reason.ENDED)
