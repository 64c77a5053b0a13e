"""Mutated messages of a worker: what is none is refused as such, in bounded memory, and nothing else happens.

python -m tests.fuzz.frames --seed 1 --cases 50000
"""

from __future__ import annotations

import tracemalloc
from collections import Counter
from random import Random
from typing import Any

import numpy as np

from server.runtime import ipc
from server.runtime.receiving import ReceiveLimits
from tests.fuzz.arguments import arguments
from tests.fuzz.folders import damaged

_LIMITS = ReceiveLimits(head=2**16, body=2**20, unfolded=2**22)
#: bytes that one message may make of itself
_MOST_MEMORY = 32 * 2**20


def sound(rng: Random) -> bytes:
    """A message as workers send them."""
    arrays: list[Any] = [
        np.arange(rng.randrange(20)).astype(rng.choice(["f8", "f4", "i8", "u1", "?", "f2", "M8[s]"])),
        np.zeros((rng.randrange(3), 2, 2)),
        np.array(["a", b"b", None, 1.5, {"k": [1, 2]}, np.float32(1), np.arange(3)], dtype=np.object_),
        np.array([], dtype=np.object_),
    ]
    tensors = {f"t{index}": array for index, array in enumerate(rng.sample(arrays, rng.randrange(4)))}
    fields = {"id": rng.randrange(9), "status": 200, "headers": {"a": "b"}, "part": True}
    return b"".join(ipc.pack(fields, tensors))


def received(raw: bytes) -> str:
    """What becomes of the bytes."""
    try:
        head, body = ipc.sizes(raw, _LIMITS) if len(raw) >= 12 else (0, 0)
        if len(raw) < 12 + head + body:
            return "cut off"
        message = ipc.unpack(memoryview(raw), head, _LIMITS)
    except ipc.IpcError:
        return "refused"
    assert isinstance(message.fields, dict)
    assert all(isinstance(array, np.ndarray) for array in message.tensors.values())
    return "taken"


def run(seed: int, cases: int) -> Counter[str]:
    """Receive so many; what became of them.

    Raises:
        AssertionError: one did more than that.
    """
    rng, told = Random(seed), Counter[str]()
    for number in range(cases):
        raw = damaged(rng, sound(rng)) if rng.random() < 0.95 else sound(rng)
        tracemalloc.start()
        try:
            told[received(raw)] += 1
            peak = tracemalloc.get_traced_memory()[1]
            assert peak < _MOST_MEMORY, f"{peak} bytes for a message of {len(raw)}"
        except Exception as error:
            raise AssertionError(f"case {number}, seed {seed}: {raw!r}: {error!r}") from error
        finally:
            tracemalloc.stop()
    return told


if __name__ == "__main__":
    given = arguments(__doc__, 50_000)
    print(dict(run(given.seed, given.cases)))
