"""How much memory there is: the container's limit, or the machine's.

A share of it is what `--memory_budget=60%` means. Control groups nest: the tightest limit on the way to the root holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from server.config.flags import types
from server.config.flags.types import Kind

_CGROUPS = "sys/fs/cgroup"
_LEAST = 1000  #: bytes that somebody may mean who names no unit


@dataclass(frozen=True)
class Amount:
    """Bytes, or a share (above 0, at most 1) of the memory there is."""

    memory: int = 0
    share: float = 0.0

    def resolve(self) -> int:
        """The amount in bytes."""
        return self.memory or int(self.share * memory_limit())

    def __str__(self) -> str:
        return types.size().show(self.memory) if self.memory else f"{100 * self.share:g}%"


def amount() -> Kind[Amount]:
    """A setting: 8GiB, or 60% of the memory there is."""
    size = types.size()

    def read(text: str) -> Amount:
        if not text.rstrip().endswith("%"):
            try:
                memory = size.read(text)
            except ValueError as error:
                raise ValueError(f"{error}, or a share of the container's memory, such as 60%") from None
            if memory < _LEAST and text.strip().isdecimal():
                raise ValueError(f"is {memory} bytes: write a unit, as in {text.strip()}GiB")
            return Amount(memory=memory)
        try:
            percent = float(text.rstrip()[:-1])
        except ValueError:
            percent = 0.0
        if not 0 < percent <= 100:
            raise ValueError("must be above 0% and at most 100% of the container's memory")
        return Amount(share=percent / 100)

    return Kind(read, "SIZE|PERCENT%")


def memory_limit(root: Path = Path("/")) -> int:
    """The memory in bytes that this process and its children may use together."""
    return min([_machine(root), *_limits(root)])


def _machine(root: Path) -> int:
    for line in (root / "proc/meminfo").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemTotal":
            return int(rest.split()[0]) * 1024
    raise OSError(f"{root / 'proc/meminfo'} does not tell the machine's memory")


def _limits(root: Path) -> Iterator[int]:
    """The limits of this process's control groups, of version 2 and version 1."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield from _upwards(root / _CGROUPS, path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _upwards(root / _CGROUPS / "memory", path, "memory.limit_in_bytes")


def _upwards(top: Path, path: str, file: str) -> Iterator[int]:
    """A container often sees its own group as the top one, whatever its path is outside: absent groups are skipped."""
    inner = PurePosixPath(path.lstrip("/"))
    for group in dict.fromkeys((inner, *inner.parents, PurePosixPath())):
        if ".." not in group.parts and (text := _text(top / group / file).strip()).isdecimal():
            yield int(text)


def _text(path: Path) -> str:
    """What a file holds, or nothing where the kernel does not show it."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
