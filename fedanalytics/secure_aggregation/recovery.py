"""Taking the masks off: secrets from shares, checked against what was committed to, and the masks that they give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from fedanalytics.secure_aggregation import shares
from fedanalytics.secure_aggregation.field import Elements
from fedanalytics.secure_aggregation.keys import Pair
from fedanalytics.secure_aggregation.masks import add_masks
from fedanalytics.secure_aggregation.outcomes import Reason, demand, stop
from fedanalytics.secure_aggregation.packing import Lanes, reduced
from fedanalytics.secure_aggregation.parameters import Parameters
from fedanalytics.secure_aggregation.transcript import pair_mask, seed_commitment, self_mask

Given = list[tuple[int, bytes]]  # the shares of a secret, each with its holder


@dataclass(frozen=True)
class Recovery:
    """What the server knows when it has the shares.

    Attributes:
        parameters: of the round.
        binding: of the round.
        survivors: whose vectors are in the sum.
        peers: whom each client that shared masks with.
        mask_keys: the public keys of all who advertised.
        commitments: to the self-mask seeds of all who shared.
        shares: of every secret that is needed, by owner and holder.
    """

    parameters: Parameters
    binding: bytes
    survivors: frozenset[int]
    peers: Mapping[int, list[int]]
    mask_keys: Mapping[int, bytes]
    commitments: Mapping[int, bytes]
    shares: Mapping[int, Mapping[int, bytes]] = field(repr=False)

    def unmasked(self, total: Lanes) -> Lanes:
        """The sum of the survivors' vectors from the sum of what they sent, in lanes, which is changed in place.

        Raises:
            Stop: there are fewer shares of a secret than the threshold, or they do not give what was committed to.
        """
        plus, minus = list[bytes](), list[bytes]()
        for i, secret in self.secrets():
            if i in self.survivors:
                minus.append(self_mask(self.parameters, self.binding, i, secret))
            else:
                for j, key in self._pair_masks(i, secret):
                    (minus if j < i else plus).append(key)  # j, if lower, had added it
        return reduced(add_masks(total, plus, minus), self.parameters.bits)

    def secrets(self) -> Iterator[tuple[int, bytes]]:
        """All secrets, at once from the first t shares of each; those that are wrong one by one from others."""
        given = {i: list(held.items()) for i, held in self.shares.items()}
        for i, held in given.items():
            demand(len(held) >= self.parameters.threshold, Reason.BELOW_THRESHOLD, f"shares of client {i}")
        found = combined([held[: self.parameters.threshold] for held in given.values()])
        for (i, held), elements in zip(given.items(), found, strict=True):
            yield i, self._valid(i, elements) or self._retried(i, held)

    def _pair_masks(self, dropped: int, secret: bytes) -> Iterator[tuple[int, bytes]]:
        """The masks that survivors share with a client that is not among them."""
        pair = Pair.from_private(secret)
        for j in self.peers[dropped]:
            if j in self.survivors:
                yield j, pair_mask(self.parameters, self.binding, dropped, j, pair.agree(self.mask_keys[j]))

    def _valid(self, i: int, elements: Elements) -> bytes | None:
        """The secret, if it is the one that the client committed to."""
        secret = shares.secret_of(elements)
        if secret is None:
            return None
        if i in self.survivors:
            return secret if seed_commitment(self.binding, i, secret) == self.commitments[i] else None
        return secret if Pair.from_private(secret).public == self.mask_keys[i] else None

    def _retried(self, i: int, held: Given) -> bytes:
        """A secret from other shares: t in a row of m around a circle, of which m - t avoid any one wrong share."""
        steps = range(self.parameters.threshold)
        runs = [[held[(start + step) % len(held)] for step in steps] for start in range(len(held))]
        secrets = (self._valid(i, elements) for elements in combined(runs))
        return next(filter(None, secrets), None) or stop(Reason.BAD_SHARES, f"of client {i}")


def combined(given: list[Given]) -> Elements:
    """Secrets from equally many shares each, shape (secrets, limbs)."""
    points = np.array([[holder + 1 for holder, _ in held] for held in given], np.int64)
    data = np.frombuffer(b"".join(part for held in given for _, part in held), "<u4").astype(np.int64)
    return shares.combine(points, data.reshape(*points.shape, shares.LIMBS))
