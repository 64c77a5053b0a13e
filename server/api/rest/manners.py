"""What holds for every request over REST, whatever it asks: an ASGI application around all routes.

x-request-id       checked, handed on, answered with, logged        `server.api.request_ids`
--root_path        what stands before every path is left out        `rooted`
charset            a JSON body in another charset becomes UTF-8     `charsets`
Accept-Encoding    whole answers are compressed                     `answer_coding`

The short way (`fast_protocol`) keeps to the first two by its heads (`head_cache`), and leaves the rest to this one.
"""

from __future__ import annotations

from server.api import request_ids
from server.api.rest.answer_coding import compressing
from server.api.rest.asgi import App, AsgiMessage, Scope, Send, send_whole, unread
from server.api.rest.asgi import Receive as Receive
from server.api.rest.repository_routes import is_admin
from server.errors import InvalidInput
from server.runtime import logs


class Manners:
    """An ASGI application in front of all others."""

    def __init__(self, app: App, root_path: str = "", *, make_ids: bool = False, hands_on_admin: bool = False) -> None:
        """`root_path` begins with a slash and ends without; `make_ids`: requests without an identifier get one.

        `hands_on_admin`: calls that change the server go to another process, which makes theirs.
        """
        self._app = app
        self._root = root_path
        self._make_ids = make_ids
        self._hands_on_admin = hands_on_admin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._root:
            scope = rooted(scope, self._root)
        try:
            known = self._identify(scope)
        except InvalidInput as error:
            await send_whole(send, unread(scope, error))
            return
        if known:
            logs.request_id.set(known)  # of this task, which uvicorn makes for each request
            send = _telling(known, send)
        await self._app(scope, receive, compressing(scope, send))

    def _identify(self, scope: Scope) -> str:
        """The request's identifier, which its headers have then; "" for none.

        Raises:
            InvalidInput: it has several, or what is none.
        """
        given = [value for name, value in scope["headers"] if name == request_ids.HEADER]
        if len(given) > 1:
            raise InvalidInput(f"{request_ids.NAME} is given {len(given)} times: send one")
        if given:
            return request_ids.checked(str(given[0], "latin-1"))
        changes = is_admin(scope)
        if not self._make_ids or (changes and self._hands_on_admin):
            return ""
        known = request_ids.made()
        if not changes:  # there it would look like a proxy's (`api.access`)
            scope["headers"] = [*scope["headers"], (request_ids.HEADER, known.encode())]
        return known


def _telling(known: str, send: Send) -> Send:
    """`send`, which tells the identifier."""
    header = (request_ids.HEADER, known.encode())

    async def tell(message: AsgiMessage) -> None:
        if message["type"] == "http.response.start":
            others = [each for each in message.get("headers", ()) if each[0].lower() != request_ids.HEADER]
            message = {**message, "headers": [*others, header]}
        await send(message)

    return tell


def rooted(scope: Scope, root: str) -> Scope:
    """The request without the root path, which a proxy in front may have left out already."""
    path: str = scope["path"]
    found = {**scope, "root_path": root}
    if not is_below(path, root):
        return found
    found["path"] = path[len(root) :] or "/"
    if isinstance(raw := scope.get("raw_path"), bytes):
        found["raw_path"] = _without(raw, root.encode()) or b"/"
    return found


def is_below(path: str, root: str) -> bool:
    """Whether the root path stands before the rest of a path."""
    return path == root or path.startswith(f"{root}/")


def _without(raw: bytes, root: bytes) -> bytes:
    """What comes behind the root path, each of whose bytes may be written as it is, or as %6C."""
    at = 0
    for _ in root:
        at += 3 if raw[at : at + 1] == b"%" else 1
    return raw[at:]
