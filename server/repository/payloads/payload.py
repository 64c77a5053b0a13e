"""One request or answer as it is logged: KServe's CloudEvents, and the same as a line of JSON.

What travels in headers is the client's business, and may be a secret: none is logged but those that the operator names.

Source: KServe's agent, pkg/logger (types, and the extensions `inferenceservicename`, `namespace`, `component`,
`endpoint`, `metadata`, whose names are as Go writes headers and whose values are lists). Ours besides: answers that are
errors, with `statuscode`; of gRPC, which KServe's does not log, what V2 has in JSON.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from server.codec.grpc_json import request_json, response_json

Kind = Literal["request", "response"]
JSON, PROTOBUF, EVENTS = "application/json", "application/x-protobuf", "text/event-stream"
_TYPES: Mapping[Kind, str] = {
    "request": "org.kubeflow.serving.inference.request",
    "response": "org.kubeflow.serving.inference.response",
}
#: bytes that one takes in the queue beside its body
OVERHEAD = 512
_PART = 50  #: ... and one part beside its bytes


@dataclass(frozen=True, slots=True)
class Payload:
    """A body, and whose it is."""

    kind: Kind
    id: str  #: of the request; its answer has the same
    model: str
    version: str
    protocol: str
    content_type: str
    body: bytes
    status: int = 200
    time: float = 0.0  #: seconds since the epoch
    metadata: Mapping[str, str] | None = None  #: headers that the operator wants logged
    parts: Sequence[bytes] = ()  #: of an answer that came in parts; such a one has no body

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, about."""
        return len(self.body) + sum(map(part_size, self.parts)) + OVERHEAD


def part_size(part: bytes) -> int:
    """Bytes that one part takes in memory, about."""
    return len(part) + _PART


@dataclass(frozen=True)
class Sender:
    """Who logs: what KServe's agent says of the service."""

    service: str = ""  #: the InferenceService; "": the model
    namespace: str = ""
    component: str = "predictor"


def readable(payload: Payload) -> tuple[bytes, str]:
    """The body and its media type; of a message over gRPC, the same request or answer as V2 has it in JSON, and of
    parts the events that they are."""
    if payload.parts:
        return b"".join(b"data: " + each.replace(b"\n", b"\ndata: ") + b"\n\n" for each in _documents(payload)), EVENTS
    return _as_json(payload, payload.body)


def _as_json(payload: Payload, body: bytes) -> tuple[bytes, str]:
    if payload.content_type != PROTOBUF:
        return body, payload.content_type
    try:
        told = request_json(body) if payload.kind == "request" else response_json(body)
    except Exception:  # protobuf's, numpy's: what cannot be read is logged as it is
        return body, PROTOBUF
    return told, JSON


def _documents(payload: Payload) -> list[bytes]:
    """What the parts say; those that only keep a connection in use say nothing."""
    return [_as_json(payload, bytes(each))[0] for each in payload.parts if not each.startswith(b":")]


def cloud_event(payload: Payload, sender: Sender) -> tuple[dict[str, str], bytes]:
    """Headers and body of a CloudEvent in binary mode, as KServe's logger sends them."""
    body, content_type = readable(payload)
    headers = {
        "content-type": content_type,
        "ce-specversion": "1.0",
        "ce-id": payload.id,
        "ce-type": _TYPES[payload.kind],
        "ce-source": f"/v2/models/{payload.model}",
        "ce-time": _moment(payload.time),
        "ce-inferenceservicename": sender.service or payload.model,
        "ce-namespace": sender.namespace,
        "ce-component": sender.component,
        "ce-endpoint": payload.version or "default",
    }
    if payload.kind == "response":
        headers["ce-statuscode"] = str(payload.status)
    sent = {name: _sendable(value) for name, value in headers.items() if value}
    return {**sent, "ce-metadata": _metadata(payload.metadata or {})}, body


def _metadata(headers: Mapping[str, str]) -> str:
    """As KServe's logger writes it; all of it printable, without a percent sign, so that whoever decodes what stands
    for such gets the same."""
    lists = {"-".join(word.capitalize() for word in name.split("-")): [value] for name, value in headers.items()}
    return json.dumps(lists, separators=(",", ":")).replace("%", "\\u0025")


def json_line(payload: Payload, sender: Sender) -> bytes:
    """The same as one line of JSON; a body that is no JSON is in base64, and parts are a list."""
    body, content_type = readable(payload)
    fields: dict[str, Any] = {
        "time": _moment(payload.time),
        "id": payload.id,
        "type": _TYPES[payload.kind],
        "service": sender.service,
        "namespace": sender.namespace,
        "model": payload.model,
        "version": payload.version,
        "protocol": payload.protocol,
        "content_type": content_type,
        "metadata": payload.metadata,
    }
    if payload.kind == "response":
        fields["status"] = payload.status
    known = {name: value for name, value in fields.items() if value not in ("", None)}
    try:
        told = {"parts": [*map(_part, _documents(payload))]} if payload.parts else {"body": orjson.loads(body)}
        return orjson.dumps({**known, **told})
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):  # none, or nested deeper than what is written may be
        return orjson.dumps({**known, "body_base64": base64.b64encode(body).decode()})


def _part(document: bytes) -> Any:
    """A part as JSON, or as the text that it is."""
    try:
        return orjson.loads(document)
    except orjson.JSONDecodeError:
        return document.decode(errors="replace")


def _moment(seconds: float) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds % 1 * 1000):03d}Z"


def _sendable(value: str) -> str:
    """As a header may have it; others are percent-encoded, as CloudEvents' HTTP binding says."""
    return "".join(each if " " < each <= "~" and each not in '"%' else _percent(each) for each in value)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "replace"))
