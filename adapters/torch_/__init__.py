"""TorchScript programs and exported programs.

`adapter` is the adapter; `files` tells the formats apart, `script` and `exported` load one each, `audit` reads an
archive for what must not run, `guess`, `declared` and `examine` find out what a program takes and gives, `values` turns
torch's values into ours.
"""

from adapters.torch_.adapter import TorchAdapter

__all__ = ["TorchAdapter"]
