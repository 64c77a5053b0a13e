"""What a mount is: one model, one model's versions, or a folder of models.

By its files and folders, and by what it was when it was looked at before: what serves is never taken away by what
somebody puts beside it. So a mount stays what it is while something of what made it so is still there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from adapters import registry
from adapters.base import Match, ModelDir, Rank
from adapters.formats import nested
from server.config import version_policy
from server.loading import lookout
from server.loading.files import is_crowded
from server.loading.signatures import SIGNATURE

__all__ = ["Layout", "Mounted", "decide", "holds_model", "holds_versions"]


class Layout(Enum):
    """How the models lie in a mount."""

    ONE = "one model"  #: its files lie directly inside
    VERSIONS = "one model's versions"  #: folders named by whole numbers
    MANY = "a folder for each model"


@dataclass(frozen=True)
class Mounted:
    """What a mount was found to be, and the names of the folders that made it so."""

    layout: Layout
    folders: frozenset[str] = frozenset()

    def still(self, top: ModelDir, folders: Sequence[ModelDir], signed: bool) -> bool:
        """Whether something of it is there still."""
        if self.layout is Layout.ONE:
            return not is_crowded(top) and (top.has(SIGNATURE) if signed else _claim(top) is not None)
        return any(each.path.name in self.folders for each in folders)


def decide(top: ModelDir, folders: Sequence[ModelDir], *, signed: bool, before: Mounted | None) -> Layout:
    """What the mount is; `folders` are those inside that can be read.

    `signed`: signatures are asked for, so that no file is looked into here; a signed mount is one model.
    """
    if before is not None and before.still(top, folders, signed):
        return before.layout
    if is_crowded(top):
        return Layout.MANY if folders else Layout.ONE
    numbered = set(version_policy.numbered(top).values())
    named = [each for each in folders if each.path.name not in numbered]
    if numbered and not any(holds_model(each, signed) for each in named) and _only_strays(top, folders, signed):
        return Layout.VERSIONS
    single = _is_signed_single(top, folders) if signed else _is_single(top, folders)
    return Layout.ONE if single else Layout.MANY


def holds_versions(directory: ModelDir, signed: bool = False) -> bool:
    """Whether it is a model's folder with versions: folders named by whole numbers, and no model beside them."""
    lookout.at(str(directory.path))
    if is_crowded(directory) or not version_policy.numbered(directory):
        return False
    return directory.has(SIGNATURE) is False if signed else _claim(directory) is None


def holds_model(directory: ModelDir, signed: bool = False) -> bool:
    """Whether a folder is a model's: what it holds is claimed, or damaged, or versions."""
    lookout.at(str(directory.path))
    if is_crowded(directory):
        return False
    if version_policy.numbered(directory):
        return True
    return directory.has(SIGNATURE) if signed else _claim(directory, stumbling=True) is not None


def _only_strays(top: ModelDir, folders: Sequence[ModelDir], signed: bool) -> bool:
    """Whether the files beside numbered folders are no model, or a single file beside folders that are models."""
    if signed:
        return not top.has(SIGNATURE)
    claim = _claim(top)
    return claim is None or not (claim.is_bundle or not any(_claim(each) for each in folders))


def _is_signed_single(top: ModelDir, folders: Sequence[ModelDir]) -> bool:
    return top.has(SIGNATURE) or (bool(top.files or top.outside) and not folders)


def _is_single(top: ModelDir, folders: Sequence[ModelDir]) -> bool:
    """A claim on the mount itself makes it one model, unless its folders are models of their own.

    A bundle (spaCy, transformers) owns its subfolders; a single file beside folders of models is a stray one.
    """
    if nested.is_hub_cache(top):
        return True
    claim = _claim(top)
    if claim is None:
        return bool(top.files or top.outside) and not folders
    return claim.is_bundle or not any(_claim(each) for each in folders)


@dataclass(frozen=True)
class _Claim:
    is_bundle: bool


def _claim(directory: ModelDir, *, stumbling: bool = False) -> _Claim | None:
    """What adapters say of a folder; `stumbling`: one that fails at it has claimed it, too."""
    lookout.at(str(directory.path))
    matches: list[Match] = []
    for adapter in registry.adapters().values():
        try:
            match = adapter.match(directory)
        except Exception:  # loading asks again, and gives the directory its reason
            if stumbling:
                return _Claim(is_bundle=False)
            continue
        if match is not None:
            matches.append(match)
    return _Claim(any(map(_is_bundle, matches))) if matches else None


def _is_bundle(match: Match) -> bool:
    """Whether the claim is on the folder as a whole; two candidate files, or half of a bundle, are strays."""
    return match.rank >= Rank.BUNDLE and (not match.file or match.delegate is not None)
