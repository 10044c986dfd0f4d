"""The page in a browser: no errors, no network, nothing cut off on a phone, dark where dark is preferred, printable."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess

import pytest

import fedanalytics as fa
from fedanalytics.report import html_of

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
)
DARK = ("--force-dark-mode", "--blink-settings=preferredColorScheme=0")
MEASURE = """<style>html { width: 360px }</style><script>
const edges = [...document.querySelectorAll("body, body *, svg text")].map(e => e.getBoundingClientRect().right)
document.title = "wide " + Math.ceil(Math.max(...edges))
</script></body>"""
NAMES = (
    "<script>console.error('pwned')</script>",
    "'><img src=x onerror=console.error(1)>",
    "x" * 5000,
    "\u202eabc",
    "👩‍🚀",
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """Runs the browser on a page; what it logged of the page's console, and its standard output."""
    if PROGRAM is None:
        reason = "chromium is not installed: apt-get install chromium"
        print(reason)
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)

    def run(page, *flags):
        place = tmp_path_factory.mktemp("profile")
        command = [PROGRAM, *FLAGS, f"--user-data-dir={place}", *flags, page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
        shutil.rmtree(place, ignore_errors=True)
        return re.findall(r"CONSOLE.*", done.stderr), done.stdout

    return run


@pytest.fixture(scope="module")
def pages(tmp_path_factory, lived_book):
    """The page of a ledger that was lived with."""
    file = tmp_path_factory.mktemp("pages") / "report.html"
    file.write_text(html_of(lived_book), encoding="utf-8")
    return file


def brightness(file):
    """The mean over all pixels, from 0 to 1."""
    from matplotlib import image

    return float(image.imread(file)[..., :3].mean())


@pytest.mark.parametrize("width", [360, 1280])
def test_pictures(chromium, pages, width):
    seen = {}
    for theme, flags in (("light", ()), ("dark", DARK)):
        file = pages.with_name(f"{width}-{theme}.png")
        errors, _ = chromium(pages, f"--window-size={width},2400", f"--screenshot={file}", *flags)
        assert errors == []
        assert struct.unpack(">2I", file.read_bytes()[16:24]) == (width, 2400)
        seen[theme] = brightness(file)
        print(f"see {file}")
    assert seen["light"] > 0.85
    assert seen["dark"] < 0.25


def test_it_prints(chromium, pages):
    file = pages.with_name("report.pdf")
    errors, _ = chromium(pages, f"--print-to-pdf={file}", *DARK)
    assert errors == []
    content = file.read_bytes()
    assert content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", content)) >= 3


def width_of(chromium, file, html):
    """How far right anything reaches on a phone: by a script of ours, which the page's policy would forbid."""
    file.write_text(re.sub(r"<meta http-equiv[^>]*>", "", html).replace("</body>", MEASURE), encoding="utf-8")
    _, dom = chromium(file, "--window-size=500,900", "--dump-dom")  # its least width; the page is held to 360 of it
    return int(re.search(r"<title>wide (\d+)</title>", dom)[1])


def test_nothing_is_cut_off_on_a_phone(chromium, pages, lived_book):
    assert width_of(chromium, pages.with_name("measured.html"), html_of(lived_book)) <= 360


@pytest.fixture(scope="module")
def hostile_page(a_plan, book_of):
    """A ledger in which names are attacks."""
    with fa.Ledger(":memory:", actor=NAMES[0]) as ledger:
        for name in NAMES:
            budget = ledger.budget(name, epsilon=1.0, delta=1e-6, unit=name, dataset=name)
            query = {"query": {"is": name, "column": name, "where": name}}
            budget.reserve([a_plan(name, question=query, trust=name)])
        return html_of(book_of(ledger))


def test_hostile_names_do_nothing_in_a_browser(chromium, pages, hostile_page):
    file = pages.with_name("hostile.html")
    file.write_text(hostile_page, encoding="utf-8")
    errors, dom = chromium(file, "--dump-dom")
    assert errors == []
    assert "<title>Privacy ledger budget.db</title>" in dom
    assert width_of(chromium, pages.with_name("measured.html"), hostile_page) <= 360


def test_the_browser_would_tell(chromium, pages):
    """Faults are planted: a script where the policy allows it is heard, where it does not, its refusal is."""
    file, script = pages.with_name("faulty.html"), "<script>console.error('planted')</script>"
    file.write_text(f"<!doctype html><title>t</title>{script}", encoding="utf-8")
    errors, _ = chromium(file, "--dump-dom")
    assert "planted" in errors[0]
    file.write_text(pages.read_text(encoding="utf-8").replace("</body>", f"{script}</body>"), encoding="utf-8")
    errors, _ = chromium(file, "--dump-dom")
    assert "Content Security Policy" in errors[0]
    assert "planted" not in " ".join(errors)
