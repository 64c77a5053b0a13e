"""Pages of other sites in a browser: which may ask, and read what is answered (`--allowed_origins`). By default none.

Source: WHATWG Fetch, "CORS protocol".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from server.api.rest.asgi import AsgiMessage, Scope, Send, header
from server.errors import Forbidden, Header, respond
from server.inference.answer import Answer
from server.text import printable

ANY = "*"
_ORIGIN, _ASKED_METHOD, _ASKED_HEADERS = b"origin", b"access-control-request-method", b"access-control-request-headers"
_ALLOWED_ORIGIN = b"access-control-allow-origin"
_VARY: Header = (b"vary", b"Origin")
_CREDENTIALS: Header = (b"access-control-allow-credentials", b"true")
#: headers of answers that pages may read
_EXPOSED: Header = (
    b"access-control-expose-headers",
    b"x-request-id, retry-after, inference-header-content-length, www-authenticate",
)
#: seconds that a browser may remember the answer to a preflight
_MAX_AGE = b"600"


class Cors:
    """The rule."""

    def __init__(self, allowed: Collection[str] = (), *, credentials: bool = False) -> None:
        """`allowed` are origins as browsers send them (`https://example.com`), or "*" for all.

        `credentials`: pages may send what browsers keep for this server, cookies and passwords.
        """
        self._allowed = frozenset(allowed)
        self._shared: list[Header] = [_CREDENTIALS] if credentials else []

    def preflight(self, scope: Scope, methods: Iterable[str]) -> Answer | None:
        """The answer to a browser that asks before it asks; None for any other request."""
        origin, asked = header(scope, _ORIGIN), header(scope, _ASKED_METHOD)
        if origin is None or asked is None:
            return None
        if not self._allows(origin):
            return Answer(*respond(Forbidden(_refusal(origin))))
        headers = [
            (_ALLOWED_ORIGIN, origin.encode("latin-1")),
            (b"access-control-allow-methods", ", ".join(methods).encode()),
            (b"access-control-max-age", _MAX_AGE),
            _VARY,
            *self._shared,
        ]
        if (wanted := header(scope, _ASKED_HEADERS)) is not None:
            headers.append((b"access-control-allow-headers", wanted.encode("latin-1")))
        return Answer(200, headers, b"")

    def sharing(self, scope: Scope, send: Send) -> Send:
        """`send`, which lets the page that asks read the answer, where it may."""
        origin = header(scope, _ORIGIN)
        if origin is None or not self._allows(origin) or header(scope, _ASKED_METHOD) is not None:
            return send
        ours = [(_ALLOWED_ORIGIN, origin.encode("latin-1")), _EXPOSED, _VARY, *self._shared]

        async def share(message: AsgiMessage) -> None:
            if message["type"] == "http.response.start":
                others = [each for each in message.get("headers", ()) if each[0].lower() != _ALLOWED_ORIGIN]
                message = {**message, "headers": [*others, *ours]}
            await send(message)

        return share

    def _allows(self, origin: str) -> bool:
        return ANY in self._allowed or origin in self._allowed


def _refusal(origin: str) -> str:
    return f"pages of {printable(origin)} may not ask this server: name their origin in --allowed_origins to allow it"
