"""scikit-learn estimators in skops files: `adapter` is the adapter, `audit` says what a file may name."""

from adapters.skops_.adapter import SkopsAdapter

__all__ = ["SkopsAdapter"]
