"""The certificate that the server shows, its key, and whose certificates clients need: read again when they change.

Files are looked at when a connection begins, so that a certificate that was renewed is shown from the next one on, and
connections that there are go on. A key that does not fit the certificate (one of both has been written yet), or a file
that is none, changes nothing: the log says so, once, and the last good ones are used. What clients refuse is served,
and the log says why (`certificate_faults`): at the start, whenever they have changed, and when one expires.
"""

from __future__ import annotations

import logging
import math
import os
import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeAlias

from server.runtime.certificate_faults import expires_at, faults

__all__ = ["CertificateError", "CertificateFiles", "Certificates"]

log = logging.getLogger("kserve")

_Stamp: TypeAlias = tuple[tuple[int, int, int, int], ...]

_NOT_ITS_KEY = "the key is not that of the certificate that comes first; of a chain, that is the server's own"
#: what OpenSSL's reasons come to
_REASONS = {
    "EE_KEY_TOO_SMALL": "the certificate's key is too short (RSA: 2048 bits or more)",
    "CA_MD_TOO_WEAK": "the certificate is signed with SHA-1 or MD5, which count for nothing today",
    "KEY_VALUES_MISMATCH": _NOT_ITS_KEY,
    "KEY_TYPE_MISMATCH": _NOT_ITS_KEY,
    "NO_CERTIFICATE_ASSIGNED": _NOT_ITS_KEY,
    "NO_CERTIFICATE_OR_CRL_FOUND": "there is none between its lines of dashes",
}
_NO_PEM = "is not in PEM format (of DER, `openssl x509 -inform der` makes it; of PKCS #12, `openssl pkcs12 -nodes`)"


class CertificateError(Exception):
    """The files cannot be served with."""


@dataclass(frozen=True)
class Certificates:
    """One state of the files."""

    chain: bytes
    key: bytes
    authorities: bytes | None  #: that sign clients' certificates; None: clients need none
    context: ssl.SSLContext  #: of HTTP/1.1
    grpc_context: ssl.SSLContext  #: of HTTP/2
    shared_context: ssl.SSLContext  #: of both; who takes both, as browsers do, gets HTTP/1.1
    expires_at: float  #: seconds since the epoch: the first one of the chain; infinite: unknown

    @classmethod
    def read(cls, chain: str, key: str, authorities: str | None) -> Self:
        """
        Raises:
            CertificateError: they are damaged, or do not fit together.
        """
        spoken = (["http/1.1"], ["h2"], ["http/1.1", "h2"])
        http1, http2, both = (_context(chain, key, authorities, protocols) for protocols in spoken)
        try:
            signers = Path(authorities).read_bytes() if authorities is not None else None
            shown = Path(chain).read_bytes()
            return cls(shown, Path(key).read_bytes(), signers, http1, http2, both, expires_at(shown))
        except OSError as error:
            raise CertificateError(f"{error.filename} cannot be read: {_cause_of(error)}") from error


def _context(chain: str, key: str, authorities: str | None, protocols: list[str]) -> ssl.SSLContext:
    """How to encrypt connections of protocols, by their names in ALPN, the one that is preferred first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # each would cost the server a handshake
    context.set_alpn_protocols(protocols)
    try:
        context.load_cert_chain(chain, key, _no_password)
    except (OSError, ValueError) as error:
        cause = _other_format(chain, key) or _cause_of(error)
        raise CertificateError(f"{chain} and {key} are no certificate and its key: {cause}") from error
    if authorities is not None:
        try:
            context.load_verify_locations(authorities)
        except (OSError, ValueError) as error:
            cause = _other_format(authorities) or _cause_of(error)
            raise CertificateError(f"{authorities} holds no certificates of authorities: {cause}") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class CertificateFiles:
    """The files, and what they held when they last fitted together. Thread-safe."""

    def __init__(self, chain: str, key: str, authorities: str | None = None, *, tells: bool = True) -> None:
        """`tells`: whether the log says what clients refuse; another process of the server may.

        Raises:
            CertificateError: they cannot be served with.
        """
        self._files = (chain, key, authorities)
        self._tells = tells
        self._lock = threading.Lock()
        self._stamp = self._look()
        self._latest = Certificates.read(*self._files)
        self._look_at = self._tell()

    @property
    def wants_clients(self) -> bool:
        """Whether clients need certificates, too."""
        return self._files[2] is not None

    def current(self) -> Certificates:
        """What to begin a connection with."""
        with self._lock:
            stamp = self._look()
            if stamp != self._stamp:
                self._renew(stamp)
            if time.time() > self._look_at:
                self._look_at = self._tell()
            return self._latest

    def _renew(self, stamp: _Stamp) -> None:
        try:
            renewed = Certificates.read(*self._files)
        except CertificateError as error:
            self._stamp = stamp  # not again before the files change again
            log.warning("the certificate is not renewed: %s", error)
            return
        if self._look() == stamp:  # else it may be made of two states
            self._stamp, self._latest = stamp, renewed
            log.info("the certificate was read again: %s has changed", self._files[0])
            self._look_at = self._tell()

    def _tell(self) -> float:
        """Say what clients refuse; when to look again, in seconds since the epoch."""
        if not self._tells:
            return math.inf
        latest, now = self._latest, time.time()
        for fault in faults(self._files[0], latest.chain, self._files[2], latest.authorities, now):
            log.warning("%s", fault)
        return latest.expires_at if latest.expires_at >= now else math.inf

    def _look(self) -> _Stamp:
        return tuple(_stamp(path) for path in self._files if path is not None)


def _stamp(path: str) -> tuple[int, int, int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116  (with every connection)
    except OSError:
        return (0, 0, 0, 0)
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _no_password() -> bytes:
    """OpenSSL would ask the terminal."""
    raise ValueError("the key is encrypted; the server needs it without a password")


def _other_format(*files: str) -> str:
    """What is wrong with the first of the files that is in no text form; "" where all are."""
    for path in files:
        try:
            content = Path(path).read_bytes()
        except OSError:  # which is said already
            return ""
        if not content:
            return f"{path} is empty"
        if b"-----BEGIN " not in content:
            return f"{path} {_NO_PEM}"
    return ""


def _cause_of(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        reason = error.reason or "not in PEM format"
        return _REASONS.get(reason, reason)
    return getattr(error, "strerror", None) or str(error)
