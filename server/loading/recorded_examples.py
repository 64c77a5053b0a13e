"""A model's recorded examples, `examples.json` in its folder: requests, and the answers that it has to give.

    [
      {"request": {"instances": [[5.1, 3.5, 1.4, 0.2]]}, "response": {"predictions": [0]}},
      {"name": "two rows", "tolerance": 1e-4,
       "request": {"inputs": [{"name": "x", "shape": [2, 1], "datatype": "FP64", "data": [1, 2]}]},
       "response": {"outputs": [{"name": "y", "data": [2.0, 4.0]}]}}
    ]

Bodies are those of the V1 or the V2 protocol. They go the way of real requests, codec included, whenever the model is
loaded; a model that answers otherwise is not served. Numbers may differ by `tolerance` (default 1e-6), relative or
absolute. Of a response only the keys that are given are compared, and V2's outputs by their names.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from adapters.base import Adapter, LoadError, ModelDir, Reply, Request
from adapters.formats import json_text
from server.codec import v1, v2
from server.codec.fast.json_rows import v1_decoder, v2_decoder
from server.errors import ServingError
from server.inference.batching.merging import BatchCaller
from server.text import printable

FILE = "examples.json"
MAX_BYTES = 16 * 2**20
TOLERANCE = 1e-6

_KEYS = {"name", "request", "response", "tolerance"}
_LONGEST_PLACE = 200  #: characters of where a value stands
_SHOWN = 80  #: characters of a value in a message

#: sends a whole request to a model that reads those
Ask: TypeAlias = Callable[[Adapter, Request], Reply]


@dataclass(frozen=True)
class Example:
    """One entry of the file."""

    label: str  #: how messages call it
    request: Mapping[str, Any]
    response: Mapping[str, Any]
    tolerance: float

    @property
    def protocol(self) -> str:
        inputs = self.request.get("inputs")  # TensorFlow Serving's V1 has some, too
        tensors = isinstance(inputs, list) and any(isinstance(each, dict) and "datatype" in each for each in inputs)
        return "v2" if tensors else "v1"


def check(folder: Path, home: Path | None, root: Path, adapter: Adapter, ask: Ask, seconds: float = math.inf) -> None:
    """Ask a loaded model what is recorded for it: in the folder of its version, or else in its own (`home`).

    The others wait for their turn to be loaded: all requests together may take so many `seconds`.

    Raises:
        LoadError: an answer differs, or the file cannot be used, or takes too long; the message names the entry.
    """
    end = time.monotonic() + seconds
    for example in read(folder, home, root):
        if time.monotonic() >= end:
            raise LoadError(f"{example.label}: those before it took {seconds:g} s, all that there are (--load_timeout)")
        try:
            answer = _answer(adapter, example, ask)
        except ServingError as error:
            raise LoadError(f"{example.label}: the model answers {error.status}: {error}") from error
        if difference := next(differences(example.response, answer, example.tolerance), ""):
            raise LoadError(f"{example.label}: {difference}")


def read(folder: Path, home: Path | None, root: Path) -> list[Example]:
    """The examples of a model; none where there is no file.

    Raises:
        LoadError: the file cannot be read, or says what cannot be meant.
    """
    for place in (folder, home):
        directory = ModelDir.of(place, root) if place is not None else None
        if directory is None or directory.lacks(FILE):
            continue
        if FILE not in (*directory.files, *directory.dirs, *directory.outside):
            continue
        try:
            raw = directory.head(FILE, MAX_BYTES + 1)
        except OSError as error:
            raise LoadError(f"{FILE} cannot be read: {error.strerror or error}") from error
        if len(raw) > MAX_BYTES:
            raise LoadError(f"{FILE} is longer than {MAX_BYTES // 2**20} MiB")
        return _parsed(raw)
    return []


def _parsed(raw: bytes) -> list[Example]:
    try:
        entries = json_text.loads(raw)
    except (ValueError, RecursionError) as error:
        raise LoadError(f"{FILE} is not JSON: {error}") from error
    if not isinstance(entries, list):
        raise LoadError(f"{FILE} must be a list of objects, each with request and response")
    return [_example(number, entry) for number, entry in enumerate(entries, start=1)]


def _example(number: int, entry: Any) -> Example:
    label = f"{FILE}: entry {number}"
    if not isinstance(entry, dict):
        raise LoadError(f"{label} must be an object with request and response")
    if unknown := sorted(entry.keys() - _KEYS):
        raise LoadError(f"{label}: unknown key {printable(repr(unknown[0]))}; allowed are {', '.join(sorted(_KEYS))}")
    name, tolerance = entry.get("name", ""), entry.get("tolerance", TOLERANCE)
    if not isinstance(name, str):
        raise LoadError(f"{label}: name must be text")
    label += f" ({printable(name)})" if name else ""
    for key, expected in (("request", "instances or inputs"), ("response", "predictions or outputs")):
        value = entry.get(key)
        if not isinstance(value, dict) or not value.keys() & set(expected.split(" or ")):
            raise LoadError(f"{label}: {key} must be the body of a V1 or V2 {key}: an object with {expected}")
    if type(tolerance) not in (int, float) or not 0 <= tolerance < math.inf:
        raise LoadError(f"{label}: tolerance must be a number, 0 or more")
    return Example(label, entry["request"], entry["response"], float(tolerance))


def _answer(adapter: Adapter, example: Example, ask: Ask) -> Any:
    """
    Raises:
        ServingError: the model refuses the request, or fails at it.
    """
    raw, signature = json.dumps(example.request).encode(), adapter.signature
    if signature.whole:
        reply = ask(adapter, Request("predict", example.protocol, raw, {"content-type": "application/json"}))
        if reply.status >= 400:
            raise LoadError(
                f"{example.label}: the model answers {reply.status}: {_shown(reply.body.decode(errors='replace'))}"
            )
        return _loaded(reply.body, example)
    call = v1_decoder(signature)(raw) if example.protocol == "v1" else v2_decoder(signature)(raw, None)
    (outcome,) = BatchCaller(adapter.predict, signature.batched).run([call])
    if isinstance(outcome, ServingError):
        raise outcome
    if isinstance(call, v2.DecodedV2Request):
        body, length = v2.encode(outcome, call, "")
        return _loaded(body[:length], example)
    return _loaded(v1.encode(outcome, signature, call), example)


def _loaded(body: bytes, example: Example) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise LoadError(f"{example.label}: the answer is not JSON") from error


def differences(expected: Mapping[str, Any], answer: Any, tolerance: float) -> Iterator[str]:
    """How an answer differs, numbers by more than the tolerance, relative or absolute; who answers does not count."""
    if not isinstance(answer, dict):
        yield f"expected an object, got {_shown(answer)}"
        return
    for key, value in expected.items():
        if key in ("id", "model_name", "model_version"):  # who answers is not what is answered
            continue
        if key not in answer:
            yield f"expected {key}, got {', '.join(answer)}"
        elif key == "outputs" and isinstance(value, list) and isinstance(answer[key], list):
            yield from _outputs(value, answer[key], tolerance)
        else:
            yield from _differences(value, answer[key], key, tolerance)


def _outputs(expected: list[Any], outputs: list[Any], tolerance: float) -> Iterator[str]:
    """The same for V2's tensors, which may be given in any order, and in part."""
    by_name = {output.get("name"): output for output in outputs if isinstance(output, dict)}
    for tensor in expected:
        name = tensor.get("name") if isinstance(tensor, dict) else None
        if name not in by_name:
            yield f"expected the output {_shown(name)}, got {', '.join(map(str, by_name)) or 'none'}"
            continue
        for key, value in tensor.items():
            yield from _differences(value, by_name[name].get(key), f"outputs.{name}.{key}", tolerance)


def _differences(expected: Any, got: Any, where: str, tolerance: float) -> Iterator[str]:
    where = where[:_LONGEST_PLACE]  # it is written out for every element, and a name may have megabytes
    if isinstance(expected, dict) and isinstance(got, dict) and expected.keys() == got.keys():
        for key in expected:
            yield from _differences(expected[key], got[key], f"{where}.{key}", tolerance)
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for place, (one, other) in enumerate(zip(expected, got, strict=True)):
            yield from _differences(one, other, f"{where}[{place}]", tolerance)
    elif not _same(expected, got, tolerance):
        within = f" (tolerance {tolerance:g})" if _number(expected) and _number(got) else ""
        yield f"{where}: expected {_shown(expected)}, got {_shown(got)}{within}"


def _same(expected: Any, got: Any, tolerance: float) -> bool:
    if _number(expected) and _number(got):
        close = math.isclose(expected, got, rel_tol=tolerance, abs_tol=tolerance)
        return close or (math.isnan(expected) and math.isnan(got))
    return type(expected) is type(got) and expected == got


def _number(value: Any) -> bool:
    return type(value) in (int, float)


def _shown(value: Any) -> str:
    text = printable(value if isinstance(value, str) else json.dumps(value))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
