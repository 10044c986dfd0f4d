"""A session, as those below it need it: whoever trains or evaluates is handed one."""

from __future__ import annotations

from typing import Any, Protocol

from fedanalytics.round.blocks import Query


class Session(Protocol):
    """Runs queries over a fleet, paid from a budget, under a trust model: see `fedanalytics.session.Session`."""

    @property
    def fleet(self) -> Any:
        """Where the clients are."""
        ...

    @property
    def budget(self) -> Any:
        """What pays."""
        ...

    @property
    def trust(self) -> Any:
        """Who sees what."""
        ...

    def run(self, query: Query, *, key: str | None = None, noise_multiplier: float | None = None) -> Any:
        """Asks, pays and returns a release."""
        ...
