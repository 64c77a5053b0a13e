"""Asks every request over REST for an API key (`server.api.credentials`): an ASGI application around the routes.

    health, /ping, /, OPTIONS                        open: probes and browsers' preflights bring no keys
    the console's page and its files                 open: where its reader gives the key; what it asks for needs it
    load, unload, and to change the log's level      `server.api.access`
    what names a model in its path                   a key that is for the model
    OpenAI's routes, whose bodies name the model     a key; the route looks whether it is for the model
    lists of models (index, statistics, ...)         a key: its models are listed (`keyed_lists`)
    what tells of all models (metrics, ...)          a key that is for all
    anything else                                    a key

It is there only where the server was told to ask for keys. What carries a key is taken out of the headers, so that no
model and no log has it.
"""

from __future__ import annotations

from server.api.credentials import CARRIERS, KEY, KeyGuard, check_all, check_model
from server.api.openai.endpoints import MODEL, OpenAIPaths
from server.api.openai.error_object import in_openai_shape
from server.api.rest.asgi import App, Receive, Scope, Send, send_whole, unread
from server.api.rest.keyed_lists import LISTS, of_the_key
from server.api.rest.paths import MODEL_TRACE, V1, V2, parse, parse_facts
from server.api.rest.repository_routes import is_admin
from server.api.rest.torchserve import EXPLANATIONS, PING, PREDICTIONS
from server.api.rest.torchserve_management import MODELS as MANAGED
from server.config.api_keys import ApiKey
from server.errors import ServingError
from server.repository.suggestions import show_only

_OPEN = frozenset({"/", PING, "/v2/health/live", "/v2/health/ready", "/console"})
_OF_ALL = frozenset({"/metrics", "/openapi.json", "/console/overview"})
_CONSOLE_MODELS, _CONSOLE_FILES = "/console/models/", "/console/assets/"


class KeyedRoutes:
    """An ASGI application in front of the routes."""

    def __init__(self, app: App, keys: KeyGuard, openai: OpenAIPaths | None = None, *, hides: bool = True) -> None:
        """`hides`: the headers that carry keys end here; not where the request may be handed on to another guard."""
        self._app = app
        self._keys = keys
        self._openai = openai
        self._hides = hides

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if scope["type"] == "http" and not _is_open(path) and not is_admin(scope):
            try:
                key = self._keys.key_of(scope["headers"])
                self._check(key, path)
            except ServingError as error:
                answer = unread(scope, error)
                if self._openai is not None and self._openai.parse(path) is not None:
                    answer = in_openai_shape(answer)
                await send_whole(send, answer)
                return
            scope = {**scope, KEY: key}
            show_only(key.allows)
            send = of_the_key(key, path, send)
            if self._hides:
                scope["headers"] = [each for each in scope["headers"] if each[0] not in CARRIERS]
        await self._app(scope, receive, send)

    def _check(self, key: ApiKey, path: str) -> None:
        """
        Raises:
            Forbidden: the key is not for what the path names.
        """
        if self._openai is not None and (asked := self._openai.parse(path)) is not None:
            if asked.action == MODEL:
                check_model(key, asked.model)
        elif path in _OF_ALL:
            check_all(key, path)
        elif path not in LISTS and (model := named_model(path)) is not None:
            check_model(key, model)


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(_CONSOLE_FILES)


def named_model(path: str) -> str | None:
    """The model that a path is about, also one that no route is for; None: it names none."""
    if (asked := parse(path) or parse_facts(path)) is not None:
        return asked.model
    if path.startswith(V2) and path.endswith(MODEL_TRACE):
        return path[len(V2) :].removesuffix(MODEL_TRACE)
    for begin in (PREDICTIONS, EXPLANATIONS, V1, V2, f"{MANAGED}/", _CONSOLE_MODELS):
        if path.startswith(begin):
            return path[len(begin) :].partition("/")[0].partition(":")[0]
    return None
