from __future__ import annotations

import io

import pytest

from fedanalytics import errors
from fedanalytics._version import __version__
from fedanalytics.cli.exporting import _plain, text_of
from fedanalytics.cli.failures import Unwritten, code, words
from fedanalytics.cli.screen import Ascii


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.BadArgument("x"), 2),
        (errors.BadType("x"), 2),
        (errors.NotPrivate("x"), 2),
        (errors.KeyReused("x"), 2),
        (errors.FedAnalyticsError("x"), 2),
        (errors.BudgetExceeded("x"), 3),
        (errors.LedgerCorrupt("x"), 4),
        (errors.LedgerLocked("x"), 5),
        (errors.LedgerUnwritable("x"), 5),
        (errors.LedgerError("x"), 5),
        (Unwritten("x"), 5),
        (OSError(28, "No space left on device", "file"), 5),
        (KeyboardInterrupt(), 130),
        (ValueError("x"), 1),
    ],
)
def test_every_error_has_its_code(error, expected):
    assert code(error) == expected


def test_a_fault_shows_its_place_and_never_its_text():
    try:
        int("secret reading 42")
    except ValueError as error:
        said = words(error)
    assert "secret" not in said
    assert said.startswith("a fault in this program (ValueError in test_failures.py, line ")
    assert words(ValueError("secret")) == "a fault in this program (ValueError); please report it"


def test_the_words_of_the_operating_system():
    assert words(OSError(28, "No space left on device", "file")) == "file: No space left on device"
    assert words(OSError()) == "a file: OSError"


def test_version(invoke):
    assert invoke("--version").stdout == f"fedanalytics {__version__}\n"


def test_json_is_standard():
    text = text_of(_plain({"a": (float("inf"), 1.0), "b": float("nan")}))
    assert " ".join(text.split()) == '{ "a": [ "inf", 1.0 ], "b": "nan" }'


def test_a_stream_without_our_signs_gets_the_nearest():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="")
    plain = Ascii(stream)
    plain.write("1 ± 2, 3 … 4, █▒░ ├─●─┤ ε δ · ☃")
    plain.flush()
    assert stream.buffer.getvalue() == b"1 +-2, 3 ..4, #:. |-o-| epsilon delta - ?"
    assert not plain.isatty()
    assert plain.encoding == "ascii"
    with pytest.raises(OSError, match="fileno"):
        plain.fileno()
