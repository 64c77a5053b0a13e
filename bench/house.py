"""`python -m bench.house`: how the source is laid out, and how many of our files one request passes.

    python -m bench.house                     this tree
    python -m bench.house --tree ../before    another one, side by side with this

Arrows are imports between packages (and single modules) of `server/`; floors are the longest way down along them. The
files on a request's way are those whose functions ran in the event loop's thread and in the threads that predict, from
the request's first byte to its answer's last, in a server that has answered such requests before. The adapter counts as
one file, however many its folder has.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.arguments import say
from bench.ports import free_port
from bench.report import table

#: packages from the top to the bottom: what imports what is upward is counted against it
ORDER = (
    *("__main__", "cli", "app", "frontends", "api", "repository", "loading", "inference"),
    *("codec", "workers", "telemetry", "config", "runtime", "errors", "text"),
)
ROOT = Path(__file__).resolve().parents[1]
_WARM = 200  #: requests before the one that is traced: by then a short call runs on the event loop
_SECONDS = 60.0  #: that a server may take to be ready


@dataclass(frozen=True)
class ImportGraph:
    """The modules of a tree's `server/`, and which imports which."""

    files: dict[str, Path]
    arrows: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, tree: Path) -> ImportGraph:
        """Read from the syntax trees; imports within functions count."""
        files = {}
        for file in sorted((tree / "server").rglob("*.py")):
            name = ".".join(file.relative_to(tree).with_suffix("").parts)
            files[name.removesuffix(".__init__")] = file
        arrows = {(name, target) for name, file in files.items() for target in _imports(file, files) if target != name}
        return cls(files, frozenset(arrows))

    @property
    def modules(self) -> list[str]:
        return list(self.files)

    @staticmethod
    def room(module: str) -> str:
        """The package of a module, or the module itself where it lies directly inside `server/`."""
        return [*module.split("."), ""][1]

    @property
    def packages(self) -> list[str]:
        return sorted({self.room(name) for name, file in self.files.items() if file.parent.name != "server"} - {""})

    @property
    def direct(self) -> list[str]:
        """Modules directly inside `server/`."""
        return [name for name, file in self.files.items() if file.parent.name == "server" and name != "server"]

    @cached_property
    def between_rooms(self) -> dict[str, set[str]]:
        rooms: dict[str, set[str]] = {self.room(name): set() for name in self.files}
        for source, target in self.arrows:
            if self.room(source) != self.room(target) and self.room(target):
                rooms[self.room(source)].add(self.room(target))
        rooms.pop("", None)
        return rooms

    def floors(self) -> int:
        """Rooms on the longest way down; those of a circle count as one step each."""
        seen: dict[str, int] = {}

        def height(room: str, above: tuple[str, ...]) -> int:
            if room not in seen:
                below = [height(other, (*above, room)) for other in self.between_rooms[room] if other not in above]
                seen[room] = 1 + max(below, default=0)
            return seen[room]

        return max(height(room, ()) for room in self.between_rooms)

    def upward(self) -> list[tuple[str, str]]:
        """Arrows against `ORDER`."""
        rank = {room: number for number, room in enumerate(ORDER)}
        pairs = ((a, b) for a, targets in self.between_rooms.items() for b in targets)
        return sorted((a, b) for a, b in pairs if a in rank and b in rank and rank[b] < rank[a])

    def circles(self) -> list[list[str]]:
        """Files that need each other, each group once (Tarjan's strongly connected components)."""
        below: dict[str, list[str]] = {name: [] for name in self.files}
        for source, target in self.arrows:
            below[source].append(target)
        order: dict[str, int] = {}
        low: dict[str, int] = {}
        stack: list[str] = []
        found: list[list[str]] = []

        def visit(name: str) -> None:
            order[name] = low[name] = len(order)
            stack.append(name)
            for other in below[name]:
                if other not in order:
                    visit(other)
                    low[name] = min(low[name], low[other])
                elif other in stack:
                    low[name] = min(low[name], order[other])
            if low[name] == order[name]:
                group = stack[stack.index(name) :]
                del stack[stack.index(name) :]
                if len(group) > 1:
                    found.append(sorted(group))

        for name in self.files:
            if name not in order:
                visit(name)
        return sorted(found)


def _imports(file: Path, files: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in files)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "server":
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                if inside in files:
                    yield inside
                elif node.module in files:
                    yield node.module


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.house", description=__doc__)
    parser.add_argument("--tree", type=Path, action="append", default=[], help="another checkout; may be given again")
    options = parser.parse_args(arguments)
    return _run([*options.tree, ROOT])


def _run(trees: Sequence[Path]) -> int:
    rows: dict[str, list[str]] = {}
    for tree in trees:
        say(f"{tree}: layout")
        graph = ImportGraph.of(tree)
        _row(rows, "modules directly inside server/", len(graph.direct))
        _row(rows, "packages", len(graph.packages))
        _row(rows, "files", len(graph.files))
        _row(rows, "floors", graph.floors())
        _row(rows, "arrows between them", sum(map(len, graph.between_rooms.values())))
        _row(rows, "upward arrows", len(graph.upward()))
        _row(rows, "circles of files", len(graph.circles()))
        for name, way in _ways(tree.resolve()).items():
            say(f"{tree}: {name}: {' '.join(way)}")
            lines = sum(len((tree / file).read_text().splitlines()) for file in way)
            count = len({"adapter" if file.startswith("adapters/") else file for file in way})
            _row(rows, f"files (lines) on the way of {name}", f"{count} ({lines:,})")
    say(table(["", *[tree.name or str(tree) for tree in trees]], [[name, *values] for name, values in rows.items()]))
    return 0


def _row(rows: dict[str, list[str]], name: str, value: object) -> None:
    rows.setdefault(name, []).append(str(value))


def _ways(tree: Path) -> dict[str, list[str]]:
    """Our files that a V1 and a gRPC request of one row pass, in the order in which they are entered first."""
    with tempfile.TemporaryDirectory() as directory:
        mount, out = Path(directory) / "models", Path(directory) / "files.json"
        _make_model(mount / "logistic")
        http, grpc = free_port(), free_port()
        command = [sys.executable, "-P", str(ROOT / "bench/peers/traced.py"), f"--model_dir={mount}"]
        ports = [f"--http_port={http}", f"--grpc_port={grpc}"]
        environ = {**os.environ, "PYTHONPATH": str(tree), "TRACED_FILES": str(out), "TRACED_TREE": str(tree)}
        with Path(directory, "log").open("wb") as log:
            server = subprocess.Popen([*command, *ports], cwd=tree, env=environ, stdout=log, stderr=log)
        try:
            return {name: _traced(server, out, ask) for name, ask in _asks(http, grpc).items()}
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()


def _make_model(folder: Path) -> None:
    import joblib
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    folder.mkdir(parents=True)
    rows = np.random.default_rng(0).normal(size=(60, 4))
    joblib.dump(LogisticRegression().fit(rows, np.arange(60) % 3), folder / "model.joblib")


def _asks(http: int, grpc_port: int) -> dict[str, Any]:
    """What sends one request and reads its answer, over a connection that stays."""
    import grpc
    import httpx
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
    from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

    client = httpx.Client(base_url=f"http://127.0.0.1:{http}", timeout=_SECONDS)
    _wait_until_ready(client)
    stub = GRPCInferenceServiceStub(grpc.insecure_channel(f"127.0.0.1:{grpc_port}"))
    tensor = pb.ModelInferRequest.InferInputTensor(name="input-0", datatype="FP64", shape=[1, 4])
    tensor.contents.fp64_contents.extend([0.1, 0.2, 0.3, 0.4])
    message = pb.ModelInferRequest(model_name="logistic", inputs=[tensor])
    body = {"instances": [[0.1, 0.2, 0.3, 0.4]]}

    def v1() -> None:
        client.post("/v1/models/logistic:predict", json=body).raise_for_status()

    def over_grpc() -> None:
        stub.ModelInfer(message, timeout=_SECONDS)

    return {"a V1 request": v1, "a gRPC request": over_grpc}


def _wait_until_ready(client: Any) -> None:
    import httpx

    end = time.monotonic() + _SECONDS
    while True:
        try:
            if client.get("/v2/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > end:
            raise SystemExit("the server is not ready")
        time.sleep(0.05)


def _traced(server: subprocess.Popen[bytes], out: Path, ask: Any) -> list[str]:
    for _ in range(_WARM):
        ask()
    out.unlink(missing_ok=True)
    server.send_signal(signal.SIGUSR1)
    time.sleep(0.5)  # a signal is handled in the event loop's next turn
    ask()
    server.send_signal(signal.SIGUSR2)
    while not out.exists():
        time.sleep(0.05)
    files: list[str] = json.loads(out.read_text())
    return files


if __name__ == "__main__":
    sys.exit(main())
