"""From a store's files to whole, checked files in a folder: several at a time, again where that may help.

    RemoteFile --read(from where it broke off)--> parts/N --size and checksum--> files/NAME

What is whole stays, so that a try, or a server, that comes after a failure goes on where it ended.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from typing import TypeVar

from server.config.model_uri import Address
from server.loading.storage.checksums import verify
from server.loading.storage.errors import StorageError, storage_error
from server.loading.storage.listing import Listing, RemoteFile

T = TypeVar("T")

#: seconds before the second, the third, ... try
PAUSES: Sequence[float] = (1, 2, 4, 8, 16)
#: files at the same time
AT_ONCE = 4

Read = Callable[[RemoteFile, int], Iterator[bytes]]


@dataclass(frozen=True)
class Patience:
    """Tries again what failed for a reason that may pass. A try that got further starts the count anew."""

    address: Address
    pauses: Sequence[float] = PAUSES
    told: Callable[[str], None] = lambda _: None  #: why another try is made

    def run(self, work: Callable[[], T], moved: Callable[[], int] = lambda: 0) -> T:
        """What `work` returns; `moved` counts what it gets done.

        Raises:
            StorageError: it cannot work, or did not for as many tries as there are pauses.
        """
        tries, before = 0, moved()
        while True:
            try:
                return work()
            except Exception as error:
                known = storage_error(error, self.address)
                tries, before = (0, moved()) if moved() > before else (tries, before)
                if not known.transient or tries == len(self.pauses):
                    raise known from error
                pause = self.pauses[tries] * random.uniform(0.8, 1.2)  # many servers start at the same time
                tries += 1
                self.told(f"{known}; trying again")
                time.sleep(pause)


class Transfer:
    """One download of a listing's files into a folder."""

    def __init__(self, read: Read, listing: Listing, folder: Path, patience: Patience) -> None:
        self._read = read
        self._listing = listing
        self.files = folder / "files"
        self._parts = folder / "parts"
        self._patience = patience
        self._lock = Lock()
        self._stop = Event()
        self._done = 0  #: bytes

    @property
    def done(self) -> int:
        """Bytes that are there, of the listing's total."""
        return self._done

    def run(self) -> Path:
        """Download what is missing; the folder with all files is returned.

        Raises:
            StorageError: with the reason.
        """
        self.files.mkdir(exist_ok=True)
        self._parts.mkdir(exist_ok=True)
        numbered = list(enumerate(self._listing.files))
        with ThreadPoolExecutor(min(AT_ONCE, max(1, len(numbered)))) as pool:
            for outcome in as_completed([pool.submit(self._bring, number, file) for number, file in numbered]):
                if (error := outcome.exception()) is not None:
                    self._stop.set()
                    pool.shutdown(cancel_futures=True)
                    raise error
        return self.files

    def _bring(self, number: int, file: RemoteFile) -> None:
        target, part = self.files / file.name, self._parts / str(number)
        if target.is_file():  # checked when it was put there
            self._moved(target.stat().st_size)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        if part.exists():
            self._moved(part.stat().st_size)
        self._patience.run(lambda: self._once(file, part), lambda: part.stat().st_size if part.exists() else 0)
        part.rename(target)

    def _once(self, file: RemoteFile, part: Path) -> None:
        start = part.stat().st_size if part.exists() else 0
        if start and (file.size < 0 or start > file.size):
            self._discard(part)
            start = 0
        with part.open("ab") as target:
            if start != file.size:
                self._copy(file, start, target.write)
            target.flush()
            os.fsync(target.fileno())
        if part.stat().st_size < file.size:  # what is there is kept, and the next try goes on behind it
            raise StorageError(f"{file.name} broke off", transient=True)
        try:
            verify(part, file)
        except StorageError:
            self._discard(part)
            raise

    def _copy(self, file: RemoteFile, start: int, write: Callable[[bytes], object]) -> None:
        for chunk in self._read(file, start):
            if self._stop.is_set():
                raise StorageError("another file failed")
            write(chunk)
            self._moved(len(chunk))

    def _discard(self, part: Path) -> None:
        self._moved(-part.stat().st_size)
        part.unlink()

    def _moved(self, size: int) -> None:
        with self._lock:
            self._done += size
