"""Other processes, seen from a test. One may end between being listed and being asked: it then counts as gone."""

from __future__ import annotations

import contextlib

import psutil


def descendants(pid: int | None = None) -> list[psutil.Process]:
    """The children of a process (of this one), theirs, and so on, that have not ended."""
    try:
        return [child for child in psutil.Process(pid).children(recursive=True) if alive(child)]
    except psutil.NoSuchProcess:
        return []


def alive(process: psutil.Process) -> bool:
    """Also not a zombie, which has ended and whose parent has not looked."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def command(process: psutil.Process) -> list[str]:
    """Its command line; none of one that has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return list(process.cmdline())
    return []


def resident(pid: int, without: str = "") -> int:
    """Bytes that a process and its descendants take; not those whose command line holds the word `without`."""
    total = psutil.Process(pid).memory_info().rss
    for child in descendants(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            if not without or without not in child.cmdline():
                total += child.memory_info().rss
    return int(total)
