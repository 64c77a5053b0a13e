"""Mutated bodies of V1 and V2, in JSON, binary and compressed: the client is told what is wrong with them.

python -m tests.fuzz.bodies --seed 1 --cases 20000
"""

from __future__ import annotations

import asyncio
import gzip
import json
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from server.repository.repository import Repository
from tests.fuzz.arguments import arguments
from tests.fuzz.parsers import models
from tests.server.api.rest.test_fast_protocol import V1, V2, Site, post, site

_AT_ONCE = 8
_PATIENCE = 120.0
#: what a client may be told of a body
CLIENTS_FAULT = {200, 400, 413, 415, 501}
#: JSON that `json.dumps` does not write
_RAW = [
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "-1e999",
        "1" * 1000,
        "1e-400",
        "-0.0",
        '"\\ud800"',
        '"\\u0000"',
        "null",
    ),
    *("true", "[]", "{}", '{"b64": "AAAA"}', '{"b64": "!!"}', "[" * 600 + "]" * 600, '{"a":' * 300 + "1" + "}" * 300),
    *("9223372036854775808", "-9223372036854775809", "18446744073709551616", "0.1e1", '"1"', "[[1],[1,2]]", "[null]"),
]
_DATATYPES = ["FP64", "FP32", "INT64", "BOOL", "BYTES", "FP16", "UINT8", "FP65"]
_SHAPES: list[list[int]] = [[1, 2], [2, 2], [-1, 2], [0, 2], [1 << 62, 2], [1 << 32, 1 << 32], [1, 2, 1, 1], []]
_CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress, "deflate": zlib.compress, "br": gzip.compress, "identity": bytes
}  # fmt: skip


def case(rng: Random) -> bytes:
    """A whole request."""
    kind = rng.randrange(4)
    if kind == 0:
        return post(V1, _mutated(rng, {"instances": [[1, 2]] * rng.choice([1, 2])}))
    if kind == 1:
        tensor = {"name": "x", "shape": [1, 2], "datatype": rng.choice(_DATATYPES), "data": [1, 2], "parameters": {}}
        return post(V2, _mutated(rng, {"id": "i", "parameters": {}, "inputs": [tensor], "outputs": [{"name": "y"}]}))
    if kind == 2:
        return _binary(rng)
    coding = rng.choice(list(_CODINGS))
    body = _mutated(rng, {"instances": [[1, 2]]})
    packed = _CODINGS[coding](body) if rng.random() < 0.7 else body
    return post(V1, packed[: rng.choice([len(packed)] * 4 + [len(packed) // 2])], f"Content-Encoding: {coding}")


def _binary(rng: Random) -> bytes:
    raw = rng.randbytes(rng.choice([0, 8, 16, 32]))
    size = rng.choice([len(raw), len(raw), len(raw) + 1, -1, 0, 1 << 40, True, "8", None])
    tensor = {"name": "x", "shape": rng.choice(_SHAPES), "datatype": rng.choice(_DATATYPES)}
    head = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": size}}]}).encode()
    told = rng.choice([len(head)] * 5 + [len(head) + 1, len(head) - 1, 0, 1 << 40, -1])
    return post(V2, head + raw, f"Inference-Header-Content-Length: {told}")


def _mutated(rng: Random, document: Any) -> bytes:
    raws: list[str] = []
    share = rng.choice([0.02, 0.1, 0.3])

    def walk(value: Any) -> Any:
        if rng.random() < share:
            match rng.randrange(4):
                case 0 if isinstance(value, list):
                    return value + value
                case 1 if isinstance(value, dict) and value:
                    return {name: each for name, each in value.items() if name != rng.choice(list(value))}
                case _:
                    raws.append(rng.choice(_RAW))
                    return f"\x01{len(raws) - 1}\x01"
        if isinstance(value, dict):
            return {name: walk(each) for name, each in value.items()}
        return [walk(each) for each in value] if isinstance(value, list) else value

    text = json.dumps(walk(document))
    for number, raw in enumerate(raws):
        text = text.replace(json.dumps(f"\x01{number}\x01"), raw)
    body = bytearray(text.encode())
    if rng.random() < 0.1:
        body[rng.randrange(len(body))] = rng.randrange(256)
    return bytes(body)


def run(seed: int, cases: int) -> Counter[int]:
    """Send so many; the statuses.

    Raises:
        AssertionError: a status is none of the client's, or bodies are still held.
    """
    rng, told = Random(seed), Counter[int]()
    todo = iter([case(rng) for _ in range(cases)])

    async def client(here: Site) -> None:
        for request in todo:
            async with asyncio.timeout(_PATIENCE):
                (answer,) = await here.ask(request)
            status = int(answer.status.split()[1])
            assert status in CLIENTS_FAULT, (request, answer)
            told[status] += 1

    async def serve(repository: Repository) -> None:
        async with site(repository) as here:
            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(client(here))
            assert here.shared.bounds.bodies.held == 0

    with tempfile.TemporaryDirectory() as directory, models(Path(directory)) as repository:
        asyncio.run(serve(repository))
    return told


if __name__ == "__main__":
    given = arguments(__doc__, 20_000)
    print(dict(run(given.seed, given.cases)))
