"""Folders that hold a model one level down: a hub's cache, a training run's checkpoints, an unpacked archive.

models--acme--bert/refs/main, snapshots/<commit>/, blobs/      huggingface_hub's cache; main names the commit
run/checkpoint-500/, checkpoint-1000/                          transformers' Trainer
"""

from __future__ import annotations

from adapters.modeldir import ModelDir

__all__ = ["candidates", "is_hub_cache"]

#: folders that are looked into; a model's folder holds few
_MOST = 50
_COMMIT = 256  #: bytes of the file that names one


def is_hub_cache(model_dir: ModelDir) -> bool:
    """Whether it is one repository of huggingface_hub's cache."""
    return {"refs", "snapshots"} <= set(model_dir.dirs) and set(model_dir.dirs) <= {"refs", "snapshots", "blobs"}


def candidates(model_dir: ModelDir) -> tuple[str, ...]:
    """The folders below, by relative path, that may be the model; numbers are versions, which are chosen elsewhere."""
    if is_hub_cache(model_dir):
        snapshots = model_dir.folder("snapshots")
        main = _main(model_dir.folder("refs"))
        names = (main,) if main in snapshots.dirs else snapshots.dirs
        return tuple(f"snapshots/{name}" for name in names[:_MOST])
    return tuple(name for name in model_dir.dirs if not name.isdecimal())[:_MOST]


def _main(refs: ModelDir) -> str:
    """The commit that the branch `main` is at, or ""."""
    try:
        return refs.head("main", _COMMIT).decode().strip() if refs.has("main") else ""
    except (OSError, UnicodeDecodeError):
        return ""
