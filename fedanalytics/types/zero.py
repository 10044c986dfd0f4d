"""The zero of a type: what a sum starts from."""

from __future__ import annotations

from typing import Any

import numpy as np

from fedanalytics.errors import BadType
from fedanalytics.types.base import to_type
from fedanalytics.types.kinds import SequenceType, StructType, TensorType


def zeros(spec: Any) -> Any:
    """The canonical zero value of a type: zeros, False, empty text, empty sequences; unknown extents are 0.

    Raises:
        BadType: the type holds a function or a placed value.

    >>> zeros("<a=float32,b=int32[2],c=int64*>")
    {'a': np.float32(0.0), 'b': array([0, 0], dtype=int32), 'c': array([], dtype=int64)}
    """
    kind = to_type(spec)
    match kind:
        case TensorType():
            return np.zeros([extent or 0 for extent in kind.shape], kind.dtype)[()]
        case StructType():
            values = tuple(zeros(member) for member in kind.types)
            return dict(zip(kind.names, values, strict=True)) if kind.named else values
        case SequenceType(TensorType() as element) if None not in element.shape:
            return np.zeros((0, *(extent or 0 for extent in element.shape)), element.dtype)
        case SequenceType():
            return []
        case _:
            raise BadType(f"{kind} has no zero; only data has")
