"""TorchScript programs and exported programs.

`adapter` is the adapter; `files` tells the formats apart, `script` and `exported` load one each. What must not run is
looked for in an archive's `records` (`script_audit`, `exported_audit`) and in loaded graphs (`exported_graphs`);
`operators` is the list of what may. `guess`, `declared` and `trial` find out what a program takes and gives, `values`
turns torch's values into ours.
"""

from adapters.torch_.adapter import TorchAdapter

__all__ = ["TorchAdapter"]
