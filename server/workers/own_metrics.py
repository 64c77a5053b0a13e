"""What user code counts by `prometheus_client` in its own process: asked for by the parent, as Prometheus' text."""

from __future__ import annotations

import sys

from adapters.base import Reply

VERB = "metrics"  #: of the request, in the protocol of PROTOCOL
PROTOCOL = "polyserve"


def own_metrics() -> Reply:
    """All of the default registry; nothing where nobody has imported the library."""
    library = sys.modules.get("prometheus_client")
    body: bytes = library.generate_latest(library.REGISTRY) if library is not None else b""
    return Reply(body, {"content-type": "text/plain"}, 200)
