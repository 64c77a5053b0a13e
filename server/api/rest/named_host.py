"""The host that a request of HTTP/1 names: one, in letters that a host is written in.

A target that is a whole URI says it instead of the header, which may name another. Whoever is on the way and whoever
guards this server (`api.access`) have to understand the same.

Source: RFC 9112, 3.2 and 3.2.2; RFC 9110, 4.2.4 (no user before the host).
"""

from __future__ import annotations

import re

from server.errors import Header, InvalidInput

_HOST = b"host"
#: versions whose requests need not name one
_WITHOUT = ("0.9", "1.0")
_WRITTEN = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]*")
#: of a target that is a whole URI
_AUTHORITY = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")


def one_host(target: bytes, version: str, headers: list[Header]) -> None:
    """Have the headers name the host that is asked, or none where that may be.

    Raises:
        InvalidInput: they name none, or several, or what is none.
    """
    named = [value for name, value in headers if name == _HOST]
    if len(named) > 1:
        raise InvalidInput(f"the request names {len(named)} hosts: send one Host header")
    if not named and version not in _WITHOUT:
        raise InvalidInput(f"a request of HTTP/{version} names the host that it asks: send the header Host")
    whole = None if target.startswith(b"/") else _AUTHORITY.match(target)
    host = named[0].strip(b" \t") if named else b""
    if whole is not None and whole[1] != host:
        host = whole[1]
        headers[:] = [(_HOST, host), *(header for header in headers if header[0] != _HOST)]
    if not _WRITTEN.fullmatch(host):
        raise InvalidInput("the host that the request names is no name of a host: send Host: NAME, or NAME:PORT")
