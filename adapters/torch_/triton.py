"""`config.pbtxt`: what Triton's settings beside a program say of its tensors.

A TorchScript program has no names for its outputs, and few know those of its inputs: Triton counts them (`INPUT__0`),
and its clients send those names. Sizes leave the batch out where there is a `max_batch_size`.

Source: Triton's model configuration (a protobuf message in text form).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from adapters.modeldir import ModelDir
from adapters.torch_.declared import DeclaredInput
from adapters.torch_.values import TORCH_NAMES

FILE = "config.pbtxt"
_SIGNATURE = "model.sig"  #: of OpenSSF model-signing
_LIMIT = 1 << 20  #: bytes
#: a text ends with its line, closed or not: else each that is not would be looked for to the file's end
_TOKEN = re.compile(r'"((?:[^"\\\n]|\\.)*+)"?|([\w.+-]+)|([{}\[\]:,;])|(\s+|#[^\n]*)|(.)')
_OPEN = {"{": "}", "[": "]"}


@dataclass(frozen=True)
class TritonTensors:
    """Inputs and outputs in the program's order; nothing where the file says nothing."""

    inputs: tuple[DeclaredInput, ...] = ()
    outputs: tuple[str, ...] = ()


def read(model_dir: ModelDir) -> TritonTensors:
    """What the file says, if it is there and can be read: beside the program, or above the folder of its version."""
    place = model_dir if model_dir.has(FILE) else _above(model_dir)
    try:
        if not place.has(FILE):
            return TritonTensors()
        tokens = list(_tokens(place.head(FILE, _LIMIT).decode(errors="replace")))
    except OSError:  # a process that is confined to the version's folder
        return TritonTensors()
    batched = any(
        tokens[i : i + 2] == ["max_batch_size", ":"] and tokens[i + 2 : i + 3] not in ([], ["0"])
        for i in range(len(tokens))
    )
    inputs = [_input(block, batched) for block in _blocks(tokens, "input")]
    outputs = [_value(block, "name") for block in _blocks(tokens, "output")]
    if not all(inputs) or not all(outputs):
        return TritonTensors()
    return TritonTensors(tuple(each for each in inputs if each), tuple(outputs))


def _above(model_dir: ModelDir) -> ModelDir:
    """Triton's layout, NAME/config.pbtxt and NAME/1/model.pt; a folder that is signed is whole by itself."""
    path = model_dir.path
    if not path.name.isdecimal() or path == model_dir.root or model_dir.has(_SIGNATURE):
        return model_dir
    return replace(model_dir, path=path.parent)


def by_argument(inputs: Sequence[DeclaredInput], arguments: Sequence[str]) -> list[DeclaredInput]:
    """The inputs under the names of the program's arguments, in the inputs' order; [] where they do not fit them.

    Triton takes the arguments' own names, or names that end in two underscores and the argument's number.
    """
    if len(inputs) != len(arguments):
        return []
    names = [each.name for each in inputs]
    if set(names) != set(arguments):
        numbers = [name.rpartition("__")[2] for name in names]
        if sorted(numbers) != sorted(map(str, range(len(names)))):
            return []
        names = [arguments[int(number)] for number in numbers]
    return [replace(each, name=name) for each, name in zip(inputs, names, strict=True)]


def _tokens(text: str) -> Iterator[str]:
    for quoted, word, mark, _, _ in _TOKEN.findall(text):
        if quoted or word or mark:
            yield quoted or word or mark


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


def _input(block: list[str], batched: bool) -> DeclaredInput | None:
    name, datatype = _value(block, "name"), _value(block, "data_type").removeprefix("TYPE_")
    datatype = "BYTES" if datatype == "STRING" else datatype
    dims = _dims(block)
    if not name or dims is None or datatype not in (*TORCH_NAMES, "BYTES"):
        return None
    return DeclaredInput(name, datatype, (-1, *dims) if batched else dims)


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
