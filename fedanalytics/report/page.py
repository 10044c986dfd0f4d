"""The page: one file that needs nothing else, no network, no script; everything that others wrote is escaped.

Three walls stand between a hostile name and the reader: every value is escaped by the template engine, always; no name
is ever placed in CSS, an address, an id or path data; and the page's own policy forbids scripts and connections, so
that even a hole in the first two would do nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fedanalytics._version import __version__
from fedanalytics.errors import BadArgument
from fedanalytics.ledger import Loss
from fedanalytics.report import words
from fedanalytics.report.claims import PROMISES
from fedanalytics.report.forecast import DAYS
from fedanalytics.report.reading import Book
from fedanalytics.report.summary import Standing
from fedanalytics.report.view import error_of, view_of

if TYPE_CHECKING:
    from jinja2 import Environment, Template

_OPEN = 20  # questions that are shown before one asks for more


def html_of(book: Book) -> str:
    """The page of a ledger.

    Raises:
        BadArgument: jinja2 is not installed.

    Example:
        >>> import datetime as dt
        >>> from fedanalytics.ledger import Ledger
        >>> from fedanalytics.report.spends import accounts
        >>> with Ledger(":memory:") as ledger:
        ...     _ = ledger.budget("<script>alert(1)</script>", rho=0.01)
        ...     book = Book("budget.db", ledger.head(), accounts(ledger.entries()), dt.datetime.now(dt.UTC))
        >>> page = html_of(book)
        >>> "<script" in page, "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        (False, True)
    """
    return _template().render(view=view_of(book), version=__version__, opened=_OPEN, pace_days=DAYS, promises=PROMISES)


def _capped(each: Standing) -> str:
    """The cap, in the signs of the field."""
    if each.epsilon is None:
        return each.cap
    terms = each.account.terms
    return f"ε = {each.epsilon:.4g}" + _delta(terms.delta) + (f", every {terms.window}" if terms.window else "")


def _delta(delta: float | None) -> str:
    return ", pure" if delta is None else f" at δ = {words.power(delta)}"


def _loss(loss: Loss) -> str:
    """What one accountant finds.

    >>> _loss(Loss(0.51239, "epsilon", 1e-6, "")), _loss(Loss(0.005, "rho", None, ""))
    ('ε = 0.512 at δ = 10⁻⁶', 'ρ = 0.005')
    """
    sign = {"epsilon": "ε", "rho": "ρ"}[loss.counts]
    return f"{sign} = {words.figure(loss.amount)}" + (f" at δ = {words.power(loss.delta)}" if loss.delta else "")


def _surest(epsilon: float) -> str:
    """The surest guess of who thought the chance even: e^epsilon / (1 + e^epsilon), rounded up.

    >>> _surest(1.0), _surest(3.0), _surest(8.0), _surest(40.0)
    ('73.2 % sure', '95.3 % sure', '99.97 % sure', 'practically sure')
    """
    doubt = 1 / (1 + math.exp(min(epsilon, 700.0)))
    if doubt < 1e-6:
        return "practically sure"
    digits = max(1, math.ceil(-math.log10(doubt)) - 2)
    return f"{math.ceil(100 * (1 - doubt) * 10**digits) / 10**digits:.{digits}f} % sure"


def _times(epsilon: float) -> str:
    """How many times as likely, e^epsilon, rounded up.

    >>> _times(0.1), _times(1.0), _times(3.0), _times(40.0)
    ('1.11', '2.72', '20.1', 'over a million')
    """
    factor = math.exp(min(epsilon, 700.0))
    if factor >= 1e6:
        return "over a million"
    digits = max(0, 2 - math.floor(math.log10(factor)))
    return f"{math.ceil(factor * 10**digits - 1e-9) / 10**digits:,.{digits}f}"


def _cleaned(value: Any) -> Any:
    """Every text that is placed anywhere: no longer than a line, without characters that are none."""
    return words.shortened(value) if type(value) is str and len(value) > 0 else value


@lru_cache(maxsize=1)
def _template() -> Template:
    return _environment().get_template("page.html")


def _environment() -> Environment:
    try:
        import jinja2  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise BadArgument('a report needs jinja2: pip install "fedanalytics[report]"') from error
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("fedanalytics.report"),
        autoescape=True,
        finalize=_cleaned,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(_FILTERS)
    return made


def _unbroken(form: Callable[..., str]) -> Callable[..., str]:
    """A number stays on one line with its unit."""
    return lambda *values: form(*values).replace(" ", "\N{NO-BREAK SPACE}")


_FILTERS: dict[str, Callable[..., str]] = {
    "brief": words.brief,
    "capped": _unbroken(_capped),
    "day": words.day,
    "error": _unbroken(error_of),
    "figure": words.figure,
    "lasting": _unbroken(words.lasting),
    "loss": _unbroken(_loss),
    "minute": words.minute,
    "paragraph": words.paragraph,
    "percent": _unbroken(words.percent),
    "plural": _unbroken(words.plural),
    "power": words.power,
    "surest": _unbroken(_surest),
    "times": _times,
}
