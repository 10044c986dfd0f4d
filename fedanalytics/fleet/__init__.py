"""Where clients are, on this machine: a table or an array becomes exact integer sums.

Enters: sources of rows, the SQL that one client's value may be written in, its evaluation for all clients at once.
Stays out: noise, prices, what a query means, who may see a sum.

The first wall is the language: `grammar` (what may stand in a tree), `terms` and `printer` (its types, and the only
text that runs), `aggregates` and `exact` (values that no other client and no order of rows can change), `steps` and
`select` (one statement for a round). The second is the engine: `paths`, `arrays` and `sources` (the operator's door),
`engine` (sealed). `functions` runs registered code, and lets nothing of it surface. `local` is the fleet itself.
"""

from __future__ import annotations

from fedanalytics.fleet.local import Fleet

__all__ = ["Fleet"]
