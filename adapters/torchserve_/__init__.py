"""TorchServe's model archives, served without TorchServe.

`adapter` is the adapter; `archive` opens and unpacks archives, `manifest` reads what they say of themselves, `handler`
imports a handler and calls it, `messages` turns instances into what handlers take and back. `compat` holds the package
`ts` that handlers import: it is on a worker's path only, last, so that an installed TorchServe goes first.
"""

from adapters.torchserve_.adapter import TorchServeAdapter

__all__ = ["TorchServeAdapter"]
