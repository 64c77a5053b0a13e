"""Which models a directory holds: one model (its files directly inside), or a folder of models; and their versions.

Imports neither KServe nor a framework, so that the first scan runs while they are still being imported.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.base import LoadError, ModelDir
from adapters.modeldir import inside, legible
from server.config import version_policy
from server.config.model_config import FILE as CONFIG
from server.config.model_config import ModelConfig
from server.config.near_folder import near_folder
from server.config.settings import COMMAND
from server.config.shadow_config import ShadowConfig
from server.config.version_policy import VersionPolicy
from server.loading import lookout
from server.loading.files import is_crowded, is_crowded_inside, too_many
from server.loading.layout import Layout, Mounted, decide, holds_model, holds_versions
from server.loading.storage.source import Source

#: the name of a single model when `--model_name` gives none (KServe's default)
DEFAULT_NAME = "model"

#: folders of a mount that are looked at, unless the server is told otherwise
MOST_MODELS = 10_000

#: versions whose own settings are looked at for one that runs beside the others
_MOST_SHADOWS = 100

#: the file that makes a folder a model of the user's own code, whatever else it holds
CODE = "model.py"

_BESIDE_VERSIONS = (
    "the models directory is one model with versions (folders named by numbers): put them into a folder of their own, "
    "or restart the server, for which each folder is a model then"
)

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
    shadow: ShadowConfig | None = None  #: it runs beside the version that serves, and answers nobody

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
    mounted: Mounted | None = None  #: what the mount is; None: there is nothing in it, or it was not looked at


def scan(
    root: Path,
    model_name: str | None = None,
    signed: bool = False,
    most: int = MOST_MODELS,
    before: Mounted | None = None,
) -> Catalog:
    """Look at the mount. Names are the folders' names; a single model's is `model_name`.

    `signed`: signatures are asked for, so that no file is looked into here; a signed mount is one model. `most` folders
    are looked at, those of the last look (`before`) first.

    Folders that hang are left out of the look (`lookout`), and have that as their problem.

    Raises:
        NoModelDir: it is absent, no directory, or unreadable.
        NoAnswer: something of it hangs, and what it is cannot be told without that.
    """
    top = ModelDir.of(_checked(root))
    names, left_out = folder_names(top.path, most, before.folders if before else ())
    if hanging := lookout.left_out():
        top = _without(top, hanging)
    folders = [_folder(top, name) for name in names]
    whole = [found.directory for found in folders if not found.problem]
    layout = decide(top, whole, signed=signed, before=before)
    if hanging and layout is not Layout.MANY:
        raise lookout.NoAnswer(f"{', '.join(sorted(hanging))} in {top.path}: {lookout.HANGS}")
    mounted = Mounted(layout, frozenset(names))
    if layout is Layout.ONE:
        found = Found(model_name or DEFAULT_NAME, top, too_many() if is_crowded(top) else "")
        return Catalog((found,), single=True, notes=_notes_on_one(top, whole, signed), mounted=mounted)
    notes = _notes(top, folders, model_name if layout is Layout.MANY else None, left_out, most)
    if layout is Layout.VERSIONS:
        versions = versions_of(top, model_name or DEFAULT_NAME)
        strangers = _beside_versions(top, folders, signed)
        mounted = Mounted(layout, frozenset(version_policy.numbered(top).values()))
        return Catalog((*versions, *strangers), single=not strangers, notes=notes if strangers else (), mounted=mounted)
    expanded = tuple(each for folder in folders for each in _expanded(folder, signed))
    return Catalog(expanded, single=False, notes=notes, mounted=mounted if folders else None)


def folder_names(root: Path, most: int, known: Collection[str] = ()) -> tuple[list[str], int]:
    """The names of the folders inside, links to folders included, sorted; and how many there are beyond `most`.

    Where there are too many, those that are `known` come first: whoever adds folders takes nobody's place.

    Raises:
        OSError: it cannot be listed.
    """
    with os.scandir(root) as listed:
        names = [entry.name for entry in listed if _may_be_model(entry)]
    lookout.at(str(root))
    if len(names) > most:
        names = sorted(names, key=lambda name: (name not in known, name))
    return sorted(names[:most]), max(0, len(names) - most)


def _may_be_model(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(".") or entry.name in _NOT_MODELS:
        return False
    if not lookout.at(entry.path):
        return True
    try:
        if not entry.is_dir():
            return False
        entry.stat()  # a folder's own entry says what it is; something that is mounted there may hang
        return True
    except OSError:  # a link to itself, or not ours to ask
        return entry.is_dir(follow_symlinks=False)


def _folder(top: ModelDir, name: str) -> Found:
    path = top.path / name
    problem = _problem(path, top.path) if lookout.at(str(path)) else lookout.HANGS
    return Found(legible(name), ModelDir.of(path, top.path), problem)


def _without(top: ModelDir, hanging: Collection[str]) -> ModelDir:
    """The mount, as it would be without those."""
    with os.scandir(top.path) as listed:
        return top.only(*(entry.name for entry in listed if entry.name not in hanging))


def _beside_versions(top: ModelDir, folders: list[Found], signed: bool) -> tuple[Found, ...]:
    """Models that came beside a model's versions, which they do not put an end to."""
    numbered = set(version_policy.numbered(top).values())
    named = [each for each in folders if each.directory.path.name not in numbered and not each.problem]
    return tuple(replace(each, problem=_BESIDE_VERSIONS) for each in named if holds_model(each.directory, signed))


def _expanded(folder: Found, signed: bool) -> tuple[Found, ...]:
    """The versions that a model's folder holds, or itself."""
    if folder.problem or not holds_versions(folder.directory, signed):
        return (folder,)
    return versions_of(folder.directory, folder.name)


def _checked(root: Path) -> Path:
    try:
        if not root.exists():
            near = near_folder(root)
            meant = f"did you mean {near}?" if near else "mount it,"
            way_out = f"{meant} or name another with --model_dir ({COMMAND} serve DIR)"
            raise NoModelDir(f"the models directory {root} does not exist: {way_out}")
        if not root.is_dir():
            raise NoModelDir(f"{root} is a file: --model_dir takes the directory that holds it")
        is_crowded_inside(root)  # which is to be readable
        return Path(os.path.abspath(root))  # noqa: PTH100  (its own name: a link to it may change, or be no text)
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
    if found.problem == lookout.HANGS:  # it is not to be asked again by everybody
        return found
    if found.home == path:  # none of its versions could be chosen: the next scan chooses anew
        return found
    return replace(found, directory=ModelDir.of(path, root), problem=_problem(path, root))


def _problem(path: Path, root: Path) -> str:
    if path != root and legible(path.name) != path.name:
        return "the folder's name is not UTF-8, or holds control characters: rename it"
    if not inside(path, root):
        return "the link leads out of the models directory and is not followed"
    try:
        return too_many() if is_crowded_inside(path) else ""
    except OSError as error:
        return f"the directory cannot be read: {error.strerror}"


def versions_of(directory: ModelDir, name: str) -> tuple[Found, ...]:
    """The versions that should be served, oldest first, by the policy in the folder's `polyserve.yaml`."""
    try:
        policy = ModelConfig.read(directory.path, directory.root).versions
        chosen = _chosen(directory, policy)
    except LoadError as error:
        return (Found(name, directory, str(error), home=directory.path),)
    return _versions(directory, name, chosen)


def _chosen(directory: ModelDir, policy: VersionPolicy) -> dict[str, str]:
    """Version -> folder: those of the policy, and the newest shadow beside them, if it is newer than they are."""
    present = version_policy.numbered(directory)
    newest_first = sorted(present, reverse=True)[:_MOST_SHADOWS]
    shadows = {number for number in newest_first if _shadow(directory.path / present[number], directory.root)}
    if len(shadows) == _MOST_SHADOWS < len(present):
        raise LoadError(f"its newest {_MOST_SHADOWS} versions all say shadow: true: leave one that shall run beside")
    if policy.numbers or not shadows or shadows == present.keys():
        return policy.choose(present)
    chosen = policy.choose({number: folder for number, folder in present.items() if number not in shadows})
    newest = max(shadows)
    return chosen | ({str(newest): present[newest]} if newest > max(map(int, chosen)) else {})


def _shadow(path: Path, root: Path) -> ShadowConfig | None:
    """What a version's own file says; a mistake in it is told when the version is loaded."""
    if not (path / CONFIG).exists():
        return None
    try:
        return ModelConfig.read(path, root).shadow
    except (LoadError, OSError):
        return None


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
        Found(
            *(name, ModelDir.of(path / folder, root), _problem(path / folder, root)),
            version=version,
            home=path,
            shadow=_shadow(path / folder, root),
        )
        for version, folder in folders.items()
    )


def _notes(top: ModelDir, folders: list[Found], model_name: str | None, left_out: int, most: int) -> tuple[str, ...]:
    notes = []
    if not folders:
        notes.append(f"{top.path} is empty: put each model into a folder of its own, or one model's files inside it")
    if left_out:
        notes.append(f"{top.path} holds more than {most} folders (--max_models): {left_out} of them are not served")
    if folders and is_crowded(top):
        notes.append(f"{top.path} holds many files beside the models' folders, which are not served")
    elif folders:
        served = {found.directory.path.name for found in folders}
        strays = [name for name in (*top.files, *top.outside) if name not in served]
        broken = [name for name in strays if (top.path / name).is_symlink() and not os.access(top.path / name, os.F_OK)]
        files = [name for name in strays if name not in broken]
        notes += [f"files beside the models' folders are not served: {', '.join(files[:5])}"] if files else []
        notes += [f"links lead to nothing, and are not served: {', '.join(broken[:5])}"] if broken else []
    if model_name and folders:
        notes.append(f"--model_name={model_name} is not used: {top.path} holds a folder for each model")
    return tuple(notes)


def _notes_on_one(top: ModelDir, folders: list[ModelDir], signed: bool) -> tuple[str, ...]:
    """Models in the folders of one that fills the mount are its own, or came by mistake."""
    if is_crowded(top) or signed or top.has(CODE) is False:
        return ()
    named = [each.path.name for each in folders if holds_model(each)]
    if not named:
        return ()
    listed = ", ".join(named[:5])
    return (f"{top.path} is one model, for {CODE} lies in it; its folders are no models of their own: {listed}",)
