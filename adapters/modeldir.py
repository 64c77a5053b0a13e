"""A model's directory as adapters see it: names, sizes and leading bytes, never beyond the mount."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from adapters.real_path import leads_into


def inside(path: Path, root: Path) -> bool:
    """Whether the path, its links followed, lies in `root`."""
    try:
        return leads_into(path, root)
    except (OSError, ValueError):  # a link that leads to itself
        return False


_CHUNK = 2**20
_LISTED = ("files", "_names", "_is_inside")  #: what a `ModelDir` keeps of a listing that takes little room
_HEAD = 4096  #: leading bytes of a file that are read at once: a dozen adapters ask for some of them
#: Unicode categories that no name of a file may hold: control characters, line ends, halves of characters
_UNFIT = ("Cc", "Cs", "Zl", "Zp")
#: characters that turn the order of what follows round, so that it reads as another name
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def legible(name: str) -> str:
    """The name as JSON and one line of a log can carry it; what they cannot is spelt out."""
    if name.isprintable():
        return name
    return "".join(ascii(each)[1:-1] if _is_unfit(each) else each for each in name)


def _is_unfit(character: str) -> bool:
    return unicodedata.category(character) in _UNFIT or character in _TURNING


@dataclass(frozen=True)
class ModelDir:
    """The files directly inside one model's directory.

    Hidden names (`.git`, Kubernetes' `..data`) are skipped, and files whose names could forge a line of the log;
    symlinks are followed while they stay inside `root` (the mount: Kubernetes mounts files as links through `..data`),
    and are never followed out of it.
    """

    path: Path
    root: Path
    trusted: bool = False  #: polyserve.yaml says `trust: full`, and the server lets it: a pickle may name anything
    name: str = ""  #: what the model is served under, once that is known
    alone: tuple[str, ...] = ()  #: nothing else of the folder is looked at (`only`)
    #: what another process found out when it loaded these very files (`Adapter.evidence`)
    evidence: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, path: Path | str, root: Path | str | None = None) -> ModelDir:
        path = Path(path)
        return cls(path, Path(root) if root is not None else path)

    def kept(self, **changes: Any) -> ModelDir:
        """The folder with other fields (not those that say where and which), its files as they were listed here."""
        other = replace(self, **changes)
        other.__dict__.update({name: self.__dict__[name] for name in _LISTED if name in self.__dict__})
        return other

    @cached_property
    def _entries(self) -> dict[str, Path]:
        entries = {entry.name: entry for entry in sorted(self.path.iterdir()) if not entry.name.startswith(".")}
        return {name: entries[name] for name in self.alone if name in entries} if self.alone else entries

    @cached_property
    def _is_inside(self) -> bool:
        return inside(self.path, self.root)

    def _inside(self, path: Path) -> bool:
        """Of an entry: only links can lead elsewhere than their folder, and following every path is slow."""
        return inside(path, self.root) if os.path.islink(path) else self._is_inside  # noqa: PTH114  (that one may raise)

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Names of the regular files, sorted."""
        files = (name for name, path in self._entries.items() if self._inside(path) and path.is_file())
        return tuple(name for name in files if name == legible(name))

    @cached_property
    def _names(self) -> frozenset[str]:
        """Of the files: each of many is asked for by its name."""
        return frozenset(self.files)

    @cached_property
    def dirs(self) -> tuple[str, ...]:
        """Names of the subdirectories, sorted."""
        return tuple(name for name, path in self._entries.items() if self._inside(path) and path.is_dir())

    @cached_property
    def outside(self) -> tuple[str, ...]:
        """Names of links that lead out of the mount (or nowhere), which are not followed."""
        return tuple(name for name, path in self._entries.items() if not self._inside(path) or not path.exists())

    @cached_property
    def unfit(self) -> tuple[str, ...]:
        """Names (legible) of what is neither a file nor a folder, and of files whose own names are not legible."""
        known = {*self.files, *self.dirs, *self.outside}
        return tuple(legible(name) for name in self._entries if name not in known)

    def has(self, *names: str) -> bool:
        """Whether all these files lie directly inside."""
        return self._names.issuperset(names)

    def lacks(self, name: str) -> bool:
        """Whether there is nothing of that name directly inside, for sure. The folder is not listed for that.

        Raises:
            OSError: nobody can say.
        """
        try:
            os.lstat(self.path / name)
        except FileNotFoundError:
            os.stat(self.path)  # noqa: PTH116  (the folder itself is there)
            return True
        return False

    def named(self, *suffixes: str) -> tuple[str, ...]:
        """The files whose names end with one of the suffixes (lower-case), sorted."""
        return tuple(name for name in self.files if name.lower().endswith(suffixes))

    def file(self, name: str) -> Path:
        """The path of a file directly inside.

        Raises:
            FileNotFoundError: there is no such file, or it lies outside the mount.
        """
        if name not in self._names:
            raise FileNotFoundError(f"{name} is not a file of {self.path.name}")
        return self.path / name

    def folder(self, path: str) -> ModelDir:
        """A folder below, by its relative path ("" is this one).

        Raises:
            FileNotFoundError: there is no such folder, or it lies outside the mount.
        """
        found = self
        for name in path.split("/") if path else ():
            if name not in found.dirs:
                raise FileNotFoundError(f"{path} is not a folder of {self.path.name}")
            found = replace(found, path=found.path / name, alone=())
        return found

    def only(self, *names: str) -> ModelDir:
        """The folder as it would be if it held nothing but these files: what would be made of them?"""
        return replace(self, alone=tuple(sorted(names)))

    @cached_property
    def _heads(self) -> dict[str, bytes]:
        """Leading bytes of files that were asked for."""
        return {}

    def head(self, name: str, size: int = _HEAD) -> bytes:
        """The leading bytes of a file, as they were when they were asked for first."""
        if size > _HEAD:
            return self._read(name, size)
        if name not in self._heads:
            self._heads[name] = self._read(name, _HEAD)
        return self._heads[name][:size]

    def _read(self, name: str, size: int) -> bytes:
        with open(self.file(name), "rb", opener=_open_at_once) as stream:
            parts = []
            while size and (part := stream.read(min(size, _CHUNK))):  # at once, memory for `size` would be taken
                parts.append(part)
                size -= len(part)
            return b"".join(parts)


def _open_at_once(path: str, flags: int) -> int:
    """A file may have become a pipe since it was listed; opening that would wait for ever."""
    return os.open(path, flags | os.O_NONBLOCK)
