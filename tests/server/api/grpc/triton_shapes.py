"""Triton's own descriptors, as JSON: its package cannot be imported where KServe's messages are.

python -m tests.server.api.grpc.triton_shapes
"""

from __future__ import annotations

import json
from typing import Any

from tritonclient.grpc import model_config_pb2, service_pb2


def fields(descriptor: Any) -> dict[str, list[Any]]:
    """Number, type and whether it is repeated, by name."""
    return {field.name: [field.number, field.type, bool(field.is_repeated)] for field in descriptor.fields}


def messages(descriptors: Any) -> dict[str, Any]:
    """Fields by message, also of those within others, by their short names."""
    found: dict[str, Any] = {}
    for name, descriptor in descriptors.items():
        found[name] = fields(descriptor)
        for nested in descriptor.nested_types:
            found[f"{name}.{nested.name}"] = fields(nested)
    return found


if __name__ == "__main__":
    service = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    print(
        json.dumps(
            {
                "messages": messages(service_pb2.DESCRIPTOR.message_types_by_name)
                | messages(model_config_pb2.DESCRIPTOR.message_types_by_name),
                "types": model_config_pb2.DataType.items(),
                "methods": {each.name: [each.client_streaming, each.server_streaming] for each in service.methods},
            }
        )
    )
