"""What is measured: model x protocol x connections x rows, and which systems take part."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.load import Client
from bench.making import ROWS
from bench.models import MODELS
from bench.requests import Protocol
from bench.systems import SYSTEMS

CONNECTIONS = (1, 16, 64, 256)
TABULAR = ("xgboost", "lightgbm", "onnx")
BOOSTERS = ("xgboost", "lightgbm")
TEXT = ("spacy", "bert")

POLYSERVE, KSERVE, KSERVE_1_THREAD = "polyserve", "kserve", "kserve-1-thread"
BUSY_POLL = "polyserve-busy-poll"
MLSERVER, MLSERVER_BATCHING = "mlserver", "mlserver-batching"
TRITON, MOSEC = "triton", "mosec"
LITSERVE, BENTOML, RAY = "litserve", "bentoml", "ray"
PROGRAMMED = (MOSEC, LITSERVE, BENTOML, RAY)  #: that are given code for each model, and answer V1 as they are asked
FASTAPI, ECHO = "fastapi", "echo"
LOOPBACK = "loopback"  #: of one connection: what no server can be quicker than
ALONE = (BUSY_POLL, LOOPBACK)  #: that are asked over one connection
OPENMP = ("lightgbm", "bert")  #: models that many threads can slow down, by much on busy cores


@dataclass(frozen=True)
class Workload:
    """What is asked of every system that takes part; `connections` are streams on gRPC, of `client`."""

    model: str
    protocol: Protocol = Protocol.V1
    connections: int = 64
    rows: int = 1
    client: Client = Client.H2LOAD

    @property
    def wire(self) -> str:
        """The protocol, and by whose client, where that is grpcio's."""
        return str(self.protocol) if self.client is Client.H2LOAD else f"{self.protocol} by {self.client}"

    def __str__(self) -> str:
        row = "1 row" if self.rows == 1 else f"{self.rows:,} rows"
        return f"{self.model}, {self.wire}, {self.connections} connections, {row}"


@dataclass(frozen=True)
class Step:
    """A workload and the systems that do it, in turn."""

    workload: Workload
    systems: tuple[str, ...]


def stages(steps: Sequence[Step]) -> list[list[Step]]:
    """Steps in a row that need the same systems with the same model: these are started for them, and stopped after."""
    return [list(each) for _, each in itertools.groupby(steps, lambda step: (step.workload.model, step.systems))]


def claims() -> list[Step]:
    """What the claims need (claims.py); beside it the peers' figures for other models, and large payloads."""
    both = (POLYSERVE, KSERVE)
    return [
        Step(Workload("logistic"), (*both, *PROGRAMMED, FASTAPI, ECHO)),
        Step(Workload("logistic", Protocol.V2), (*both, MLSERVER, TRITON)),
        Step(Workload("logistic", Protocol.V2_BINARY), (*both, TRITON)),
        Step(Workload("logistic", Protocol.GRPC), (*both, MLSERVER, TRITON, ECHO)),
        Step(Workload("logistic", Protocol.GRPC, client=Client.GRPCIO), (*both, TRITON, ECHO)),
        Step(Workload("logistic", Protocol.GRPC, connections=1), (*both, TRITON, BUSY_POLL)),
        Step(Workload("logistic", Protocol.GRPC, 1, client=Client.GRPCIO), (*both, TRITON)),
        Step(Workload("logistic", connections=1), (*both, *PROGRAMMED, *ALONE)),
        Step(Workload("forest"), (*both, *PROGRAMMED)),
        Step(Workload("forest", Protocol.V2), (POLYSERVE, MLSERVER, MLSERVER_BATCHING, TRITON)),
        Step(Workload("forest", connections=1), both),
        *(Step(Workload(model), _kserves(model)) for model in BOOSTERS),
        *(Step(Workload(model, connections=1), (*_kserves(model), *ALONE)) for model in BOOSTERS),
        Step(Workload("onnx"), (*both, *PROGRAMMED)),
        Step(Workload("onnx", Protocol.GRPC), (POLYSERVE, TRITON)),
        *(Step(Workload(model, connections=count), _kserves(model)) for model in TEXT for count in (32, 64)),
        Step(Workload("bert", connections=16), (POLYSERVE, *PROGRAMMED)),
        Step(Workload("bert", Protocol.GRPC, connections=16), (POLYSERVE, TRITON)),
        *(Step(Workload("wide", protocol, 16, 1024), both) for protocol in (Protocol.V1, Protocol.V2_BINARY)),
    ]


def _kserves(model: str) -> tuple[str, ...]:
    return (POLYSERVE, KSERVE, KSERVE_1_THREAD) if model in OPENMP else (POLYSERVE, KSERVE)


def product(
    models: Sequence[str] = tuple(MODELS),
    protocols: Sequence[Protocol] = tuple(Protocol),
    connections: Sequence[int] = CONNECTIONS,
    rows: Sequence[int] = ROWS,
) -> list[Step]:
    """Every combination, each with every system that can do it; those without models echo the logistic one's."""
    steps = []
    for model, protocol, count, size in itertools.product(models, protocols, connections, rows):
        systems = tuple(
            name
            for name, system in SYSTEMS.items()
            if system.serves(model, protocol) and (not system.path or model == "logistic")
            if name not in ALONE or count == 1
        )
        steps.append(Step(Workload(model, protocol, count, size), systems))
    return steps


def narrowed(steps: Sequence[Step], models: Sequence[str], systems: Sequence[str]) -> list[Step]:
    """The steps of those models, each with those systems; steps that lose all their systems are gone."""
    kept = (
        replace(step, systems=tuple(name for name in step.systems if name in systems))
        for step in steps
        if step.workload.model in models
    )
    return [step for step in kept if step.systems]
