"""gRPC clients of two processes, beside ones that cancel, run out of time, leave, or send damaged messages.

Every answer belongs to who has asked for it, and no sound request fails.

python -m tests.fuzz.grpc_clients --seed 1 --cases 20000
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import struct
import tempfile
from collections import Counter
from pathlib import Path
from random import Random

import grpc
import joblib
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from sklearn.linear_model import LinearRegression

from tests.e2e.process import Server
from tests.fuzz.arguments import arguments
from tests.patience import wait_for

SOUND, STRANGE = 4, 6  #: clients of each kind
FLAGS = ("--workers=2", "--watch=false")
METHOD = "/inference.GRPCInferenceService/ModelInfer"
#: one that processes hold copies of, and one that the main process alone asks
MODELS = ("copy", "apart")
_MOST = 2**22


class ForeignAnswer(AssertionError):
    """Somebody got what he has not asked for."""


def mount(path: Path) -> Path:
    """Two models that answer the first of two numbers."""
    fitted = LinearRegression().fit([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [[0.0], [1.0], [0.0]])
    fitted.coef_, fitted.intercept_ = fitted.coef_.round(), fitted.intercept_.round()
    (path / "copy").mkdir(parents=True)
    joblib.dump(fitted, path / "copy" / "model.joblib")
    shutil.copytree(path / "copy", path / "apart")
    (path / "apart" / "polyserve.yaml").write_text("isolation: process\n")
    return path


def run(seed: int, cases: int) -> Counter[str]:
    """Carry out so many strange calls beside sound ones; what was called, and how it ended.

    Raises:
        ForeignAnswer: somebody got another's answer.
        AssertionError: a sound request failed, or the server has not stayed as it was.
    """
    with tempfile.TemporaryDirectory() as directory:
        server = Server(mount(Path(directory) / "models"), Path(directory) / "server.log", *FLAGS).wait_ready()
        try:
            wait_for(lambda: "listens, too" in server.log)
            told = asyncio.run(_Run(seed, cases, server.grpc).run())
            assert {entry["state"] for entry in server.index().values()} == {"READY"}
        except BaseException:
            print(server.log)
            raise
        finally:
            status = server.stop()
        assert status == 0, server.log
        assert "Traceback" not in server.log, server.log
    return told


class _Run:
    def __init__(self, seed: int, cases: int, address: str) -> None:
        self._seed = seed
        self._address = address
        self._left = iter(range(cases))
        self._numbers = itertools.count(1)
        self._strange = STRANGE
        self._told: Counter[str] = Counter()

    async def run(self) -> Counter[str]:
        async with asyncio.TaskGroup() as group:
            for number in range(STRANGE):
                group.create_task(self._disturb(Random(f"{self._seed} strange {number}")))
            for number in range(SOUND):
                group.create_task(self._ask(Random(f"{self._seed} sound {number}")))
        return self._told

    def _channel(self) -> grpc.aio.Channel:
        """A connection of its own: whichever process takes it keeps it."""
        return grpc.aio.insecure_channel(self._address, options=[("grpc.use_local_subchannel_pool", 1)])

    async def _ask(self, rng: Random) -> None:
        """Some calls at once on a channel, and then another channel."""
        while self._strange:
            async with self._channel() as channel:
                for _ in range(rng.randrange(1, 8)):
                    wanted = [self._request(rng) for _ in range(rng.choice([1, 1, 2, 8]))]
                    answers = await asyncio.gather(*(channel.unary_unary(METHOD)(_sent(each)) for each in wanted))
                    for request, answer in zip(wanted, answers, strict=True):
                        _check(request, answer)
                    self._told["sound requests"] += len(wanted)

    async def _disturb(self, rng: Random) -> None:
        channel = self._channel()
        for _ in self._left:
            request, kind = self._request(rng), rng.choice(["cancelled", "deadline", "damaged", "left"])
            raw = _damaged(_sent(request), rng) if kind == "damaged" else _sent(request)
            timeout = rng.choice([0.0, 0.0005, 0.002, 0.01]) if kind == "deadline" else 120
            call = channel.unary_unary(METHOD)(raw, timeout=timeout)
            if kind in ("cancelled", "left"):
                await asyncio.sleep(rng.choice([0, 0.0002, 0.001, 0.005]))
                call.cancel() if kind == "cancelled" else await channel.close()
            ended = await _end_of(call, request if kind != "damaged" else None)
            if kind != "left" and ended in ("INTERNAL", "UNKNOWN", "UNAVAILABLE"):
                raise AssertionError(f"a call that was {kind} ended as {ended}: {request}")
            self._told[f"{kind}: {ended}"] += 1
            if kind == "left":
                channel = self._channel()
        await channel.close()
        self._strange -= 1

    def _request(self, rng: Random) -> pb.ModelInferRequest:
        """One that nobody else makes."""
        rows = rng.choice([1, 1, 1, 2, 5])
        numbers = [float(next(self._numbers) % _MOST) for _ in range(rows)]
        request = pb.ModelInferRequest(model_name=rng.choice(MODELS), id=f"{numbers[0]:.0f}")
        request.inputs.add(name="input-0", datatype="FP64", shape=[rows, 2])
        request.raw_input_contents.append(b"".join(struct.pack("<dd", number, 7.0) for number in numbers))
        return request


async def _end_of(call: grpc.aio.UnaryUnaryCall, request: pb.ModelInferRequest | None) -> str:
    """How it ended: a status' name. An answer is held against `request`, where that is known."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    except (asyncio.CancelledError, grpc.aio.UsageError):
        return "CANCELLED"
    if request is not None:
        _check(request, answer)
    return "answered"


def _sent(request: pb.ModelInferRequest) -> bytes:
    raw: bytes = request.SerializeToString()
    return raw


def _damaged(raw: bytes, rng: Random) -> bytes:
    """With a bit turned, cut, or longer."""
    found = bytearray(raw)
    kind = rng.randrange(3)
    if kind == 0:
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del found[rng.randrange(len(found)) :]
    else:
        found += rng.randbytes(rng.randrange(1, 40))
    return bytes(found)


def _check(request: pb.ModelInferRequest, raw: bytes) -> None:
    answer = pb.ModelInferResponse.FromString(raw)
    asked = [number for number, _ in struct.iter_unpack("<dd", request.raw_input_contents[0])]
    (output,) = answer.outputs
    if answer.raw_output_contents:
        found = [number for (number,) in struct.iter_unpack("<d", answer.raw_output_contents[0])]
    else:
        found = list(output.contents.fp64_contents)
    if (answer.id, answer.model_name, found) != (request.id, request.model_name, asked):
        raise ForeignAnswer(f"{request.id} of {request.model_name}, {asked}: {answer}")


if __name__ == "__main__":
    given = arguments(__doc__, 20_000)
    print(dict(run(given.seed, given.cases)))
