"""One model, for whoever would like to ask it: its signature, and requests that it answers."""

from __future__ import annotations

from typing import Any

from adapters.base import Parameter, Signature, TensorSpec
from server.api.openapi.request_examples import ModelExamples
from server.inference.model import ServedModel


def details(
    model: ServedModel, examples: ModelExamples, grpc_port: int | None, *, keyed: bool = False
) -> dict[str, Any]:
    """What the page makes a form of; `grpc_port` is None where gRPC is not served; `keyed`: requests bring an API key.

    `kind` is how it is asked: "chat" (a language model), "stream" (parts as they are made), "form" (columns, each with
    a field), "json".
    """
    signature = model.signature
    return {
        "name": model.name,
        "version": model.version,
        "adapter": model.adapter.name,
        "platform": model.adapter.platform,
        "kind": _kind(model, examples),
        "task": signature.task,
        "explains": _explains(signature),
        "inputs": [_tensor(spec) for spec in signature.inputs],
        "outputs": [_tensor(spec) for spec in signature.outputs],
        "columns": list(signature.columns),
        "labels": list(signature.labels),
        "parameters": [_parameter(each) for each in signature.parameters],
        "max_rows": model.max_rows,
        "batched": model.merges,
        "refuses_example": bool(model.refuses_example),
        "grpc_port": grpc_port,
        "keyed": keyed,
        "v1": examples.v1,
        "v2": examples.v2,
    }


def _explains(signature: Signature) -> str:
    """How it explains its predictions; empty: not at all. Of code that answers whole requests nobody knows."""
    if signature.explanations:
        return "yes, by :explain"
    return "by :explain, where its code does" if signature.whole and not signature.generates else ""


def _kind(model: ServedModel, examples: ModelExamples) -> str:
    if model.signature.generates:
        return "chat"
    if model.signature.streams:
        return "stream"
    instances = examples.v1.get("instances") if isinstance(examples.v1, dict) else None
    if isinstance(instances, list) and instances and isinstance(instances[0], dict | str):
        return "form"
    return "json"


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "datatype": spec.datatype,
        "shape": list(spec.shape),
        "optional": spec.optional,
        "binary": spec.binary,
    }


def _parameter(each: Parameter) -> dict[str, Any]:
    return {
        "name": each.name,
        "kind": each.kind.__name__,
        "choices": [*each.choices] if each.choices else [],
        "meaning": each.meaning,
    }
