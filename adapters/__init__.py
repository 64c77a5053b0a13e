"""Adapters: one file a framework. `base.py` is the contract, `registry.py` the table."""
