"""Libraries that only some readers need, imported when they are."""

from __future__ import annotations

import importlib
from types import ModuleType

from fedanalytics.errors import FedAnalyticsError


def required(module: str, package: str, what: str) -> ModuleType:
    """The module, or how to get it.

    Args:
        module: what is imported, such as "sklearn.datasets".
        package: what is installed, such as "scikit-learn".
        what: who asks.

    Raises:
        FedAnalyticsError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise FedAnalyticsError(
            f'{what} needs the package {package}, which is not installed: pip install "fedanalytics[data]"'
        ) from error
