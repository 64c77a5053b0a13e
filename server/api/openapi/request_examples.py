"""A request that a model answers, as it can be sent, in V1 and in V2.

    examples.json in the model's folder (it was asked and checked when the model was loaded)
    else Adapter.example --> JSON --> decoded as a request is: what does not come through is no example

A model that has refused its own example, and one of which nobody knows what it takes, have none.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import orjson

from adapters.base import Array, LoadError, Parameter, Signature, Tensors, TensorSpec
from server.codec import v1, v2
from server.codec.outputs import dumps, listed, texts
from server.errors import InvalidInput
from server.inference.model import ServedModel
from server.loading import recorded_examples
from server.loading.catalog import Found

#: bytes of a body that is shown; an image's would be a page of zeros
LONGEST = 100_000
#: what language models are shown with
PROMPT, QUESTION, FEW_TOKENS = "Once upon a time", "What is the capital of France?", 16


@dataclass(frozen=True)
class ModelExamples:
    """What there is to show of one model."""

    name: str
    adapter: str = ""
    v1: Any = None  #: a body; None: there is none
    v2: Any = None
    explains: bool = False
    generates: bool = False
    parameters: Sequence[Parameter] = field(default=())
    outputs: Sequence[TensorSpec] = field(default=())
    #: bodies for OpenAI's routes, by path
    openai: Mapping[str, Any] = field(default_factory=dict)

    @property
    def instance(self) -> Any:
        """What TorchServe's route takes: one instance; None where V1's body is no list of them."""
        instances = self.v1.get("instances") if isinstance(self.v1, Mapping) else None
        return instances[0] if instances else None


class KnownExamples:
    """The examples of models, made when somebody first asks for them, and kept as long as the model is there."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[ServedModel, ModelExamples] = WeakKeyDictionary()

    def of(self, found: Found, model: ServedModel) -> ModelExamples:
        """What there is to show of a model that is in memory."""
        if model not in self._known:
            self._known[model] = examples_of(found, model)
        return self._known[model]


def examples_of(found: Found, model: ServedModel) -> ModelExamples:
    """What there is to show of a model that is in memory."""
    signature = model.signature
    bodies = _recorded(found)
    if not signature.whole and not model.refuses_example:
        bodies = {**_made_up(model), **bodies}
    elif signature.generates:
        bodies = {**_of_language(signature), **bodies}
    return ModelExamples(
        found.name,
        model.adapter.name,
        bodies.get("v1"),
        bodies.get("v2"),
        bool(signature.explanations),
        signature.whole,
        signature.parameters,
        signature.outputs,
        _openai(found.name, signature, model.refuses_example),
    )


def _of_language(signature: Signature) -> dict[str, Any]:
    """A language model goes on with any text."""
    (text,) = signature.inputs
    tensor = {"name": text.name, "shape": [1], "datatype": text.datatype, "data": [PROMPT]}
    few = {"max_tokens": FEW_TOKENS}
    return {"v1": {"instances": [PROMPT], "parameters": few}, "v2": {"inputs": [tensor], "parameters": few}}


def _openai(name: str, signature: Signature, refuses: bool) -> dict[str, Any]:
    """Bodies for the routes of OpenAI's API that the model has."""
    if signature.generates:
        completion = {"/v1/completions": {"model": name, "prompt": PROMPT, "max_tokens": FEW_TOKENS}}
        if signature.task != "chat":
            return completion
        messages = [{"role": "user", "content": QUESTION}]
        return {"/v1/chat/completions": {"model": name, "messages": messages, "max_tokens": FEW_TOKENS}, **completion}
    if not signature.task or refuses:
        return {}
    if signature.task == "text2text":
        return {"/v1/completions": {"model": name, "prompt": PROMPT, "max_tokens": FEW_TOKENS}}
    pairs = {"/v1/rerank": {"model": name, "query": PROMPT, "documents": [PROMPT, "A king had three sons."]}}
    if signature.task == "embedding":
        return {"/v1/embeddings": {"model": name, "input": [PROMPT]}, **pairs}
    return pairs if signature.task == "score" else {}  # speech goes as a form, of which there is no example


def _recorded(found: Found) -> dict[str, Any]:
    """The first recorded request of each protocol."""
    directory = found.directory
    try:
        recorded = recorded_examples.read(directory.path, found.home, directory.root)
    except LoadError:  # the folder has changed since
        return {}
    return {each.protocol: each.request for each in reversed(recorded) if _is_short(each.request)}


def _made_up(model: ServedModel) -> dict[str, Any]:
    signature = model.signature
    try:
        tensors = model.adapter.example()
        if not tensors:
            return {}
        bodies = {"v1": v1_request(tensors, signature), "v2": v2_request(tensors, signature)}
    except Exception:  # whatever an adapter raises (it may be on its way out); a value that JSON does not carry
        return {}
    return {protocol: body for protocol, body in bodies.items() if _is_short(body) and _fits(protocol, body, signature)}


def v1_request(tensors: Tensors, signature: Signature) -> dict[str, Any]:
    """The tensors as instances: rows, or objects by the inputs' names where there are several."""
    columns = {spec.name: _json_rows(tensors[spec.name], spec) for spec in _sent(tensors, signature)}
    if not signature.batched:
        whole = columns if len(columns) > 1 else next(iter(columns.values()))
        return {"instances": [whole]}
    if len(columns) > 1 or signature.table:
        return {"instances": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]}
    (rows,) = columns.values()
    if signature.columns:
        return {"instances": [dict(zip(signature.columns, row, strict=True)) for row in rows]}
    return {"instances": rows}


def v2_request(tensors: Tensors, signature: Signature) -> dict[str, Any]:
    """The tensors by name, their values flat."""
    return {
        "inputs": [
            {
                "name": spec.name,
                "shape": list(tensors[spec.name].shape),
                "datatype": spec.datatype,
                "data": _flat(tensors[spec.name]),
            }
            for spec in _sent(tensors, signature)
        ]
    }


def _sent(tensors: Tensors, signature: Signature) -> list[TensorSpec]:
    return [spec for spec in signature.inputs if spec.name in tensors]


def _flat(array: Array) -> list[Any]:
    if array.dtype.kind == "O":
        return [text.decode() for text in texts(array)]
    flat: list[Any] = _plain(array.reshape(-1))
    return flat


def _json_rows(array: Array, spec: TensorSpec) -> Any:
    if array.dtype.kind == "O" and spec.binary:
        return np.vectorize(lambda value: {"b64": _base64(value)}, otypes=[object])(array).tolist()
    return _plain(array)


def _base64(value: Any) -> str:
    return base64.b64encode(value if isinstance(value, bytes) else str(value).encode()).decode()


def _plain(array: Array) -> Any:
    """Values as JSON has them: a missing number is null."""
    return orjson.loads(dumps(listed(array)))


def _is_short(body: Any) -> bool:
    return len(json.dumps(body, default=str)) <= LONGEST


def _fits(protocol: str, body: Any, signature: Signature) -> bool:
    """Whether the body is read as a request of the model."""
    try:
        if protocol == "v1":
            v1.decode(orjson.dumps(body), signature)
        else:
            v2.decode(orjson.dumps(body), None, signature)
    except InvalidInput:
        return False
    return True
