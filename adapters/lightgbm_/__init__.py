"""LightGBM boosters: `adapter` is the adapter, `format` reads the whole file before LightGBM's parser trusts it."""

from adapters.lightgbm_.adapter import LightGBMAdapter

__all__ = ["LightGBMAdapter"]
