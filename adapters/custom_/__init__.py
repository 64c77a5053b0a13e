"""Custom models: the user's own `kserve.Model` in a `model.py`."""

from __future__ import annotations

from adapters.custom_.adapter import CustomAdapter

__all__ = ["CustomAdapter"]
