from __future__ import annotations

import os
import subprocess
import sys
import threading
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from fedanalytics.errors import BadArgument, FedAnalyticsError
from fedanalytics.privacy import laws, margin
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.samplers import LEAST, MOST, discrete_laplace, rounded_gaussian, skellam

EACH = pytest.mark.parametrize(
    ("sample", "name", "power"),
    [(rounded_gaussian, "sigma", 1), (discrete_laplace, "scale", 1), (skellam, "variance", 2)],
)
WIDE = 2.0**36


@EACH
@pytest.mark.parametrize("size", [0, 1, 3, 100_000, np.int64(7)])
def test_shape_and_dtype(sample, name, power, size):
    z = sample(2.5, size)
    assert z.shape == (size,)
    assert z.dtype == np.int64
    assert z.flags.writeable
    assert z.flags.owndata


@EACH
@pytest.mark.parametrize("spread", [LEAST, 1, 2**36, MOST, np.float32(0.1), np.int32(3), Fraction(1, 3)])
def test_every_real_number_in_range(sample, name, power, spread):
    assert np.array_equal(
        sample(spread**power, 50, keystream=Keystream.insecure(5)),
        sample(float(spread**power), 50, keystream=Keystream.insecure(5)),
    )


@EACH
@pytest.mark.parametrize(
    "spread",
    [
        *(0, -1.0, np.nextafter(LEAST**2, 0), np.nextafter(MOST**2, np.inf), 10**400),
        *(float("nan"), float("inf"), -float("inf")),
        *(None, "1", True, 1j, [1.0], np.array([1.0, 2.0]), Decimal(1)),
    ],
)
def test_bad_spread(sample, name, power, spread):
    with pytest.raises(BadArgument, match=rf"^{name}= must be a number of (squared )?grid steps from 2"):
        sample(spread, 1)


@EACH
def test_one_float_beyond_the_range(sample, name, power):
    for spread in (np.nextafter(LEAST**power, 0), np.nextafter(MOST**power, np.inf)):
        with pytest.raises(BadArgument, match=rf"^{name}= must be .*{-10 * power} to 2\*\*{36 * power}, got"):
            sample(spread, 1)


@EACH
@pytest.mark.parametrize("size", [-1, 1.5, 2.0, None, "3", True, float("nan"), (2, 3)])
def test_bad_size(sample, name, power, size):
    with pytest.raises(BadArgument, match=r"^size= must be a whole number"):
        sample(1.0, size)


@EACH
@pytest.mark.parametrize("keystream", [0, 42, np.random.default_rng(1), b"0" * 32, Keystream])
def test_a_seed_is_not_a_keystream(sample, name, power, keystream):
    with pytest.raises(BadArgument, match=r"^keystream= must be None or, in a test"):
        sample(1.0, 1, keystream=keystream)


@EACH
def test_two_calls_never_repeat(sample, name, power):
    """Four draws at this spread agree by chance less than once in 2**120."""
    assert len({sample(WIDE**power, 4).tobytes() for _ in range(500)}) == 500


@EACH
def test_an_insecure_stream_repeats_and_moves_on(sample, name, power):
    one, two = Keystream.insecure(9), Keystream.insecure(9)
    first = sample(1000.0, 8, keystream=one)
    assert np.array_equal(first, sample(1000.0, 8, keystream=two))
    assert not np.array_equal(first, sample(1000.0, 8, keystream=one))


@EACH
def test_threads(sample, name, power):
    """Eight threads, where most draws at this spread pass through the refinement: all right, none repeated."""
    found: list[bytes] = []
    alone = [sample(WIDE**power, 500, keystream=Keystream.insecure(seed)) for seed in range(8)]
    together: dict[int, np.ndarray] = {}

    def work(seed: int) -> None:
        together[seed] = sample(WIDE**power, 500, keystream=Keystream.insecure(seed))
        found.extend(sample(WIDE**power, 4).tobytes() for _ in range(50))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(alone[seed], together[seed]) for seed in range(8))
    assert len(found) == len(set(found)) == 400


@EACH
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")  # Python >= 3.12 warns of any fork
def test_a_fork_draws_other_noise(sample, name, power):
    sample(5.0, 1)  # warm: whatever state there is, is copied
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, sample(WIDE**power, 4).tobytes())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        theirs = pipe.read()
    os.waitpid(child, 0)
    assert len(theirs) == 32
    assert theirs != sample(WIDE**power, 4).tobytes()


@EACH
def test_the_widest_noise_added_to_the_largest_sum_stays_in_int64(sample, name, power):
    z = sample(MOST**power, 20_000)
    assert int(np.abs(z).max()) < 2**42
    assert int((z + 2**62).min()) > 0


@EACH
def test_a_build_with_worse_floats_draws_nothing(sample, name, power, monkeypatch):
    kind = {"sigma": laws.RoundedGaussian, "scale": laws.TwoSidedGeometric, "variance": laws.Skellam}[name]
    honest = kind.quantile
    monkeypatch.setattr(kind, "quantile", lambda law, q: honest(law, q) * (1 + 2.0**-40))
    margin.check.cache_clear()
    with pytest.raises(FedAnalyticsError, match="no exact noise with this build"):
        sample(1000.0**power, 1)
    monkeypatch.undo()
    assert len(sample(1000.0**power, 1)) == 1


@pytest.mark.parametrize("variance", [0.3, 100.0, 2.0**20])
def test_shares_of_skellam_noise_add_up(variance):
    """Ten shares of a tenth: the variance of the sum within five standard deviations."""
    shares = [skellam(variance / 10, 200_000, keystream=Keystream.insecure(seed)) for seed in range(10)]
    kurtosis = 3 + 1 / variance
    assert abs(np.var(sum(shares)) / variance - 1) < 5 * np.sqrt((kurtosis - 1) / 200_000)


def test_importing_the_samplers_is_cheap():
    code = (
        "import sys, fedanalytics.privacy.samplers\n"
        "assert not {'scipy', 'mpmath', 'cryptography', 'dp_accounting'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
