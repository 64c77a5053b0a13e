"""Folders that hold a model one level down: a hub's cache, a training run's checkpoints, an unpacked archive.

models--acme--bert/refs/main, snapshots/<commit>/, blobs/      huggingface_hub's cache; main names the commit
run/checkpoint-500/, checkpoint-1000/                          transformers' Trainer
0/<run>/artifacts/model/MLmodel                                MLflow's store of runs: they are named, not served
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from adapters.modeldir import ModelDir

__all__ = ["candidates", "is_hub_cache", "kept_by_mlflow", "of_mlflow"]

#: folders that are looked into; a model's folder holds few
_MOST = 50
_COMMIT = 256  #: bytes of the file that names one
_DEEPEST, _LOOKED_AT = 5, 200  #: levels and folders of a store of MLflow's runs


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


def kept_by_mlflow(model_dir: ModelDir) -> str:
    """Why a store of MLflow's runs is no model, and where in it models are; "" of any other folder."""
    kept = of_mlflow(model_dir)
    told = f"it holds no model itself, but MLflow keeps some further down: {_named(kept)}; "
    return told + "name such a folder in --model_dir, or each by --model NAME=file://FOLDER" if kept else ""


def of_mlflow(model_dir: ModelDir) -> list[str]:
    """Folders further down that hold an `MLmodel`, by relative path: MLflow's runs keep them so."""
    found: list[str] = []
    level, looked_at = list(model_dir.dirs), 0
    for _ in range(_DEEPEST):
        below: list[str] = []
        for path in level[: _LOOKED_AT - looked_at]:
            looked_at += 1
            with contextlib.suppress(OSError):
                inner = model_dir.folder(path)
                if inner.has("MLmodel"):
                    found.append(path)
                else:
                    below += [f"{path}/{name}" for name in inner.dirs]
        level = below
    return found


def _main(refs: ModelDir) -> str:
    """The commit that the branch `main` is at, or ""."""
    try:
        return refs.head("main", _COMMIT).decode().strip() if refs.has("main") else ""
    except (OSError, UnicodeDecodeError):
        return ""


def _named(folders: Sequence[str], most: int = 5) -> str:
    return ", ".join(folders[:most]) + (f" and {len(folders) - most} more" if len(folders) > most else "")
