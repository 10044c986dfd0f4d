"""Shamir's shares of 256-bit secrets, limb by limb over GF(2**31 - 1), all secrets and holders at once.

A secret is nine limbs of 30 bits, each the value at 0 of its own random polynomial of degree t - 1; a holder's share is
their value at its point. Any t shares give the secret by Lagrange interpolation; with fewer, for each secret there is
exactly one set of polynomials through them per choice of the missing values, equally many for all secrets: they are
independent of the secret (Shamir 1979).
"""

from __future__ import annotations

import numpy as np

from fedanalytics.secure_aggregation import field
from fedanalytics.secure_aggregation.field import Elements, P

_SECRET, _LIMB = 32, 30
LIMBS = -(-8 * _SECRET // _LIMB)
SHARE = 4 * LIMBS


def limbs(secret: bytes) -> Elements:
    """32 bytes as nine elements, lowest first.

    Example:
        >>> limbs(bytes([5]) + bytes(31))[:2]
        array([5, 0])
    """
    number = int.from_bytes(secret, "little")
    return np.array([number >> _LIMB * i & ((1 << _LIMB) - 1) for i in range(LIMBS)], np.int64)


def secret_of(elements: Elements) -> bytes | None:
    """The 32 bytes of nine elements, or None if they are no secret's.

    Example:
        >>> secret_of(limbs(bytes(range(32)))) == bytes(range(32))
        True
    """
    number = sum(int(element) << _LIMB * i for i, element in enumerate(elements))
    fits = number < 1 << 8 * _SECRET and bool((elements < 1 << _LIMB).all())
    return number.to_bytes(_SECRET, "little") if fits else None


def split(secrets: Elements, threshold: int, points: Elements) -> Elements:
    """Shares of elements, any `threshold` of which give them back.

    Args:
        secrets: shape (m,).
        threshold: t, at least 1.
        points: of the holders, distinct, in [1, p).

    Returns:
        Shape (holders, m), by Horner's rule.

    Example:
        >>> shares = split(np.array([42]), 2, np.array([1, 2, 3]))
        >>> combine(np.array([[1, 3]]), shares[None, [0, 2]])
        array([[42]])
    """
    coefficients = field.uniform((threshold - 1) * len(secrets)).reshape(threshold - 1, len(secrets))
    at, values = points[:, None], np.zeros((len(points), len(secrets)), np.int64)
    for coefficient in coefficients:
        values = field.reduce((values + coefficient) * at)
    return field.reduce(values + secrets)


def combine(points: Elements, shares: Elements) -> Elements:
    """Secrets from shares at exactly the threshold of distinct points each, by Lagrange at 0.

    Args:
        points: shape (secrets, t).
        shares: shape (secrets, t, m).

    Returns:
        Shape (secrets, m).
    """
    weights = _at_zero(points)
    total = np.zeros((shares.shape[0], shares.shape[2]), np.int64)
    for j in range(points.shape[1]):
        total = field.reduce(total + field.reduce(weights[:, j, None] * shares[:, j]))
    return total


def _at_zero(points: Elements) -> Elements:
    """Lagrange's weights at 0: the product of x_j / (x_j - x_i) over all j but i."""
    top, bottom = np.ones_like(points), np.ones_like(points)
    for j in range(points.shape[1]):
        x = points[:, j, None]
        others = np.arange(points.shape[1]) != j
        top = np.where(others, field.reduce(top * x), top)
        bottom = np.where(others, field.reduce(bottom * ((x - points) % P)), bottom)
    return field.reduce(top * field.inverse(bottom))


def encoded(values: Elements) -> bytes:
    """Elements as four little-endian bytes each."""
    return values.astype("<u4").tobytes()


def decoded(data: bytes) -> Elements | None:
    """The elements of bytes, or None if one is not below p."""
    values = np.frombuffer(data, "<u4").astype(np.int64)
    return values if bool((values < P).all()) else None
