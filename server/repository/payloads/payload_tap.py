"""Which requests and answers are logged: a share of them, requests, answers or both, never their secrets."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterable
from random import random
from typing import Any

from server.errors import ServingError, respond
from server.inference.answer import Answer
from server.inference.model import ServedModel
from server.inference.request import InferenceRequest
from server.inference.taps import Seen, SeenOutcome, ShadowRequest
from server.repository.payloads.payload import JSON, PROTOBUF, Kind, Payload


class PayloadTap:
    """A `Tap`."""

    def __init__(
        self,
        put: Callable[[Payload], None],
        share: float = 1.0,
        kinds: Collection[Kind] = ("request", "response"),
        headers: Collection[str] = (),
    ) -> None:
        """`put` never blocks; `share` of all requests, from 0 to 1; `headers` are logged, too, by name."""
        self._put = put
        self._share = share
        self._kinds = kinds
        self._headers = frozenset(name.lower() for name in headers)

    def __call__(self, model: ServedModel, request: InferenceRequest) -> Seen | None:
        if isinstance(request, ShadowRequest):  # its twin was seen
            return None
        if self._share < 1.0 and random() >= self._share:
            return None
        known, body = request.request_id or uuid.uuid4().hex, request.body
        metadata = {name: value for name, value in request.header_map().items() if name in self._headers}
        of_model = (known, model.name, model.version, request.protocol)
        if "request" in self._kinds:
            self._put(
                Payload(
                    "request",
                    *of_model,
                    _media(request, request.headers),
                    body,
                    time=time.time(),
                    metadata=metadata or None,
                )
            )
        if "response" not in self._kinds:
            return None

        def answered(outcome: SeenOutcome) -> None:
            if isinstance(outcome, Answer):
                media, status, told = _media(request, outcome.headers), outcome.status, outcome.body
            elif isinstance(outcome, ServingError):
                media, (status, _, told) = JSON, respond(outcome)
            else:  # the parts of a stream were the client's as they came
                return
            self._put(Payload("response", *of_model, media, told, status, time.time(), metadata or None))

        return answered


def _media(request: InferenceRequest, headers: Iterable[tuple[Any, Any]]) -> str:
    """What a body is, that of the request or of its answer."""
    if request.protocol == "grpc":
        return PROTOBUF
    return next((str(value, "latin-1") for name, value in headers if name == b"content-type"), JSON)
