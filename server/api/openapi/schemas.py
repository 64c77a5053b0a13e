"""What bodies look like, as JSON Schema, and what can go wrong, by status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from server.api.openapi.encoder_schemas import ENCODER_SCHEMAS
from server.api.openapi.generation_schemas import GENERATION_SCHEMAS

JSON, BINARY, TEXT = "application/json", "application/octet-stream", "text/plain"
EVENTS = "text/event-stream"

Schema = Mapping[str, Any]

_NUMBERS: Schema = {"oneOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}}]}
_TEXTS: Schema = {"type": "array", "items": {"type": "string"}}
_PARAMETERS: Schema = {"type": "object", "description": "what the model knows beside its inputs"}


def obj(required: Sequence[str] = (), **properties: Any) -> dict[str, Any]:
    """An object of these properties."""
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    return {**schema, "required": list(required)} if required else schema


def array(items: Schema, description: str = "") -> dict[str, Any]:
    """A list."""
    schema: dict[str, Any] = {"type": "array", "items": items}
    return {**schema, "description": description} if description else schema


def ref(name: str) -> dict[str, str]:
    """One of the `SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


_STRING: Schema = {"type": "string"}
_INTEGER: Schema = {"type": "integer"}
_BOOLEAN: Schema = {"type": "boolean"}
_TENSOR = {"name": _STRING, "shape": array(_INTEGER, "-1 stands for any size"), "datatype": _STRING}
_DURATION: Schema = {"type": "object", "properties": {"count": _INTEGER, "ns": _INTEGER}}

#: by name
SCHEMAS: Mapping[str, Schema] = {
    "Error": obj(["error"], error=_STRING),
    "OpenAIError": obj(["error"], error=obj(["message", "type"], message=_STRING, type=_STRING, param={}, code={})),
    "V1Request": {
        "type": "object",
        "description": "instances, one a row: a list of values, or an object by name; or inputs, whole columns by name",
        "properties": {"instances": array({}), "inputs": {}, "parameters": _PARAMETERS},
    },
    "Predictions": {
        "type": "object",
        "properties": {
            "predictions": array({}, "one entry an instance, in order"),
            "outputs": {"description": "by output; TensorFlow models answer `inputs` so"},
        },
    },
    "Explanations": obj(
        explanations=array(
            obj(
                contributions={
                    "description": "by column name, or in the columns' order where the model knows no names",
                    "oneOf": [{"type": "object", "additionalProperties": _NUMBERS}, array(_NUMBERS)],
                },
                base_value=_NUMBERS,
            ),
            "one entry an instance, in order",
        )
    ),
    "V2Request": obj(
        ["inputs"],
        id={**_STRING, "description": "comes back with the answer"},
        inputs=array(
            {
                **obj(
                    ["name", "shape", "datatype"],
                    **_TENSOR,
                    data={"description": "the values, flat in row-major order or nested"},
                    parameters={"type": "object"},
                )
            }
        ),
        outputs=array(obj(["name"], name=_STRING, parameters={"type": "object"}), "those wanted; all where it is left"),
        parameters=_PARAMETERS,
    ),
    "V2Response": obj(
        model_name=_STRING,
        model_version=_STRING,
        id=_STRING,
        outputs=array(obj(["name", "shape", "datatype"], **_TENSOR, data={}, parameters={"type": "object"})),
        parameters={"type": "object"},
    ),
    "ModelMetadata": obj(
        ["name", "platform", "inputs", "outputs"],
        name=_STRING,
        versions=_TEXTS,
        platform=_STRING,
        inputs=array(obj(["name", "datatype", "shape"], **_TENSOR)),
        outputs=array(obj(["name", "datatype", "shape"], **_TENSOR)),
        parameters={"type": "object", "description": "what else is known: adapter, columns, labels, examples, ..."},
    ),
    "ModelReady": obj(["name", "ready"], name=_STRING, ready=_BOOLEAN),
    "ModelStatus": obj(
        name=_STRING,
        ready=_BOOLEAN,
        error=_STRING,
        model_version_status=array(obj(version=_STRING, state=_STRING, status={"type": "object"})),
    ),
    "Models": obj(["models"], models=_TEXTS),
    "ModelConfig": obj(name=_STRING, platform=_STRING, max_batch_size=_INTEGER, input=array({}), output=array({})),
    "Statistics": obj(
        ["model_stats"],
        model_stats=array(
            obj(
                name=_STRING,
                version=_STRING,
                last_inference=_INTEGER,
                inference_count=_INTEGER,
                execution_count=_INTEGER,
                inference_stats={"type": "object", "additionalProperties": _DURATION},
                batch_stats=array({}),
            )
        ),
    ),
    "Index": array(
        obj(
            ["name", "version", "state", "reason"],
            name=_STRING,
            version=_STRING,
            state={**_STRING, "enum": ["READY", "LOADING", "UNLOADING", "UNAVAILABLE", "EVICTED"]},
            reason=_STRING,
        )
    ),
    "IndexRequest": obj(ready={**_BOOLEAN, "description": "only models that are ready"}),
    "LoadRequest": obj(parameters=obj(unload_dependents=_BOOLEAN)),
    "ServerMetadata": obj(["name", "version", "extensions"], name=_STRING, version=_STRING, extensions=_TEXTS),
    "Live": obj(live=_BOOLEAN),
    "Ready": obj(ready=_BOOLEAN, error=_STRING),
    "Status": obj(status=_STRING, error=_STRING),
    "TorchServeModels": obj(["models"], models=array(obj(modelName=_STRING, modelUrl=_STRING)), nextPageToken=_STRING),
    "TorchServeModel": array(
        obj(
            ["modelName", "modelVersion", "workers"],
            modelName=_STRING,
            modelVersion=_STRING,
            batchSize=_INTEGER,
            workers=array(obj(id=_STRING, status=_STRING, memoryUsage=_INTEGER)),
            status=_STRING,
            reason=_STRING,
        )
    ),
    "Anything": {},
    **ENCODER_SCHEMAS,
    **GENERATION_SCHEMAS,
}

#: what can go wrong, by status
ERRORS: Mapping[int, str] = {
    400: "malformed, or not what the model takes; the message names the field",
    401: "the admin token, or the API key where the server asks for one, is missing or wrong",
    403: "loading and unloading are open to this machine only, without an admin token; the key is for other models",
    404: "no such model or version",
    413: "the body is too large",
    415: "the body is encoded in a way that is not read",
    429: "too many requests wait for the model: try again",
    500: "the model itself failed",
    501: "the model, or the server, does not do this",
    503: "the model, or the server, is not ready; the message says why",
    504: "the request waited too long",
}
