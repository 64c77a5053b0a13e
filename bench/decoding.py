"""`python -m bench.decoding`: what is it worth that some bodies are decoded by a way of their own?

The first table is of JSON bodies of numbers: as the server decodes them (simdjson), as it would without simdjson, and
the least that orjson and `array` could take, without any of the checks of a codec. The second is of one gRPC request
of 1 x 4 floats and its answer: by the templates, by protobuf and the shortcut for a matrix, and by the general codec.
`--server` asks two servers instead, one with simdjson and one without, in turn.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import sys
import time
from array import array as NumberArray
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from adapters.base import Signature, TensorSpec
from bench.arguments import count, guarded, list_of, say
from bench.check import ask, check
from bench.load import LoadFailed, drive
from bench.making import sample
from bench.models import Array
from bench.plan import POLYSERVE
from bench.process import MIB, Running
from bench.report import number, table
from bench.requests import Protocol, request
from bench.systems import SYSTEMS, Launch, System, running
from server.codec import grpc_messages
from server.codec.fast import json_arrays
from server.codec.fast.grpc_templates import AnswerTemplates, TemplateCache, grpc_decoder, known_decoder
from server.codec.fast.json_rows import v1_decoder, v2_decoder

MODEL, WITHOUT = "wide", "without-simdjson"
SHAPES = ((1024, 100), (64, 100), (1024, 4))
DATATYPES = {"FP64": "floats", "INT64": "integers"}
SLICE = 0.2  #: seconds that one way of decoding is measured for, in each round
CALLS = 4  #: that are timed together
PROTOCOLS = (Protocol.V1, Protocol.V2)
#: how a body is decoded
SIMDJSON, ORJSON, LEAST = WAYS = ("simdjson", "orjson", "orjson, unchecked")

Decode = Callable[[], object]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; the exit status is 2 if something could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.decoding", description=__doc__)
    parser.add_argument("--server", action="store_true", help="ask two servers in turn, with simdjson and without")
    parser.add_argument("--connections", type=list_of(int), default=[1, 4], help="to a server; default 1,4")
    parser.add_argument(
        "--rows", type=list_of(int), default=[32, 1024], help="of a request to a server; default 32,1024"
    )
    parser.add_argument("--seconds", type=count, default=1, help="of one measurement; default 1")
    parser.add_argument("--rounds", type=count, default=5, help="default 5; figures are their medians")
    options = parser.parse_args(arguments)
    if options.server:
        return guarded(lambda: _servers(options))
    _json(options)
    _grpc(options)
    return 0


def _json(options: argparse.Namespace) -> None:
    lines = []
    for protocol, shape, datatype in product(PROTOCOLS, SHAPES, DATATYPES):
        times = _alternating({way: decoder(way, protocol, shape, datatype) for way in WAYS}, options)
        peaks = (_peak(way, protocol, shape, datatype) for way in (SIMDJSON, ORJSON))
        figures = [number(times[way] * 1e3) for way in WAYS]
        figures += [f"{times[way] / times[SIMDJSON]:.2f}" for way in (ORJSON, LEAST)]
        figures += [f"{peak:.1f}" for peak in peaks]
        lines.append((protocol.value, f"{shape[0]:,} x {shape[1]}", DATATYPES[datatype], *figures))
    print("Milliseconds of processor time to decode one body, and what the process grows by meanwhile, in MiB.\n")
    ratios = (f"{way} ÷ {SIMDJSON}" for way in (ORJSON, LEAST))
    print(table(("protocol", "rows", "of", *WAYS, *ratios, f"MiB: {SIMDJSON}", f"MiB: {ORJSON}"), lines))


def _alternating(ways: dict[str, Decode], options: argparse.Namespace) -> dict[str, float]:
    """Seconds of processor time of one call of each, medians of rounds in which they take turns."""
    found: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.rounds):
        for way, decode in ways.items():
            found[way].append(_seconds(decode))
    return {way: statistics.median(rounds) for way, rounds in found.items()}


def _seconds(decode: Decode) -> float:
    """Of one call: the median of as many as there is time for."""
    decode()
    times: list[float] = []
    end = time.perf_counter() + SLICE
    while not times or time.perf_counter() < end:
        began = time.process_time_ns()
        for _ in range(CALLS):
            decode()
        times.append((time.process_time_ns() - began) / 1e9 / CALLS)
    return statistics.median(times)


def decoder(way: str, protocol: Protocol, shape: tuple[int, int], datatype: str) -> Decode:
    """One decoding of a body of that many numbers."""
    raw = body(protocol, shape, datatype)
    if way == LEAST:
        return lambda: unchecked(raw, protocol, shape, datatype)
    spec = TensorSpec("x", datatype, (-1, shape[1]), finite=True)
    signature = Signature((spec,), (TensorSpec("y", "FP64", (-1,)),))
    v1, v2, smallest = v1_decoder(signature), v2_decoder(signature), json_arrays.MIN_BODY

    def decode() -> object:
        json_arrays.MIN_BODY = smallest if way == SIMDJSON else sys.maxsize
        try:
            return v1(raw) if protocol is Protocol.V1 else v2(raw, None)
        finally:
            json_arrays.MIN_BODY = smallest

    return decode


def body(protocol: Protocol, shape: tuple[int, int], datatype: str) -> bytes:
    """A request for a matrix: floats of 17 digits, or integers of 3."""
    random = np.random.default_rng(0)
    values: Array = random.normal(size=shape) if datatype == "FP64" else random.integers(0, 1000, shape)
    if protocol is Protocol.V1:
        return orjson.dumps({"instances": values.tolist()})
    tensor = {"name": "x", "shape": list(shape), "datatype": datatype, "data": values.ravel().tolist()}
    return orjson.dumps({"inputs": [tensor]})


def unchecked(raw: bytes, protocol: Protocol, shape: tuple[int, int], datatype: str) -> Array:
    """The matrix in a body, by the fastest of the simple ways that take numbers only."""
    code, parsed = ("d" if datatype == "FP64" else "q"), orjson.loads(raw)
    if protocol is Protocol.V2:
        return np.frombuffer(NumberArray(code, parsed["inputs"][0]["data"]), code).reshape(shape)
    rows = [NumberArray(code, row) for row in parsed["instances"]]
    return np.frombuffer(bytearray().join(rows), code).reshape(shape)


def _peak(way: str, protocol: Protocol, shape: tuple[int, int], datatype: str) -> float:
    """What one decoding takes at most, in MiB; in a process of its own, as simdjson's memory is not Python's."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(growth, way, protocol, shape, datatype).result()


def growth(way: str, protocol: Protocol, shape: tuple[int, int], datatype: str) -> float:
    """How far the resident memory of this process rises in one decoding, in MiB."""
    decoder(way, protocol, (2, 64), datatype)()  # whatever is made once
    decode = decoder(way, protocol, shape, datatype)
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    Path("/proc/self/clear_refs").write_text("5")  # the highest it has been is what it is now
    decode()
    status = Path("/proc/self/status").read_text()
    highest = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    return max(highest * 1024 - before, 0) / MIB


def _grpc(options: argparse.Namespace) -> None:
    ways = grpc_ways()
    times = _alternating(ways, options)
    best = next(iter(times.values()))
    lines = [(way, number(seconds * 1e6), f"{seconds / best:.2f}") for way, seconds in times.items()]
    print("Microseconds of processor time to decode a gRPC request of 1 x 4 floats and encode its answer.\n")
    print(table(("by", "µs", "ratio"), lines))


def grpc_ways() -> dict[str, Decode]:
    """From the bytes of a request to those of an answer, the model left out; raw values, and typed ones."""
    signature = Signature((TensorSpec("x", "FP64", (-1, 4)),), (TensorSpec("y", "FP64", (-1,)),))
    raw, typed = grpc_request(raw=True), grpc_request(raw=False)
    outputs: dict[str, Array] = {"y": np.ones(1)}
    templates, answers = TemplateCache(), AnswerTemplates("m", "")
    templates.learn(raw, pb.ModelInferRequest.FromString(raw))
    known, shortcut = known_decoder(signature), grpc_decoder(signature)

    def by_template() -> object:
        template: Any = templates.find(raw)
        return answers.encode(outputs, known(template, raw))

    def by_protobuf(message: bytes, decode: Callable[[Any], Any]) -> Decode:
        def way() -> object:
            call = decode(pb.ModelInferRequest.FromString(message))
            return grpc_messages.encode(outputs, call, "m").SerializeToString()

        return way

    def general(message: Any) -> Any:
        return grpc_messages.decode(message, signature)

    return {
        "templates, raw": by_template,
        "protobuf and shortcut, raw": by_protobuf(raw, shortcut),
        "protobuf and general codec, raw": by_protobuf(raw, general),
        "protobuf and shortcut, typed": by_protobuf(typed, shortcut),
        "protobuf and general codec, typed": by_protobuf(typed, general),
    }


def grpc_request(raw: bool) -> bytes:
    """A serialized request for one row."""
    message, values = pb.ModelInferRequest(model_name="m"), np.array([5.1, 3.5, 1.4, 0.2])
    tensor = message.inputs.add(name="x", datatype="FP64", shape=[1, 4])
    if raw:
        message.raw_input_contents.append(values.tobytes())
    else:
        tensor.contents.fp64_contents.extend(values)
    return bytes(message.SerializeToString())


def _servers(options: argparse.Namespace) -> int:
    ours, lines = SYSTEMS[POLYSERVE], []
    with running([ours, _without(ours)], [MODEL]) as alive:
        for protocol, rows, connections in product(PROTOCOLS, options.rows, options.connections):
            found = _throughputs(alive, protocol, rows, connections, options)
            pairs = zip(found[POLYSERVE], found[WITHOUT], strict=True)
            ratio = statistics.median(fast / slow for fast, slow in pairs)
            medians = (number(statistics.median(each)) for each in found.values())
            lines.append((protocol.value, f"{rows:,} x 100", str(connections), *medians, f"{ratio:.2f}"))
            say(f"{protocol.value} of {rows} rows is measured on {connections} connections")
    print(f"Requests a second, medians of {options.rounds} rounds in which the servers take turns.\n")
    print(table(("protocol", "rows", "connections", "with simdjson", "without", "ratio"), lines))
    return 0


def _throughputs(
    alive: dict[str, Running], protocol: Protocol, rows: int, connections: int, options: argparse.Namespace
) -> dict[str, list[float]]:
    """Requests a second of each server in each round, after its answer was checked and it was warmed up."""
    expected = sample(MODEL, rows)
    asked = request(protocol, MODEL, expected.inputs)
    for system in alive.values():
        check(protocol, ask(asked, system.http_port, system.grpc_port), expected)
        drive(asked, system.http_port, connections, 1)
    found: dict[str, list[float]] = {name: [] for name in alive}
    for _ in range(options.rounds):
        for name, system in alive.items():
            figures = drive(asked, system.http_port, connections, options.seconds)
            if figures.errors:
                raise LoadFailed(f"{figures.errors} of {figures.requests} requests failed")
            found[name].append(figures.throughput)
    return found


def _without(system: System) -> System:
    def launch(models: Sequence[str], http_port: int, grpc_port: int) -> Launch:
        one = system.launch(models, http_port, grpc_port)
        peer = "bench.peers.without_simdjson"
        return replace(one, command=[peer if word == "server" else word for word in one.command])

    return replace(system, name=WITHOUT, launch=launch)


if __name__ == "__main__":
    sys.exit(main())
