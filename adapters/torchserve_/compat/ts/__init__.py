"""The part of TorchServe's Python package that handlers use, for servers without TorchServe.

Written anew after TorchServe's documentation; names, arguments and behaviour are TorchServe's. It stands alone: it is
imported in the process of a model that knows none of the server's packages.
"""

from __future__ import annotations

__version__ = "0.12.0"
