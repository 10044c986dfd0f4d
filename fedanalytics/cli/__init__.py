"""The commands: ``fedanalytics run``, ``query`` and ``ledger``.

Enters: reading what people write (studies, options), and showing them answers, costs and errors. Stays out: everything
that decides; a command goes through a `Session` like anyone else.
"""

from fedanalytics.cli.app import main

__all__ = ["main"]
