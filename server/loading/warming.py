"""A first call, in the process that serves the model: what a library does only once is done before a client waits."""

from __future__ import annotations

import logging

from adapters.base import Adapter
from server.workers.adapter import RemoteAdapter

log = logging.getLogger("kserve")


def warm(name: str, adapter: Adapter) -> None:
    """Have a model of this process answer its own example. One that refuses it is as it was.

    A worker has done so when it tested itself; who reads whole requests has no example.
    """
    if isinstance(adapter, RemoteAdapter) or adapter.signature.whole:
        return
    try:
        if example := adapter.example():
            adapter.predict(example, {})
    except Exception as error:  # whatever its code raises: its example is made up
        log.debug("model %s is not warmed: %s: %s", name, type(error).__name__, error)
