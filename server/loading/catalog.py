"""Which models a directory holds: one model (its files directly inside), or a folder of models; and their versions.

Imports neither KServe nor a framework, so that the first scan runs while they are still being imported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from adapters import registry
from adapters.base import LoadError, Match, ModelDir
from adapters.formats import nested
from adapters.modeldir import inside, legible
from server.config import version_policy
from server.config.model_config import ModelConfig
from server.loading.signatures import SIGNATURE
from server.loading.storage.source import Source

#: the name of a single model when `--model_name` gives none (KServe's default)
DEFAULT_NAME = "model"

#: folders that file systems and tools leave behind
_NOT_MODELS = {"lost+found", "__pycache__"}


class NoModelDir(Exception):
    """The models directory itself cannot be read; the message says which and why."""


class NameTaken(NoModelDir):
    """Two models have one name; the message says which."""


@dataclass(frozen=True)
class Found:
    """A directory that should be served under a name; `problem` says why it cannot even be looked at."""

    name: str
    directory: ModelDir
    problem: str = ""
    source: Source | None = None  #: where it comes from, if it is not mounted: the directory is known after `fetch`
    version: str = ""  #: the number of the folder, where the model's folder holds versions
    home: Path | None = None  #: that model's folder

    @property
    def key(self) -> tuple[str, str]:
        """Name and version."""
        return self.name, self.version


@dataclass(frozen=True)
class Catalog:
    """The models found, and whether they are one model that fills the whole mount."""

    found: tuple[Found, ...]
    single: bool
    notes: tuple[str, ...] = ()  #: what the operator should know about the layout


def scan(root: Path, model_name: str | None = None, signed: bool = False) -> Catalog:
    """Look at the mount. Names are the folders' names; a single model's is `model_name`.

    `signed`: signatures are asked for, so that no file is looked into here; a signed mount is one model.

    Raises:
        NoModelDir: it is absent, no directory, or unreadable.
    """
    top = ModelDir.of(_checked(root))
    if holds_versions(top, signed):
        return Catalog(versions_of(top, model_name or DEFAULT_NAME), single=True)
    folders = _folders(top)
    if _is_signed_single(top, folders) if signed else _is_single(top, folders):
        return Catalog((Found(model_name or DEFAULT_NAME, top),), single=True)
    found = tuple(each for folder in folders for each in _expanded(folder, signed))
    return Catalog(found, single=False, notes=tuple(_notes(top, folders, model_name)))


def _expanded(folder: Found, signed: bool) -> tuple[Found, ...]:
    """The versions that a model's folder holds, or itself."""
    if folder.problem or not holds_versions(folder.directory, signed):
        return (folder,)
    return versions_of(folder.directory, folder.name)


def _checked(root: Path) -> Path:
    try:
        if not root.exists():
            raise NoModelDir(f"the models directory {root} does not exist: mount it, or name another with --model_dir")
        if not root.is_dir():
            raise NoModelDir(f"{root} is a file: --model_dir takes the directory that holds it")
        _look_into(root)
        return root.resolve()
    except OSError as error:
        raise NoModelDir(f"the models directory {root} cannot be read: {error.strerror}") from error


def look_again(found: Found) -> Found:
    """The folder as it is now: files may have come and gone, and a problem with them.

    Raises:
        LoadError: it comes from a store, which does not give it.
    """
    if found.source is not None:
        folder = found.source.fetch()
        return replace(found, directory=ModelDir.of(folder), problem=_problem(folder, folder))
    path, root = found.directory.path, found.directory.root
    if found.home == path:  # none of its versions could be chosen: the next scan chooses anew
        return found
    return replace(found, directory=ModelDir.of(path, root), problem=_problem(path, root))


def _folders(top: ModelDir) -> list[Found]:
    """Every folder, links to folders included. Links that lead nowhere, or to files outside, are `top.outside`."""
    linked = [name for name in top.outside if os.path.isdir(top.path / name)]  # noqa: PTH112  Path.is_dir may raise
    paths = [top.path / name for name in sorted([*top.dirs, *linked]) if name not in _NOT_MODELS]
    return [Found(legible(path.name), ModelDir.of(path, top.path), _problem(path, top.path)) for path in paths]


def _problem(path: Path, root: Path) -> str:
    if path != root and legible(path.name) != path.name:
        return "the folder's name is not UTF-8, or holds control characters: rename it"
    if not inside(path, root):
        return "the link leads out of the models directory and is not followed"
    try:
        _look_into(path)
    except OSError as error:
        return f"the directory cannot be read: {error.strerror}"
    return ""


def _look_into(path: Path) -> None:
    """Raise OSError unless the directory may be listed, and what it holds looked at."""
    for entry in path.iterdir():
        entry.lstat()
        break


def holds_versions(directory: ModelDir, signed: bool = False) -> bool:
    """Whether it is a model's folder with versions: folders named by whole numbers, and no model beside them."""
    if not version_policy.numbered(directory):
        return False
    return directory.has(SIGNATURE) is False if signed else _claim(directory) is None


def versions_of(directory: ModelDir, name: str) -> tuple[Found, ...]:
    """The versions that should be served, oldest first, by the policy in the folder's `polyserve.yaml`."""
    try:
        policy = ModelConfig.read(directory.path, directory.root).versions
        chosen = policy.choose(version_policy.numbered(directory))
    except LoadError as error:
        return (Found(name, directory, str(error), home=directory.path),)
    return _versions(directory, name, chosen)


def older_versions(found: Found) -> tuple[Found, ...]:
    """Versions that serve when none of those that should be served can: the folder's older ones, newest first."""
    if found.home is None:
        return ()
    home = ModelDir.of(found.home, found.directory.root)
    try:
        policy = ModelConfig.read(home.path, home.root).versions
    except LoadError:  # nobody knows what the operator wants
        return ()
    return _versions(home, found.name, policy.spare(version_policy.numbered(home)))


def _versions(home: ModelDir, name: str, folders: Mapping[str, str]) -> tuple[Found, ...]:
    path, root = home.path, home.root
    return tuple(
        Found(name, ModelDir.of(path / folder, root), _problem(path / folder, root), version=version, home=path)
        for version, folder in folders.items()
    )


def _is_signed_single(top: ModelDir, folders: list[Found]) -> bool:
    return top.has(SIGNATURE) or (bool(top.files or top.outside) and not folders)


def _is_single(top: ModelDir, folders: list[Found]) -> bool:
    """A claim on the mount itself makes it one model, unless its folders are models of their own.

    A bundle (spaCy, transformers) owns its subfolders; a single file beside folders of models is a stray one.
    """
    if nested.is_hub_cache(top):
        return True
    claim = _claim(top)
    if claim is None:
        return bool(top.files or top.outside) and not folders
    return claim.is_bundle or not any(_claim(found.directory) for found in folders if not found.problem)


@dataclass(frozen=True)
class _Claim:
    is_bundle: bool


def _claim(directory: ModelDir) -> _Claim | None:
    matches: list[Match] = []
    for adapter in registry.adapters().values():
        try:
            match = adapter.match(directory)
        except Exception:  # loading asks again, and gives the directory its reason
            continue
        if match is not None:
            matches.append(match)
    return _Claim(any(not match.file for match in matches)) if matches else None


def _notes(top: ModelDir, folders: list[Found], model_name: str | None) -> list[str]:
    notes = []
    if not folders:
        notes.append(f"{top.path} is empty: put each model into a folder of its own, or one model's files inside it")
    served = {found.directory.path.name for found in folders}
    strays = [name for name in (*top.files, *top.outside) if name not in served]
    if strays and folders:
        notes.append(f"files beside the models' folders are not served: {', '.join(strays[:5])}")
    if model_name and folders:
        notes.append(f"--model_name={model_name} is not used: {top.path} holds a folder for each model")
    return notes
