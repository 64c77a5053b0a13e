"""Served models as KServe's own data plane calls them: CloudEvents, and its V1 and V2 routes.

    KServe's route --> PolyDataPlane --> KServeRegistry.get_model --> KServeModel --> ServedModel.handle

A model's way is the same as ever: what KServe has read is written anew, and handed over as a request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import kserve
import orjson
from kserve import InferRequest, InferResponse, ModelRepository
from kserve.model import InferenceVerb

from server.codec.v2 import HEADER_LENGTH
from server.errors import NotReady, NotSupported, nearest_error
from server.inference.answer import Answer, StreamedAnswer
from server.inference.model import ServedModel
from server.inference.request import InferenceRequest
from server.repository.repository import Repository

_LENGTH = HEADER_LENGTH.decode()


def kserve_model(served: ServedModel) -> kserve.Model:
    """The model, for KServe."""
    return EventReader(served) if served.reads_events else KServeModel(served)


class KServeModel(kserve.Model):
    """A model whose payloads KServe reads: JSON objects of V1, events' data, `InferRequest`s."""

    def __init__(self, served: ServedModel) -> None:
        super().__init__(served.name)
        self._served = served
        self.ready = served.ready

    async def predict(
        self,
        payload: dict[str, Any] | bytes | InferRequest,
        headers: dict[str, str] | None = None,
        response_headers: dict[str, str] | None = None,
    ) -> dict[str, Any] | InferResponse:
        """KServe's hook."""
        if isinstance(payload, InferRequest):
            raw, json_length = _v2_body(payload)
            answer = await self._ask("v2", "predict", raw, json_length=json_length)
            length = next((int(value) for key, value in answer.headers if key == HEADER_LENGTH), None)
            if length:
                return InferResponse.from_bytes(answer.body, length)
            return InferResponse.from_rest(orjson.loads(answer.body))
        result: dict[str, Any] = orjson.loads((await self._ask("v1", "predict", _v1_body(payload))).body)
        return result

    async def explain(self, payload: dict[str, Any] | bytes, headers: dict[str, str] | None = None) -> dict[str, Any]:
        """KServe's hook."""
        result: dict[str, Any] = orjson.loads((await self._ask("v1", "explain", _v1_body(payload))).body)
        return result

    async def _ask(
        self,
        protocol: str,
        verb: str,
        body: bytes,
        headers: Sequence[tuple[bytes, bytes]] = (),
        json_length: str | None = None,
    ) -> Answer:
        request = InferenceRequest(
            protocol, verb, self.name, self._served.version, headers, body, json_length=json_length
        )
        answer = await self._served.handle(request)
        if isinstance(answer, StreamedAnswer):
            await answer.close()
            raise NotSupported(f"model {self.name!r} answers in parts: send it no event, but a request of V1")
        return answer

    def get_input_types(self) -> list[dict[str, Any]]:
        return self._served.get_input_types()

    def get_output_types(self) -> list[dict[str, Any]]:
        return self._served.get_output_types()

    def load(self) -> bool:
        """KServe's data plane calls this on a model that is not ready."""
        if not self.ready:
            raise NotReady(f"model {self.name!r} is not ready")
        return True

    def stop(self) -> None:
        self._served.stop()


class EventReader(KServeModel):
    """A model that reads whole requests, events included, itself."""

    async def __call__(
        self, body: Any, headers: dict[str, str] | None = None, verb: InferenceVerb = InferenceVerb.PREDICT
    ) -> tuple[Any, dict[str, str]]:
        """KServe's hook, ahead of all others."""
        sent = {key: value for key, value in (headers or {}).items() if not key.startswith(("ce-", "content-"))}
        if isinstance(body, InferRequest):
            raw, json_length = _v2_body(body)
            if json_length is not None:
                sent[_LENGTH] = json_length
            protocol = "v2"
        else:
            raw, protocol = body if isinstance(body, bytes) else orjson.dumps(body), "v1"
            sent["content-type"] = "application/json"
        encoded = [(key.encode(), value.encode("latin-1", "replace")) for key, value in sent.items()]
        answer = await self._ask(protocol, verb.name.lower(), raw, encoded)
        returned = {str(key, "latin-1"): str(value, "latin-1") for key, value in answer.headers}
        return _payload(answer, returned), {k: v for k, v in returned.items() if not k.startswith("content-")}


class KServeRegistry(ModelRepository):
    """Our repository, as KServe's servers and routes ask for models."""

    def __init__(self, repository: Repository) -> None:
        super().__init__()
        self._repository = repository

    def get_model(self, name: str) -> kserve.Model | None:
        """The model if it is ready.

        Raises:
            NotReady: it is known but not ready; the message holds the reason.
        """
        served = self._repository.get_model(name)
        return None if served is None else kserve_model(served)

    def get_models(self) -> dict[str, kserve.Model | None]:
        """Every model by name, with what serves it."""
        models = self._repository.get_models()
        return {name: None if served is None else kserve_model(served) for name, served in models.items()}

    async def is_model_ready(self, name: str) -> bool:
        return self._repository.is_ready(name)

    async def load(self, name: str) -> None:
        """
        Raises:
            NotFound, NotReady: with the reason.
        """
        await self._repository.load(name)

    def unload(self, name: str) -> None:
        """
        Raises:
            KeyError: there is none.
        """
        self._repository.unload(name)

    async def unload_and_wait(self, name: str) -> None:
        """Unload a model; the requests that reached it are answered first.

        Raises:
            NotFound.
        """
        await self._repository.unload_and_wait(name)


def _v1_body(payload: Any) -> bytes:
    """A V1 body; an event's data that KServe could not read comes as it was sent."""
    if isinstance(payload, bytes):
        return payload
    return orjson.dumps(payload if isinstance(payload, dict) else {"instances": [payload]})


def _v2_body(request: InferRequest) -> tuple[bytes, str | None]:
    """A V2 body, and the length of its JSON where raw tensors follow it."""
    rest, json_length = request.to_rest()
    return rest if isinstance(rest, bytes) else orjson.dumps(rest), str(json_length) if json_length else None


def _payload(answer: Answer, headers: Mapping[str, str]) -> Any:
    """An answer as KServe's data plane takes it: it encodes what it is given.

    Raises:
        ServingError: the answer is an error.
    """
    if answer.status >= 400:
        raise nearest_error(answer.status)(answer.body.decode(errors="replace"))
    if _LENGTH in headers:
        return InferResponse.from_bytes(answer.body, int(headers[_LENGTH]))
    return orjson.loads(answer.body) if headers.get("content-type") == "application/json" else answer.body
