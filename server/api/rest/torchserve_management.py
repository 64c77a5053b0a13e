"""TorchServe's management API, as far as it only tells: which models there are, and what becomes of them.

    GET /models[?limit=N&next_page_token=T]      {"models": [{"modelName", "modelUrl"}], "nextPageToken"}
    GET /models/{model}[/{version} | /all]       [{"modelName", "modelVersion", "batchSize", "workers": [...], ...}]
    POST, PUT, DELETE /models...                 501: models come from the directory, their settings from polyserve.yaml

Source: TorchServe's management_api.md.
"""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import parse_qs

import orjson

from server.api.credentials import KEY, shown_to
from server.api.rest.asgi import Handler, Scope
from server.codec.error_text import quoted
from server.errors import InvalidInput, NotFound, NotSupported
from server.inference.answer import JSON_HEADERS, Answer
from server.inference.request import IsDisconnected
from server.repository.repository import Repository
from server.repository.state import ModelState

MODELS = "/models"
_ALL = "all"  #: in the place of a version
_PAGE = 100  #: models that are listed at once, unless the request says how many
_CHANGES = {
    "POST": "to register a model, put its folder or archive into the models directory",
    "PUT": "to scale a model, or to choose its default version, set `workers` or `versions` in its polyserve.yaml",
    "DELETE": "to unregister a model, take its folder away",
}
_LOAD = "POST /v2/repository/models/NAME/load and /unload load and unload what is there"


def is_management(path: str) -> bool:
    """Whether the path is one of this API's."""
    return path == MODELS or path.startswith(f"{MODELS}/")


class Management:
    """Answers such requests from a repository."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def handler(self, scope: Scope) -> Handler | None:
        """What answers the request; None: the path or the method is none of this API.

        Raises:
            NotSupported: it would change something.
        """
        path, method = scope["path"], scope["method"]
        if not is_management(path):
            return None
        if (instead := _CHANGES.get(method)) is not None:
            raise NotSupported(f"TorchServe's {method} {MODELS} is not served: {instead}; {_LOAD}")
        if method != "GET":
            return None
        name, _, version = path[len(MODELS) + 1 :].partition("/")
        return partial(self._describe, name, version) if name else self._list

    async def _list(self, scope: Scope, body: bytes, is_disconnected: IsDisconnected) -> Answer:
        query = parse_qs(str(scope.get("query_string", b""), "latin-1"))
        most, start = _number(query, "limit", _PAGE, 1), _number(query, "next_page_token", 0, 0)
        known = dict.fromkeys(entry["name"] for entry in self._repository.index())
        names = [name for name in known if shown_to(scope.get(KEY), name)]
        page = {"models": [{"modelName": name, "modelUrl": name} for name in names[start : start + most]]}
        return _json(page | ({"nextPageToken": str(start + most)} if start + most < len(names) else {}))

    async def _describe(
        self, name: str, version: str, scope: Scope, body: bytes, is_disconnected: IsDisconnected
    ) -> Answer:
        query = parse_qs(str(scope.get("query_string", b""), "latin-1"))
        if query.get("customized", ["false"])[-1].lower() == "true":
            raise NotSupported("customized: a handler's describe_handle is not asked; leave it out")
        if "/" in version:
            raise NotFound(f"there is no path {quoted(scope['path'])}")
        states = self._repository.states(name, None if version in ("", _ALL) else version)
        chosen = list(states.items())
        if not version:  # the default one
            chosen = [each for each in chosen if each[1].available][-1:] or chosen[-1:]
        return _json([_described(name, number, state) for number, state in chosen])


def _described(name: str, version: str, state: ModelState) -> dict[str, Any]:
    """One version; who waits for `workers` to be READY need not know of states and reasons."""
    word, reason = state.now
    model = state.model
    return {
        "modelName": name,
        "modelVersion": version,
        "modelUrl": name,
        "runtime": "python",
        **({"engine": model.adapter.name, "batchSize": max(1, model.max_rows)} if model is not None else {}),
        "workers": [{"id": "0", "status": str(word), "memoryUsage": state.memory}] if model is not None else [],
        "status": str(word),
        **({"reason": reason} if reason else {}),
    }


def _number(query: dict[str, list[str]], name: str, default: int, least: int) -> int:
    given = query.get(name, [str(default)])[-1]
    if not (given.isascii() and given.isdigit() and len(given) < 10 and int(given) >= least):
        raise InvalidInput(f"{name} must be a whole number from {least} on, not {quoted(given)}")
    return int(given)


def _json(document: Any) -> Answer:
    return Answer(200, JSON_HEADERS, orjson.dumps(document))
