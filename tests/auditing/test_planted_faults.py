"""Faults planted into our own pieces are caught in what a session would run; without them, nothing is.

Each fault replaces one piece of the package, and the audit runs the whole path: SQL, encoder, price, noise. The noise
is the operating system's, so a fault may be missed; trials leave room, so that this should stay rare.
"""

from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest

import fedanalytics as fa
from fedanalytics.auditing import audit
from fedanalytics.privacy import samplers
from fedanalytics.privacy.distributed import Shares
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.sensitivity import Sensitivity
from fedanalytics.round.blocks import Round
from fedanalytics.round.groups import Grouped
from fedanalytics.round.moments import Interval
from fedanalytics.round.one_hot import OneHot
from fedanalytics.round.records import RecordCounts
from fedanalytics.trust import central, reports

MOST = 65_536
SECURE = fa.SecureAggregation(simulate=True, dropout=0.0, corrupt=0.0)
GAUSSIAN = samplers.rounded_gaussian
LAPLACE = samplers.discrete_laplace


@dataclass(frozen=True)
class Sampled:
    """A statistic over cohorts that the trust model draws."""

    statistic: object
    sampling_rate: float
    shares = (Fraction(1),)

    def rounds(self):
        [noisy] = yield Round((self.statistic.block,), self.sampling_rate)
        return self.statistic.block.estimate(noisy)


class Fault:
    """What is asked, and in `plant` the piece that is replaced."""

    query = fa.count()
    arguments = MappingProxyType({"rho": 0.5})
    trials = 4096

    def plant(self, monkeypatch):
        raise NotImplementedError


class SensitivityOffByTwo(Fault):
    trials = 1024

    def plant(self, monkeypatch):
        right = central._scale
        monkeypatch.setattr(central, "_scale", lambda *arguments: right(*arguments) / 2)


class NoClip(Fault):
    query, trials = fa.sum("temp", bounds=(0, 110)), 128

    def plant(self, monkeypatch):
        def sums(self, values, steps):
            return np.array([round(np.sum(values[np.isfinite(values)]) / self.magnitude * steps)])

        monkeypatch.setattr(Interval, "sums", sums)


class FloatNoise(Fault):
    """The count is 0 or 1: an output near 0 has bits that no output near 1 can have."""

    query = fa.count(where="temp > 30")
    arguments = MappingProxyType(
        {
            "noise_multiplier": 1.0,
            "neighbours": tuple(pd.DataFrame({"client": [1, 2], "temp": [20.0, temp]}) for temp in (20.0, 40.0)),
        }
    )

    def plant(self, monkeypatch):
        rng = np.random.default_rng(1)
        monkeypatch.setattr(central, "rounded_gaussian", lambda sigma, size, keystream: rng.normal(0.0, sigma, size))


class FloatLaplace(FloatNoise):
    arguments = MappingProxyType({"epsilon": 1.0, "neighbours": FloatNoise.arguments["neighbours"]})

    def plant(self, monkeypatch):
        rng = np.random.default_rng(1)
        monkeypatch.setattr(central, "discrete_laplace", lambda scale, size, keystream: rng.laplace(0.0, scale, size))


class SigmaTwentyPercentLow(Fault):
    query, trials = fa.sum("temp", bounds=(0, 110)), 16_384

    def plant(self, monkeypatch):
        def low(sigma, size, keystream):
            return GAUSSIAN(0.8 * sigma, size, keystream=keystream)

        monkeypatch.setattr(central, "rounded_gaussian", low)


class FixedSeed(Fault):
    """Of a stream that a run opens; within the run it goes on."""

    query, trials = fa.mean("temp", bounds=(0, 110)), 64

    def plant(self, monkeypatch):
        def seeded(sigma, size, keystream):
            return GAUSSIAN(sigma, size, keystream=Keystream.insecure(5))

        monkeypatch.setattr(central, "rounded_gaussian", seeded)


class NoiseReusedAcrossQueries(Fault):
    """The second of two queries gets the noise of the first: their difference is exact."""

    query, trials = [fa.count(where="temp > 30"), fa.count(where="temp < 30")], 512

    def plant(self, monkeypatch):
        kept = []

        def reused(sigma, size, keystream):
            return kept.pop() if kept else kept.append(noise := GAUSSIAN(sigma, size, keystream=keystream)) or noise

        monkeypatch.setattr(central, "rounded_gaussian", reused)


class NoiseKeptForTheNextRun(Fault):
    """A thousand draws that come again, in order."""

    query, trials = fa.sum("temp", bounds=(0, 110)), 512

    def plant(self, monkeypatch):
        kept, at = GAUSSIAN(2.0**20, 256), [0]

        def again(sigma, size, keystream):
            at[0] += 1
            return np.rint(kept[at[0] % 256 + np.arange(size)] * sigma / 2.0**20).astype(np.int64)

        monkeypatch.setattr(central, "rounded_gaussian", again)


class NanBypass(Fault):
    """What is not a number passes a clip by comparisons, and becomes the least integer."""

    query, trials = fa.sum("temp", bounds=(0, 110)), 128

    def plant(self, monkeypatch):
        def rows(self, values, steps):
            with np.errstate(invalid="ignore"):
                return np.clip(np.rint(values / self.magnitude * steps), *self.ends(steps)).astype(np.int64)[:, None]

        monkeypatch.setattr(Interval, "rows", rows)
        monkeypatch.setattr(Interval, "sums", lambda self, values, steps: self.rows(values, steps).sum(axis=0))


class CountUnpaid(Fault):
    """The mean's number of clients is released as it is."""

    query, trials = fa.mean("temp", bounds=(0, 110)), 128

    def plant(self, monkeypatch):
        right = central.Central._noise

        def noise(self, part, size):
            return np.append(right(self, part, size)[:-1], 0)

        monkeypatch.setattr(central.Central, "_noise", noise)


class SamplingNotRun(Fault):
    query, trials = Sampled(fa.count(), 0.1), 1024
    arguments = MappingProxyType({"noise_multiplier": 1.0})

    def plant(self, monkeypatch):
        monkeypatch.setattr(central, "poisson_sample", lambda size, rate, keystream: np.ones(size, dtype=bool))


class SharesMissing(Fault):
    """Three in ten."""

    query, trials = fa.sum("temp", bounds=(0, 110)), 10_240
    arguments = MappingProxyType({"rho": 0.5, "trust": SECURE})

    def plant(self, monkeypatch):
        def draw_sum(self, survivors, size, keystream=None):
            return samplers.skellam(0.7 * self.variance(survivors), size, keystream=keystream)

        monkeypatch.setattr(Shares, "draw_sum", draw_sum)


class WrongRelation(Fault):
    """Two bins move where a client is replaced, and one was paid for."""

    query, trials = fa.histogram("temp", edges=(0, 50, 110)), 4096
    arguments = MappingProxyType({"rho": 0.5, "relation": "replace-one"})

    def plant(self, monkeypatch):
        monkeypatch.setattr(OneHot, "sensitivity", lambda self, steps, relation: Sensitivity(steps, steps**2, relation))


class GroupBoundIgnored(Fault):
    query, trials = fa.count(by="region", groups=("EU", "US", "ASIA"), max_groups=1), 4096

    def plant(self, monkeypatch):
        def rows(self, values, steps):
            return self.inner.rows(values.ravel(), steps).reshape(len(values), self.size)

        monkeypatch.setattr(Grouped, "rows", rows)


class RecordBoundIgnored(Fault):
    query, trials = fa.count(weight="record", max_records=4), 128

    def plant(self, monkeypatch):
        def rows(self, values, steps):
            return np.floor(np.nan_to_num(values.reshape(len(values), self.size)) * steps).astype(np.int64)

        monkeypatch.setattr(RecordCounts, "rows", rows)


class ReportsTooHonest(Fault):
    """Clients add a quarter of their noise. (Half would do: for one number, replace-one is charged twice its range.)"""

    query, trials = fa.count(weight="record", max_records=4), 4096
    arguments = MappingProxyType({"epsilon": 1.0, "trust": fa.Local()})

    def plant(self, monkeypatch):
        def quarter(scale, size, keystream):
            return LAPLACE(scale / 4, size, keystream=keystream)

        monkeypatch.setattr(reports, "discrete_laplace", quarter)


FAULTS = [fault() for fault in Fault.__subclasses__() + FloatNoise.__subclasses__()]
CONFIDENCE = 1 - 1e-3 / len(FAULTS)


def found(fault):
    return audit(fault.query, trials=fault.trials, confidence=CONFIDENCE, **fault.arguments)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_planted_fault_is_caught(fault, monkeypatch):
    fault.plant(monkeypatch)
    report = found(fault)
    assert fault.trials <= MOST
    assert report.verdict == "violated", report


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_without_it_nothing_is(fault):
    assert found(fault).verdict == "consistent"
