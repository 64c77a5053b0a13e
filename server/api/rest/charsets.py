"""JSON bodies in another charset than UTF-8, where their `Content-Type` says so.

JSON is UTF-8 between systems (RFC 8259, 8.1), and a byte order mark before it is left out (`codec.json_bodies`). What
comes as `charset=utf-16` or `iso-8859-1`, as some clients of Java and .NET send it, is read by its charset.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from server.errors import InvalidInput, UnsupportedMediaType
from server.text import printable

CONTENT_TYPE = b"content-type"
_CHARSET = re.compile(r";\s*charset\s*=\s*(?:\"([^\"]*)\"|([^;\s]*))", re.IGNORECASE)
_JSON = re.compile(r"\s*(?:application|text)/(?:[\w.+-]+\+)?json\s*(?:;|$)", re.IGNORECASE)
#: charsets that are read, and what Python calls them; "" is UTF-8
_KNOWN = {
    "": "", "utf-8": "", "utf8": "", "us-ascii": "", "ascii": "",
    "utf-16": "utf-16", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be",
    "utf-32": "utf-32", "utf-32le": "utf-32-le", "utf-32be": "utf-32-be",
    "iso-8859-1": "latin-1", "latin1": "latin-1", "latin-1": "latin-1", "windows-1252": "cp1252",
}  # fmt: skip


def charset_of(content_type: str | None) -> str:
    """What a body's text has to be decoded by; "" where it is UTF-8, or no JSON.

    Raises:
        UnsupportedMediaType: nobody reads it here.
    """
    if content_type is None or not _JSON.match(content_type):
        return ""
    found = _CHARSET.search(content_type)
    named = (found[1] or found[2] or "").strip().lower() if found else ""
    if (known := _KNOWN.get(named)) is None:
        others = ", ".join(name for name in _KNOWN if "-" in name)
        raise UnsupportedMediaType(
            f"Content-Type: the charset {printable(named)} is not known: send JSON as UTF-8; known are {others}"
        )
    return known


def in_utf8(body: bytes, charset: str, take: Callable[[int], None]) -> bytes:
    """The body in UTF-8.

    Raises:
        InvalidInput: it is not in that charset.
        Overloaded: `take`, which is told of all bytes that are held, has no room for it.
    """
    try:
        text = body.decode(charset)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the body is not in the charset that its Content-Type names: {error}") from error
    encoded = text.removeprefix("\ufeff").encode("utf-8", "surrogatepass")
    take(len(encoded))
    return encoded
