"""What a budget promises, in one sentence: for a receipt, a report, a screen."""

from __future__ import annotations

from fedanalytics.ledger.terms import Terms
from fedanalytics.privacy import units


def promise(terms: Terms) -> str:
    """The guarantee of everything that is answered from a budget, with its conditions.

    Example:
        >>> from fedanalytics.ledger.terms import Asked
        >>> promise(Asked("a", epsilon=1.0, delta=1e-6, unit="sensor").checked().terms(()))
        '(1, 1e-06)-DP for each sensor under add-or-remove-one, for good'
    """
    return "".join((_cap(terms), f" for {_whom(terms)} under {terms.relation}", _when(terms), _changed(terms)))


def _cap(terms: Terms) -> str:
    if terms.epsilon is None:
        return f"{units.rho(terms.cap):g}-zCDP"
    return f"({terms.epsilon:g}, {terms.delta:g})-DP" if terms.delta is not None else f"{terms.epsilon:g}-DP"


def _whom(terms: Terms) -> str:
    group = f" with {terms.group[0]} = {terms.group[1]!r}" if terms.group else ""
    return f"each {terms.unit or 'client'}{group}"


def _when(terms: Terms) -> str:
    if terms.window is None:
        return ", for good"
    unit = terms.unit or "client"
    return (
        f", in each window of {terms.window} (UTC); over several windows the losses add up, unless what is asked in a "
        f"window is about that window's data alone: then the unit of privacy is ({unit}, window)"
    )


def _changed(terms: Terms) -> str:
    if not terms.amended:
        return ""
    times = "once" if terms.amended == 1 else f"{terms.amended} times"
    raised = "the guarantee is the highest to which it would have been raised, whatever the answers"
    return f"; the cap was amended {times}, and {raised}"
