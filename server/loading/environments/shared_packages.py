"""The server's own packages, as far as they may be shared with a model's environment.

An environment sees them behind its own: a folder of links to what its requirements neither bring nor contradict.
While the requirements are being resolved, receipts (a distribution's metadata without its files) make the installer
take the server's packages for installed: what fits is shared instead of downloaded, what does not is replaced.
"""

from __future__ import annotations

import email
import importlib.metadata
import json
import shutil
import site
import stat
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from functools import cache, cached_property
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from adapters.base import LoadError
from server.text import printable, size

#: of a distribution's folder, or file, what is read; and how long it may be
_DESCRIBED, _READ, _LONGEST = (".dist-info", ".egg-info"), ("METADATA", "PKG-INFO", "INSTALLER"), 4 * 2**20
_RECEIPT = "polyserve"  #: the installer that receipts name
_NEVER = frozenset({"polyserve-runtime", "polyserve"})  #: the model's code does not see our packages
_ALWAYS = "kserve"  #: what custom models are built on: it and what it needs are shared, whatever versions they ask for
_DEPTH = 3  #: of folders that several distributions share: google/cloud/storage


@dataclass(frozen=True)
class Distribution:
    """An installed distribution of the server's environment."""

    name: str  #: canonical
    version: str
    metadata: str
    requires: tuple[Requirement, ...]  #: those that hold here, extras left out
    paths: frozenset[str]  #: what it owns in its site-packages, `_DEPTH` levels deep


class Base:
    """The site-packages of an interpreter, and what is installed there; the first on the path counts."""

    def __init__(self, sites: Iterable[Path]) -> None:
        self.sites = tuple(sites)

    @classmethod
    @cache
    def here(cls) -> Base:
        """The running interpreter's, looked at once."""
        known = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()]
        if site.ENABLE_USER_SITE:
            known.append(site.getusersitepackages())
        on_path = dict.fromkeys(entry for entry in sys.path if entry in known)
        return cls(Path(entry) for entry in on_path)

    @cached_property
    def versions(self) -> Mapping[str, str]:
        """What may be shared: canonical name -> version. Editable installs may not: their code is elsewhere."""
        return {name: each.version for name, each in self._found.items() if each.shared}

    @cached_property
    def distributions(self) -> Mapping[str, Distribution]:
        """The same with all that is known of them (takes some tenths of a second)."""
        return {name: each.distribution() for name, each in self._found.items() if each.shared}

    @cached_property
    def _found(self) -> Mapping[str, _Found]:
        found: dict[str, _Found] = {}
        for each in importlib.metadata.distributions(path=[str(path) for path in self.sites]):
            text = each.read_text("METADATA") or each.read_text("PKG-INFO") or ""
            headers = email.message_from_string(text.partition("\n\n")[0])  # what follows is a long description
            if headers["Name"] and headers["Version"]:  # a broken leftover has neither
                name = canonicalize_name(headers["Name"])
                found.setdefault(name, _Found(name, headers["Version"], headers, each))
        return found

    def write_receipts(self, packages: Path) -> None:
        """Make an installer take all that may be shared for installed in `packages`."""
        for each in self.distributions.values():
            folder = packages / f"{each.name.replace('-', '_')}-{each.version}.dist-info"
            folder.mkdir()
            (folder / "METADATA").write_text(each.metadata, encoding="utf-8")
            (folder / "INSTALLER").write_text(_RECEIPT, encoding="ascii")
            names = ("METADATA", "INSTALLER", "RECORD")
            (folder / "RECORD").write_text("".join(f"{folder.name}/{name},,\n" for name in names), encoding="utf-8")

    def hidden(self, installed: Mapping[str, str]) -> dict[str, str]:
        """What must not be shared with an environment, since it needs other versions than are there: name -> why.

        `installed` are the environment's own distributions: canonical name -> version.
        """
        hidden: dict[str, str] = {}
        candidates = self.distributions.keys() - installed.keys() - self._needed_by(_ALWAYS)
        while found := {
            name: why
            for name in candidates - hidden.keys()
            if (why := self._contradiction(self.distributions[name], installed, hidden))
        }:
            hidden.update(found)
        return hidden

    def _contradiction(self, each: Distribution, installed: Mapping[str, str], hidden: Mapping[str, str]) -> str:
        for requirement in each.requires:
            name = canonicalize_name(requirement.name)
            ours = self.versions.get(name)
            if ours is None or not requirement.specifier.contains(ours, prereleases=True):
                continue  # not even the server's own environment has it
            if name in hidden:
                return f"needs {name}"
            if name in installed and not requirement.specifier.contains(installed[name], prereleases=True):
                return f"needs {name}{requirement.specifier}"
        return ""

    def _needed_by(self, name: str) -> set[str]:
        found: set[str] = set()
        waiting = [name]
        while waiting:
            name = waiting.pop()
            if name not in found and name in self.distributions:
                found.add(name)
                waiting += [canonicalize_name(each.name) for each in self.distributions[name].requires]
        return found

    def link(self, target: Path, without: Iterable[str]) -> list[Path]:
        """Fill folders under `target`, one for each site-packages, with links to all but the distributions `without`.

        Startup files (.pth) are left out: they would put other folders on the path.
        """
        gone = {path for name in without if name in self.distributions for path in self.distributions[name].paths}
        gone |= {path for each in self._found.values() if not each.shared for path in _paths(each.files)}
        kept = {path for name, each in self.distributions.items() if name not in set(without) for path in each.paths}
        folders = [target / str(number) for number in range(len(self.sites))]
        for source, folder in zip(self.sites, folders, strict=True):
            if source.is_dir():
                _link(source, folder, "", gone, kept)
        return folders


@dataclass(frozen=True)
class _Found:
    """An installed distribution, looked at no closer than its metadata's headers."""

    name: str
    version: str
    headers: Message
    files: importlib.metadata.Distribution

    @cached_property
    def shared(self) -> bool:
        return self.name not in _NEVER and not _is_editable(self.files)

    def distribution(self) -> Distribution:
        requires = self.headers.get_all("Requires-Dist") or self.files.requires or ()
        paths = frozenset(_paths(self.files))
        return Distribution(self.name, self.version, self.headers.as_string(), tuple(_requirements(requires)), paths)


def check_installed(packages: Path) -> None:
    """What the server reads of what was installed is short: packages that are built may leave anything there.

    Raises:
        LoadError: it is not.
    """
    for folder in packages.iterdir():
        if not folder.name.lower().endswith(_DESCRIBED):
            continue
        for file in (folder, *(folder.iterdir() if folder.is_dir() else ())):
            status = file.stat() if file.exists() else file.lstat()
            if stat.S_ISREG(status.st_mode):
                if status.st_size > _LONGEST and (file == folder or file.name in _READ):
                    raise LoadError(f"its requirements left {_shown(file)}, which is longer than {size(_LONGEST)}")
            elif not stat.S_ISDIR(status.st_mode):
                raise LoadError(f"its requirements left {_shown(file)}, which is neither a file nor a folder")


def _shown(file: Path) -> str:
    return printable("/".join(file.parts[-2:]))


def remove_receipts(packages: Path) -> None:
    """Remove the receipts that the installer let stand."""
    for file in list(packages.glob("*.dist-info/INSTALLER")):
        if file.read_text(encoding="utf-8", errors="replace").strip() == _RECEIPT:
            shutil.rmtree(file.parent)


def _link(source: Path, target: Path, prefix: str, gone: set[str], kept: set[str]) -> None:
    target.mkdir(parents=True)
    for entry in source.iterdir():
        path = f"{prefix}{entry.name}"
        if entry.name == "__pycache__" or entry.suffix in (".pth", ".egg-link"):
            continue
        if path not in gone:
            (target / entry.name).symlink_to(entry)
        elif path in kept and entry.is_dir() and path.count("/") < _DEPTH - 1:
            _link(entry, target / entry.name, f"{path}/", gone, kept)
        elif path in kept:
            (target / entry.name).symlink_to(entry)


def _requirements(lines: Iterable[str]) -> Iterator[Requirement]:
    """Those that hold here, extras left out."""
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:  # of an old package: it tells nothing
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement


def _paths(each: importlib.metadata.Distribution) -> Iterator[str]:
    record = each.read_text("RECORD")
    if record is None:  # an egg, or a system's own package: its modules by their names
        for top in (each.read_text("top_level.txt") or each.metadata["Name"]).split():
            yield from (top, f"{top}.py")
        return
    tops = {"/".join(line.partition(",")[0].strip('"').split("/", _DEPTH)[:_DEPTH]) for line in record.splitlines()}
    for path in tops:
        parts = path.split("/")
        if parts[0] != "..":
            yield from ("/".join(parts[:size]) for size in range(1, len(parts) + 1))


def _is_editable(each: importlib.metadata.Distribution) -> bool:
    try:
        origin = json.loads(each.read_text("direct_url.json") or "{}")
    except ValueError:
        return False
    return bool(isinstance(origin, dict) and origin.get("dir_info", {}).get("editable"))
