"""A server over TLS, by both fronts of gRPC, and in two processes: clients' certificates; a renewal under load."""

from __future__ import annotations

import itertools
import os
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import grpc
import httpx
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from server.runtime.certificate_faults import expires_at
from tests import cases
from tests.certificates import Authority, Pair
from tests.e2e.process import READY_SECONDS, Server
from tests.patience import wait_for

pytestmark = pytest.mark.slow

ROW = {"instances": [[5.1, 3.5, 1.4, 0.2]]}
ANSWERS_EACH_SIDE = 10  #: of each client, before the new certificate, before its key, and after both


@dataclass
class Site:
    server: Server
    authority: Authority
    client: Pair
    live: Pair
    socket: Path

    def http(self, certificate: Pair | None) -> httpx.Client:
        context = ssl.create_default_context(cafile=str(self.authority.file))
        if certificate:
            context.load_cert_chain(certificate.chain, certificate.key)
        return httpx.Client(base_url=f"https://localhost:{self.server.http_port}", verify=context, timeout=60)

    def channel(self, certificate: Pair | None) -> grpc.Channel:
        mine = (certificate.key.read_bytes(), certificate.chain.read_bytes()) if certificate else (None, None)
        credentials = grpc.ssl_channel_credentials(self.authority.file.read_bytes(), *mine)
        options = [("grpc.use_local_subchannel_pool", 1)]
        return grpc.secure_channel(f"localhost:{self.server.grpc_port}", credentials, options)

    def is_ready(self) -> bool:
        try:
            with self.http(self.client) as client:
                return client.get("/v2/health/ready").status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture(params=[(1, "http2"), (2, "http2"), (1, "grpcio")], ids=["one", "two", "grpcio"], scope="module")
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    base = tmp_path_factory.mktemp("tls")
    workers, frontend = request.param
    (base / "models" / "iris").mkdir(parents=True)
    cases.sklearn_logistic(base / "models" / "iris")
    authority = Authority(base)
    live = renew(authority, Pair(base / "live.pem", base / "live.key"), "first")
    socket = Path(mkdtemp(prefix="uds")) / "s"  # a socket's path may not be long
    flags = (f"--ssl_certfile={live.chain}", f"--ssl_keyfile={live.key}", f"--ssl_ca_certs={authority.file}",
             f"--uds={socket}", f"--workers={workers}", f"--grpc_frontend={frontend}")  # fmt: skip
    server = Server(base / "models", base / "server.log", *flags)
    site = Site(server, authority, authority.sign("client"), live, socket)
    wait_for(site.is_ready, "the server", READY_SECONDS)
    if workers == 2:
        wait_for(lambda: "process 2 of the server listens" in server.log, "the second process")
    yield site
    assert server.stop() == 0, server.log
    shutil.rmtree(socket.parent)


def renew(authority: Authority, live: Pair, name: str, between: Callable[[], None] = lambda: None) -> Pair:
    """As cert-manager and Kubernetes do: new files in the old ones' places, one after the other."""
    made = authority.sign(name)
    place(made.chain, live.chain)
    between()
    place(made.key, live.key)
    return live


def place(source: Path, target: Path) -> None:
    shutil.copy(source, target.with_suffix(".draft"))
    target.with_suffix(".draft").replace(target)


def shown(site: Site) -> str:
    """The name in the certificate that a new connection is shown."""
    with site.http(site.client) as client, client.stream("GET", "/v2/health/live") as answer:
        certificate = answer.extensions["network_stream"].get_extra_info("ssl_object").getpeercert()
    return str(dict(pair[0] for pair in certificate["subject"])["commonName"])


def test_who_shows_no_certificate_is_refused_on_both_protocols(site: Site) -> None:
    with site.http(None) as client, pytest.raises(httpx.TransportError):
        client.get("/v2/health/live")
    with site.channel(None) as channel, pytest.raises(grpc.RpcError) as refused:
        GRPCInferenceServiceStub(channel).ServerLive(pb.ServerLiveRequest(), timeout=60)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_certificate_of_another_authority_is_refused(site: Site, tmp_path: Path) -> None:
    strange = Authority(tmp_path, "stranger").sign("client")
    with site.http(strange) as client, pytest.raises(httpx.TransportError):
        client.get("/v2/health/live")
    with site.channel(strange) as channel, pytest.raises(grpc.RpcError):
        GRPCInferenceServiceStub(channel).ServerLive(pb.ServerLiveRequest(), timeout=60)


def test_nothing_is_served_without_tls(site: Site) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://localhost:{site.server.http_port}/v2/health/live", timeout=60)
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(site.server.grpc, options) as channel, pytest.raises(grpc.RpcError):
        GRPCInferenceServiceStub(channel).ServerLive(pb.ServerLiveRequest(), timeout=60)


def expiration(site: Site) -> float:
    """As Prometheus reads it, of one process for all."""
    with site.http(site.client) as client:
        (line,) = (
            line
            for line in client.get("/metrics").text.splitlines()
            if line.startswith("polyserve_certificate_expiration_timestamp_seconds ")
        )
    return float(line.split()[1])


def test_when_the_certificate_expires_is_told(site: Site) -> None:
    assert expiration(site) == expires_at(site.live.chain.read_bytes())
    soon = site.authority.sign("soon", (-1, 3))
    place(soon.chain, site.live.chain)
    place(soon.key, site.live.key)
    wait_for(lambda: expiration(site) == expires_at(soon.chain.read_bytes()), "the new certificate's end")


def test_the_images_health_check_asks_by_the_socket(site: Site) -> None:
    """It has no certificate to show."""
    program = Path(__file__).parents[2] / "deploy" / "image" / "health.py"
    port = {"POLYSERVE_HTTP_PORT": str(site.server.http_port)}
    for given, status in ((port, 1), ({**port, "POLYSERVE_UDS": str(site.socket)}, 0)):
        line = [sys.executable, "-IS", str(program), "/v2/health/ready"]

        def says(line: list[str] = line, given: dict[str, str] = given, status: int = status) -> bool:
            """Not at once, where the server takes longer than the few seconds that the program has."""
            done = subprocess.run(line, env={**os.environ, **given}, capture_output=True, text=True, timeout=240)
            return done.returncode == status and ("POLYSERVE_UDS" in done.stderr) == bool(status)

        wait_for(says, f"its status {status}")


def test_a_renewal_under_load_fails_no_request(site: Site) -> None:
    """Neither between certificate and key, when they do not fit, nor of who stays and of who comes anew."""
    failures: list[str] = []
    counts = [0, 0, 0, 0]
    stop = threading.Event()

    def ask(kept: bool) -> Generator[None]:
        """REST, over one connection (`kept`), or over a new one each time."""
        while True:
            with site.http(site.client) as client:
                for _ in itertools.count() if kept else range(1):
                    answer = client.post("/v1/models/iris:predict", json=ROW)
                    assert answer.json() == {"predictions": [0]}, answer.text
                    yield

    def call(kept: bool) -> Generator[None]:
        """The same over gRPC."""
        while True:
            with site.channel(site.client) as channel:
                for _ in itertools.count() if kept else range(1):
                    stub = GRPCInferenceServiceStub(channel)
                    assert stub.ModelReady(pb.ModelReadyRequest(name="iris"), timeout=60).ready
                    yield

    def go_on(number: int, answers: Generator[None]) -> None:
        try:
            with closing(answers):
                while not stop.is_set():
                    next(answers)
                    counts[number] += 1
        except Exception as error:
            failures.append(repr(error))

    def more() -> None:
        """Wait for further answers on all ways."""
        wanted = [count + ANSWERS_EACH_SIDE for count in counts]
        wait_for(lambda: failures or all(count >= want for count, want in zip(counts, wanted, strict=True)))

    ways = (ask(True), ask(False), call(True), call(False))
    threads = [threading.Thread(target=go_on, args=way) for way in enumerate(ways)]
    for thread in threads:
        thread.start()
    try:
        for name in ("second", "third"):
            more()
            renew(site.authority, site.live, name, more)
            wait_for(lambda: failures or shown(site) == name, "the new certificate")  # noqa: B023
        more()
    finally:
        stop.set()
        for thread in threads:
            thread.join(240)
    assert failures == []
