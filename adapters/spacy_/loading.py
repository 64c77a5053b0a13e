"""Loads a spaCy pipeline from its folder, and from nowhere else; notices what spaCy does not notice is missing."""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adapters.base import LoadError, ModelDir
from adapters.modeldir import inside
from adapters.shared.messages import brief
from adapters.spacy_ import config
from adapters.spacy_.docs import PipelineFindings
from adapters.spacy_.package import CONFIG
from adapters.spacy_.without_torch import no_torch
from adapters.spacy_.writes import assigned

#: what spaCy says of a component whose code it does not know
_UNKNOWN_FACTORY = re.compile(r"^\[E002\] Can't find factory for '([^']+)'")


def load(data: ModelDir, meta: Mapping[str, Any], package: Any = None) -> tuple[Any, PipelineFindings]:
    """The pipeline (spaCy's `Language`) in a folder, and what it finds. `meta` is the content of its meta.json.

    `package` is the imported package around it, where that brings code: its own `load` loads it.

    Raises:
        LoadError: it is damaged, incomplete or would reach beyond its folder.
    """
    _check_links(data)
    try:
        nlp = _load(data.path, getattr(package, "load", None))
        _check_complete(nlp, meta)
        return nlp, PipelineFindings(assigned(nlp), _vector_width(nlp))
    except LoadError:
        raise
    except Exception as error:
        raise LoadError(_reason(error, data.path, meta)) from error


def _check_links(data: ModelDir) -> None:
    for path in data.path.rglob("*"):
        if path.is_symlink() and not inside(path, data.root):
            raise LoadError(f"{path.relative_to(data.path)} leads out of the models directory and is not followed")


def _load(path: Path, load: Callable[[], Any] | None) -> Any:
    with no_torch(path / CONFIG, foreign=load is not None):
        import spacy
        from spacy.util import load_config

    if torch := sys.modules.get("torch"):  # thinc imports it
        torch.set_num_threads(1)
    config.check(load_config(path / CONFIG, interpolate=True))
    try:
        return load() if load else spacy.load(path)
    finally:
        gc.enable()  # srsly turns it off while it reads msgpack, and leaves it off when the file is damaged


def _vector_width(nlp: Any) -> int:
    if nlp.vocab.vectors_length:
        return int(nlp.vocab.vectors_length)
    with nlp.memory_zone():
        return int(nlp("text").vector.shape[0])  # a tok2vec's width, or 0


def _check_complete(nlp: Any, meta: Mapping[str, Any]) -> None:
    """Files whose loss spaCy does not notice: it would answer, but with nothing or with nonsense."""
    for name, labels in _mapping(meta, "labels").items():
        if labels and nlp.pipe_labels.get(name) == []:
            raise LoadError(f"component {name!r} lost its {len(labels)} labels: {name}/cfg is missing or damaged")
    recorded, loaded = _mapping(meta, "vectors"), nlp.meta["vectors"]
    if any(recorded.get(key) and not loaded.get(key) for key in ("width", "vectors", "keys")):
        raise LoadError("the pipeline's word vectors are missing or damaged: copy the whole folder vocab")


def _mapping(meta: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = meta.get(key)
    return value if isinstance(value, dict) else {}


def _reason(error: Exception, path: Path, meta: Mapping[str, Any]) -> str:
    """An error of spaCy's in one line, without the path of the mount, and with the version that the pipeline needs."""
    import spacy
    from spacy.util import is_compatible_version

    if (unknown := _UNKNOWN_FACTORY.search(str(error))) is not None:
        return (
            f"its component {unknown[1][:60]!r} is made by code that is not in the folder: package the pipeline with "
            "it (python -m spacy package FOLDER OUT --code FILE.py) and serve that folder, or serve it by a model.py"
        )
    text = brief(str(error).replace(f"{path}/", ""), type(error).__name__)
    made_for = meta.get("spacy_version")
    old = isinstance(made_for, str) and is_compatible_version(spacy.__version__, made_for) is False
    hint = f"; it was made for spaCy {made_for}, and this is {spacy.__version__}" if old else ""
    part = _part(error) or "a part"
    return f"spaCy cannot load the pipeline, of which {part} may be missing or damaged: {text}{hint}"


def _part(error: Exception) -> str:
    """What spaCy was reading, as a path in the folder: its own messages seldom say so."""
    keys: list[str] = []
    step = error.__traceback__
    while step is not None:
        frame = step.tb_frame
        if frame.f_code.co_name == "from_disk" and frame.f_globals.get("__name__") == "spacy.util":
            keys.append(str(frame.f_locals.get("key", "")))
        step = step.tb_next
    return "/".join(keys)
