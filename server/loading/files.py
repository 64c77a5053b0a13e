"""All files below a model's folder, and what must not be among them: links out of the mount, pipes, devices.

Adapters look at the files directly inside a folder (`ModelDir`); a framework that loads a whole folder opens what it
finds there. Opening a pipe would wait for ever, and a link could lead to any file of this machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from adapters.base import LoadError, ModelDir
from adapters.modeldir import inside
from server.config.flags.table import printable

__all__ = ["files", "refuse_strange_files"]

_MOST = 200_000  #: entries of one model's folder; the largest real ones have some thousand
_DEEPEST = 64  #: folders within folders; a link to a folder above itself never ends


def files(directory: ModelDir, *, hidden: bool) -> Iterator[str]:
    """The paths of all files below, relative to the folder, in order; links are followed inside the mount.

    What Kubernetes keeps beside the links that it mounts (`..data`) is left out; other hidden names only if not
    `hidden`.

    Raises:
        LoadError: a link leads out of the mount, or something is neither a file nor a folder.
    """
    for count, relative in enumerate(_below(directory, Path(), hidden)):
        if count >= _MOST:
            raise LoadError(f"the folder holds more than {_MOST} files, as no model does")
        yield relative


def refuse_strange_files(directory: ModelDir) -> None:
    """Refuse a folder that a framework could not read as a whole without leaving it, or without waiting.

    Raises:
        LoadError: naming the file.
    """
    for _ in files(directory, hidden=False):
        pass


def _below(directory: ModelDir, folder: Path, hidden: bool) -> Iterator[str]:
    if len(folder.parts) > _DEEPEST:
        raise LoadError(f"{printable(str(folder))} lies in more than {_DEEPEST} folders, or a link leads round in them")
    for name in sorted(entry.name for entry in (directory.path / folder).iterdir()):
        if name.startswith(".") and (not hidden or (name.startswith("..") and folder == Path())):
            continue
        relative = folder / name
        path = directory.path / relative
        if path.is_symlink() and not inside(path, directory.root):
            raise LoadError(f"{printable(str(relative))} leads out of the models directory and is not followed")
        if path.is_dir():
            yield from _below(directory, relative, hidden)
        elif path.is_file():
            yield str(relative)
        else:
            raise LoadError(f"{printable(str(relative))} is neither a file nor a folder, and is not opened")
