"""Loading and unloading over REST, as KServe and Triton have it, and what Triton has beside it and is refused.

    POST /v2/repository/models/{model}/load, /unload        {"parameters": {...}}, or no body
    POST /v2/repository/models/{model}/promote              the version with `shadow: true` serves
    /v2/systemsharedmemory/..., /v2/cudasharedmemory/...    501

Who may do so is asked before this.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson

from server.api.rest.asgi import Handler, Scope
from server.api.rest.paths import LOGGING
from server.api.triton.loading_options import check_options
from server.codec.error_text import described
from server.codec.json_bodies import parse_small_object
from server.codec.parameters import refuse_others
from server.errors import InvalidInput, NotSupported
from server.inference.answer import JSON_HEADERS, Answer
from server.inference.request import IsDisconnected
from server.repository.repository import Repository

ADMIN = "/v2/repository/models/"  #: loading and unloading: not open to everybody
_CONSOLE, _LOG = "/console/models/", "/log"
_SHARED_MEMORY = ("/v2/systemsharedmemory", "/v2/cudasharedmemory")
_VERBS = ("load", "unload", "promote")


class RepositoryRoutes:
    """Answers such requests."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def handler(self, path: str) -> Handler | None:
        """What answers a POST of the path; None: it is another."""
        return partial(self._change, *found) if (found := change_of(path)) is not None else None

    async def _change(self, verb: str, name: str, scope: Scope, body: bytes, is_disconnected: IsDisconnected) -> Answer:
        check_options(_parameters(body))
        if verb == "promote":
            version = await self._repository.promote(name)
            return Answer(200, JSON_HEADERS, orjson.dumps({"name": name, "version": version, "promote": True}))
        await (self._repository.load(name) if verb == "load" else self._repository.unload_and_wait(name))
        return Answer(200, JSON_HEADERS, orjson.dumps({"name": name, verb: True}))


def change_of(path: str) -> tuple[str, str] | None:
    """What a POST of the path does, and to which model; None: nothing of these."""
    name, _, verb = path[len(ADMIN) :].rpartition("/") if path.startswith(ADMIN) else ("", "", "")
    return (verb, name) if name and "/" not in name and verb in _VERBS else None


def is_admin(scope: Scope) -> bool:
    """Whether a request would change the server, or read a model's log: who may do so is asked (`api.access`)."""
    path: str = scope["path"]
    if path.startswith(_CONSOLE) and path.endswith(_LOG):  # what a model prints may be anything
        return True
    return path.startswith(ADMIN) or (path == LOGGING and scope["method"] == "POST")


def check_served(path: str) -> None:
    """
    Raises:
        NotSupported: the path asks for shared memory.
    """
    if path.startswith(_SHARED_MEMORY):
        raise NotSupported("shared memory is not served: send tensors in the request")


def _parameters(body: bytes) -> dict[str, Any]:
    document = parse_small_object(body, '"parameters"') if body.strip() else {}
    refuse_others("the body", document, ("parameters",))
    parameters = document.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise InvalidInput(f'"parameters" must be an object, not {described(parameters)}')
    return parameters
