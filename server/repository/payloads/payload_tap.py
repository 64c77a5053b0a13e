"""Which requests and answers are logged: a share of them, requests, answers or both, never their secrets.

Over OpenAI's API it is what a language model's client sent and was sent, not the job made of it. An answer in parts is
logged once it has ended.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from random import random
from typing import Any

from server.errors import ServingError, respond
from server.inference.answer import Answer
from server.inference.model import ServedModel
from server.inference.request import InferenceRequest
from server.inference.taps import JobRequest, Seen, SeenOutcome, SeenParts, ShadowRequest
from server.repository.payloads.payload import JSON, PROTOBUF, Kind, Payload, part_size

#: bytes that parts of answers which have not ended may take, of all together
MOST_PARTS = 64 * 2**20


class PayloadTap:
    """A `Tap`."""

    def __init__(
        self,
        put: Callable[[Payload], None],
        share: float = 1.0,
        kinds: Collection[Kind] = ("request", "response"),
        headers: Collection[str] = (),
        drop: Callable[[str, str], None] = lambda model, version: None,
    ) -> None:
        """`put` never blocks; `share` of all requests, from 0 to 1; `headers` are logged, too, by name; `drop` counts
        what is given up, by model and version."""
        self.put = put
        self.drop = drop
        self.kept = 0  #: bytes of parts
        self._share = share
        self._kinds = kinds
        self._headers = frozenset(name.lower() for name in headers)

    def __call__(self, model: ServedModel, request: InferenceRequest) -> Seen | None:
        if isinstance(request, ShadowRequest):  # its twin was seen
            return None
        if self._share < 1.0 and random() >= self._share:
            return None
        protocol, body = request.protocol, request.body
        if isinstance(request, JobRequest):
            protocol, body = "openai", request.sent
        headers = request.header_map()
        known = headers.get("ce-id") or request.request_id or uuid.uuid4().hex
        metadata = {name: value for name, value in headers.items() if name in self._headers}
        of_model = (known, model.name, model.version, protocol)
        if "request" in self._kinds:
            media = _media(request, request.headers)
            self.put(Payload("request", *of_model, media, body, time=time.time(), metadata=metadata or None))
        if "response" not in self._kinds:
            return None
        answered = _AnswerLog(self, request, of_model, metadata or None)
        if isinstance(request, JobRequest):
            request.watchers.append(answered)
            return None
        return answered


class _AnswerLog(SeenParts):
    """The answer to one request."""

    def __init__(
        self,
        tap: PayloadTap,
        request: InferenceRequest,
        of_model: tuple[str, str, str, str],
        metadata: Mapping[str, str] | None,
    ) -> None:
        self._tap = tap
        self._request = request
        self._of_model = of_model
        self._metadata = metadata
        self._parts: list[bytes] | None = []  #: None: they were too many

    def part(self, part: bytes) -> None:
        if self._parts is None:
            return
        size = part_size(part)
        if self._tap.kept + size > MOST_PARTS:
            self._give_up()
        else:
            self._parts.append(part)
            self._tap.kept += size

    def __call__(self, outcome: SeenOutcome) -> None:
        parts: list[bytes] = []
        if isinstance(outcome, Answer):
            media, status, told = _media(self._request, outcome.headers), outcome.status, outcome.body
        elif isinstance(outcome, ServingError):
            media, (status, _, told) = JSON, respond(outcome)
        elif self._parts is None:
            self._tap.drop(self._of_model[1], self._of_model[2])
            return
        else:
            media, status, told, parts = _media(self._request, ()), outcome.status, b"", self._parts
            self._give_up()
        self._tap.put(Payload("response", *self._of_model, media, told, status, time.time(), self._metadata, parts))

    def _give_up(self) -> None:
        """Its parts count no more."""
        self._tap.kept -= sum(map(part_size, self._parts or ()))
        self._parts = None


def _media(request: InferenceRequest, headers: Iterable[tuple[Any, Any]]) -> str:
    """What a body is, that of the request or of its answer."""
    if request.protocol == "grpc":
        return PROTOBUF
    return next((str(value, "latin-1") for name, value in headers if name == b"content-type"), JSON)
