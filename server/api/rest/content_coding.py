"""Compressed bodies: gzip and deflate, inflated no further than a body may be. Answers are `answer_coding`'s.

Sources: RFC 9110, 8.4 (Content-Encoding), RFC 1950 to 1952; Triton's HTTP client, which sends one coding.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable

from server.errors import InvalidInput, TooLarge, UnknownCoding
from server.text import printable

ENCODING = b"content-encoding"
GZIP, DEFLATE = "gzip", "deflate"
#: names that mean no coding, and other names of those that are known
_NAMES = {"": "", "identity": "", "x-gzip": GZIP, GZIP: GZIP, DEFLATE: DEFLATE}

_GZIP_BITS, _ZLIB_BITS, _RAW_BITS = 31, 15, -15
_STEP = 256 * 1024  #: bytes that are inflated at once
#: bytes of a body that zlib is given at once: it copies what it leaves over, after every step and every member
_READ = 16 * 1024
#: parts that a gzip body may be put together of: each costs, however little is in it, and programs make them of 64 KiB
_MOST_MEMBERS = 10_000
#: bytes of a body that are inflated on the event loop: a fraction of a millisecond
_SMALL = 4096

#: holds so many bytes more
Take = Callable[[int], None]


def coding_of(value: str | None) -> str:
    """The coding that a `Content-Encoding` names: "gzip", "deflate", or "" for none.

    Raises:
        UnknownCoding: it names another, or several.
    """
    found = _NAMES.get((value or "").strip().lower())
    if found is None:
        raise UnknownCoding(
            f"Content-Encoding: {printable(value or '')} is not known: send the body as it is (identity), "
            f"or as {GZIP} or {DEFLATE}, one of them"
        )
    return found


async def inflated(body: bytes, coding: str, most: int, take: Take) -> bytes:
    """The body as it was before it was compressed.

    Raises:
        InvalidInput: it is not compressed in that way, or damaged.
        TooLarge: it would be more than `most` bytes.
        Overloaded: `take` has no room for it.
    """
    if not body:
        return body
    if len(body) <= _SMALL and most <= _SMALL:
        return _inflate(body, coding, most, take)
    loop = asyncio.get_running_loop()

    def taken(size: int) -> None:  # what is counted is counted on the event loop
        asyncio.run_coroutine_threadsafe(_call(take, size), loop).result()

    return await asyncio.to_thread(_inflate, body, coding, most, taken)


async def _call(take: Take, size: int) -> None:
    take(size)


def _inflate(body: bytes, coding: str, most: int, take: Take) -> bytes:
    bits = _GZIP_BITS if coding == GZIP else _ZLIB_BITS if _is_zlib(body) else _RAW_BITS
    found, held, position = bytearray(), 0, 0
    try:
        for _ in range(_MOST_MEMBERS):
            member, rest = zlib.decompressobj(bits), b""
            while not member.eof:
                if not rest:
                    rest = body[position : position + _READ]
                    position += len(rest)
                part = member.decompress(rest, min(_STEP, most - len(found) + 1))
                if not part and not rest:
                    raise InvalidInput(f"the body ends before its {coding} does (Content-Encoding: {coding})")
                rest = member.unconsumed_tail
                found += part
                if len(found) > most:
                    raise TooLarge(f"the body holds more than {most} bytes when it is inflated (max_body_bytes)")
                if len(found) - held >= _STEP:
                    take(len(found) - held)
                    held = len(found)
            position -= len(member.unused_data)
            if position == len(body):
                take(len(found) - held)
                return bytes(found)
            if coding == DEFLATE:
                raise InvalidInput("something follows the compressed body (Content-Encoding: deflate)")
    except zlib.error as error:
        raise InvalidInput(f"the body is no {coding}, or damaged (Content-Encoding: {coding}): {error}") from error
    raise InvalidInput(f"the body is put together of more than {_MOST_MEMBERS} parts (Content-Encoding: {coding})")


def _is_zlib(body: bytes) -> bool:
    """Whether the bytes begin as RFC 1950 says; some clients leave its wrapping out."""
    return len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
