"""`config.pbtxt`: what Triton's settings beside a model say of its tensors, its backend, and that backend's parameters.

    models/NAME/config.pbtxt        Triton's layout: the file stands above the folders of the versions
    models/NAME/1/model.onnx
    models/NAME/labels.txt          what an output's values are called (`label_filename`), a line each

Source: Triton's model configuration (a protobuf message in text form).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from adapters.modeldir import ModelDir

__all__ = ["FILE", "TritonConfig", "TritonTensor", "read"]

FILE = "config.pbtxt"
_SIGNATURE = "model.sig"  #: of OpenSSF model-signing
_LIMIT = 1 << 20  #: bytes
#: a text ends with its line, closed or not: else each that is not would be looked for to the file's end
_TOKEN = re.compile(r'"((?:[^"\\\n]|\\.)*+)"?|([\w.+-]+)|([{}\[\]:,;])|(\s+|#[^\n]*)|(.)')
_OPEN = {"{": "}", "[": "]"}


@dataclass(frozen=True)
class TritonTensor:
    """An input or output as the file has it; what it does not say is empty."""

    name: str
    datatype: str  #: V2's name
    dims: tuple[int, ...] | None  #: None where they are not readable; without the batch where there is a batch size
    labels: str = ""  #: the file that tells what its values are called


@dataclass(frozen=True)
class TritonConfig:
    """The settings, and the folder where they stand."""

    place: ModelDir
    backend: str
    batched: bool
    inputs: tuple[TritonTensor, ...]
    outputs: tuple[TritonTensor, ...]
    parameters: Mapping[str, str]  #: for the backend


def read(model_dir: ModelDir) -> TritonConfig | None:
    """The settings, if they are there and can be read: beside the model, or above the folder of its version."""
    place = model_dir if model_dir.has(FILE) else _above(model_dir)
    try:
        if not place.has(FILE):
            return None
        tokens = list(_tokens(place.head(FILE, _LIMIT).decode(errors="replace")))
    except OSError:  # a process that is confined to the version's folder
        return None
    top = _without_blocks(tokens)
    return TritonConfig(
        place,
        _value(top, "backend"),
        _value(top, "max_batch_size") not in ("", "0"),
        tuple(_tensor(block) for block in _blocks(tokens, "input")),
        tuple(_tensor(block) for block in _blocks(tokens, "output")),
        {_value(block, "key"): _value(block, "string_value") for block in _blocks(tokens, "parameters")},
    )


def _above(model_dir: ModelDir) -> ModelDir:
    """Triton's layout, NAME/config.pbtxt and NAME/1/model.pt; a folder that is signed is whole by itself."""
    path = model_dir.path
    if not path.name.isdecimal() or path == model_dir.root or model_dir.has(_SIGNATURE):
        return model_dir
    return replace(model_dir, path=path.parent)


def _tensor(block: list[str]) -> TritonTensor:
    datatype = _value(block, "data_type").removeprefix("TYPE_")
    datatype = "BYTES" if datatype == "STRING" else datatype
    return TritonTensor(_value(block, "name"), datatype, _dims(block), _value(block, "label_filename"))


def _tokens(text: str) -> Iterator[str]:
    for quoted, word, mark, _, _ in _TOKEN.findall(text):
        if quoted or word or mark:
            yield quoted or word or mark


def _without_blocks(tokens: list[str]) -> list[str]:
    """The fields of the message itself."""
    found, depth = [], 0
    for token in tokens:
        depth += token in _OPEN
        if depth == 0:
            found.append(token)
        depth -= token in _OPEN.values()
    return found


def _blocks(tokens: list[str], name: str) -> Iterator[list[str]]:
    """The tokens within each `{}` of a field of the message itself, written as a list or one by one."""
    depth = at = 0
    while at < len(tokens):
        token = tokens[at]
        if depth == 0 and token == name:
            at += 2 if tokens[at + 1 : at + 2] == [":"] else 1
            end = _end(tokens, at)
            inner = tokens[at + 1 : end - 1]
            yield from _objects(inner) if tokens[at : at + 1] == ["["] else [inner]
            at = max(end, at + 1)
            continue
        depth += (token in _OPEN) - (token in _OPEN.values())
        at += 1


def _objects(tokens: list[str]) -> Iterator[list[str]]:
    at = 0
    while at < len(tokens):
        end = _end(tokens, at)
        if tokens[at] == "{":
            yield tokens[at + 1 : end - 1]
        at = max(end, at + 1)


def _end(tokens: list[str], at: int) -> int:
    """Behind the bracket that closes the one here; `at` where there is none."""
    depth = 0
    for index in range(at, len(tokens)):
        depth += (tokens[index] in _OPEN) - (tokens[index] in _OPEN.values())
        if depth == 0:
            return index + 1 if index > at else at
    return len(tokens)


def _value(block: list[str], name: str) -> str:
    return next((block[i + 2] for i in range(len(block) - 2) if block[i : i + 2] == [name, ":"]), "")


def _dims(block: list[str]) -> tuple[int, ...] | None:
    """`dims: [3, 224]`, or `dims: 3 dims: 224`."""
    found: list[str] = []
    at = 0
    while at < len(block):
        if block[at : at + 2] != ["dims", ":"]:
            at += 1
            continue
        first, at = at + 2, max(_end(block, at + 2), at + 3)
        found += block[first + 1 : at - 1] if block[first : first + 1] == ["["] else block[first : first + 1]
    try:
        dims = tuple(int(token) for token in found if token != ",")
    except ValueError:
        return None
    return dims if dims and all(size == -1 or size > 0 for size in dims) else None
