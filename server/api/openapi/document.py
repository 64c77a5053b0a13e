"""The OpenAPI document of a server, with the models that it has at this moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adapters.base import Parameter, TensorSpec
from server.api.openapi.operations import OPERATIONS, TAGS, Operation
from server.api.openapi.request_examples import ModelExamples
from server.api.openapi.schemas import BINARY, ERRORS, EVENTS, JSON, SCHEMAS, TEXT, ref

TITLE = "PolyServe"
_ABOUT = (
    "Models of any framework over KServe's V1 and V2 protocols. Choose a model, and the example of its name: "
    "it fits what the model takes."
)
_TOKEN = "adminToken"
_KEY, _BEARER = "apiKey", "apiKeyAsBearer"
_KEYS = {
    _KEY: {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    _BEARER: {"type": "http", "scheme": "bearer", "description": "the same key"},
}
#: what needs no key: `server.api.rest.keyed_routes` has the rule
_OPEN = frozenset({"/", "/ping", "/v2/health/live", "/v2/health/ready"})
_LENGTH = "Inference-Header-Content-Length"


def document(models: Sequence[ModelExamples], version: str, *, keyed: bool = False) -> dict[str, Any]:
    """Of these models. Those that have examples come first: what Swagger shows first can be sent as it stands.

    `keyed`: the server asks for API keys.
    """
    ordered = sorted(models, key=lambda each: (each.v1 is None, each.name))
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        described = _operation(operation, ordered)
        if keyed and operation.path not in _OPEN and not operation.admin:
            described["security"] = [{_KEY: []}, {_BEARER: []}]
            described["responses"] |= {status: _error(operation, int(status)) for status in ("401", "403")}
        paths.setdefault(operation.path, {})[operation.method] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "description": _ABOUT, "version": version},
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": dict(SCHEMAS),
            "securitySchemes": {
                _TOKEN: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "the server's ADMIN_TOKEN; who asks from the machine itself needs none",
                },
                **(_KEYS if keyed else {}),
            },
        },
    }


def _operation(operation: Operation, models: Sequence[ModelExamples]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.identity,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": _responses(operation),
    }
    if operation.description:
        described["description"] = operation.description
    if parameters := _parameters(operation, models):
        described["parameters"] = parameters
    if operation.takes:
        described["requestBody"] = _body(operation, models)
    if operation.admin:
        described["security"] = [{_TOKEN: []}, {}]
    return described


def _parameters(operation: Operation, models: Sequence[ModelExamples]) -> list[dict[str, Any]]:
    found = []
    if "{model_name}" in operation.path:
        shown = [each for each in models if _example(operation, each) is not None]
        names = [each.name for each in (*shown, *(each for each in models if each not in shown))]
        schema = {"type": "string", **({"enum": names, "default": names[0]} if names else {})}
        found.append({"name": "model_name", "in": "path", "required": True, "schema": schema})
    if "{version}" in operation.path:
        meaning = "a label" if "/labels/" in operation.path else "a number, or a label"
        found.append(_text_parameter("version", "path", f"{meaning}; a model without versions is 1", "1"))
    elif operation.path.startswith("/v2/models/{"):
        found.append(_text_parameter("model_version", "query", "a number, or a label; the newest where it is left"))
    if operation.binary:
        found.append({"name": _LENGTH, "in": "header", "schema": {"type": "integer"}, "description": "see above"})
    return found


def _text_parameter(name: str, where: str, description: str, default: str = "") -> dict[str, Any]:
    schema = {"type": "string", **({"default": default} if default else {})}
    return {"name": name, "in": where, "required": where == "path", "schema": schema, "description": description}


def _body(operation: Operation, models: Sequence[ModelExamples]) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": ref(operation.takes)}
    examples = {each.name: _shown(each, value) for each in models if (value := _example(operation, each)) is not None}
    if examples:
        content["examples"] = examples
    kinds = {JSON: content}
    if operation.binary:
        kinds[BINARY] = {"schema": {"type": "string", "format": "binary"}}
    if operation.tag == "TorchServe":
        kinds |= {BINARY: {"schema": {"type": "string", "format": "binary"}}, TEXT: {"schema": {"type": "string"}}}
    return {"required": operation.needs_body, "content": kinds}


def _example(operation: Operation, model: ModelExamples) -> Any:
    """What can be sent to the model as it stands; None: nobody knows."""
    if operation.examples == "explain":
        return model.v1 if model.explains else None
    if operation.examples == "openai":
        return model.openai.get(operation.path)
    return getattr(model, operation.examples) if operation.examples else None


def _shown(model: ModelExamples, value: Any) -> dict[str, Any]:
    shown = {"summary": f"{model.name} ({model.adapter})", "value": value}
    about = ["answers: " + ", ".join(map(_tensor, model.outputs))] if model.outputs else []
    about += ["parameters: " + "; ".join(map(_meaning, model.parameters))] if model.parameters else []
    if about:
        shown["description"] = "; ".join(about)
    return shown


def _tensor(spec: TensorSpec) -> str:
    return f"{spec.name} {spec.datatype} {list(spec.shape)}"


def _meaning(parameter: Parameter) -> str:
    choices = f" ({', '.join(map(str, parameter.choices))})" if parameter.choices else ""
    return f"{parameter.name}: {parameter.kind.__name__}{choices}{parameter.meaning and f', {parameter.meaning}'}"


def _responses(operation: Operation) -> dict[str, Any]:
    content = {operation.media: {"schema": ref(operation.gives) if operation.gives else {"type": "string"}}}
    if operation.binary:
        content[BINARY] = {"schema": {"type": "string", "format": "binary"}}
    if operation.streams:
        content[EVENTS] = {}
    if operation.tag == "TorchServe":
        content |= {BINARY: {"schema": {"type": "string", "format": "binary"}}, TEXT: {"schema": {"type": "string"}}}
    responses: dict[str, Any] = {"200": {"description": "the answer", "content": content}}
    for status in sorted(operation.errors):
        responses[str(status)] = _error(operation, status)
    return responses


def _error(operation: Operation, status: int) -> dict[str, Any]:
    schema = ref("ModelStatus" if operation.gives == "ModelStatus" and status == 503 else operation.error)
    if operation.gives in ("Ready", "Status"):
        schema = ref(operation.gives)
    return {"description": ERRORS[status], "content": {JSON: {"schema": schema}}}
