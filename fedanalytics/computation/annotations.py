"""Types that stand in a function's annotations, written as objects or as text."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from fedanalytics.errors import BadType
from fedanalytics.types import Type, parse_type, to_type


def annotated(function: Callable[..., Any], name: str) -> Type | None:
    """The type in the annotation of a parameter, or of the result (name "return"); None if there is none.

    Raises:
        BadType: the annotation cannot be read as a type.
    """
    annotation = inspect.get_annotations(function).get(name)
    if annotation is None:
        return None
    return to_type(_evaluated(function, name, annotation) if isinstance(annotation, str) else annotation)


def _evaluated(function: Callable[..., Any], name: str, text: str) -> Any:
    """Text is a type in the compact notation, or Python (``from __future__ import annotations``)."""
    try:
        return parse_type(text)
    except BadType:
        pass
    try:
        return inspect.get_annotations(function, eval_str=True)[name]
    except Exception as error:
        raise BadType(
            f"the annotation {text!r} of {name!r} cannot be read ({error}); give the types to the decorator instead"
        ) from error
