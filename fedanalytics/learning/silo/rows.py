"""The examples of one silo: a tensor of features and one of labels, checked once, for their holder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fedanalytics.errors import BadArgument
from fedanalytics.learning.clients import Pair
from fedanalytics.learning.losses import Loss
from fedanalytics.learning.model import Model
from fedanalytics.learning.probing import Shapes, probe


@dataclass(frozen=True, eq=False)
class Rows:
    """n examples. Tensors and arrays of the right type are not copied.

    Attributes:
        features: shape (n, ...), floats or whole numbers such as token ids.
        labels: shape (n, ...), int64 for classes, floats otherwise.

    Example:
        >>> rows = Rows.of((np.zeros((3, 2)), [0, 1, 1]))
        >>> len(rows), rows.features.dtype, rows.labels.tolist()
        (3, torch.float32, [0, 1, 1])
    """

    features: torch.Tensor
    labels: torch.Tensor

    @classmethod
    def of(cls, data: Any, dtype: torch.dtype = torch.float32) -> Rows:
        """From a pair (features, labels): arrays, tensors or lists with equally many rows.

        NaN and infinities are let through: such an example's gradient is zero.

        Raises:
            BadArgument: no such pair, or no rows.
        """
        if not isinstance(data, Sequence) or isinstance(data, str) or len(data) != 2:
            raise BadArgument(f"data= must be a pair (features, labels), got {type(data).__name__}")
        features, labels = _tensor(data[0], "features"), _tensor(data[1], "labels")
        if not features.ndim or not labels.ndim or len(features) != len(labels):
            raise BadArgument(
                f"data= must have one label per row of features, got features of shape {tuple(features.shape)} and "
                f"labels of shape {tuple(labels.shape)}"
            )
        if not len(labels):
            raise BadArgument("data= has no rows: there is nothing to train on")
        labels = labels.to(dtype if labels.is_floating_point() else torch.int64)
        return cls(features.to(dtype) if features.is_floating_point() else features, labels)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shapes(self) -> Shapes:
        """The shape and type of one example, and of its label."""
        x, y = self.features, self.labels
        return Shapes(tuple(x.shape[1:]), x.dtype, tuple(y.shape[1:]), y.dtype)

    def check(self, model: Model, loss_fn: Loss) -> None:
        """Whether the model and the loss can read them.

        Raises:
            BadArgument: they cannot, or a label is no class of the model's.
        """
        classes = probe(model, loss_fn, self.shapes).classes
        if classes is None:
            return
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= classes:
            raise BadArgument(
                f"data= must have labels from 0 to {classes - 1}, since the model has {classes} outputs; they range "
                f"from {low} to {high}"
            )

    def blocks(self, drawn: npt.NDArray[np.int64], size: int, multiple: int) -> Iterator[tuple[Pair, int]]:
        """The drawn rows, at most `size` at a time, and how many they are; padded with zeros to a multiple of rows."""
        for start in range(0, len(drawn), size):
            chosen = torch.from_numpy(drawn[start : start + size])
            x, y = self.features.index_select(0, chosen), self.labels.index_select(0, chosen)
            missing = -len(chosen) % multiple
            if missing:
                x = torch.cat([x, x.new_zeros(missing, *x.shape[1:])])
                y = torch.cat([y, y.new_zeros(missing, *y.shape[1:])])
            yield (x, y), len(chosen)


def _tensor(value: Any, what: str) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        if value.layout != torch.strided or value.device.type != "cpu" or value.is_complex():
            raise BadArgument(
                f"data= must be dense real tensors on the CPU; the {what} are {value.dtype}, {value.layout}, on "
                f"{value.device}"
            )
        return value.detach()
    try:
        return torch.from_numpy(np.require(np.asarray(value), requirements=["C", "W"]))
    except (TypeError, ValueError) as error:  # text, objects, ragged lists
        raise BadArgument(f"data= must be numbers; the {what} make no array ({error})") from error
