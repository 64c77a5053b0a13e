"""What a worker of one model is left: its folder to read, a place for files of its own, a user id of its own."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from adapters.base import LoadError, ModelDir
from adapters.modeldir import inside
from server.runtime.sandbox.sandbox import Confinement, Sandbox
from server.runtime.sandbox.users import closed_way, closed_within
from server.text import printable

log = logging.getLogger("kserve")

#: entries of a folder that are looked at; the server has refused larger ones before (`--max_model_files`)
_MOST = 1_000_000
#: files beside the folders of versions
_MOST_BESIDE = 100


def confine_to(sandbox: Sandbox, directory: ModelDir, python: Path = Path(sys.executable)) -> Confinement | None:
    """For one worker of this model.

    Raises:
        LoadError: its user could not read the model.
        OSError: it cannot be prepared.
    """
    own_user = sandbox.users is not None and _may_be_another(directory, python)
    if not sandbox.confines:
        return sandbox.confinement([], python=python, own_user=own_user)
    beside = list(_beside_versions(directory))
    readable = [directory.path, *_linked(directory), *beside]
    return sandbox.confinement(readable, listable={path.parent for path in beside}, python=python, own_user=own_user)


def _may_be_another(directory: ModelDir, python: Path) -> bool:
    """Whether another user than the server's can run this interpreter on this folder.

    What is in the way of all models is the operator's affair, and told; what a folder itself closes is refused, as
    whoever brought it would else choose the user that it runs as.
    """
    if closed := closed_way((python, directory.root)):
        log.warning(
            "model %s: its process runs as the server's own user, root: other users may not enter %s",
            directory.name,
            closed,
        )
        return False
    if closed := closed_within(_entries(directory.path, directory.root)):
        name = printable(os.path.relpath(closed, directory.path))
        raise LoadError(
            f"its process has a user id of its own, which may not read {name}: let all users read the model's files "
            "(chmod -R o+rX), or start the server with --worker_uids=none"
        )
    return True


def _linked(directory: ModelDir) -> Iterator[Path]:
    """What its folder's links lead to, as long as that is in the mount: it is elsewhere, and has to be named."""
    for entry in _entries(directory.path, directory.root):
        if os.path.islink(entry):  # noqa: PTH114  (a thousand paths take longer to make than to look at)
            yield Path(entry)


def _beside_versions(directory: ModelDir) -> Iterator[Path]:
    """Files beside the folder of a version (Triton's config.pbtxt and labels): they are the model's, too."""
    above = directory.path.parent
    if directory.path.name.isdecimal() and directory.path != directory.root != above:
        files = (entry for entry in sorted(above.iterdir()) if entry.is_file() and inside(entry, directory.root))
        yield from islice(files, _MOST_BESIDE)


def _entries(folder: Path, root: Path) -> Iterator[str]:
    """The folder, and all that is below it; links are followed within the mount."""
    yield str(folder)
    yield from islice(_below(str(folder), root, set()), _MOST)


def _below(folder: str, root: Path, seen: set[tuple[int, int]]) -> Iterator[str]:
    try:
        status = os.stat(folder)  # noqa: PTH116
        if (node := (status.st_dev, status.st_ino)) in seen:
            return
        seen.add(node)
        with os.scandir(folder) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError:  # whoever loads it will tell
        return
    for entry in entries:
        if entry.is_symlink() and not inside(Path(entry.path), root):
            continue
        yield entry.path
        if entry.is_dir():
            yield from _below(entry.path, root, seen)
