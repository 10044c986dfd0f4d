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
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.samplers import LEAST, MOST, discrete_laplace, rounded_gaussian

BOTH = pytest.mark.parametrize(("sample", "name"), [(rounded_gaussian, "sigma"), (discrete_laplace, "scale")])


@BOTH
@pytest.mark.parametrize("size", [0, 1, 3, 100_000, np.int64(7)])
def test_shape_and_dtype(sample, name, size):
    z = sample(2.5, size)
    assert z.shape == (size,)
    assert z.dtype == np.int64
    assert z.flags.writeable
    assert z.flags.owndata


@BOTH
@pytest.mark.parametrize("spread", [LEAST, 1, 2**36, MOST, np.float32(0.1), np.int32(3), Fraction(1, 3)])
def test_every_real_number_in_range(sample, name, spread):
    assert np.array_equal(
        sample(spread, 50, keystream=Keystream.insecure(5)),
        sample(float(spread), 50, keystream=Keystream.insecure(5)),
    )


@BOTH
@pytest.mark.parametrize(
    "spread",
    [
        *(0, -1.0, np.nextafter(LEAST, 0), np.nextafter(MOST, np.inf), 10**400),
        *(float("nan"), float("inf"), -float("inf")),
        *(None, "1", True, 1j, [1.0], np.array([1.0, 2.0]), Decimal(1)),
    ],
)
def test_bad_spread(sample, name, spread):
    with pytest.raises(BadArgument, match=rf"^{name}= must be a number of grid steps"):
        sample(spread, 1)


@BOTH
@pytest.mark.parametrize("size", [-1, 1.5, 2.0, None, "3", True, float("nan"), (2, 3)])
def test_bad_size(sample, name, size):
    with pytest.raises(BadArgument, match=r"^size= must be a whole number"):
        sample(1.0, size)


@BOTH
@pytest.mark.parametrize("keystream", [0, 42, np.random.default_rng(1), b"0" * 32, Keystream])
def test_a_seed_is_not_a_keystream(sample, name, keystream):
    with pytest.raises(BadArgument, match=r"^keystream= must be None or, in a test"):
        sample(1.0, 1, keystream=keystream)


@BOTH
def test_two_calls_never_repeat(sample, name):
    """Four draws at this spread agree by chance less than once in 2**120."""
    assert len({sample(2.0**36, 4).tobytes() for _ in range(500)}) == 500


@BOTH
def test_an_insecure_stream_repeats_and_moves_on(sample, name):
    one, two = Keystream.insecure(9), Keystream.insecure(9)
    first = sample(1000.0, 8, keystream=one)
    assert np.array_equal(first, sample(1000.0, 8, keystream=two))
    assert not np.array_equal(first, sample(1000.0, 8, keystream=one))


@BOTH
def test_threads(sample, name):
    """Eight threads, where most draws at this spread pass through the refinement: all right, none repeated."""
    found: list[bytes] = []
    alone = [sample(2.0**36, 500, keystream=Keystream.insecure(seed)) for seed in range(8)]
    together: dict[int, np.ndarray] = {}

    def work(seed: int) -> None:
        together[seed] = sample(2.0**36, 500, keystream=Keystream.insecure(seed))
        found.extend(sample(2.0**36, 4).tobytes() for _ in range(50))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(alone[seed], together[seed]) for seed in range(8))
    assert len(found) == len(set(found)) == 400


@BOTH
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")  # Python >= 3.12 warns of any fork
def test_a_fork_draws_other_noise(sample, name):
    sample(5.0, 1)  # warm: whatever state there is, is copied
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, sample(2.0**36, 4).tobytes())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        theirs = pipe.read()
    os.waitpid(child, 0)
    assert len(theirs) == 32
    assert theirs != sample(2.0**36, 4).tobytes()


@BOTH
def test_the_widest_noise_added_to_the_largest_sum_stays_in_int64(sample, name):
    z = sample(MOST, 100_000)
    assert int(np.abs(z).max()) < 2**43
    assert int((z + 2**62).min()) > 0


@BOTH
def test_a_build_with_worse_floats_draws_nothing(sample, name, monkeypatch):
    from fedanalytics.privacy import laws, margin

    kind = laws.RoundedGaussian if name == "sigma" else laws.TwoSidedGeometric
    honest = kind.quantile
    monkeypatch.setattr(kind, "quantile", lambda law, q: honest(law, q) * (1 + 2.0**-40))
    margin.check.cache_clear()
    with pytest.raises(FedAnalyticsError, match="no exact noise with this build"):
        sample(100.0, 1)
    monkeypatch.undo()
    assert len(sample(100.0, 1)) == 1


def test_importing_the_samplers_is_cheap():
    code = (
        "import sys, fedanalytics.privacy.samplers\n"
        "assert not {'scipy', 'mpmath', 'cryptography', 'dp_accounting'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
