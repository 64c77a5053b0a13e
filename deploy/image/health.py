"""Whether the server of this container answers: the image's HEALTHCHECK, and a probe that the container runs itself.

    python -IS health.py [PATH]         PATH is /v2/health/live, or /v2/health/ready

It asks the Unix socket of POLYSERVE_UDS where that is set, else the port of POLYSERVE_HTTP_PORT (8080, which is 8443
under TLS), in the clear and then over TLS. Whose certificate that is, is the clients' question. A server that asks for
certificates (--ssl_ca_certs) would ask this program, too, which has none: there POLYSERVE_UDS is the way.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
from http.client import HTTPConnection, HTTPException, HTTPSConnection

SECONDS = 3  #: for an answer; the HEALTHCHECK itself has five


class SocketConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def connections() -> list[HTTPConnection]:
    """Every way in which the server may be asked, in order."""
    if path := os.environ.get("POLYSERVE_UDS"):
        return [SocketConnection(path)]
    port = int(os.environ.get("POLYSERVE_HTTP_PORT") or 8080)
    anyone = ssl.create_default_context()
    anyone.check_hostname = False
    anyone.verify_mode = ssl.CERT_NONE
    clear = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    encrypted = 8443 if port == 8080 else port  # as the server has it
    return [clear, HTTPSConnection("127.0.0.1", encrypted, timeout=SECONDS, context=anyone)]


def main(path: str = "/v2/health/live") -> str | None:
    """None where the answer is 200, else what came instead."""
    said = ""
    for connection in connections():
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
        except (OSError, HTTPException) as error:
            said = f"no answer: {error!r}; a server that asks for certificates is asked by its socket: POLYSERVE_UDS"
            continue
        finally:
            connection.close()
        return None if answer.status == 200 else f"{path}: {answer.status}"
    return said


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
