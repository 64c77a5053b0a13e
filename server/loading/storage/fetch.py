"""From an address to a folder that holds the model, in a process of its own (`child`).

look: list, or the kept copy where the store cannot be asked --> on the shelf? --> transfer --> unpack --> publish
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from server.config.model_uri import Address
from server.loading.storage.archives import is_archive, unpack
from server.loading.storage.download_cache import DownloadedVersions
from server.loading.storage.errors import StorageError
from server.loading.storage.listing import Listing
from server.loading.storage.stores import Files, Store, open_store
from server.loading.storage.transfer import PAUSES, Patience, Transfer

#: how often what is stored may change while it is downloaded
MOST_CHANGES = 3
#: seconds between two reports
TICK = 0.5


class Reports(Protocol):
    """Who is told how it goes."""

    def progress(self, done: int, total: int) -> None:
        """Bytes; a total of 0 is not known."""

    def note(self, text: str) -> None:
        """What the operator should know."""


class Fetch:
    """One model's way onto this machine."""

    def __init__(self, address: Address, root: Path, reports: Reports, pauses: Sequence[float] = PAUSES) -> None:
        self._address = address
        self._shelf = DownloadedVersions(root, address)
        self._reports = reports
        self._patience = Patience(address, pauses, reports.note)
        #: of the question what is there, which need not be answered where a copy is kept
        self._look_patience = replace(self._patience, pauses=pauses[:1]) if self._shelf.latest() else self._patience

    def run(self) -> Path:
        """The folder with the model.

        Raises:
            StorageError: with the reason.
        """
        with self._shelf.locked(lambda: self._reports.note("another process downloads it")):
            for _ in range(MOST_CHANGES):
                try:
                    return self._current()
                except StorageError as error:
                    if not error.changed:
                        raise
                    self._reports.note(str(error))
            raise StorageError(f"it changed {MOST_CHANGES} times while it was downloaded")

    def _current(self) -> Path:
        try:
            store, listing = self._look_patience.run(self._look)
        except StorageError as error:
            kept = self._shelf.latest() if error.offline else None
            if kept is None:
                raise
            self._reports.note(f"{error}: the copy that was downloaded before is served")
            return kept
        version = listing.version
        return self._shelf.find(version) or self._shelf.publish(self._download(store, listing, version), version)

    def _look(self) -> tuple[Store, Listing]:
        store = open_store(self._address)
        return store, store.look()

    def _download(self, store: Store, listing: Listing, version: str) -> Path:
        partial = self._shelf.partial(version)
        there = _size(partial)
        if listing.total - there > (free := shutil.disk_usage(partial).free):
            raise StorageError(f"it has {listing.total} bytes, the disk of --storage_dir has room for {free}")
        if not isinstance(store, Files):
            folder = partial / "files"
            folder.mkdir(exist_ok=True)
            with self._reporting(lambda: _size(folder), listing.total):
                self._patience.run(lambda: store.fetch(listing, folder), lambda: _size(folder))
            return folder
        transfer = Transfer(store.read, listing, partial, self._patience)
        with self._reporting(lambda: transfer.done, listing.total):
            folder = transfer.run()
        if len(listing.files) == 1 and is_archive(name := listing.files[0].name):
            shutil.rmtree(partial / "unpacked", ignore_errors=True)
            return unpack(folder / name, name, partial / "unpacked")
        return folder

    @contextmanager
    def _reporting(self, done: Callable[[], int], total: int) -> Iterator[None]:
        """Tell how far it is, now and then."""
        over = threading.Event()

        def report() -> None:
            while not over.wait(TICK):
                self._reports.progress(done(), total)

        thread = threading.Thread(target=report, daemon=True)
        self._reports.progress(done(), total)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        self._reports.progress(done(), total)


def _size(folder: Path) -> int:
    """Bytes in a folder, whose files come and go."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # it was a temporary one
                total += os.lstat(os.path.join(path, name)).st_size  # noqa: PTH118  (walk's own terms)
    return total
