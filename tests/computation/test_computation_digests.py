"""The same source gives the same digest in another process; a change of meaning gives another one."""

# a table holds one case per line, and its lambdas are what is traced

import dataclasses
import functools
import math
import operator
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from fedanalytics.computation import clip, federated_computation, federated_map, federated_mean, local_computation
from fedanalytics.computation.fingerprints import fingerprint
from fedanalytics.errors import BadArgument
from fedanalytics.round.canonical import canonical_json, digest

SOURCE = textwrap.dedent('''
    import functools
    import math
    import numpy as np
    from fedanalytics.computation import *
    from fedanalytics.round.canonical import digest

    SCALE = 1.5
    NAMES = {"b", "a", "c"}
    TABLE = np.arange(6.0).reshape(2, 3)

    def helper(x, by=2.0):
        return x / by if x > 3 else x

    def make(offset):
        return lambda x: x + offset

    @local_computation(np.float32)
    def inner(x):
        return helper(x) + math.sqrt(2.0)

    @local_computation
    def transform(x, told, *, power=3):
        """A docstring."""
        def nested(y):
            return y ** power if "a" in NAMES or y in {1, 2, 3} else TABLE.sum()
        try:
            return nested(inner(x)) * SCALE + told
        except ZeroDivisionError:
            return np.float64(0.0)

    @federated_computation("{float32}@CLIENTS", "float64@SERVER")
    def question(temp, shift):
        value = federated_map(transform, [temp, federated_broadcast(shift)])
        more = federated_map(make(4.0), value) * 9 / 5
        first = federated_mean(more, bounds=(0, 110), rho=0.01)
        rest = federated_map(functools.partial(np.power, 2.0), more - federated_broadcast(first))
        return {"first": first, "second": federated_sum(clip(rest, l2=3.0), rho=0.02)}

    bound = question.on(shift=0.5)
    print(digest(question), digest(bound), next(bound.rounds()).digest)
''')  # fmt: skip


def digests(tmp_path, source, **environment):
    path = tmp_path / "question.py"
    path.write_text(source)
    process = subprocess.run(
        [sys.executable, str(path)], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.split()


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return digests(tmp_path_factory.mktemp("original"), SOURCE, PYTHONHASHSEED="1")


def test_another_process_and_place_give_the_same_digest(tmp_path, original):
    moved = SOURCE.replace("SCALE = 1.5", "# a comment\n\n\nSCALE = 1.5").replace("value = fed", "\n    value = fed")
    assert digests(tmp_path, moved, PYTHONHASHSEED="77") == original
    assert len(set(original)) == 3


CHANGES = {
    "a constant": ("* 9 / 5", "* 9 / 4"),
    "a constant in a function": ("math.sqrt(2.0)", "math.sqrt(3.0)"),
    "a set of constants": ("{1, 2, 3}", "{1, 2, 4}"),
    "a global": ("SCALE = 1.5", "SCALE = 1.25"),
    "a global set": ('{"b", "a", "c"}', '{"b", "a", "d"}'),
    "a global array": ("np.arange(6.0)", "np.arange(1.0, 7.0)"),
    "a default": ("by=2.0", "by=2.5"),
    "a keyword default": ("power=3", "power=4"),
    "a helper": ("x > 3 else", "x > 4 else"),
    "a closure": ("make(4.0)", "make(5.0)"),
    "a partial": ("np.power, 2.0", "np.power, 3.0"),
    "a ufunc": ("np.power", "np.float_power"),
    "an attribute": ("math.sqrt", "math.exp"),
    "an exception": ("ZeroDivisionError", "ValueError"),
    "a bound": ("bounds=(0, 110)", "bounds=(0, 111)"),
    "a norm": ("l2=3.0", "l1=3.0"),
    "a cost": ("rho=0.02", "rho=0.03"),
    "the form of a cost": ("rho=0.02", "noise_multiplier=5.0"),
    "a parameter's name": ("(temp, shift)", "(tmp, shift)"),
    "an operator": ("federated_sum(clip", "federated_mean(clip"),
    "a type": ('"{float32}@CLIENTS"', '"{float64}@CLIENTS"'),
    "a declared type": ("@local_computation(np.float32)", "@local_computation(np.float32, returns=np.float32)"),
    "a result's name": ('"second":', '"third":'),
}


@pytest.mark.parametrize("change", ["a constant", "a helper", "a global set", "a closure", "a cost"])
def test_a_change_in_the_file_gives_another_digest(tmp_path, original, change):
    before, after = CHANGES[change]
    source = SOURCE.replace(before, after).replace("temp,", "tmp," if change == "a parameter's name" else "temp,")
    assert source != SOURCE
    assert digests(tmp_path, source)[0] != original[0]


def test_every_change_of_meaning_gives_another_digest(tmp_path):
    """All changes in one process, to save time: each is its own module."""
    sources = {"unchanged": SOURCE}
    for name, (before, after) in CHANGES.items():
        assert SOURCE.count(before) >= 1
        source = SOURCE.replace(before, after)
        if name == "a parameter's name":
            source = source.replace("[temp,", "[tmp,")
        if name == "a type":
            source = source.replace("local_computation(np.float32)", "local_computation(np.float64)")
        sources[name] = source
    for i, source in enumerate(sources.values()):
        (tmp_path / f"m{i}.py").write_text(source)
    runner = "import importlib\n" + "".join(f"import m{i}\n" for i in range(len(sources)))
    (tmp_path / "run.py").write_text(runner)
    process = subprocess.run([sys.executable, "run.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    found = dict(zip(sources, process.stdout.splitlines(), strict=True))
    for name in CHANGES:
        assert found[name].split()[0] != found["unchanged"].split()[0], name
    assert len({line.split()[0] for line in found.values()}) == len(sources)


def test_lines_and_files_are_nowhere_in_it():
    @federated_computation("{float32}@CLIENTS")
    def question(x):
        return federated_mean(clip(federated_map(lambda v: v * 2, x), (0, 1)), rho=0.1)

    text = canonical_json(question)
    assert "test_computation_digests" not in text.replace("test_lines_and_files_are_nowhere_in_it", "")
    assert ".py" not in text
    assert "({float32}@CLIENTS -> float32@SERVER)" in text


# ---------------------------------------------------------------- fingerprints of things

THING = 3.0


class Plain:
    pass


@dataclasses.dataclass(frozen=True)
class Described:
    number: float

    def apply(self, x):
        return x * self.number


def refers_to(value):
    return lambda x: (x, value)


@functools.lru_cache
def cached(x):
    return x + THING


@local_computation
def recursive(x):
    return x if x < 1 else recursive(x - 1)


DESCRIBABLE = [
    *(None, True, 1, 1.0, "a", b"a", 1j, math.nan, math.inf, ..., range(3), slice(1, 2)),
    *(np.float32(1), np.complex64(1j), np.arange(3), np.arange(3.0), np.array(["a"]), np.arange(6).reshape(2, 3)),
    *((1, 2), {1, 2}, {"a": 1}, {1: 2}, {"1": 2}, {"a": [1, {"b": 2}]}),
    *(math, np, math.sin, np.sqrt, np.mean, float, Plain, Described(1.0), Described(2.0), Described(2.0).apply),
    *({"k": 1}.get, {"k": 2}.get, functools.partial(min, 3), functools.partial(min, key=abs), operator.add),
    *(cached, recursive, refers_to(1), refers_to(2), refers_to("1"), refers_to(np.zeros(2)), lambda x: [x, THING]),
    *(local_computation(np.float32)(operator.neg), refers_to(textwrap.dedent), lambda x: lambda y: x + y),
]


def test_different_things_have_different_fingerprints():
    texts = [canonical_json(fingerprint(value)) for value in DESCRIBABLE]
    assert len(set(texts)) == len(texts)
    assert texts == [canonical_json(fingerprint(value)) for value in DESCRIBABLE]


def test_a_set_has_no_order():
    assert fingerprint(set("abcdefg")) == fingerprint(set("gfedcba"))


def test_a_variable_that_is_not_there_yet():
    def outer():
        def inner():
            return later  # assigned below, or never

        described = canonical_json(fingerprint(inner))
        later = 1  # see above
        return described, canonical_json(fingerprint(inner))

    before, after = outer()
    assert before != after


@pytest.mark.parametrize("value", [Plain(), object(), iter([1]), [Plain()], {1: Plain()}, {"a": {Plain()}}])
def test_what_has_no_stable_description_is_refused_when_it_is_needed(value):
    @federated_computation("{float32}@CLIENTS")
    def question(x):
        return federated_mean(federated_map(lambda v: v if value else v * 2, x), bounds=(0, 1), rho=1.0)

    assert question([1.0]) == 1.0, "a simulation needs no digest"
    with pytest.raises(BadArgument, match="without a stable description"):
        digest(question)
