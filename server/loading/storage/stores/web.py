"""A file on a web server."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import requests

from server.config.model_uri import Address
from server.loading.storage.archives import is_archive
from server.loading.storage.checksums import from_base64
from server.loading.storage.errors import StorageError
from server.loading.storage.listing import Listing, RemoteFile
from server.loading.storage.stores.base import Files
from server.loading.storage.stores.redirects import OwnHostSession

_CHUNK = 1 << 16  #: what is lost of a stream that breaks off
#: seconds: to connect, and between two pieces
_TIMEOUT = (15, 60)
_GOOGLE_HASH = re.compile(r"\b(md5|crc32c)=([\w+/]+=*)")


class Web(Files):
    """One file. Headers to send come from the variable `<host>-headers`, as in KServe."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        parts = urlsplit(address.uri)
        self._name = unquote(parts.path.rpartition("/")[2])
        if not self._name:
            raise StorageError("the address ends with a slash: name the file")
        self._session = OwnHostSession(address.uri)
        self._session.headers["Accept-Encoding"] = "identity"
        self._session.headers.update(_headers_for(parts.hostname or ""))

    def look(self) -> Listing:
        """Asked with GET: HEAD is often forbidden where an address is signed."""
        with self._get() as response:
            headers = response.headers
            size = -1 if "Content-Encoding" in headers else int(headers.get("Content-Length", -1))
            checksums = {} if "Content-Encoding" in headers else _checksums(headers)
            file = RemoteFile(self._name, size, _tag(headers), checksums)
        return Listing((file,))

    def read(self, file: RemoteFile, start: int) -> Iterator[bytes]:
        asked = {"Range": f"bytes={start}-"} if start else {}
        with self._get(asked) as response:
            if file.tag and _tag(response.headers) != file.tag:
                raise StorageError("it changed during the download", changed=True)
            skip = start if response.status_code != 206 else 0
            # what is compressed in transit only is read as it is meant; an archive is taken as it is
            for chunk in response.raw.stream(_CHUNK, decode_content=not is_archive(self._name)):
                if skip >= len(chunk):
                    skip -= len(chunk)
                    continue
                yield chunk[skip:]
                skip = 0

    def _get(self, headers: Mapping[str, str] | None = None) -> requests.Response:
        response = self._session.get(self.address.uri, stream=True, headers=headers, timeout=_TIMEOUT)
        try:
            response.raise_for_status()
        except requests.HTTPError:
            response.close()
            raise
        return response


def _headers_for(host: str) -> dict[str, str]:
    text = os.environ.get(f"{host}-headers", "{}")
    try:
        headers: Any = json.loads(text)
    except ValueError as error:
        raise StorageError(f"the variable {host}-headers is no JSON object of headers") from error
    if not isinstance(headers, dict):
        raise StorageError(f"the variable {host}-headers is no JSON object of headers")
    return {str(name): str(value) for name, value in headers.items()}


def _tag(headers: Mapping[str, str]) -> str:
    """A strong ETag, or else the time of the last change and the length; "" where neither is told."""
    tag = headers.get("ETag", "")
    if tag and not tag.startswith("W/"):
        return tag
    changed = headers.get("Last-Modified", "")
    return f"{changed} {headers.get('Content-Length', '')}" if changed else ""


def _checksums(headers: Mapping[str, str]) -> dict[str, str]:
    """Of the headers that mean the whole file; an ETag means nothing but itself here."""
    found = {algorithm: from_base64(text) for algorithm, text in _GOOGLE_HASH.findall(headers.get("x-goog-hash", ""))}
    found["md5"] = from_base64(headers.get("Content-MD5")) or found.get("md5", "")
    if digest := re.search(r"\bsha-256=:?([\w+/]+=*):?", headers.get("Repr-Digest") or headers.get("Digest", ""), re.I):
        found["sha256"] = from_base64(digest[1])
    return {algorithm: digits for algorithm, digits in found.items() if digits}
