"""The systems that PolyServe is compared with, each started as its users start it."""
