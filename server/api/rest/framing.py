"""How long a request's body is, as its head tells it (RFC 9112, 6): `Content-Length`, or `Transfer-Encoding: chunked`.

Two servers that understand a head in two ways can be made to see two requests where there is one. So whatever is not
told in one of these ways is refused, and its connection closed: another coding by 501, an end that nobody can tell by
400. The parser refuses most of that by itself, some of it before a header is complete; here is what it lets through.
"""

from __future__ import annotations

from server.errors import Header, InvalidInput, NotSupported, ServingError
from server.text import printable

CODING = b"transfer-encoding"
FRAMING = {b"content-length", CODING}

_CHUNKED = b"chunked"
_DIGITS = 18  #: of a length; more are refused by the limit, whatever they say
_INVALID = "Invalid HTTP request received"


def body_length(headers: list[Header]) -> int | None:
    """Bytes of a body, as its headers say; the parser refuses those that contradict each other. None: nobody knows.

    Raises:
        NotSupported: another coding than chunked, which the parser takes for chunked alone.
        InvalidInput: chunked is not its last.
    """
    length: int | None = 0
    for name, value in headers:
        if name == CODING:
            if value.lower() != _CHUNKED:
                _check_codings(headers)
            return None
        if name == b"content-length":
            length = int(value) if value.isdigit() and len(value) <= _DIGITS else None
    return length


def unreadable(error: Exception, headers: list[Header]) -> ServingError:
    """What a client is told whose request the parser has given up, with the headers that it had read."""
    try:
        _check_codings(headers)
    except ServingError as known:
        return known
    return InvalidInput(f"{_INVALID}: {error}")


def _check_codings(headers: list[Header]) -> None:
    told = b", ".join(value for name, value in headers if name == CODING)
    codings = [each.strip(b" \t") for each in told.lower().split(b",")]
    found = [each for each in codings if each]
    shown = f"Transfer-Encoding: {printable(str(told, 'latin-1'))}"
    if found and found[-1] != _CHUNKED:
        raise InvalidInput(f"{shown} does not end in chunked, so that nobody can tell where the body ends")
    if set(found) - {_CHUNKED}:
        raise NotSupported(
            f"{shown} is not read here: chunked alone is, and Content-Encoding says how a body is compressed"
        )
