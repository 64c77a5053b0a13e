"""A GGUF file as a transformers folder: read by transformers' own reader, kept as a converted copy.

    <$POLYSERVE_CONVERTED_DIR>/<content's hash>-<dtype>-<versions>/    config.json, model.safetensors, ...
                              /.partial-...                            one that is being made

Reading the file takes a minute for what its copy takes a second. Whoever has no such folder, or no room in it, loads
the file each time. Several servers may share it; a copy that nobody has used for `_KEPT` is removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.base import LoadError
from adapters.huggingface_.loading import check_loaded, from_folder, load_model, reason_of

logger = logging.getLogger(__name__)

#: where copies are kept; nowhere, if it is not set
FOLDER = "POLYSERVE_CONVERTED_DIR"

_KEPT = 30 * 86400.0  #: seconds
_LEFTOVER = 6 * 3600.0  #: seconds, after which a copy that is still being made was given up
_WHOLE = "converted.ok"  #: its last file
_CHUNK = 1 << 22
_ITEM = 4  #: bytes of a number in the largest dtype


@dataclass(frozen=True, slots=True)
class LoadedFolder:
    """What transformers made of a model's files."""

    model: Any
    report: dict[str, Any]
    tokenizer: Any


def load(file: Path, dtype: str, numbers: int, *, begins: bool = False) -> LoadedFolder:
    """The model (of so many `numbers`) and its tokenizer; from a copy, which is made where there is none yet.

    `begins`: the file says that texts begin with the token of a beginning.
    """
    dtype = "float32" if dtype == "auto" else dtype  # weights of four bits have no type of their own to be kept in
    folder = os.environ.get(FOLDER)
    root = Path(folder) if folder else None
    if root is None or not _usable(root):
        return _read(file, dtype, begins=begins)
    stamp = _stamp(file)
    copy = root / f"{_digest(file)}-{dtype}-{_versions()}"
    if not (copy / _WHOLE).is_file():
        made = _read(file, dtype, begins=begins)
        if _stamp(file) != stamp:
            raise LoadError(f"{file.name} was changed while it was read")
        if not _keep(made, file, copy, numbers):
            return made
        del made
    os.utime(copy)
    model, report = load_model(copy, "AutoModelForCausalLM", True, dtype)
    return LoadedFolder(model, report, from_folder("AutoTokenizer", copy))


def _read(file: Path, dtype: str, *, begins: bool) -> LoadedFolder:
    """By transformers' reader, from a folder with nothing else in it that could be read, too."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # its reader shows a bar, whatever transformers is told
    with tempfile.TemporaryDirectory(prefix="polyserve-gguf-") as folder:
        (Path(folder) / "model.gguf").symlink_to(file.resolve())
        try:
            tokenizer = from_folder("AutoTokenizer", Path(folder), gguf_file="model.gguf")
            model, report = load_model(Path(folder), "AutoModelForCausalLM", True, dtype, gguf_file="model.gguf")
        except LoadError:
            raise
        except Exception as error:
            raise LoadError(f"{file.name}: {reason_of(error)}") from error
    check_loaded(report)
    _as_any_other(model, tokenizer)
    if begins:
        _begin_texts(tokenizer)
    return LoadedFolder(model, report, tokenizer)


def _as_any_other(model: Any, tokenizer: Any) -> None:
    """Its weights are of the dtype now, which transformers does not see: it refuses to save a quantised model."""
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    if model.generation_config.eos_token_id is None:
        model.generation_config.eos_token_id = tokenizer.eos_token_id


def _begin_texts(tokenizer: Any) -> None:
    """Texts begin with its token for that, which transformers does not read of every kind of vocabulary."""
    from tokenizers import processors

    first, number = tokenizer.bos_token, tokenizer.bos_token_id
    if first is None or tokenizer("a")["input_ids"][:1] == [number]:
        return
    beginning = processors.TemplateProcessing(
        single=[first, "$A"], pair=[first, "$A", first, "$B:1"], special_tokens=[(first, number)]
    )
    inner = tokenizer.backend_tokenizer
    before = inner.post_processor
    inner.post_processor = beginning if before is None else processors.Sequence([before, beginning])


def _keep(made: LoadedFolder, file: Path, copy: Path, numbers: int) -> bool:
    """Save it as the copy; whether it is there now."""
    with _locked(copy.parent):
        _tidy(copy.parent)
        if (copy / _WHOLE).is_file():
            return True
        needed = numbers * _ITEM
        if (free := shutil.disk_usage(copy.parent).free) < 1.1 * needed:
            logger.warning("no copy of %s is kept: it takes up to %d bytes, and %d are free", file.name, needed, free)
            return False
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=copy.parent))
        try:
            made.model.save_pretrained(partial)
            made.tokenizer.save_pretrained(partial)
            (partial / _WHOLE).touch()
            if copy.exists():  # a broken one
                shutil.rmtree(copy)
            partial.rename(copy)
        except OSError as error:
            logger.warning("no copy of %s is kept: %s", file.name, error)
            return False
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return True


def _usable(root: Path) -> bool:
    """Whether copies in it are our own: who else can write there could put any model in a file's place."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = root.stat()
    except OSError as error:
        logger.warning("no copies are kept in %s: %s", root, error)
        return False
    if status.st_uid != os.geteuid() or status.st_mode & 0o022 or not os.access(root, os.W_OK):
        logger.warning("no copies are kept in %s: others may write there, or this user may not", root)
        return False
    return True


def _digest(file: Path) -> str:
    found = hashlib.sha256()
    with file.open("rb") as stream:
        while part := stream.read(_CHUNK):
            found.update(part)
    return found.hexdigest()[:40]


def _stamp(file: Path) -> tuple[int, ...]:
    """Another one when the file's content is changed: it would be kept under what it was before."""
    status = file.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _versions() -> str:
    """Of who reads: another one may read better."""
    from importlib.metadata import version

    return f"{version('transformers')}-{version('gguf')}"


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    import fcntl

    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _tidy(root: Path) -> None:
    """Remove what nobody has used for long, and what was never finished."""
    now = time.time()
    for entry in root.iterdir():
        if entry.is_dir():
            patience = _LEFTOVER if entry.name.startswith(".partial-") else _KEPT
            if now - entry.stat().st_mtime > patience:
                shutil.rmtree(entry, ignore_errors=True)
