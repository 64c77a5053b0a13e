"""Azurite, Azure's own emulator, under the name that Azure's stores have.

kserve-storage knows a blob by `https://ACCOUNT.blob.core.windows.net/...`. So Azurite serves TLS with a certificate of
that name by an authority of the test's own, and a proxy (as companies have one) leads there.
"""

from __future__ import annotations

import datetime
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bench.ports import free_port
from tests.npm import npm_file
from tests.server.loading.storage.kit import running

VERSION = "3.34.0"
ACCOUNT = "devstoreaccount1"
HOST = f"{ACCOUNT}.blob.core.windows.net"
#: known to everybody
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class Azurite:
    """What a client needs to reach it."""

    authority: Path
    proxy: str

    @property
    def environ(self) -> dict[str, str]:
        return {"HTTPS_PROXY": self.proxy, "https_proxy": self.proxy, "REQUESTS_CA_BUNDLE": str(self.authority)}


def program() -> Path | None:
    """Azurite's command; None without npm."""
    return npm_file("azurite", VERSION, ".bin/azurite-blob")


@contextmanager
def azurite(command: Path, folder: Path) -> Iterator[Azurite]:
    """A running one, with nothing stored in it."""
    authority, certificate, key = _certificates(folder)
    port = free_port()
    flags = ["--blobHost=127.0.0.1", f"--blobPort={port}", f"--cert={certificate}", f"--key={key}"]
    quiet = ["--silent", "--disableTelemetry", "--skipApiVersionCheck", "--inMemoryPersistence"]
    with running([str(command), *flags, *quiet], port, folder / "log"), _Proxy(port) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield Azurite(authority, f"http://127.0.0.1:{proxy.server_address[1]}")
        proxy.shutdown()
        thread.join()


class _Proxy(ThreadingTCPServer):
    """Answers CONNECT, and leads to one port whatever was asked for."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.port = port


class _Tunnel(StreamRequestHandler):
    server: _Proxy

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        with socket.create_connection(("127.0.0.1", self.server.port)) as there:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(there, self.connection), daemon=True)
            back.start()
            _pump(self.connection, there)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # one side hung up
        return


def _certificates(folder: Path) -> tuple[Path, Path, Path]:
    """Files of an authority's certificate, the server's certificate and the server's key."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the tests' authority")])
    now = datetime.datetime.now(datetime.UTC)

    def builder(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(name).public_key(public)
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        return made.not_valid_after(now + datetime.timedelta(hours=9))

    own = builder(name, authority_key.public_key())
    own = own.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    server = builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)]), key.public_key())
    server = server.add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
    paths = folder / "authority.pem", folder / "server.pem", folder / "server.key"
    for path, made in zip(paths, (own, server), strict=False):
        path.write_bytes(made.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    paths[2].write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    return paths
