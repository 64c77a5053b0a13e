"""The process that downloads one model: a line of JSON tells it what, lines of JSON tell how it goes.

    {"uri": "s3://...", "root": "/cache"} --> {"progress": [done, total]} ... {"note": "..."} ... {"path": "/cache/..."}
                                                                                       or {"error": "..."}

A process of its own: the stores' libraries change environment variables, fork, and take 100 MB and more. It ends with
its parent, whose end of the pipe closes.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any, TextIO


def main() -> None:
    """Run one download."""
    lines = _own_output()
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    reports = _Lines(lines)
    try:
        reports.send({"path": str(_fetch(order["uri"], Path(order["root"]), reports))})
    except BaseException as error:
        reports.send({"error": _reason(error, order["uri"])})


class _Lines:
    """`Reports` as lines of JSON."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def progress(self, done: int, total: int) -> None:
        self.send({"progress": [done, total]})

    def note(self, text: str) -> None:
        self.send({"note": text})

    def send(self, message: dict[str, Any]) -> None:
        with self._lock:
            self._stream.write(json.dumps(message) + "\n")
            self._stream.flush()


def _fetch(uri: str, root: Path, reports: _Lines) -> Path:
    from server.config.model_uri import Address

    address = Address.read(uri)
    if address.kind != "file":
        from kserve_storage import Storage

        Storage._configure_global_ca_bundle()
    from server.loading.storage.fetch import Fetch

    return Fetch(address, root, reports).run()


def _reason(error: BaseException, uri: str) -> str:
    from server.config.model_uri import Address
    from server.loading.storage.errors import storage_error

    return str(storage_error(error, Address.read(uri)))


def _own_output() -> TextIO:
    """The parent's pipe for us alone: what libraries print goes to standard error."""
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return own


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
