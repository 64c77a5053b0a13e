"""KServe's data plane over our repository: readiness tells the truth, metadata says what the model takes."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from kserve.constants.constants import PredictorProtocol
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.model_repository_extension import ModelRepositoryExtension

from server.api.kserve.models import KServeRegistry
from server.api.model_metadata import model_metadata as describe_model
from server.api.model_metadata import server_metadata
from server.codec.json_bodies import check_size
from server.errors import InvalidInput, NotReady, ServingError
from server.repository.repository import Repository

#: what a model's name keeps of itself in a URI
_URI = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


class PolyRepositoryExtension(ModelRepositoryExtension):
    """Loading and unloading over REST: errors as the repository tells them, where KServe's own hides them in a text."""

    def __init__(self, repository: Repository) -> None:
        super().__init__(KServeRegistry(repository))

    async def load(self, model_name: str) -> None:
        """Load a model (again).

        Raises:
            NotFound, NotReady.
        """
        await self._model_registry.load(model_name)

    async def unload(self, model_name: str) -> None:
        """Unload a model; the requests that reached it are answered first.

        Raises:
            NotFound.
        """
        await self._model_registry.unload_and_wait(model_name)


class PolyDataPlane(DataPlane):
    """What KServe's routes ask for."""

    def __init__(self, repository: Repository) -> None:
        super().__init__(model_registry=KServeRegistry(repository))
        self._repository = repository

    def metadata(self) -> dict[str, Any]:
        return server_metadata()

    async def ready(self) -> bool:
        """KServe's route asks; unlike KServe's own this one is about the models.

        Raises:
            NotReady: with what is missing.
        """
        if why := self._repository.why_not_ready():
            raise NotReady(f"the server is not ready: {why}")
        return True

    async def model_ready(self, model_name: str, disable_predictor_health_check: bool = False) -> bool:
        if self._repository.is_asleep(model_name):  # a request will bring it back, a probe need not
            return True
        self._repository.ready_model(model_name)
        return bool(await super().model_ready(model_name, disable_predictor_health_check))

    def decode(
        self,
        body: Any,
        headers: Any,
        protocol_version: str = PredictorProtocol.REST_V1.value,
        model_name: str | None = None,
    ) -> Any:
        """The payload of an event, and its attributes.

        Raises:
            InvalidInput: KServe cannot read it; its own words for that come with a trace in the log.
        """
        if isinstance(body, bytes):
            check_size(body)
        try:
            return super().decode(body, headers, protocol_version, model_name)
        except ServingError:
            raise
        except Exception as error:
            why = str(error).partition("\n")[0]
            if body in (None, b"", ""):
                why = "it has no data"
            raise InvalidInput(f"the body, or the event that it is, cannot be read: {why}") from error

    def encode(self, model_name: str, response: Any, headers: Any, req_attributes: Any) -> Any:
        """An answer to an event is one, whose source is a URI (CloudEvents 1.0): it names the model as such."""
        return super().encode(quote(model_name, safe=_URI), response, headers, req_attributes)

    async def get_model(self, name: str) -> Any:
        """The model that an event is for.

        Raises:
            NotFound, NotReady.
        """
        if self._repository.is_asleep(name):
            await self._repository.ready(name)
        self._repository.check_known(name)  # in our words
        return await super().get_model(name)

    async def model_metadata(self, model_name: str, model_version: str = "") -> dict[str, Any]:
        """Name, platform, inputs and outputs.

        Raises:
            NotFound, NotReady.
        """
        return await describe_model(self._repository, model_name, model_version or None)
