"""A running server, asked over REST; where it does not answer, what a newcomer has to do about that.

Nothing but the standard library: a command answers at once.
"""

from __future__ import annotations

import difflib
import http.client
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from server.cli.main import Failure
from server.cli.screen import plain
from server.cli.tls_files import TlsFiles

DEFAULT_URL = "http://localhost:8080"
_TIMEOUT = 120.0  #: seconds
_LONGEST_ANSWER = 64 * 2**20  #: bytes
_SCHEMES = ("http", "https")
_UNKNOWN, _UNAUTHORIZED = 404, 401
_YOURS = "a certificate of yours: name it by --cert FILE and --key FILE"
_ENDS = (http.client.BadStatusLine, ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


@dataclass(frozen=True)
class Answered:
    """A status and a body."""

    status: int
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON; None: it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def error(self) -> str:
        """What an answer of 400 or more says, in one line."""
        document = self.document
        said = document.get("error") if isinstance(document, Mapping) else None
        said = said.get("message") if isinstance(said, Mapping) else said
        return plain(said if isinstance(said, str) else self.body[:500].decode(errors="replace"))


@dataclass(frozen=True)
class RunningServer:
    """A server's address, and the headers that every request to it carries."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    tls: TlsFiles = field(default_factory=TlsFiles)
    timeout: float = _TIMEOUT

    @classmethod
    def at(cls, url: str, headers: Sequence[str] = (), tls: TlsFiles | None = None) -> RunningServer:
        """
        Raises:
            click.UsageError: it is no address, or a header is none.
        """
        text = url if "://" in url else f"http://{url}"
        try:
            parts = urllib.parse.urlsplit(text)
            whole = parts.scheme in _SCHEMES and parts.hostname and (parts.port is None or parts.port > 0)
        except ValueError:
            whole = None
        if not whole:
            raise click.UsageError(f"--url={plain(url)} is no address: write it as {DEFAULT_URL}")
        return cls(text.rstrip("/"), dict(_header(each) for each in headers), tls or TlsFiles())

    @property
    def secure(self) -> bool:
        """Whether it is asked over TLS."""
        return self.url.startswith("https:")

    def get(self, path: str) -> Answered:
        """
        Raises:
            Failure: nobody answers there.
        """
        return self._ask(urllib.request.Request(self.url + path, headers=dict(self.headers)))

    def post(self, path: str, body: bytes, content_type: str = "application/json") -> Answered:
        """
        Raises:
            Failure: nobody answers there.
        """
        headers = {"Content-Type": content_type, **self.headers}
        return self._ask(urllib.request.Request(self.url + path, body, headers))

    def model(self, name: str, version: str = "") -> dict[str, Any]:
        """The V2 metadata of a model.

        Raises:
            Failure: there is no such model, it is not ready, or the server is none of ours; with the way out.
        """
        path = f"/v2/models/{urllib.parse.quote(name, safe='')}"
        answer = self.get(path + (f"/versions/{urllib.parse.quote(version, safe='')}" if version else ""))
        document = answer.document
        if answer.status == 200 and isinstance(document, dict) and "inputs" in document:
            return document
        if answer.status == _UNKNOWN and "did you mean" in answer.error:
            raise Failure(answer.error)
        if answer.status == _UNKNOWN and (names := self.names()) is not None:
            raise Failure(f"{plain(answer.error)}: {_which(name, names)}" if name not in names else answer.error)
        if answer.status == _UNAUTHORIZED:
            raise Failure(f"the server answers 401: {answer.error}; here by -H 'Authorization: Bearer KEY'")
        if answer.status > _UNAUTHORIZED and answer.status != _UNKNOWN and answer.error:
            raise Failure(f"the server answers {answer.status}: {answer.error}")
        parts = urllib.parse.urlsplit(self.url)
        if parts.path:
            alone = f"{parts.scheme}://{parts.netloc}"
            raise Failure(
                f"{self.url} answers {answer.status}: write the server's address without a path, --url={alone}"
            )
        raise Failure(f"{self.url} answers, but not as PolyServe does ({answer.status}): is it the server's REST port?")

    def names(self) -> list[str] | None:
        """The names of its models; None: it does not tell."""
        document = self.get("/v2/models").document
        names = document.get("models") if isinstance(document, dict) else None
        return [str(name) for name in names] if isinstance(names, list) else None

    def _ask(self, request: urllib.request.Request) -> Answered:
        try:
            context = self.tls.context() if self.secure else None
            with urllib.request.urlopen(request, timeout=self.timeout, context=context) as answer:
                return Answered(answer.status, answer.read(_LONGEST_ANSWER))
        except urllib.error.HTTPError as error:
            return Answered(error.code, error.read(_LONGEST_ANSWER))
        except urllib.error.URLError as error:
            raise Failure(self._silent(error.reason)) from error
        except (http.client.HTTPException, OSError) as error:
            raise Failure(self._silent(error)) from error

    def _silent(self, reason: object) -> str:
        if isinstance(reason, ConnectionRefusedError):
            return (
                f"nothing answers at {self.url}: start a server by polyserve serve DIR, "
                "or name the address of one by --url"
            )
        if isinstance(reason, TimeoutError):
            return f"{self.url} does not answer within {self.timeout:g} s: is it the right address (--url)?"
        # A server that misses a certificate may be gone before its alert is read: its end is all that is seen then.
        if isinstance(reason, _ENDS):
            if self.secure:
                return f"{self.url} ends the connection: perhaps it asks for {_YOURS}"
            return (
                f"{self.url} does not speak HTTP: gRPC's port is another (8081) than REST's (8080); name that by --url,"
                " and TLS by https://"
            )
        if isinstance(reason, ssl.SSLError):
            return self._insecure(reason)
        said = getattr(reason, "strerror", None) or reason
        return f"{self.url} cannot be asked: {plain(said)}; name another address by --url"

    def _insecure(self, error: ssl.SSLError) -> str:
        if isinstance(error, ssl.SSLCertVerificationError):
            return (
                f"{self.url} shows a certificate that is not trusted here ({plain(error.verify_message)}): "
                "name whom to trust by --cacert FILE"
            )
        if error.reason == "WRONG_VERSION_NUMBER":
            return f"{self.url} does not speak TLS: write it as http://"
        if "CERTIFICATE_REQUIRED" in str(error.reason) or "HANDSHAKE_FAILURE" in str(error.reason):
            return f"{self.url} asks for {_YOURS}"
        return f"{self.url} cannot be asked over TLS: {plain(error.reason or error)}"


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or not text.isprintable():
        raise click.UsageError(f"--header={plain(text)} is no header: write it as 'Name: value'")
    return name.strip(), value.strip()


def _which(name: str, names: Sequence[str]) -> str:
    """Which model may have been meant."""
    if near := difflib.get_close_matches(name, names, n=1):
        return f"did you mean {plain(near[0])}?"
    if not names:
        return "the server has no models; polyserve inspect DIR says what a folder holds"
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"there are {plain(', '.join(names[:10]))}{more}"
