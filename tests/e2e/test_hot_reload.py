"""Models that come, change and go under a steady load, in every way in which files do: only the answers tell."""

from __future__ import annotations

import io
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from tests.e2e.process import Server
from tests.e2e.steady_load import Load

pytestmark = pytest.mark.slow

RATE = 100  #: requests/s over REST, and as many over gRPC
SWAPS = 20
PATIENCE = 240
QUICK = ("--watch_interval=0.1", "--watch_settle=0.2")
SETTLE = 2.0  #: seconds, where files come slowly
CUSTOM = """
from kserve import Model

class Constant(Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    def predict(self, payload, headers=None):
        return {{"predictions": [{value} for _ in payload["instances"]]}}
"""


def model(value: float) -> bytes:
    """A model that answers `value` for a row of ones."""
    rows = np.eye(2)
    fitted = LinearRegression(fit_intercept=False).fit(rows, rows.sum(axis=1) * value / 2)
    buffer = io.BytesIO()
    joblib.dump(fitted, buffer)
    return buffer.getvalue()


def put(path: Path, content: bytes) -> None:
    """Write a file elsewhere, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(content)
    temporary.rename(path)


def until(what: Callable[[], bool], server: Server) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, f"{server.index()}\n{server.log[-3000:]}"
        time.sleep(0.02)


def reasons(server: Server, name: str) -> str:
    return " ".join(
        each["reason"] for each in server.client.post("/v2/repository/index").json() if each["name"] == name
    )


def count(server: Server, metric: str, name: str) -> float:
    line = next(
        each for each in server.client.get("/metrics").text.splitlines() if f'{metric}{{model="{name}"}}' in each
    )
    return float(line.split()[-1])


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def serve(tmp_path: Path, mount: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*flags: str) -> Server:
        servers.append(Server(mount, tmp_path / "server.log", *flags).wait_ready())
        return servers[0]

    yield start
    assert [server.stop() for server in servers] == [0]


def in_place(folder: Path, number: int) -> Path:
    return folder / "model.joblib"


def as_version(folder: Path, number: int) -> Path:
    return folder / str(number) / "model.joblib"


@pytest.mark.parametrize(("place", "processes"), [(in_place, 3), (as_version, 1)])
def test_twenty_swaps_under_load(
    mount: Path, serve: Callable[..., Server], place: Callable[[Path, int], Path], processes: int
) -> None:
    folder = mount / "a"
    put(place(folder, 1), model(1))
    server = serve(*QUICK, f"--workers={processes}")
    until(lambda: server.log.count("listens, too") == processes - 1, server)
    with Load(server, "a", RATE) as load:
        until(lambda: load.newest == 1, server)
        for number in range(2, SWAPS + 2):
            put(place(folder, number), model(number))
            until(lambda number=number: load.newest == number, server)  # type: ignore[misc]
            if number == SWAPS // 2:
                put(place(folder, number + 1), b"broken")
                until(lambda: "damaged" in reasons(server, "a"), server)
                sent = len(load.answers)
                until(lambda sent=sent: len(load.answers) > sent + RATE, server)  # type: ignore[misc]
                assert load.answers[-1].value == number
    load.check()
    assert {answer.value for answer in load.answers} == set(range(1, SWAPS + 2))
    assert count(server, "polyserve_swaps_total", "a") == SWAPS
    assert count(server, "polyserve_failed_reloads_total", "a") == 1
    assert reasons(server, "a").strip() == ""
    assert "loading it again failed" in server.log or "is not served" in server.log


def test_a_broken_newest_version_changes_nothing_after_a_restart_either(
    mount: Path, serve: Callable[..., Server]
) -> None:
    put(mount / "a" / "1" / "model.joblib", model(1))
    put(mount / "a" / "2" / "model.joblib", b"broken")
    server = serve(*QUICK)
    with Load(server, "a", RATE) as load:
        until(lambda: load.newest == 1, server)
        assert "damaged" in reasons(server, "a")
        put(mount / "a" / "2" / "model.joblib", model(2))
        until(lambda: load.newest == 2, server)
    load.check()
    until(lambda: [each["version"] for each in server.client.post("/v2/repository/index").json()] == ["2"], server)


def test_a_custom_model_is_swapped_under_load(mount: Path, serve: Callable[..., Server]) -> None:
    put(mount / "a" / "model.py", CUSTOM.format(value=1).encode())
    server = serve(*QUICK)
    with Load(server, "a", RATE / 2, grpc=False) as load:
        until(lambda: load.newest == 1, server)
        for number in range(2, 5):
            put(mount / "a" / "model.py", CUSTOM.format(value=number).encode())
            until(lambda number=number: load.newest == number, server)  # type: ignore[misc]
        put(mount / "a" / "examples.json", b'[{"request": {"instances": [1]}, "response": {"predictions": [9]}}]')
        until(lambda: "expected 9, got 4" in reasons(server, "a"), server)
        assert load.newest == 4
    load.check()


def test_kubernetes_swap_of_a_mounted_model_is_one_change(mount: Path, serve: Callable[..., Server]) -> None:
    def publish(number: int) -> None:
        stamp = mount / f"..2026_0{number}"
        put(stamp / "model.joblib", model(number))
        (stamp / "polyserve.yaml").write_text("batching: true\n")
        (mount / "..data_tmp").symlink_to(stamp.name)
        (mount / "..data_tmp").rename(mount / "..data")

    publish(1)
    for name in ("model.joblib", "polyserve.yaml"):
        (mount / name).symlink_to(f"..data/{name}")
    server = serve(*QUICK)
    with Load(server, "model", RATE) as load:
        until(lambda: load.newest == 1, server)
        publish(2)
        shutil.rmtree(mount / "..2026_01")
        until(lambda: load.newest == 2, server)
        time.sleep(SETTLE)
    load.check()
    assert count(server, "polyserve_swaps_total", "model") == 1


def test_folders_come_slowly_and_go(mount: Path, serve: Callable[..., Server]) -> None:
    """Nothing is loaded before its last byte is there, whether it is new or overwrites what is served.

    Unless it comes so slowly that it looks whole: where this machine stood still between two bytes, nothing is said.
    """
    gaps: list[float] = []

    def copy(path: Path, content: bytes) -> None:
        moments = [time.monotonic()]
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as stream:
            for part in np.array_split(np.frombuffer(content, np.uint8), 12):
                stream.write(part.tobytes())
                stream.flush()
                time.sleep(SETTLE / 8)
                moments.append(time.monotonic())
        gaps.extend(np.diff([*moments, time.monotonic()]))

    put(mount / "a" / "model.joblib", model(1))
    server = serve("--watch_interval=0.1", f"--watch_settle={SETTLE}")
    with Load(server, "a", RATE) as load:
        until(lambda: load.newest == 1, server)
        copy(mount / "b" / "model.joblib", model(5))
        until(lambda: server.index().get("b", {}).get("state") == "READY", server)
        copy(mount / "a" / "model.joblib", model(2))
        until(lambda: load.newest == 2, server)
    load.check()
    if max(gaps) < SETTLE / 2:
        assert "damaged" not in server.log
        assert "is not served" not in server.log
        assert count(server, "polyserve_failed_reloads_total", "a") == 0
    os.rename(mount / "b", mount.parent / "b")  # noqa: PTH104
    until(lambda: "b" not in server.index(), server)
    until(lambda: server.predict("b", {"instances": [[1, 1]]}).status_code == 404, server)
    os.rename(mount.parent / "b", mount / "b")  # noqa: PTH104
    until(lambda: server.index().get("b", {}).get("state") == "READY", server)
