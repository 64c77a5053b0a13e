"""Lists of models as the holder of an API key sees them: those that the key is for.

    POST /v2/repository/index     [{"name", ...}]
    GET  /v1/models, /v2/models   {"models": [name]}
    GET  /v2/models/stats         {"model_stats": [{"name", ...}]}

The answers are KServe's and our own; what is left out is taken from the JSON before it is sent. OpenAI's list and
TorchServe's, which comes in pages, ask the key themselves.
"""

from __future__ import annotations

from typing import Any

import orjson

from server.api.credentials import shown_to
from server.api.rest.asgi import AsgiMessage, Send
from server.config.api_keys import ApiKey

#: path -> the member that is the list; "": the document itself is
LISTS = {"/v2/repository/index": "", "/v1/models": "models", "/v2/models": "models", "/v2/models/stats": "model_stats"}


def of_the_key(key: ApiKey, path: str, send: Send) -> Send:
    """What sends the answer to a request for such a list; `send` itself for any other."""
    if path not in LISTS or key.models is None:
        return send
    return _Shortened(key, LISTS[path], send)


class _Shortened:
    """Holds an answer back until it is whole: of models' names it is small."""

    def __init__(self, key: ApiKey, member: str, send: Send) -> None:
        self._key = key
        self._member = member
        self._send = send
        self._start: AsgiMessage = {}
        self._body = b""

    async def __call__(self, message: AsgiMessage) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body", False):
            return
        body = self._shortened() if self._start.get("status") == 200 else self._body
        headers = [each for each in self._start.get("headers", ()) if each[0].lower() != b"content-length"]
        headers.append((b"content-length", str(len(body)).encode()))
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def _shortened(self) -> bytes:
        document = orjson.loads(self._body)
        if self._member and self._member not in document:  # the metadata of a model that is called as the list
            return self._body if shown_to(self._key, _name(document)) else orjson.dumps({self._member: []})
        entries = document[self._member] if self._member else document
        entries[:] = [each for each in entries if shown_to(self._key, _name(each))]
        return orjson.dumps(document)


def _name(entry: Any) -> str:
    """Of a model; an entry that tells none is nobody's."""
    name = entry.get("name") if isinstance(entry, dict) else entry
    return name if isinstance(name, str) else ""
