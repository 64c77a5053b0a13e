"""What is known of a model beyond the protocol's metadata: `parameters` of `GET /v2/models/NAME`, and of V1's metadata.

    adapter             what serves it
    made_by             the library that wrote its files, and its version
    columns             the names of its columns, in order, where rows may be lists
    categorical         those inputs that take one of some values
    optional            those that may be left out
    request_parameters  what a request's `parameters` may hold: type, choices, meaning
    explains            it answers :explain
    streams             its answers come in parts, as server-sent events
    task                generation, embedding or score: OpenAI's API serves it, too
    labels              what its classes are called, in the order of their probabilities
    examples            requests that it answers: `v1`, `v2` bodies; `openai`, bodies by path

What is not known, or empty, is left out.
"""

from __future__ import annotations

from typing import Any

from adapters.base import Parameter, Signature
from server.api.openapi.request_examples import KnownExamples, ModelExamples
from server.inference.model import ServedModel
from server.repository.repository import Repository


class ModelParameters:
    """Tells it of the models of a repository. On the event loop."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._examples = KnownExamples()

    def of(self, name: str, version: str | None, model: ServedModel) -> dict[str, Any]:
        """Of a model that answers for this name and version now."""
        states = self._repository.states(name, version)
        found = next((state.found for state in states.values() if state.model is model), None)
        examples = ModelExamples(name) if found is None else self._examples.of(found, model)
        facts = {"adapter": model.adapter.name, "made_by": model.made_by, **signature_parameters(model.signature)}
        bodies = {"v1": examples.v1, "v2": examples.v2, "openai": examples.openai}
        facts["examples"] = {protocol: body for protocol, body in bodies.items() if body}
        return {fact: value for fact, value in facts.items() if value}


def signature_parameters(signature: Signature) -> dict[str, Any]:
    """What a signature tells beyond its tensors."""
    columns = signature.columns or (tuple(spec.name for spec in signature.inputs) if signature.table else ())
    return {
        "columns": list(columns),
        "categorical": [spec.name for spec in signature.inputs if spec.category],
        "optional": [spec.name for spec in signature.inputs if spec.optional],
        "request_parameters": {each.name: _parameter(each) for each in signature.parameters},
        "explains": bool(signature.explanations),
        "streams": signature.streams and not signature.generates,  # of language models whoever asks says so
        "task": "generation" if signature.generates else signature.task,
        "labels": list(signature.labels),
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    facts = {"type": parameter.kind.__name__, "choices": list(parameter.choices), "meaning": parameter.meaning}
    return {fact: value for fact, value in facts.items() if value}
