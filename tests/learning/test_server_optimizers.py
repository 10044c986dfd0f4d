"""Server optimizers against torch's where they are the same, and against the paper's lines where they are not."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.errors import BadArgument
from fedanalytics.learning import Adagrad, Adam, Algorithm, LocalTraining, Sgd, Yogi

UPDATES = st.lists(st.lists(st.floats(-2, 2), min_size=3, max_size=3), min_size=1, max_size=8)


def run(optimizer, updates):
    w = np.array([0.5, -1.0, 2.0])
    memory = optimizer.start(w)
    for update in updates:
        w, memory = optimizer.step(memory, w, np.array(update))
    return w


def torchs(make, updates):
    w = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
    optimizer = make([w])
    for update in updates:
        w.grad = -torch.tensor(update, dtype=torch.float64)  # the mean update is the direction to go
        optimizer.step()
    return w.detach().numpy()


@given(UPDATES, st.sampled_from([0.0, 0.9]))
def test_sgd_is_torchs(updates, momentum):
    theirs = torchs(lambda p: torch.optim.SGD(p, lr=0.3, momentum=momentum), updates)
    np.testing.assert_allclose(run(Sgd(0.3, momentum), updates), theirs, rtol=1e-12)


@given(UPDATES)
def test_adagrad_is_torchs(updates):
    theirs = torchs(lambda p: torch.optim.Adagrad(p, lr=0.3, initial_accumulator_value=1e-4, eps=1e-2), updates)
    np.testing.assert_allclose(run(Adagrad(0.3, tau=1e-2), updates), theirs, rtol=1e-12)


@given(UPDATES, st.sampled_from([(Adam, "adam"), (Yogi, "yogi")]))
def test_adam_and_yogi_are_the_papers(updates, which):
    """Algorithm 2 of arXiv 2003.00295, one coordinate at a time."""
    make, rule = which
    expected = []
    for j, start in enumerate([0.5, -1.0, 2.0]):
        at, m, v = start, 0.0, 0.01**2
        for update in updates:
            d = update[j]
            m = 0.8 * m + 0.2 * d
            v = 0.95 * v + 0.05 * d**2 if rule == "adam" else v - 0.05 * d**2 * np.sign(v - d**2)
            at = at + 0.3 * m / (math.sqrt(v) + 0.01)
        expected.append(at)
    np.testing.assert_allclose(run(make(0.3, beta1=0.8, beta2=0.95, tau=0.01), updates), expected, rtol=1e-9)


@pytest.mark.parametrize("server", [Sgd(0.5), Sgd(0.5, 0.9), Adam(0.1), Yogi(0.1), Adagrad(0.1)])
def test_a_run_resumes_from_arrays(server):
    """A state is whole numbers and arrays: written down as JSON and read back, it goes on as if nothing had been."""
    algorithm = Algorithm(LocalTraining(), server)
    state = algorithm.start(np.ones(4, dtype=np.float32))
    updates = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    for update in updates[:3]:
        state = algorithm.server_update(state, update)
    text = json.dumps([state.round, state.parameters.tolist(), {k: v.tolist() for k, v in state.memory.items()}])
    number, parameters, memory = json.loads(text)
    resumed = type(state)(number, np.float32(parameters), {k: np.float32(v) for k, v in memory.items()})
    for update in updates[3:]:
        state, resumed = (algorithm.server_update(s, update) for s in (state, resumed))
    assert state.round == resumed.round == 6
    assert state.parameters.dtype == np.float32
    assert state.parameters.tobytes() == resumed.parameters.tobytes()


def test_a_step_changes_nothing_that_it_was_given():
    for server in (Sgd(0.5, 0.9), Adam(0.1), Yogi(0.1), Adagrad(0.1)):
        algorithm = Algorithm(LocalTraining(), server)
        state = algorithm.server_update(algorithm.start(np.ones(3)), np.ones(3))
        before = state.parameters.tobytes(), {k: v.tobytes() for k, v in state.memory.items()}
        algorithm.server_update(state, np.full(3, 2.0))
        assert (state.parameters.tobytes(), {k: v.tobytes() for k, v in state.memory.items()}) == before


def test_the_state_of_another_optimizer():
    state = Algorithm(server=Sgd(1.0)).start(np.ones(3))
    with pytest.raises(BadArgument, match="state= comes from another server optimizer: it holds no 'mean'"):
        Algorithm(server=Adam(0.1)).server_update(state, np.ones(3))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Sgd(-1), "learning_rate="),
        (lambda: Sgd(1, 1.0), r"momentum= must lie in \[0, 1\)"),
        (lambda: Adam(0.1, beta1=1), "beta1="),
        (lambda: Adam(0.1, beta2=-0.1), "beta2="),
        (lambda: Yogi(0.1, tau=0), "tau="),
        (lambda: Adagrad(float("nan")), "learning_rate="),
        (lambda: Algorithm(weighting="equal"), "weighting='equal' is unknown"),
        (lambda: Algorithm(local=0.1), "local= must be a LocalTraining"),
        (lambda: Algorithm(server="adam"), "server= must be an optimizer"),
    ],
)
def test_settings_that_cannot_be_meant(make, says):
    with pytest.raises(BadArgument, match=says):
        make()
