"""Clients of a server with front processes, beside attackers: every answer belongs to who has asked for it.

python -m tests.fuzz.fronts --seed 1 --cases 20000
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections import Counter
from pathlib import Path
from random import Random

import joblib
import psutil
from sklearn.linear_model import LinearRegression

from tests.e2e.process import Server
from tests.fuzz.arguments import arguments
from tests.fuzz.attacks import MAX_BODY, attack, carry_out
from tests.fuzz.sound import ask
from tests.patience import wait_for

ATTACKERS, CLIENTS = 8, 4
FLAGS = ("--workers=2", f"--max_body_bytes={MAX_BODY}", "--watch=false")
OWN = """
from kserve import Model

class Own(Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    def predict(self, payload, headers=None):
        return {"predictions": payload["instances"] if isinstance(payload, dict) else []}
"""


def mount(path: Path) -> Path:
    """A model of which front processes have a copy, and one that lives in a worker of the main process."""
    for name in ("copy", "own"):
        (path / name).mkdir(parents=True)
    first = LinearRegression().fit([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [[0.0], [1.0], [0.0]])
    first.coef_, first.intercept_ = first.coef_.round(), first.intercept_.round()
    joblib.dump(first, path / "copy" / "model.joblib")
    (path / "own" / "model.py").write_text(OWN)
    return path


def run(seed: int, cases: int) -> Counter[str]:
    """Carry out so many attacks beside sound clients; what was sent and answered.

    Raises:
        WrongAnswer: a sound request was not answered as it must be.
        AssertionError: an attacker got what is not for him, or the server has not stayed as it was.
    """
    with tempfile.TemporaryDirectory() as directory:
        server = Server(mount(Path(directory) / "models"), Path(directory) / "server.log", *FLAGS).wait_ready()
        try:
            wait_for(lambda: "listens, too" in server.log)
            told = asyncio.run(_Run(seed, cases, server.http_port).run())
            wait_for(lambda: _handing_on(server.process.pid) <= 1, "connections of clients that have hung up")
            states = {name: entry["state"] for name, entry in server.index().items()}
            assert states == {"copy": "READY", "own": "READY"}
        except BaseException:
            print(server.log)
            raise
        finally:
            status = server.stop()
        assert status == 0, server.log
        assert "Traceback" not in server.log, server.log
    return told


def _handing_on(pid: int) -> int:
    """Connections of front processes to the main one; the server's own client may have one."""
    sockets = psutil.Process(pid).connections("unix")
    return sum(str(each.laddr).endswith("/http") for each in sockets) - 1  # the listener


class _Run:
    def __init__(self, seed: int, cases: int, port: int) -> None:
        self._seed = seed
        self._port = port
        self._left = iter(range(cases))
        self._numbers = itertools.count(1)
        self._attacking = ATTACKERS
        self._told: Counter[str] = Counter()

    async def run(self) -> Counter[str]:
        async with asyncio.TaskGroup() as group:
            for number in range(ATTACKERS):
                group.create_task(self._attack(Random(f"{self._seed} attacker {number}")))
            for number in range(CLIENTS):
                group.create_task(self._ask(Random(f"{self._seed} client {number}")))
        return self._told

    async def _attack(self, rng: Random) -> None:
        for _ in self._left:
            answers = await carry_out(attack(rng), self._port)
            assert b'"unload":true' not in answers
            assert b"HTTP/1.1 500" not in answers, answers
            self._told["attacks"] += 1
            self._told["attacks that were answered"] += bool(answers)
        self._attacking -= 1

    async def _ask(self, rng: Random) -> None:
        while self._attacking:
            self._told["sound requests"] += await ask(self._port, rng, self._numbers)


if __name__ == "__main__":
    given = arguments(__doc__, 20_000)
    print(dict(run(given.seed, given.cases)))
