"""KServe, the frame that everything hangs in, parses `sys.argv` as it is imported."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from adapters.shared.lean_kserve import lean
from server.config.settings import Settings


@contextlib.contextmanager
def arguments(settings: Settings) -> Iterator[None]:
    """Within, `sys.argv` holds our settings: import what needs KServe here, for the first time."""
    argv, sys.argv = sys.argv, [*settings.kserve_argv(), "--enable_docs_url=False"]  # ours needs no CDN
    try:
        with lean():
            yield
    finally:
        sys.argv = argv
