"""Compressed answers, for clients that accept them: gzip or deflate, as `Accept-Encoding` weighs them.

A header that names one coding alone, or that weighs codings (`gzip;q=0.9`), is a wish, and every answer is compressed.
A plain list, as browsers and most clients send it with every request, is an offer: answers of `OFFERED` bytes and more
are compressed, as less costs more than it saves next door. Answers in parts are sent as they are made.

Sources: RFC 9110, 12.5.3 (Accept-Encoding) and 12.5.5 (Vary); Triton's HTTP client, which asks for one coding.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from typing import NamedTuple

from server.api.rest.asgi import AsgiMessage, Scope, Send, header
from server.api.rest.content_coding import DEFLATE, ENCODING, GZIP
from server.errors import Header
from server.inference.answer import Answer

ACCEPTED = b"accept-encoding"
#: bytes of an answer from which on it is compressed for who only offers to take it so
OFFERED = 16 * 1024
#: bytes of an answer that are compressed on the event loop: a fraction of a millisecond
_SMALL = 4096
_LEVEL = 1  #: of compression: twice as fast as the default, and nearly as small
_GZIP_BITS, _ZLIB_BITS = 31, 15
_WEIGHT = re.compile(r"q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE | re.ASCII)
#: what is heard of a header: more is noise
_LONGEST = 1000
VARY: Header = (b"vary", b"Accept-Encoding")
#: answers that have no body, or a part of one
_NOT_WHOLE = (204, 206, 304)


class Accepted(NamedTuple):
    """What a client accepts."""

    coding: str = ""  #: "gzip", "deflate", or "" for none
    least: int = 1  #: bytes of an answer that is worth it


def accepted(value: str) -> Accepted:
    """What an `Accept-Encoding` says; what is not understood of it is not accepted."""
    weights: dict[str, float] = {}
    weighed = False
    for item in value[:_LONGEST].split(","):
        name, semicolon, parameter = item.partition(";")
        name = name.strip().lower().removeprefix("x-")
        if not name:
            continue
        weight = 1.0
        if semicolon:
            weighed = True
            found = _WEIGHT.fullmatch(parameter.strip())
            weight = float(found[1]) if found else 0.0
        weights.setdefault(name, weight)
    rest = weights.get("*", 0.0)
    best = max((GZIP, DEFLATE), key=lambda coding: weights.get(coding, rest))
    weight = weights.get(best, rest)
    if weight <= 0 or weights.get("identity", 0.0) > weight:
        return Accepted()
    return Accepted(best, 1 if weighed or len(weights) == 1 else OFFERED)


def compressing(scope: Scope, send: Send) -> Send:
    """`send`, which compresses whole answers where the client accepts it."""
    named = header(scope, ACCEPTED)
    if named is None:
        return send
    coding, least = accepted(named)
    if not coding:
        return send
    start: AsgiMessage = {}

    async def send_compressed(message: AsgiMessage) -> None:
        nonlocal start
        if message["type"] == "http.response.start" and _has_length(message):
            start = message
            return
        if start:
            begun, start = start, {}
            if not message.get("more_body"):
                whole = Answer(begun["status"], list(begun.get("headers", ())), message.get("body", b""))
                answer = await compressed(whole, coding, least)
                begun, message = {**begun, "headers": answer.headers}, {**message, "body": answer.body}
            await send(begun)
        await send(message)

    return send_compressed


async def compressed(answer: Answer, coding: str, least: int = 1) -> Answer:
    """A whole answer in a coding, where that is worth it."""
    if len(answer.body) < max(1, least) or answer.status in _NOT_WHOLE or _is_coded(answer):
        return answer
    if len(answer.body) <= _SMALL:
        body = _compress(answer.body, coding)
    else:
        body = await asyncio.to_thread(_compress, answer.body, coding)
    headers = [(name, value) for name, value in answer.headers if name.lower() != b"content-length"]
    if len(headers) != len(answer.headers):
        headers.append((b"content-length", b"%d" % len(body)))
    return answer._replace(headers=[*headers, (ENCODING, coding.encode()), VARY], body=body)


def _has_length(start: AsgiMessage) -> bool:
    """Whether the answer is there whole, as its length is known; the head of a stream does not wait for a part."""
    return any(name.lower() == b"content-length" for name, _ in start.get("headers", ()))


def _is_coded(answer: Answer) -> bool:
    return any(name.lower() == ENCODING for name, _ in answer.headers)


def _compress(body: bytes, coding: str) -> bytes:
    packer = zlib.compressobj(_LEVEL, wbits=_GZIP_BITS if coding == GZIP else _ZLIB_BITS)
    return packer.compress(body) + packer.flush()
