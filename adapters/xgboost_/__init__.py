"""XGBoost boosters: `adapter` is the adapter, `format` reads the whole file before XGBoost's parser trusts it."""

from adapters.xgboost_.adapter import XGBoostAdapter

__all__ = ["XGBoostAdapter"]
