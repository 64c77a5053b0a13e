"""Where an answer may send a download on to: credentials stay with their own host, and nobody is sent inside.

A store that is not trusted could have the server ask what only the server reaches: a cloud's metadata, a neighbour's
administration. So a redirect may lead to public addresses, and to the very host and port that were asked.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests

from server.loading.storage.environ import ALLOWED, PRIVATE_REDIRECTS
from server.loading.storage.errors import StorageError

__all__ = ["OwnHostSession", "check_redirect", "is_own"]

_PORTS = {"http": 80, "https": 443}
#: headers that are anybody's to read
_PLAIN = {"accept", "accept-encoding", "connection", "range", "user-agent", "if-match"}


class OwnHostSession(requests.Session):
    """Sends its headers to the host of one address alone, wherever it is sent on to."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._own = address

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Called for each redirect, before it is followed.

        Raises:
            StorageError: it leads to where nobody may be sent.
        """
        target = prepared_request.url or ""
        check_redirect(self._own, target)
        if not is_own(self._own, target):
            for name in [name for name in prepared_request.headers if name.lower() not in _PLAIN]:
                del prepared_request.headers[name]
        else:
            super().rebuild_auth(prepared_request, response)


def check_redirect(own: str, target: str) -> None:
    """
    Raises:
        StorageError: `target` is an address that is not public, and not that of `own`; or no web address.
    """
    parts = urlsplit(target)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise StorageError("it redirects to what is no web address")
    if urlsplit(own).scheme == "https" and parts.scheme != "https":
        raise StorageError("it redirects from https to http, which anybody on the way could change")
    if is_own(own, target) or os.environ.get(PRIVATE_REDIRECTS) == ALLOWED:
        return
    for address in _addresses(parts.hostname, parts.port or _PORTS[parts.scheme]):
        if not address.is_global:
            raise StorageError(
                f"it redirects to {parts.hostname}, which is a private address; where that is meant, start the server "
                "with --private_redirects"
            )


def is_own(own: str, target: str) -> bool:
    """Whether credentials for the one address are meant for the other: the same scheme, host and port."""
    return _origin(own) == _origin(target)


def _origin(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _addresses(host: str, port: int) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """
    Raises:
        OSError: nobody knows the host.
    """
    found: Any
    for *_, found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        address = ipaddress.ip_address(str(found[0]).partition("%")[0])
        yield address.ipv4_mapped or address if isinstance(address, ipaddress.IPv6Address) else address
