"""`python -m bench.streams`: is a part sent as it is made, does a client that leaves end the work, who pays for it?

A custom model that yields parts some milliseconds apart says of each when it was made; clock and machine are the
client's. Over V1 (server-sent events), V2's `generate_stream` and gRPC's `ModelStreamInfer`. Then many streams at once,
and the latency of another model beside them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import struct
import sys
import tempfile
import textwrap
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import TypeAlias

from bench.arguments import count, say
from bench.ports import free_port
from bench.process import Running, started
from bench.report import number, table

ROOT = Path(__file__).resolve().parents[1]
MODEL = """
import pathlib, time
from kserve import InferRequest, Model

class Ticking(Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    def predict(self, payload, headers=None):
        asked = payload.inputs[0].as_numpy().ravel() if isinstance(payload, InferRequest) else payload["instances"]
        parts, pause = asked
        notes = pathlib.Path(__file__).with_name("made.txt")
        try:
            for part in range(int(parts)):
                notes.write_text(str(part + 1))
                yield {"part": part, "made": time.monotonic()}
                time.sleep(float(pause))
        finally:
            notes.with_name("closed.txt").touch()
"""
#: what the model yields: which part, and when it was made
Part: TypeAlias = dict[str, float]

PROTOCOLS = ("v1", "v2", "grpc")
HEAD = "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.streams", description=__doc__)
    parser.add_argument("--parts", type=count, default=100, help="of a stream; default 100")
    parser.add_argument("--pause", type=float, default=0.01, help="seconds between two parts; default 0.01")
    parser.add_argument("--streams", type=count, default=64, help="at once; default 64")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as directory:
        mount = Path(directory) / "models"
        _make_models(mount)
        ports = free_port(), free_port()
        command = [sys.executable, "-m", "server", f"--model_dir={mount}"]
        flags = [f"--http_port={ports[0]}", f"--grpc_port={ports[1]}"]
        with started("polyserve", [*command, *flags], ports, Path(directory) / "log", ROOT, {}) as server:
            server.wait_ready("/v2/health/ready", time.monotonic())
            asyncio.run(_measure(server, mount / "ticking", options))
    return 0


def _make_models(mount: Path) -> None:
    save_logistic(mount / "logistic")
    (mount / "ticking").mkdir()
    (mount / "ticking" / "model.py").write_text(textwrap.dedent(MODEL))


def save_logistic(folder: Path) -> None:
    """A model that takes next to no time."""
    import joblib
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    folder.mkdir(parents=True)
    rows = np.random.default_rng(0).normal(size=(60, 4))
    joblib.dump(LogisticRegression().fit(rows, np.arange(60) % 3), folder / "model.joblib")


async def _measure(server: Running, folder: Path, options: argparse.Namespace) -> None:
    rows = []
    for protocol in PROTOCOLS:
        parts = [(part, time.monotonic()) async for part in _stream(server, protocol, options.parts, options.pause)]
        before = parts[1][0]["made"] - parts[0][1]
        late = statistics.median(came - part["made"] for part, came in parts)
        made = await _leave_after(server, protocol, folder, options)
        rows.append([protocol, str(len(parts)), f"{1000 * before:.1f}", f"{1000 * late:.2f}", str(made)])
    head = ["protocol", "parts", "first came before the second was made, ms", "a part's way, ms (median)"]
    say(table([*head, "parts made when the client left after the third"], rows))
    alone = await latencies(server, 200)
    streams = [asyncio.create_task(_drain(server, options)) for _ in range(options.streams)]
    beside = await latencies(server, 200)
    done = [stream.done() for stream in streams]
    await asyncio.gather(*streams)
    idle = f"p50 {number(percentile(alone, 50))} ms, p99 {number(percentile(alone, 99))} ms alone"
    say(f"\nanother model, V1, one connection: {idle};")
    left = f"{done.count(False)} to {options.streams} streams"
    say(f"beside {left}: p50 {number(percentile(beside, 50))}, p99 {number(percentile(beside, 99))} ms")


def percentile(milliseconds: list[float], percent: int) -> float:
    return sorted(milliseconds)[min(len(milliseconds) - 1, len(milliseconds) * percent // 100)]


async def _drain(server: Running, options: argparse.Namespace) -> None:
    assert len([part async for part in _stream(server, "v1", options.parts, options.pause)]) == options.parts


async def _leave_after(server: Running, protocol: str, folder: Path, options: argparse.Namespace) -> int:
    """How many parts were made when the generator was closed, after a client that left once it had three."""
    (folder / "closed.txt").unlink(missing_ok=True)
    stream = _stream(server, protocol, 10 * options.parts, options.pause)
    for _ in range(3):
        await anext(stream)
    await stream.aclose()
    while not (folder / "closed.txt").exists():  # noqa: ASYNC110  (it is another process that writes it)
        await asyncio.sleep(0.001)
    return int((folder / "made.txt").read_text())


def _stream(server: Running, protocol: str, parts: int, pause: float) -> AsyncGenerator[Part, None]:
    if protocol == "grpc":
        return _over_grpc(server.grpc_port, parts, pause)
    if protocol == "v1":
        return _events(server.http_port, "/v1/models/ticking:predict", {"instances": [parts, pause]})
    return _events(server.http_port, "/v2/models/ticking/generate_stream", {"how": [float(parts), pause]})


async def _events(port: int, path: str, body: object) -> AsyncGenerator[Part, None]:
    raw = json.dumps(body).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(HEAD.format(path=path, length=len(raw)).encode() + raw)
        async for line in reader:
            if line.startswith(b"data: "):
                yield json.loads(line[6:])
            elif line == b"0\r\n":
                return
    finally:
        writer.close()


async def _over_grpc(port: int, parts: int, pause: float) -> AsyncGenerator[Part, None]:
    import grpc
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

    message = pb.ModelInferRequest(model_name="ticking")
    message.inputs.add(name="how", datatype="FP64", shape=[2])
    message.raw_input_contents.append(struct.pack("<dd", parts, pause))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")(
            iter([message.SerializeToString()])
        )
        try:
            async for raw in call:
                answer = pb.ModelInferResponse.FromString(_answer_in(raw))
                names = [output.name for output in answer.outputs]
                kinds = ["<q" if name == "part" else "<d" for name in names]
                values = [struct.unpack(*each)[0] for each in zip(kinds, answer.raw_output_contents, strict=True)]
                yield dict(zip(names, values, strict=True))
        finally:
            call.cancel()


def _answer_in(raw: bytes) -> bytes:
    """The `infer_response` of a `ModelStreamInferResponse` that has one."""
    assert raw[:1] == b"\x12", raw
    at = 1
    while raw[at] & 0x80:
        at += 1
    return raw[at + 1 :]


async def latencies(server: Running, requests: int) -> list[float]:
    """Milliseconds of each request to the other model, one after the other on one connection."""
    raw = json.dumps({"instances": [[0.1, 0.2, 0.3, 0.4]]}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.http_port)
    found = []
    for _ in range(requests):
        start = time.monotonic()
        writer.write(HEAD.format(path="/v1/models/logistic:predict", length=len(raw)).encode() + raw)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        found.append(1000 * (time.monotonic() - start))
        await asyncio.sleep(0.002)
    writer.close()
    return found


if __name__ == "__main__":
    sys.exit(main())
