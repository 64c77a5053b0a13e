"""Hostile models in a server with `--sandbox`: each thing is refused, and an honest neighbour is served."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from server.runtime.sandbox.kernel import Kernel
from tests import cases
from tests.e2e.process import Server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(Kernel().landlock < 6 or Kernel().machine is None, reason="this kernel has less"),
]

HOSTILE = """
import ctypes, os, signal, socket
from kserve import Model


def told(act):
    try:
        return repr(act())
    except OSError as error:
        return type(error).__name__


class Hostile(Model):
    def load(self):
        self.ready = True

    def predict(self, payload, headers=None):
        secret, other, port = payload["instances"]
        server, libc = os.getppid(), ctypes.CDLL(None, use_errno=True)

        def traced():
            if libc.ptrace(16, server, 0, 0):
                raise OSError(ctypes.get_errno(), "ptrace")

        acts = {
            "read a file outside": lambda: open(secret).read(),
            "write to another model": lambda: open(other, "a"),
            "list the mount": lambda: os.listdir(".."),
            "connect": lambda: socket.create_connection(("127.0.0.1", port)),
            "signal the server": lambda: os.kill(server, signal.SIGCONT),
            "trace the server": traced,
            "read the server's environment": lambda: open(f"/proc/{server}/environ").read(),
            "read the server's maps": lambda: open(f"/proc/{server}/maps").read(),
            "write to its own folder": lambda: open("new", "w"),
        }
        found = {name: told(act) for name, act in acts.items()}
        with open(os.path.join(os.environ["TMPDIR"], "file"), "w") as own:
            found["its own files"] = own.write("text")
        found["its own folder"] = sorted(os.listdir("."))
        return {"predictions": [found]}
"""


@dataclass
class Site:
    server: Server
    secret: Path
    models: Path

    def attacked(self, port: int = 1) -> dict[str, Any]:
        body = {"instances": [str(self.secret), str(self.models / "honest" / "model.joblib"), port]}
        answer = self.server.predict("hostile", body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["predictions"][0]
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    base = tmp_path_factory.mktemp("sandbox")
    models = base / "models"
    for name in ("hostile", "honest"):
        (models / name).mkdir(parents=True)
    (models / "hostile" / "model.py").write_text(HOSTILE)
    cases.sklearn_logistic(models / "honest")
    secret = base / "secret"
    secret.write_text("secret")
    server = Server(models, base / "server.log", "--sandbox", "--isolation=process", SECRET_TOKEN="x").wait_scanned()
    yield Site(server, secret, models)
    assert server.stop() == 0, server.log
    assert list(Path(os.environ.get("TMPDIR", "/tmp")).glob(f"polyserve-sandbox-{server.process.pid}-*")) == []


def test_a_hostile_model_reaches_nothing_but_its_own(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = site.attacked(listener.getsockname()[1])
    assert found.pop("its own files") == 4
    assert found.pop("its own folder") == ["model.py"]
    assert {name: ended for name, ended in found.items() if ended != "PermissionError"} == {}


def test_its_neighbour_is_served(site: Site) -> None:
    answer = site.server.predict("honest", {"instances": [[5.1, 3.5, 1.4, 0.2]]})
    assert answer.json() == {"predictions": [0]}
    assert site.server.index()["honest"]["state"] == "READY"


def test_the_log_says_what_holds(site: Site) -> None:
    assert "--sandbox: models' processes are confined (Landlock" in site.server.log
