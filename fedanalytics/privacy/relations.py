"""Neighbouring relations: what "one client more or less" means. A sensitivity holds under one of them, never both."""

from __future__ import annotations

from enum import StrEnum


class Relation(StrEnum):
    """Which pairs of fleets must be hard to tell apart.

    * ``add-or-remove-one``: one fleet has one client more. How many there are is private too.
    * ``replace-one``: the same number of clients, one of which holds other data.
    * ``zero-out``: one client's contribution is replaced by the null vector; who takes part is public.
    """

    ADD_OR_REMOVE_ONE = "add-or-remove-one"
    REPLACE_ONE = "replace-one"
    ZERO_OUT = "zero-out"
