"""Memory that is used again: to ask the system for fresh pages takes longer than to fill them."""

from __future__ import annotations

import torch


class Memory:
    """Tensors by name. Whoever takes one overwrites what was in it before.

    Example:
        >>> memory = Memory()
        >>> taken = memory.take("sums", (2, 3), torch.float64)
        >>> memory.take("sums", (2, 3), torch.float64) is taken, memory.take("sums", (1, 3), torch.float64).shape
        (True, torch.Size([1, 3]))
    """

    def __init__(self) -> None:
        self._kept: dict[str, torch.Tensor] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """The tensor of that name, not cleared."""
        kept = self._kept.get(name)
        if kept is None or kept.shape != shape or kept.dtype != dtype:
            kept = self._kept[name] = torch.empty(shape, dtype=dtype)
        return kept

    def copy(self, name: str, numbers: torch.Tensor) -> torch.Tensor:
        """The numbers in float64, in the tensor of that name."""
        return self.take(name, tuple(numbers.shape), torch.float64).copy_(numbers)
