"""`--workers=3`: three processes on the same ports answer as one does, whatever becomes of models and processes."""

from __future__ import annotations

import http.client
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import psutil
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc

from bench.ports import free_port
from tests.e2e.process import Server
from tests.e2e.test_hot_reload import model, put, until
from tests.processes import command, descendants

PROCESSES = 3
FLAGS = (f"--workers={PROCESSES}", "--watch_interval=0.1", "--watch_settle=0.2")
ONES = {"instances": [[1.0, 1.0]]}
TENSOR = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [1.0, 1.0]}]}
OWN = """
import os
from kserve import Model

class Own(Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    def predict(self, payload, headers=None):
        return {"predictions": [os.getpid()], "headers": sorted(headers)}
"""


class Site:
    """A server, and a connection to each of its processes."""

    def __init__(self, mount: Path, log: Path, *flags: str, **environ: str) -> None:
        self.mount = mount
        self.server = Server(mount, log, *FLAGS, *flags, **environ).wait_ready()
        until(lambda: self.server.log.count("listens, too") >= PROCESSES - 1, self.server)
        self.connections: dict[int, http.client.HTTPConnection] = {}

    @property
    def pids(self) -> list[int]:
        """Of the processes that take requests, the main one first."""
        return [self.server.process.pid, *sorted(_fronts(self.server))]

    def to(self, pid: int) -> http.client.HTTPConnection:
        """A connection that this process has accepted: the kernel deals them out, so some are made in vain."""
        if (kept := self.connections.get(pid)) is not None and select.select([kept.sock], [], [], 0)[0]:
            self.connections.pop(pid).close()  # nobody used it for so long that the server has closed it
        if pid not in self.connections:
            deadline = time.monotonic() + 240
            while True:
                assert time.monotonic() < deadline
                connection = http.client.HTTPConnection("127.0.0.1", self.server.http_port, timeout=60)
                self._ask(connection, "GET", "/v2/health/live")
                if connection.sock.getsockname()[1] in _clients(pid, self.server.http_port):
                    break
                connection.close()
            self.connections[pid] = connection
        return self.connections[pid]

    def ask(self, pid: int, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """The status and the JSON that this process answers."""
        status, _, answer = self._ask(self.to(pid), method, path, body, **headers)
        return status, json.loads(answer) if answer[:1] in (b"{", b"[") else answer

    def everywhere(self, method: str, path: str, body: Any = None) -> list[tuple[int, Any]]:
        return [self.ask(pid, method, path, body) for pid in self.pids]

    def _ask(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        sent = {
            "content-type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        connection.request(method, path, json.dumps(body).encode() if body is not None else None, sent)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def predictions(self, name: str) -> list[Any]:
        """What each process predicts for a row of ones."""
        return [body["predictions"][0] for _, body in self.everywhere("POST", f"/v1/models/{name}:predict", ONES)]

    def copied(self, name: str, version: str = "", body: Any = TENSOR) -> bool:
        """Whether all other processes answer for the name while the main one cannot.

        Whichever it is, what was asked here has been answered, and counted, when this returns.
        """
        path = f"/v2/models/{name}{version and f'/versions/{version}'}/infer"
        main, *others = self.pids
        asked = [self.to(pid) for pid in others]
        os.kill(main, signal.SIGSTOP)
        try:
            for connection in asked:
                connection.request("POST", path, json.dumps(body).encode(), {"content-type": "application/json"})
            early = {id(each) for each in asked if select.select([each.sock], [], [], 1)[0]}
        finally:
            os.kill(main, signal.SIGCONT)
        statuses = []
        for connection in asked:
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
        return len(early) == len(asked) and set(statuses) == {200}

    def leave(self) -> None:
        """Close the connections to it."""
        for connection in self.connections.values():
            connection.close()
        self.connections.clear()

    def stop(self) -> int:
        self.leave()
        return self.server.stop()


def _fronts(server: Server) -> set[int]:
    children = descendants(server.process.pid)
    return {child.pid for child in children if any("polyserve_front=" in word for word in command(child))}


def _workers(server: Server) -> list[int]:
    children = descendants(server.process.pid)
    return [child.pid for child in children if any("polyserve_worker=" in word for word in command(child))]


def _clients(pid: int, port: int) -> set[int]:
    """The ports of those who are connected to a process."""
    found = psutil.Process(pid).connections(kind="tcp")
    return {each.raddr.port for each in found if each.raddr and each.laddr.port == port}


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    put(tmp_path / "models" / "a" / "model.joblib", model(1))
    return tmp_path / "models"


@pytest.fixture
def start(tmp_path: Path, mount: Path) -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def start(*flags: str, **environ: str) -> Site:
        sites.append(Site(mount, tmp_path / "server.log", *flags, **environ))
        return sites[0]

    yield start
    for site in sites:
        assert site.stop() == 0, site.server.log


def test_all_answer_the_same(mount: Path, start: Callable[..., Site]) -> None:
    put(mount / "own" / "model.py", OWN.encode())
    put(mount / "broken" / "model.joblib", b"broken")
    site = start("--access_log=true")
    until(lambda: site.copied("a"), site.server)
    for method, path, body in [
        ("POST", "/v1/models/a:predict", ONES),
        ("POST", "/v1/models/a:explain", ONES),
        ("POST", "/v1/models/own:predict", ONES),  # from the same worker process
        ("POST", "/v1/models/a:predict", {"instances": [[1, 1]] * 20_000}),
        ("POST", "/v2/models/a/infer", TENSOR),
        ("POST", "/v2/models/a/versions/9/infer", TENSOR),
        ("POST", "/v1/models/a:predict", {"instances": [["x", 1]]}),
        ("POST", "/v1/models/broken:predict", ONES),
        ("POST", "/v1/models/nobody:predict", ONES),
        ("POST", "/predictions/a", [1.0, 1.0]),
        ("GET", "/v1/models", None),
        ("GET", "/v2/models/a", None),
        ("GET", "/v2/models/a/config", None),
        ("GET", "/v1/models/a/versions/1", None),
        ("POST", "/v2/models/a/infer?model_version=1", TENSOR),
        ("POST", "/v2/models/a/infer?model_version=2", TENSOR),
        ("POST", "/v2/models/a/versions/1/infer?model_version=2", TENSOR),
        ("POST", "/v1/models/a:classify", ONES),
        ("GET", "/v2/health/ready", None),
        ("POST", "/v2/repository/index", {}),
        ("GET", "/openapi.json", None),
        ("GET", "/nowhere", None),
    ]:
        first, *others = site.everywhere(method, path, body)
        for other in others:
            if "infer" in path and first[0] == 200:
                assert other[1].pop("id") != first[1]["id"]
                other = (other[0], {"id": first[1]["id"], **other[1]})
            assert other == first, path
    assert [len(_workers(site.server)), len(_fronts(site.server))] == [1, PROCESSES - 1]
    line = '"POST /v2/models/a/versions/9/infer HTTP/1.1" 404'
    until(lambda: site.server.log.count(line) == PROCESSES, site.server)


def test_load_unload_and_index_hold_for_all_at_once(mount: Path, start: Callable[..., Site]) -> None:
    site = start("--watch=false")
    until(lambda: site.copied("a"), site.server)
    for number in range(2, 8):
        through = site.pids[number % PROCESSES]
        put(mount / "a" / "model.joblib", model(number))
        assert site.ask(through, "POST", "/v2/repository/models/a/load")[0] == 200
        assert site.predictions("a") == [number] * PROCESSES
        if number % 2:
            assert site.ask(through, "POST", "/v2/repository/models/a/unload")[0] == 200
            assert {status for status, _ in site.everywhere("POST", "/v1/models/a:predict", ONES)} == {503}
            assert {body[0]["reason"] for _, body in site.everywhere("POST", "/v2/repository/index")} == {"unloaded"}
            assert site.ask(through, "POST", "/v2/repository/models/a/load")[0] == 200
            assert site.predictions("a") == [number] * PROCESSES
        until(lambda: site.copied("a"), site.server)
        assert site.predictions("a") == [number] * PROCESSES


def test_versions_and_labels(mount: Path, start: Callable[..., Site]) -> None:
    for number in (1, 2):
        put(mount / "b" / str(number) / "model.joblib", model(number))
    (mount / "b" / "polyserve.yaml").write_text("versions: all\nlabels: {stable: 1}\n")
    site = start()
    until(lambda: site.copied("b") and site.copied("b", "1") and site.copied("b", "stable"), site.server)

    def told(version: str) -> set[float]:
        answers = site.everywhere("POST", f"/v2/models/b/versions/{version}/infer", TENSOR)
        return {body["outputs"][0]["data"][0] if status == 200 else status for status, body in answers}

    assert [told(version) for version in ("1", "2", "02", "stable", "3", "canary")] == [
        {1},
        {2},
        {2},
        {1},
        {404},
        {404},
    ]
    (mount / "b" / "polyserve.yaml").write_text("versions: all\nlabels: {stable: 2}\n")
    assert site.ask(site.pids[1], "POST", "/v2/repository/models/b/load")[0] == 200
    assert told("stable") == {2}
    shutil.rmtree(mount / "b" / "2")
    until(lambda: told("2") == {404}, site.server)
    alone = [(200, {"predictions": [1.0]})] * PROCESSES
    until(lambda: site.everywhere("POST", "/v1/models/b:predict", ONES) == alone, site.server)


def test_metrics_are_the_sum_of_all_and_never_fall(mount: Path, start: Callable[..., Site]) -> None:
    site, asked = start(), 0

    def copied() -> bool:
        nonlocal asked
        asked += PROCESSES - 1
        return site.copied("a")

    until(copied, site.server)
    for number, pid in enumerate(site.pids, 1):
        for _ in range(number * 5):
            assert site.ask(pid, "POST", "/v1/models/a:predict", ONES)[0] == 200
        assert site.ask(pid, "POST", "/v1/models/a:predict", {"instances": [[1]]})[0] == 400
    right, wrong = asked + sum(number * 5 for number in range(1, PROCESSES + 1)), PROCESSES
    after = {"requests": right + wrong, "rows": right, "seconds": right + wrong, "predict": right}
    until(lambda: _counts(site) == after, site.server)  # a process that is slow to tell is not waited for
    for _, body in site.everywhere("GET", "/v2/models/a/stats"):
        assert _statistics(body) == (after["predict"], wrong, after["rows"])
    os.kill(site.pids[1], signal.SIGKILL)
    until(lambda: "of the server: the process was killed" in site.server.log, site.server)
    assert _counts(site) == after
    assert _statistics(site.server.client.get("/v2/models/a/stats").json()) == (after["predict"], wrong, after["rows"])


def _statistics(body: Any) -> tuple[int, int, int]:
    """Requests that were answered, requests that were not, and rows."""
    (entry,) = body["model_stats"]
    stats = entry["inference_stats"]
    return stats["success"]["count"], stats["fail"]["count"], entry["inference_count"]


def _counts(site: Site) -> dict[str, float]:
    lines = site.server.client.get("/metrics").text.splitlines()

    def total(start: str) -> float:
        return sum(float(line.split()[-1]) for line in lines if line.startswith(start) and '"a"' in line)

    names = {
        "requests": "polyserve_requests_total", "rows": "polyserve_rows_total",
        "seconds": "polyserve_request_seconds_count", "predict": "request_predict_seconds_count",
    }  # fmt: skip
    return {name: total(start) for name, start in names.items()}


def test_a_process_that_dies_is_started_again_and_has_what_the_others_have(
    mount: Path, start: Callable[..., Site]
) -> None:
    put(mount / "own" / "model.py", OWN.encode())
    put(mount / "b" / "model.joblib", model(5))
    site = start()
    until(lambda: site.copied("a") and site.copied("b"), site.server)
    put(mount / "a" / "model.joblib", b"broken")  # what serves is no longer what the file holds
    until(lambda: "loading it again failed" in site.server.log, site.server)
    (worker,) = _workers(site.server)
    old = site.pids
    site.to(old[0])  # a process that is killed takes those along that it has not accepted yet
    for pid in old[1:]:
        os.kill(pid, signal.SIGKILL)
        site.connections.pop(pid).close()
    assert site.ask(old[0], "POST", "/v1/models/a:predict", ONES) == (200, {"predictions": [1.0]})
    until(lambda: len(_fronts(site.server)) == PROCESSES - 1 and not set(old[1:]) & _fronts(site.server), site.server)
    until(lambda: site.server.log.count("listens, too") == 2 * (PROCESSES - 1), site.server)
    assert site.predictions("a") == [1] * PROCESSES
    until(lambda: site.copied("b"), site.server)
    assert not site.copied("a")  # the file is not what the main process has: that one is asked
    assert site.predictions("a") == [1] * PROCESSES
    assert site.predictions("own") == [worker] * PROCESSES
    until(lambda: "are no longer those that were loaded" in site.server.log, site.server)


def test_they_end_with_the_main_process(start: Callable[..., Site], mount: Path, tmp_path: Path) -> None:
    site = Site(mount, tmp_path / "killed.log")
    fronts = [psutil.Process(pid) for pid in site.pids[1:]]
    site.server.kill()
    assert not psutil.wait_procs(fronts, timeout=60)[1]


def test_who_may_load_is_asked_wherever_a_request_arrives(start: Callable[..., Site]) -> None:
    site = start()
    for pid in site.pids:
        for header in (
            {"x_forwarded_for": "10.0.0.1"},
            {"origin": "http://elsewhere"},
            {"cf_connecting_ip": "10.0.0.1"},
            {"x_polyserve_client": "127.0.0.1 1"},
            {"host": "elsewhere.example"},
        ):
            assert site.ask(pid, "POST", "/v2/repository/models/a/load", **header)[0] == 403, header
        assert site.ask(pid, "POST", "/v2/repository/models/a/load")[0] == 200


def test_grpc(mount: Path, start: Callable[..., Site]) -> None:
    put(mount / "own" / "model.py", OWN.encode())
    site = start()
    until(lambda: site.copied("a"), site.server)
    seen: set[int] = set()
    deadline = time.monotonic() + 240
    while seen != set(site.pids):
        assert time.monotonic() < deadline
        with grpc.insecure_channel(site.server.grpc, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
            assert stub.ServerLive(pb.ServerLiveRequest(), timeout=60).live
            until(lambda: len(_to(site.server.grpc_port)) == 1, site.server)  # that before has ended
            (mine,) = _to(site.server.grpc_port)
            seen |= {pid for pid in site.pids if mine in _clients(pid, site.server.grpc_port)}
            _check_grpc(stub)


def _to(port: int) -> list[int]:
    """The ports of this process that are connected to that one."""
    found = [each for each in psutil.Process().connections("tcp") if each.raddr and each.raddr.port == port]
    return [each.laddr.port for each in found if each.status == "ESTABLISHED"]


def _check_grpc(stub: Any) -> None:
    request = pb.ModelInferRequest(model_name="a")
    tensor = request.inputs.add(name="x", datatype="FP64", shape=[1, 2])
    tensor.contents.fp64_contents.extend([1.0, 1.0])
    for _ in range(3):  # the second time its head is known
        answer = stub.ModelInfer(request, timeout=60)
        (data,) = answer.raw_output_contents or [np.array(answer.outputs[0].contents.fp64_contents).tobytes()]
        assert np.frombuffer(data).tolist() == [1.0]
    for name, code in {"nobody": "NOT_FOUND", "": "NOT_FOUND"}.items():
        request.model_name = name
        with pytest.raises(grpc.RpcError) as error:
            stub.ModelInfer(request, timeout=60)
        assert error.value.code().name == code
    assert stub.ModelMetadata(pb.ModelMetadataRequest(name="a"), timeout=60).platform == "sklearn"
    assert stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="a"), timeout=60).isUnloaded
    request.model_name = "a"
    with pytest.raises(grpc.RpcError, match="unloaded"):
        stub.ModelInfer(request, timeout=60)
    load = pb.RepositoryModelLoadRequest(model_name="a")
    with pytest.raises(grpc.RpcError) as error:
        stub.RepositoryModelLoad(load, timeout=60, metadata=[("x-forwarded-for", "10.0.0.1")])
    assert error.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert stub.RepositoryModelLoad(load, timeout=60).isLoaded


def test_a_port_that_is_taken_is_told(mount: Path, tmp_path: Path, start: Callable[..., Site]) -> None:
    first = start().server
    for flags, port in [
        ((f"--http_port={first.http_port}", "--grpc_port={}"), f"--http_port={first.http_port}"),
        (("--http_port={}", f"--grpc_port={first.grpc_port}"), f"--grpc_port={first.grpc_port}"),
    ]:
        ports = [flag.format(free_port()) for flag in flags]
        second = Server(mount, tmp_path / "second.log", *FLAGS, *ports)
        assert second.wait() == 1
        assert f"polyserve: {port} is taken" in second.log
    assert httpx.get(f"{first.url}/v2/health/ready").status_code == 200


def test_with_a_memory_budget_there_is_one_process(mount: Path, tmp_path: Path) -> None:
    server = Server(mount, tmp_path / "server.log", *FLAGS, "--memory_budget=1GiB").wait_ready()
    assert "--workers=3: with --memory_budget one process takes all requests" in server.log
    assert server.predict("a", ONES).json() == {"predictions": [1.0]}
    assert not _fronts(server)
    assert server.stop() == 0
