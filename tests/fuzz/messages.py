"""Mutated gRPC requests, to a server that knows the heads of sound ones and to one that knows none: both answer alike.

python -m tests.fuzz.messages --seed 1 --cases 20000
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path
from random import Random

import grpc
import numpy as np
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from server.repository.repository import Repository
from tests.fuzz.arguments import arguments
from tests.fuzz.parsers import models
from tests.server.api.grpc.test_infer_calls import Ask, long_way, short_way

#: what a client may be told, whatever it sends
CLIENTS_FAULT = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "UNAVAILABLE"}
_AT_ONCE = 20


def sound(rows: int, datatype: str = "FP64", model: str = "good") -> bytes:
    """A request whose head is remembered."""
    message = pb.ModelInferRequest(model_name=model)
    message.inputs.add(name="x", datatype=datatype, shape=[rows, 2])
    values = np.zeros((rows, 2), np.float64 if datatype == "FP64" else np.float32)
    message.raw_input_contents.append(values.tobytes())
    raw: bytes = message.SerializeToString()
    return raw


SOUND = [sound(1), sound(2), sound(3), sound(1, "FP32"), sound(2, "FP32"), sound(1, model="nobody")]


def mutated(rng: Random) -> bytes:
    """A sound request, changed, cut or longer, often to the length of another."""
    raw = bytearray(rng.choice(SOUND))
    if rng.random() < 0.3:
        other = rng.choice(SOUND)
        missing = len(other) - len(raw)
        if missing < 0:
            return bytes(raw[:missing])
        field = bytes([15 << 3 | 2, missing - 2]) + bytes(missing - 2) if 2 <= missing < 130 else bytes(missing)
        return bytes(raw) + field
    for _ in range(rng.choice([1, 1, 2, 5])):
        at = rng.randrange(len(raw) or 1)
        match rng.randrange(5):
            case 0 if raw:
                raw[at] ^= 1 << rng.randrange(8)
            case 1:
                del raw[at : at + rng.choice([1, 8, 16])]
            case 2:
                raw[at:at] = rng.randbytes(rng.choice([1, 8, 16]))
            case 3:
                raw += rng.randbytes(rng.choice([1, 8, 16]))
            case _:
                del raw[at:]
    return bytes(raw)


def run(seed: int, cases: int) -> Counter[str]:
    """Send so many; the statuses.

    Raises:
        AssertionError: a status is none of the client's, or depends on what others have sent.
    """
    rng, told = Random(seed), Counter[str]()
    todo = iter([mutated(rng) for _ in range(cases)])

    async def client(short: Ask, general: Ask) -> None:
        for raw in todo:
            one, other = await short(raw), await general(raw)
            assert one == other, raw
            code: grpc.StatusCode = one[0]
            assert code.name in CLIENTS_FAULT, (raw, one)
            told[code.name] += 1

    async def serve(repository: Repository) -> None:
        async with short_way(repository) as short, long_way(repository) as general:
            for raw in SOUND:
                await short(raw)
            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(client(short, general))

    with tempfile.TemporaryDirectory() as directory, models(Path(directory)) as repository:
        asyncio.run(serve(repository))
    return told


if __name__ == "__main__":
    given = arguments(__doc__, 20_000)
    print(dict(run(given.seed, given.cases)))
