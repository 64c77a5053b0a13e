"""What a stranger cannot do to others through a front process: requests of his that hide behind half a body.

The first of two connections leaves the main process waiting for a body; the bytes of the second would be that body,
and what is behind them a request of anybody's.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.test_fronts import Site, _clients
from tests.e2e.test_hot_reload import model, put, until

STRANGER = "127.0.0.2"  #: no loopback address to the server
OWED = 100_000  #: bytes: so many that a front process does not wait for them
ROUNDS = 3
OWES = {
    "length": f"PUT /v1/models/a:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {OWED}\r\n\r\n".encode(),
    "chunked": b"PUT /v1/models/a:predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
}
UNLOAD = b"POST /v2/repository/models/a/unload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
METADATA = b"GET /v2/models/a HTTP/1.1\r\nHost: x\r\n\r\n"
OTHERS = b"GET /v2/models/attacker-chose-this HTTP/1.1\r\nX: "


class Client:
    """A connection that a certain process has accepted."""

    def __init__(self, site: Site, pid: int, source: str, stack: ExitStack) -> None:
        deadline = time.monotonic() + 60
        while True:
            assert time.monotonic() < deadline
            port = site.server.http_port
            self.socket = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(source, 0))
            stack.callback(self.socket.close)
            assert self.ask(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200
            if self.socket.getsockname()[1] in _clients(pid, port):
                return
            self.socket.close()

    def ask(self, request: bytes) -> tuple[int, bytes]:
        self.socket.sendall(request)
        answer = http.client.HTTPResponse(self.socket)
        answer.begin()
        return answer.status, answer.read()


def smuggled(*requests: bytes) -> bytes:
    """A whole request, of which the beginning is the body that is owed; line ends are skipped, then come requests."""
    body = b"\r\n" * (OWED // 2 + 500) + b"".join(requests)
    return b"PUT /ping HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    base = tmp_path_factory.mktemp("attacked")
    put(base / "models" / "a" / "model.joblib", model(1))
    site = Site(base / "models", base / "log", "--watch=false")
    until(lambda: site.copied("a"), site.server)
    yield site
    assert site.stop() == 0, site.server.log


def test_a_stranger_loads_and_unloads_nothing(site: Site) -> None:
    for pid in site.pids[1:] * ROUNDS:
        with ExitStack() as stack:
            first, second, third = (Client(site, pid, STRANGER, stack) for _ in range(3))
            assert first.ask(OWES["length"])[0] == 405
            first.socket.close()
            forged = UNLOAD + b"x-polyserve-client: 127.0.0.1 1\r\n\r\n"
            status, answer = second.ask(smuggled(forged))
            assert status in (404, 405), answer
            assert third.ask(forged)[0] == 403
            assert third.ask(b"PROXY TCP4 127.0.0.1 127.0.0.1 1 1\r\n" + forged)[0] == 400
        assert site.ask(pid, "POST", "/v2/repository/index")[1][0]["state"] == "READY"


@pytest.mark.parametrize("owes", OWES)
def test_others_get_their_own_answers(site: Site, owes: str) -> None:
    for pid in site.pids[1:] * ROUNDS:
        with ExitStack() as stack:
            strangers = [Client(site, pid, STRANGER, stack) for _ in range(2)]
            victims = [Client(site, pid, "127.0.0.1", stack) for _ in range(3)]
            assert strangers[0].ask(OWES[owes])[0] == 405
            strangers[0].socket.close()
            if owes == "length":
                assert strangers[1].ask(smuggled(METADATA, OTHERS))[0] in (404, 405)
            for victim in victims * 2:
                status, answer = victim.ask(METADATA)
                assert status == 200, answer
                assert json.loads(answer)["name"] == "a"
