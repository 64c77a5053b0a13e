"""Where a model comes from that is not mounted: the server's side of a download."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adapters.base import LoadError
from server.config.model_uri import Address
from server.loading.storage.environ import download_environ
from server.loading.storage.errors import WAY_TO_STORAGE, scrubbed
from server.runtime.own_code import module_command
from server.text import size

log = logging.getLogger("kserve")

#: seconds between two lines in the log
LOG_EVERY = 10.0


@dataclass(eq=False)
class Source:
    """A model's name and address, and how its download goes."""

    name: str
    address: Address
    root: Path  #: the cache's directory
    private_redirects: bool = False  #: whether a store may send the download on to addresses that are not public
    status: str = ""  #: what the index shows while it downloads
    downloaded: int = 0  #: bytes, since the server started
    _logged: float = field(default=0.0, repr=False)
    _done: int = field(default=0, repr=False)  #: bytes of the download under way

    def fetch(self) -> Path:
        """Download what is stored now, unless it is here already; blocks. The folder with the model is returned.

        Raises:
            LoadError: with the reason.
        """
        if self.address.kind == "file" and Path(self.address.path).is_dir():
            return Path(self.address.path)
        if self.address.kind != "file" and importlib.util.find_spec("kserve_storage") is None:
            raise LoadError(f"{self.address.shown}: kserve-storage is not installed: {WAY_TO_STORAGE}")
        start = time.monotonic()
        try:
            self._done = 0
            self._tell("asking what is there")
            folder = self._run()
        finally:
            self.status = ""
        log.info("model %s: %s is in %s (%.1f s)", self.name, self.address.shown, folder, time.monotonic() - start)
        return folder

    def _run(self) -> Path:
        with tempfile.TemporaryFile() as errors:
            path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100  ("" is the current one)
            child = subprocess.Popen(
                module_command("server.loading.storage.download_main"),
                env=download_environ(
                    self.address.kind,
                    urlsplit(self.address.uri).hostname or "",
                    os.environ,
                    path,
                    private_redirects=self.private_redirects,
                ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,  # a terminal's Ctrl-C is the server's to handle
            )
            with child:
                assert child.stdin is not None
                assert child.stdout is not None
                child.stdin.write(json.dumps({"uri": self.address.uri, "root": str(self.root.absolute())}) + "\n")
                child.stdin.flush()  # and stays open: the child ends when it closes
                for line in child.stdout:
                    if (folder := self._read(json.loads(line))) is not None:
                        return folder
            errors.seek(0)
            last = scrubbed(errors.read().decode(errors="replace").strip().rpartition("\n")[2])
        raise LoadError(f"{self.address.shown}: the download ended with status {child.returncode}: {last}")

    def _read(self, message: dict[str, Any]) -> Path | None:
        """What the child says; a folder is its last word."""
        if "error" in message:
            raise LoadError(f"{self.address.shown}: {message['error']}")
        if "note" in message:
            log.warning("model %s: %s: %s", self.name, self.address.shown, message["note"])
            self._tell(message["note"])
        if "progress" in message:
            self._progress(*message["progress"])
        return Path(message["path"]) if "path" in message else None

    def _progress(self, done: int, total: int) -> None:
        self.downloaded += max(0, done - self._done)
        self._done = done
        self._tell(f"{100 * done // total}% of {size(total)}" if total else size(done))
        if time.monotonic() - self._logged >= LOG_EVERY or done == total:
            self._logged = time.monotonic()
            log.info("model %s: %s", self.name, self.status)

    def _tell(self, text: str) -> None:
        self.status = f"downloading {self.address.shown}: {text}"
