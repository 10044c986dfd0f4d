"""Random words: AES-256 in counter mode under a key from the operating system, used for one call and forgotten.

cryptography is imported when the first stream is opened: `import fedanalytics` does not pay for it.
"""

from __future__ import annotations

import hashlib
import os

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.errors import FedAnalyticsError


class Keystream:
    """Uniform 64-bit words, each handed out once.

    Without a key it draws one from `os.urandom`: 256 bits, so that no two streams ever share one. Distinguishing its
    words from ideal bits is breaking AES-256 (counter mode under a fresh key repeats no block before 2**128 of them).
    Keep no stream: one made for a call needs no lock, and is not there to be copied by a fork. One that was kept
    refuses to run in another process, because parent and child would hand out the same noise.

    Args:
        key: 32 bytes, for tests only; the stream then repeats, and is not `secure`.

    Attributes:
        secure: whether the operating system chose the key.
    """

    def __init__(self, key: bytes | None = None) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415  # see the top

        self.secure = key is None
        self._process = os.getpid()
        cipher = Cipher(algorithms.AES256(os.urandom(32) if key is None else key), modes.CTR(bytes(16)))
        self._encryptor = cipher.encryptor()

    @classmethod
    def insecure(cls, seed: int) -> Keystream:
        """A stream that repeats, for tests. INSECURE: who knows or guesses the seed subtracts the noise.

        Raises:
            BadArgument: the seed is not a whole number >= 0.

        Example:
            >>> Keystream.insecure(7).secure
            False
        """
        return cls(hashlib.sha256(b"fedanalytics insecure %d" % _validate.whole(0, seed=seed)).digest())

    def words(self, count: int) -> npt.NDArray[np.uint64]:
        """The next `count` words, shape (count,); the same on every platform for the same key.

        Raises:
            FedAnalyticsError: a secure stream was carried into another process by a fork.
        """
        if self.secure and self._process != os.getpid():
            raise FedAnalyticsError("this keystream was made before a fork and would repeat noise; make a new one")
        return np.frombuffer(self._encryptor.update(bytes(8 * count)), "<u8")
