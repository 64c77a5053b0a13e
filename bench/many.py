"""Many small scikit-learn models in one process: time to ready and memory, beside as many plain `kserve.Model`s.

    python -m bench.many [--count 200]

Logistic regressions, pipelines and small forests, each trained on rows of its own, the same files for both. Every
model is asked once, and must answer as scikit-learn does.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import places
from bench.arguments import count, guarded, say
from bench.check import WrongAnswer
from bench.ports import free_port
from bench.process import Running, started
from bench.report import table
from bench.small_models import ROWS, RUN, make

_SYSTEMS = {"polyserve": "server", "kserve": "bench.peers.kserve_many"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit status is 2 if a server did not start, or answered wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.many", description=__doc__)
    parser.add_argument("--count", type=count, default=200, help="models; default 200")
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options.count))


def _run(models: int) -> int:
    expected = make(models)
    lines = []
    for name, module in _SYSTEMS.items():
        few = _measured(name, module, dict(list(expected.items())[:1]))
        many = _measured(name, module, expected)
        each = (many[1] - few[1]) / max(1, models - 1) * 1024
        asked = f"{1000 * many[2] / models:.1f}"
        lines.append(
            (name, f"{few[0]:.1f}", f"{many[0]:.1f}", f"{few[1]:,.0f}", f"{many[1]:,.0f}", f"{each:,.0f}", asked)
        )
        say(f"{name} is measured")
    print(f"{models:,} models; each answered as scikit-learn does. Seconds to ready, resident MiB of all processes.\n")
    head = (
        "server",
        "ready, 1 model",
        f"ready, {models:,}",
        "MiB, 1 model",
        f"MiB, {models:,}",
        "KiB a model",
        "ms a call",
    )
    print(table(head, lines))
    print(f"\nMemory: {float(lines[0][4].replace(',', '')) / float(lines[1][4].replace(',', '')):.2f} of KServe's.")
    return 0


def _measured(system: str, module: str, expected: Mapping[str, list[int]]) -> tuple[float, float, float]:
    """Seconds to ready, MiB, and seconds for one call of every model.

    Raises:
        NotStarted, WrongAnswer.
    """
    served = _served(list(expected))
    http_port, grpc_port = free_port(), free_port()
    flags = [f"--model_dir={served}", f"--http_port={http_port}", f"--grpc_port={grpc_port}"]
    began = time.monotonic()
    command = [sys.executable, "-m", module, *flags]
    with started(system, command, (http_port, grpc_port), RUN / f"{system}.log", places.REPOSITORY, {}) as server:
        server.wait_ready("/v2/health/ready", began)
        seconds = _ask(server, expected)
        return server.seconds_to_ready, server.memory().tree, seconds


def _served(names: Sequence[str]) -> Path:
    folder = RUN / f"served-{len(names)}"
    if not folder.exists():
        folder.mkdir()
        for name in names:
            shutil.copytree(RUN / "models" / name, folder / name)
    return folder


def _ask(server: Running, expected: Mapping[str, list[int]]) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    body, began = json.dumps({"instances": ROWS}), time.monotonic()
    for name, answer in expected.items():
        connection.request("POST", f"/v1/models/{name}:predict", body, {"Content-Type": "application/json"})
        got = json.loads(connection.getresponse().read())
        if got.get("predictions") != answer:
            raise WrongAnswer(f"{server.name}, {name}: {got} instead of {answer}")
    connection.close()
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
