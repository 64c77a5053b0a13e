"""What many folders hold, found out by a process of its own while this one imports.

To look into a thousand small files takes this process about a second, in which it loads nothing: the interpreter does
one thing at a time. So where there are many folders a fork of this process looks at them, in the order in which they
are loaded, and writes down what it finds; it runs nothing of a model, and reads no more than this process would.

    look_ahead(folders) --> a fork: for each folder Seal.of, recognise --> a file in memory
    take(found, seal)   --> what was found, if the folder is the same by its seal; else whoever asks looks himself

What cannot be recognised, and what the log has to hear of, is left to whoever loads it. What is written down names no
class but those of a folder's description: whoever could write there would get no more than a wrong description.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pickle
import signal
import struct
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PosixPath
from typing import Any

from adapters import registry
from adapters.base import Adapter, Match, ModelDir, Origin, Rank, Trust
from server.config.model_config import ModelConfig
from server.config.shadow_config import ShadowConfig
from server.config.version_policy import VersionPolicy
from server.loading.catalog import Found, look_again
from server.loading.files import FileStamp
from server.loading.memory_budget import ModelKey
from server.loading.recognition import Recognised
from server.loading.seal import Seal
from server.runtime.forking import ForkedProcess, ForkServer
from server.runtime.lifeline import tie_to_parent
from server.runtime.memory import shut

__all__ = ["RecognisedAhead"]

log = logging.getLogger("kserve")

#: bytes that are written down; a folder takes some 2,000
_MOST = 64 * 2**20
_LENGTH = struct.Struct("<I")
_GRACE = 1.0  #: seconds in which a process that was killed has ended, unless its disk hangs

_CLASSES = (
    *(Found, Seal, FileStamp, Recognised, ModelDir, registry.Choice, Match, Origin, Rank, Trust),
    *(ModelConfig, ShadowConfig, VersionPolicy, PosixPath),
)
_BY_NAME = {(each.__module__, each.__qualname__): each for each in _CLASSES}


class RecognisedAhead:
    """Folders that were recognised before they are loaded, each to be taken once. Thread-safe."""

    def __init__(self) -> None:
        self._known: dict[ModelKey, tuple[Found, Seal, Recognised]] = {}
        self._lock = threading.Lock()
        self._written = -1  #: the file that the fork writes into; -1: there is none
        self._read = 0  #: bytes of it
        self._forks: ForkServer | None = None
        self._fork: ForkedProcess | None = None

    def remember(self, found: Found, seal: Seal, recognised: Recognised) -> None:
        """This process has looked at a folder; `seal` is from before."""
        if not _is_sealed(found, recognised):
            return
        with self._lock:
            self._known[found.key] = found, seal, recognised

    def look_ahead(self, folders: Sequence[Found], recognise: Callable[[Found], Recognised]) -> None:
        """Have a fork look at these, if one can be made: call it before there are threads."""
        self._forks = ForkServer.start(partial(_write_down, folders, recognise), dict(os.environ))
        if self._forks is None:
            return
        try:
            self._written = os.memfd_create("recognised")
            self._fork = self._forks.fork(self._written)
        except OSError as error:
            log.debug("folders are not looked at ahead: %s", error)
            self.close()

    def take(self, found: Found, seal: Seal) -> Recognised | None:
        """What a folder holds, which has that seal now; None: it was not looked at, or is another by now."""
        with self._lock:
            self._receive()
            known = self._known.pop(found.key, None)
        return known[2] if known is not None and known[:2] == (found, seal) else None

    def close(self) -> None:
        """All have been loaded: end the fork, and forget what nobody asked for."""
        with self._lock:
            forks, fork, written = self._forks, self._fork, self._written
            self._forks, self._fork, self._written = None, None, -1
            self._known.clear()
        if fork is not None:
            _end(fork)
        if forks is not None:
            forks.close()
        if written >= 0:
            os.close(written)

    def _receive(self) -> None:
        more = os.fstat(self._written).st_size - self._read if self._written >= 0 else 0
        new = os.pread(self._written, more, self._read) if more else b""
        begin = 0
        while begin + _LENGTH.size <= len(new):
            end = begin + _LENGTH.size + _LENGTH.unpack_from(new, begin)[0]
            if end > len(new):  # the rest is being written
                break
            try:
                found, seal, recognised = _Reader(io.BytesIO(new[begin + _LENGTH.size : end])).load()
                self._known[found.key] = found, seal, recognised
            except Exception as error:  # a description of a kind that is not expected here: it is made again
                log.debug("what a folder holds is looked up again: %s", error)
            begin = end
        self._read += begin


def _end(fork: ForkedProcess) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(fork.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        fork.wait(_GRACE)
    for pipe in (fork.stdin, fork.stdout):
        if pipe is not None:
            pipe.close()


class _Writer(pickle.Pickler):
    """Adapters go by their names."""

    def persistent_id(self, value: Any) -> str | None:
        return value.name if isinstance(value, type) and issubclass(value, Adapter) else None


class _Reader(pickle.Unpickler):
    """Knows nothing but what a folder is described by."""

    def persistent_load(self, name: str) -> type[Adapter]:
        return registry.get(name)

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _BY_NAME[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} describes no folder") from None


def _written(*what: object) -> bytes:
    stream = io.BytesIO()
    _Writer(stream, pickle.HIGHEST_PROTOCOL).dump(what)
    return stream.getvalue()


def _is_sealed(found: Found, recognised: Recognised) -> bool:
    """Whether the seal of the folder is about all that was looked at."""
    return found.home is None and found.source is None and not recognised.choice.match.beside


class _Ear(logging.Handler):
    """Hears whether anything was logged."""

    heard = False

    def emit(self, record: logging.LogRecord) -> None:
        self.heard = True


def _write_down(folders: Sequence[Found], recognise: Callable[[Found], Recognised], descriptor: int) -> None:
    """The fork's part."""
    tie_to_parent()
    shut()  # models' code is not to look in, nor to write there: it may run as the same user
    ear = _Ear()
    logging.root.addHandler(ear)
    logging.getLogger("kserve").addHandler(ear)
    size = 0
    with open(descriptor, "wb", buffering=0) as stream:
        for each in folders:
            ear.heard = False
            try:
                found = look_again(each)
                seal = Seal.of(found.directory)
                recognised = recognise(found)
            except Exception:  # whoever loads it will tell
                continue
            if found.problem or ear.heard or not _is_sealed(found, recognised):
                continue
            told = _written(_lean(found), replace(seal, directory=seal.directory.kept()), _lean_of(recognised))
            size += len(told)
            if size > _MOST:
                return
            stream.write(_LENGTH.pack(len(told)) + told)


def _lean(found: Found) -> Found:
    return replace(found, directory=found.directory.kept())


def _lean_of(recognised: Recognised) -> Recognised:
    """Without what was read of the files."""
    choice = recognised.choice
    chosen = replace(choice, directory=choice.directory.kept()) if choice.directory is not None else choice
    return recognised._replace(directory=recognised.directory.kept(), choice=chosen)
