"""`python -m bench.embeddings`: short sentences through all-MiniLM-L6-v2, one a request, on 32 connections.

PolyServe over V1 and over OpenAI's `embeddings`, a plain `kserve.Model` around a SentenceTransformer (with PyTorch's
own number of threads, and with one), and infinity where it can be installed. The systems are up one beside the other
and take turns. Before that, the vectors of each are compared with those of sentence-transformers, called directly.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.metadata
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench import language_models, places
from bench.arguments import count, list_of, say
from bench.environments import Environment
from bench.models import Array
from bench.ports import free_port
from bench.process import NotStarted, Running, ending_on_sigterm, started
from bench.report import number, table
from bench.streams import HEAD, percentile
from examples import bert_sentiment

NAME = "minilm"
CLOSE = 1e-5  #: of the library's own numbers
_PATIENCE = 300.0  #: seconds to be ready
INFINITY = Environment(
    "infinity",
    (f"torch=={importlib.metadata.version('torch').partition('+')[0]}", "infinity-emb[server,torch]==0.0.78"),
    (),
)


@dataclass(frozen=True)
class EmbeddingServer:
    """One side: how it is started, what it is asked, where the vectors are in its answer."""

    name: str
    command: Callable[[int, int], list[str]]
    ready: str
    path: str
    body: Callable[[list[str]], dict[str, Any]]
    vectors: Callable[[Any], Any]
    environment: Environment | None = None
    environ: Mapping[str, str] = field(default_factory=dict)

    def request(self, texts: list[str]) -> bytes:
        raw = json.dumps(self.body(texts)).encode()
        return HEAD.format(path=self.path, length=len(raw)).encode() + raw


def _polyserve(http_port: int, grpc_port: int) -> list[str]:
    mount = places.RUN / f"embeddings-{http_port}"
    shutil.copytree(language_models.minilm(), mount / NAME, copy_function=os.link)
    return [
        *(sys.executable, "-m", "server", f"--model_dir={mount}", "--ready=all"),
        *(f"--http_port={http_port}", f"--grpc_port={grpc_port}"),
    ]


def _kserve(http_port: int, grpc_port: int) -> list[str]:
    flags = [f"--http_port={http_port}", f"--grpc_port={grpc_port}", f"--folder={language_models.minilm()}"]
    return [sys.executable, "-m", "bench.peers.kserve_embeddings", *flags]


def _infinity(http_port: int, grpc_port: int) -> list[str]:
    program = str(INFINITY.folder / "bin" / "infinity_emb")
    model = f"--model-id={language_models.minilm()}"
    flags = ["--engine=torch", "--device=cpu", "--dtype=float32", "--host=127.0.0.1", f"--port={http_port}"]
    return [program, "v2", model, f"--served-model-name={NAME}", *flags, "--no-bettertransformer"]


def _v1(texts: list[str]) -> dict[str, Any]:
    return {"instances": texts}


def _openai(texts: list[str]) -> dict[str, Any]:
    return {"model": NAME, "input": texts}


def _predictions(document: Any) -> Any:
    return document["predictions"]


def _data(document: Any) -> Any:
    return [each["embedding"] for each in document["data"]]


_PREDICT = f"/v1/models/{NAME}:predict"
SYSTEMS = {
    system.name: system
    for system in (
        EmbeddingServer("polyserve", _polyserve, "/v2/health/ready", _PREDICT, _v1, _predictions),
        EmbeddingServer(
            "polyserve-openai", _polyserve, "/v2/health/ready", "/openai/v1/embeddings", _openai, _data
        ),
        EmbeddingServer("kserve", _kserve, "/v2/health/ready", _PREDICT, _v1, _predictions),
        EmbeddingServer(
            *("kserve-1-thread", _kserve, "/v2/health/ready", _PREDICT, _v1, _predictions),
            environ={"OMP_NUM_THREADS": "1"},
        ),
        EmbeddingServer("infinity", _infinity, "/health", "/embeddings", _openai, _data, INFINITY),
    )
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit status is 1 where vectors of ours are not the library's."""
    parser = argparse.ArgumentParser(prog="python -m bench.embeddings", description=__doc__)
    parser.add_argument("--systems", type=list_of(str, list(SYSTEMS)), default=list(SYSTEMS), help="default: all")
    parser.add_argument("--connections", type=count, default=32, help="default 32")
    parser.add_argument("--seconds", type=count, default=5, help="of a system's turn; default 5")
    parser.add_argument("--rounds", type=count, default=3, help="default 3; figures are their medians")
    options = parser.parse_args(arguments)
    texts = list(bert_sentiment.reviews(64, 0)[0])
    expected = _library(language_models.minilm(), texts)
    shutil.rmtree(places.RUN, ignore_errors=True)
    with ending_on_sigterm(), _running([SYSTEMS[name] for name in options.systems]) as servers:
        off = {name: _distance(server, SYSTEMS[name], texts, expected) for name, server in servers.items()}
        rounds: dict[str, list[list[float]]] = {name: [] for name in servers}
        for _ in range(options.rounds):
            for name, server in servers.items():
                rounds[name].append(asyncio.run(_turn(server, SYSTEMS[name], texts, options)))
    medians = {name: [statistics.median(each) for each in zip(*found, strict=True)] for name, found in rounds.items()}
    ours = medians.get("polyserve", [0.0])[0]
    head = ("system", "sentences/s", "p50, ms", "p99", "processor ms a sentence", "polyserve is faster by", "off by")
    lines = [
        [name, *map(number, found), number(ours / found[0]), f"{off[name]:.1e}"] for name, found in medians.items()
    ]
    print(table(head, lines))
    return int(any(off[name] > CLOSE for name in off if name.startswith("polyserve")))


def _library(folder: Path, texts: list[str]) -> Array:
    from sentence_transformers import SentenceTransformer

    return np.asarray(SentenceTransformer(str(folder), device="cpu").encode(texts, show_progress_bar=False))


@contextlib.contextmanager
def _running(wanted: Sequence[EmbeddingServer]) -> Iterator[dict[str, Running]]:
    """Those that can be had here; the others are named."""
    with contextlib.ExitStack() as stack:
        found = {}
        for system in wanted:
            ports, begun = (free_port(), free_port()), time.monotonic()
            try:
                if system.environment:
                    system.environment.ensure()
                log, environ = places.LOGS / f"embeddings-{system.name}.log", system.environ
                server = stack.enter_context(
                    started(system.name, system.command(*ports), ports, log, places.REPOSITORY, environ)
                )
                server.wait_ready(system.ready, begun, _PATIENCE)
                found[system.name] = server
            except (NotStarted, subprocess.CalledProcessError) as error:
                say(f"{system.name} is left out: {error}")
        yield found


def _distance(server: Running, system: EmbeddingServer, texts: list[str], expected: Array) -> float:
    """The largest difference of any number of any vector, each text asked alone."""

    async def ask() -> float:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.http_port)
        off = 0.0
        for text, vector in zip(texts, expected, strict=True):
            writer.write(system.request([text]))
            found = system.vectors(json.loads(await _answer(reader)))
            off = max(off, float(np.abs(np.asarray(found) - vector).max()))
        writer.close()
        return off

    return asyncio.run(ask())


async def _turn(server: Running, system: EmbeddingServer, texts: list[str], options: argparse.Namespace) -> list[float]:
    """Sentences a second, p50 and p99 in ms, and the processor's ms for each."""
    requests = [system.request([text]) for text in texts]
    found: list[float] = []
    before, begun = server.cpu_seconds(), time.monotonic()

    async def client(first: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.http_port)
        for request in itertools.islice(itertools.cycle(requests), first, None):
            start = time.monotonic()
            if start > begun + options.seconds:
                break
            writer.write(request)
            await _answer(reader)
            found.append(1000 * (time.monotonic() - start))
        writer.close()

    async with asyncio.TaskGroup() as group:
        for number_of in range(options.connections):
            group.create_task(client(number_of))
    seconds, used = time.monotonic() - begun, server.cpu_seconds() - before
    return [len(found) / seconds, percentile(found, 50), percentile(found, 99), 1000 * used / len(found)]


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    body = await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
    if b" 200 " not in head[:20]:
        raise RuntimeError(f"answered {head[:40]!r}: {body[:500]!r}")
    return body


if __name__ == "__main__":
    sys.exit(main())
