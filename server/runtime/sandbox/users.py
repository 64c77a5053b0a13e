"""User ids of their own for processes that run strangers' code, where the server is root; and what those may read."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

_SETGID, _SETUID = 6, 7  #: capabilities
_STATUS, _MAP = Path("/proc/self/status"), Path("/proc/self/uid_map")


class UserRange:
    """The ids from `first` to `last`; each is given to one process at a time. Thread-safe."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last
        self._taken: set[int] = set()
        self._next = first
        self._lock = threading.Lock()

    def __contains__(self, user: int) -> bool:
        return self.first <= user <= self.last

    def take(self) -> int:
        """An id that no process has.

        Raises:
            OSError: all are taken.
        """
        with self._lock:
            busy = self._taken | _users_of_processes()
            for offset in range(self.last - self.first + 1):
                user = self.first + (self._next - self.first + offset) % (self.last - self.first + 1)
                if user not in busy:
                    self._taken.add(user)
                    self._next = user + 1
                    return user
        raise OSError(f"all user ids from {self.first} to {self.last} are taken (--worker_uids)")

    def give_back(self, user: int) -> None:
        with self._lock:
            self._taken.discard(user)

    def problem(self) -> str:
        """Why the server cannot start processes of these users; "" where it can."""
        if os.geteuid() != 0:
            return "it is not root"
        held = int(next(line for line in _STATUS.read_text().splitlines() if line.startswith("CapEff")).split()[1], 16)
        if not (held >> _SETUID & 1 and held >> _SETGID & 1):
            return "it has no capability SETUID or SETGID"
        spans = [tuple(map(int, line.split())) for line in _MAP.read_text().splitlines()]
        if not any(start <= self.first and self.last < start + count for start, _, count in spans):
            return f"its user namespace has no users {self.first} to {self.last}"
        return ""


def closed_way(paths: Iterable[Path | str]) -> str:
    """The first folder on the way to one of these that other users may not pass; "" where they may pass all."""
    seen: set[Path] = set()
    for path in paths:
        way = Path(os.path.realpath(path))
        for folder in (*reversed(way.parents), way):
            if folder not in seen and not _open_to_all(folder):
                return str(folder)
            seen.add(folder)
    return ""


def closed_within(entries: Iterable[str]) -> str:
    """The first of these files and folders that other users may not read; "" where they may read all."""
    return next((entry for entry in entries if not _open_to_all(Path(entry), read=True)), "")


def _open_to_all(path: Path, *, read: bool = False) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return True  # whoever uses it will tell
    wanted = stat.S_IROTH if read or not stat.S_ISDIR(mode) else 0
    wanted |= stat.S_IXOTH if stat.S_ISDIR(mode) else 0
    return mode & wanted == wanted


def _users_of_processes() -> set[int]:
    return set(_owners())


def _owners() -> Iterator[int]:
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdecimal():
                try:
                    yield entry.stat().st_uid
                except OSError:  # it has ended
                    continue
