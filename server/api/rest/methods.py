"""What may be done with a path: `HEAD` wherever there is `GET`, `OPTIONS` everywhere, and 405 that tells the truth.

HEAD            as GET, without the body (RFC 9110, 9.3.2): what load balancers and uptime monitors ask by
OPTIONS         200 and `Allow`; a browser's preflight is `cors`'s; of `/` the description of all routes (TorchServe)
another method  405 and `Allow`, for predictions before anything is read; elsewhere who answers says 405
a slash behind  is left out: no client follows a redirect of a POST
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.routing import BaseRoute, Match, Mount

from server.api.openai.endpoints import OpenAIPaths
from server.api.openai.error_object import in_openai_shape
from server.api.rest.asgi import App, AsgiMessage, Receive, Scope, Send, send_whole, unread, with_root
from server.api.rest.cors import Cors
from server.api.rest.paths import INVOCATIONS, is_settings, parse, parse_facts
from server.api.rest.repository_routes import change_of
from server.api.rest.torchserve import EXPLANATIONS, PING, PREDICTIONS
from server.api.rest.torchserve_management import is_management
from server.errors import Header, MethodNotAllowed
from server.inference.answer import Answer

ALLOW = b"allow"
#: in the order in which they are listed
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
_EXPLICIT = ("GET", "POST", "PUT", "DELETE", "PATCH")
_DESCRIPTION = "/openapi.json"
_HEALTH = ("/v2/health/live", "/v2/health/ready", PING)


class Methods:
    """An ASGI application in front of all routes."""

    def __init__(
        self, app: App, routes: Iterable[BaseRoute], cors: Cors | None = None, openai: OpenAIPaths | None = None
    ) -> None:
        """`routes` are those of KServe's application, which are read when they are asked for."""
        self._app = app
        self._routes = routes
        self._cors = cors or Cors()
        self._openai = openai

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = _without_slash(scope)
        send = self._cors.sharing(scope, send)
        method, path = scope["method"], scope["path"]
        if method == "OPTIONS" and (allowed := self._allowed(scope)):
            if (preflight := self._cors.preflight(scope, allowed)) is None and path == "/":
                await self._app({**scope, "method": "GET", "path": _DESCRIPTION}, receive, _allowing(send, allowed))
            else:
                await send_whole(send, preflight or Answer(200, [_allow(allowed)], b""))
        elif (verbs := self._verbs(path)) and method not in _with_implied(verbs):
            known = _with_implied(verbs)
            error = MethodNotAllowed(f"{path} is asked by {' or '.join(verbs)}, not by {method}")
            answer = unread(scope, error)
            if self._openai is not None and self._openai.parse(path) is not None:
                answer = in_openai_shape(answer)
            await send_whole(send, answer._replace(headers=[*answer.headers, _allow(known)]))
        else:
            asked = {**scope, "method": "GET"} if method == "HEAD" else scope
            is_known = verbs or (path in _HEALTH and asked["method"] == "GET")  # no 405 comes of those
            await self._app(asked, receive, send if is_known else self._corrected(scope, send))

    def _verbs(self, path: str) -> tuple[str, ...]:
        """How predictions and texts are asked for; empty for other paths."""
        return _verbs(path) or (self._openai.verbs(path) if self._openai is not None else ())

    def _allowed(self, scope: Scope) -> list[str]:
        """All that the path is asked by; empty where nothing is known of it."""
        if scope["path"] == "*":
            return list(_METHODS)
        verbs = set(self._verbs(scope["path"]))
        if not verbs:
            verbs = {method for method in _EXPLICIT if self._is_routed(scope, method)}
        if scope["path"] in _HEALTH or parse_facts(scope["path"]) is not None or is_management(scope["path"]):
            verbs.add("GET")
        if is_settings(scope["path"]):
            verbs |= {"GET", "POST"}
        if change_of(scope["path"]) is not None:
            verbs.add("POST")
        return _with_implied(verbs) if verbs else []

    def _is_routed(self, scope: Scope, method: str) -> bool:
        """Whether one of the routes is for this; a mount, which takes any method, serves files."""
        asked = with_root({**scope, "method": method})
        return any(
            route.matches(asked)[0] is Match.FULL and (method == "GET" or not isinstance(route, Mount))
            for route in self._routes
        )

    def _corrected(self, scope: Scope, send: Send) -> Send:
        """KServe's application names the methods of the first of its routes that has the path."""

        async def corrected(message: AsgiMessage) -> None:
            if message["type"] == "http.response.start" and message["status"] == 405:
                headers = [header for header in message.get("headers", ()) if header[0].lower() != ALLOW]
                if allowed := self._allowed(scope):
                    message = {**message, "headers": [*headers, _allow(allowed)]}
            await send(message)

        return corrected


def _without_slash(scope: Scope) -> Scope:
    path: str = scope["path"]
    if len(path) < 2 or not path.endswith("/"):
        return scope
    found = {**scope, "path": path.rstrip("/") or "/"}
    raw = scope.get("raw_path")
    return {**found, "raw_path": raw.rstrip(b"/") or b"/"} if isinstance(raw, bytes) else found


def _verbs(path: str) -> tuple[str, ...]:
    """How predictions, and TorchServe's health, are asked for; empty for other paths."""
    if path == PING:
        return ("GET",)
    if path == INVOCATIONS or parse(path) is not None:
        return ("POST",)
    return ("POST", "PUT") if path.startswith((PREDICTIONS, EXPLANATIONS)) else ()


def _with_implied(verbs: Iterable[str]) -> list[str]:
    found = {*verbs, "OPTIONS"} | ({"HEAD"} if "GET" in verbs else set())
    return [method for method in _METHODS if method in found]


def _allowing(send: Send, allowed: Iterable[str]) -> Send:
    """`send`, with an `Allow` beside the headers."""

    async def sent(message: AsgiMessage) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), _allow(allowed)]}
        await send(message)

    return sent


def _allow(allowed: Iterable[str]) -> Header:
    return ALLOW, ", ".join(allowed).encode()
