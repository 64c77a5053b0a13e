"""Which library, in which version, wrote a model's files, as far as they say so; to be shown, and never relied upon.

Reads heads, tails and descriptions, each up to a bound. Imports no framework. Whatever is damaged says nothing.
"""

from __future__ import annotations

import contextlib
import re
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

from adapters.formats import json_text, zip_file
from adapters.formats.protobuf import BYTES, FileBytes, Malformed, fields
from adapters.modeldir import ModelDir

__all__ = ["made_by"]

_LIMIT = 4 * 2**20  #: bytes of a description
_TAIL = 4096
_LONGEST = 40  #: characters of a version
_UBJ_VERSION = re.compile(rb"version\[\#L\x00{7}\x03((?:i.){3})\}", re.DOTALL)
_JSON_VERSION = re.compile(rb'"version"\s*:\s*\[\s*(\d+),\s*(\d+),\s*(\d+)\s*\]')
_TREES = re.compile(rb"tree\r?\nversion=(v\d+)")
_YAML_VERSION = re.compile(r"^mlflow_version:\s*['\"]?([\w.]+)", re.MULTILINE)


def made_by(adapter: str, directory: ModelDir, file: str) -> str:
    """`XGBoost 3.2.0`, for a model that this adapter has claimed in the directory; "": nobody knows.

    What scikit-learn pickled says so in `Match.made_by`.
    """
    reader = _READERS.get(adapter)
    if reader is None:
        return ""
    with contextlib.suppress(OSError, ValueError, KeyError, RecursionError, Malformed, zipfile.BadZipFile):
        name, version = reader(directory, file)
        if isinstance(version, str) and version and len(version) <= _LONGEST and version.isprintable():
            return f"{name} {version}"
    return ""


def _xgboost(directory: ModelDir, file: str) -> tuple[str, Any]:
    tail = _tail(directory, file)
    if found := _UBJ_VERSION.search(tail):
        return "XGBoost", ".".join(str(number) for number in found[1][1::2])
    if found := _JSON_VERSION.search(tail):
        return "XGBoost", ".".join(part.decode() for part in found.groups())
    return "XGBoost", ""


def _lightgbm(directory: ModelDir, file: str) -> tuple[str, Any]:
    found = _TREES.search(directory.head(file, _TAIL))
    return "LightGBM, format", found[1].decode() if found else ""


def _onnx(directory: ModelDir, file: str) -> tuple[str, Any]:
    """The producer's name and version: fields 2 and 3 of a ModelProto."""
    path = directory.file(file)
    found = {2: "", 3: ""}
    with path.open("rb") as stream:
        data = FileBytes(stream)
        for field in fields(data, 0, path.stat().st_size):
            if field.number in found and field.wire == BYTES and field.end - field.start <= _LONGEST:
                found[field.number] = data[field.start : field.end].decode()
    return (found[2], found[3]) if found[3] else ("", found[2])


def _spacy(directory: ModelDir, file: str) -> tuple[str, Any]:
    folder = directory
    if not folder.has("meta.json"):  # an installed package's: one level down
        below = [each for name in directory.dirs if (each := directory.folder(name)).has("meta.json")]
        folder = below[0] if below else directory
    return "spaCy", _document(folder, "meta.json").get("spacy_version")


def _transformers(directory: ModelDir, file: str) -> tuple[str, Any]:
    return "transformers", _document(directory, "config.json").get("transformers_version")


def _sentence_transformers(directory: ModelDir, file: str) -> tuple[str, Any]:
    versions = _document(directory, "config_sentence_transformers.json").get("__version__")
    known = versions.get("sentence_transformers") if isinstance(versions, Mapping) else None
    return "sentence-transformers", known


def _tensorflow(directory: ModelDir, file: str) -> tuple[str, Any]:
    """Keras' archives tell it; SavedModels do in the meta information of their first graph: fields 2, 1, 5."""
    if file.endswith(".keras"):
        return "Keras", _zipped(directory, file, "metadata.json").get("keras_version")
    path = directory.file("saved_model.pb")
    with path.open("rb") as stream:
        data, start, end = FileBytes(stream), 0, path.stat().st_size
        for number in (2, 1, 5):
            each = next((each for each in fields(data, start, end) if each.number == number), None)
            if each is None:
                return "TensorFlow", ""
            start, end = each.start, each.end
        return "TensorFlow", data[start : min(end, start + _LONGEST + 1)].decode()


def _mlflow(directory: ModelDir, file: str) -> tuple[str, Any]:
    found = _YAML_VERSION.search(directory.head("MLmodel", _LIMIT).decode())
    return "MLflow", found[1] if found else ""


def _document(directory: ModelDir, name: str) -> Mapping[str, Any]:
    return _mapping(directory.head(name, _LIMIT))


def _zipped(directory: ModelDir, file: str, member: str) -> Mapping[str, Any]:
    with zip_file.opened(directory.file(file)) as archive, archive.open(member) as stream:
        return _mapping(stream.read(_LIMIT))


def _mapping(text: bytes) -> Mapping[str, Any]:
    document = json_text.loads(text)
    return document if isinstance(document, dict) else {}


def _tail(directory: ModelDir, file: str) -> bytes:
    path = directory.file(file)
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - _TAIL))
        return stream.read(_TAIL)


_READERS: Mapping[str, Callable[[ModelDir, str], tuple[str, Any]]] = {
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "onnx": _onnx,
    "spacy": _spacy,
    "huggingface": _transformers,
    "generation": _transformers,
    "sentence_transformers": _sentence_transformers,
    "tensorflow": _tensorflow,
    "mlflow": _mlflow,
}
