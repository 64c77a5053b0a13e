"""What PolyServe promises, and whether a run shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bench.load import Client
from bench.measure import Outcome, Results
from bench.plan import (
    BENTOML,
    BUSY_POLL,
    ECHO,
    KSERVE,
    KSERVE_1_THREAD,
    LITSERVE,
    MLSERVER,
    MLSERVER_BATCHING,
    MOSEC,
    POLYSERVE,
    RAY,
    TABULAR,
    TEXT,
    TRITON,
    Workload,
)
from bench.requests import Protocol
from bench.starts import EXAMPLES, ONE, OURS, THEIRS, median, words

#: a figure of PolyServe and one of another system to their ratio
Ratio: TypeAlias = Callable[[Outcome, Outcome], float]


#: KServe is measured at its defaults, and with one OpenMP thread where that matters: the better of the two counts
_VARIANTS = {KSERVE: (KSERVE, KSERVE_1_THREAD)}


@dataclass(frozen=True)
class Claim:
    """A ratio of PolyServe to another system under one workload, and its bound."""

    text: str
    workload: Workload
    other: str
    ratio: Ratio
    target: float
    at_most: bool = False
    ours: str = POLYSERVE  #: or with which flags

    def measured(self, results: Results, by: str = "") -> float | None:
        """The ratio in a run, of us or of another in our place; None when a side was not measured, or failed."""
        ours = results.of(self.workload, by or self.ours)
        theirs = [results.of(self.workload, name) for name in _VARIANTS.get(self.other, (self.other,))]
        ratios = [self.ratio(ours, each) for each in theirs if ours and each]
        if not ratios:
            return None
        return max(ratios) if self.at_most else min(ratios)

    def holds(self, measured: float) -> bool:
        return measured <= self.target if self.at_most else measured >= self.target

    @property
    def bound(self) -> str:
        """The target in words."""
        return f"{'at most' if self.at_most else 'at least'} {self.target:g}"


@dataclass(frozen=True)
class StartClaim:
    """How long PolyServe may take until all models of a case are ready, in KServe's times."""

    case: str
    target: float

    @property
    def text(self) -> str:
        return f"{words(self.case)}: from the command to ready ÷ kserve's"

    def measured(self, results: Results) -> float | None:
        """The ratio in a run; None when it did not measure starts."""
        found = results.starts.get(words(self.case))
        return median(found[OURS]).seconds / median(found[THEIRS]).seconds if found else None

    def holds(self, measured: float) -> bool:
        return measured <= self.target

    @property
    def bound(self) -> str:
        """The target in words."""
        return f"at most {self.target:g}"


def _throughput(ours: Outcome, theirs: Outcome) -> float:
    return ours.throughput / theirs.throughput


def _p50(ours: Outcome, theirs: Outcome) -> float:
    return ours.p50 / theirs.p50


def _p50_gain(ours: Outcome, theirs: Outcome) -> float:
    return theirs.p50 / ours.p50


def _p99_to_p50(ours: Outcome, theirs: Outcome) -> float:
    return ours.p99 / theirs.p50


def _faster(workload: Workload, other: str, target: float) -> Claim:
    return Claim(f"{workload}: requests/s ÷ {other}'s", workload, other, _throughput, target)


def _tail(model: str) -> Claim:
    workload = Workload(model)
    return Claim(f"{workload}: p99 ÷ kserve's p50", workload, KSERVE, _p99_to_p50, 1, at_most=True)


def _quicker(workload: Workload, other: str, target: float) -> Claim:
    return Claim(f"{workload}: {other}'s p50 ÷ ours", workload, other, _p50_gain, target)


def _polling(workload: Workload, other: str, target: float) -> Claim:
    return Claim(f"{workload}: {other}'s p50 ÷ {BUSY_POLL}'s", workload, other, _p50_gain, target, ours=BUSY_POLL)


_ALONE = Workload("logistic", connections=1)

CLAIMS: Sequence[Claim] = (
    _faster(Workload("logistic"), KSERVE, 15),
    _faster(Workload("logistic"), MOSEC, 1.5),
    *(_faster(Workload("logistic"), other, 10) for other in (LITSERVE, BENTOML, RAY)),
    _faster(Workload("logistic"), ECHO, 0.5),
    _faster(Workload("logistic", Protocol.V2), KSERVE, 15),
    _faster(Workload("logistic", Protocol.V2), MLSERVER, 12),
    _faster(Workload("logistic", Protocol.V2), TRITON, 2),
    Claim(f"{_ALONE}: p50 ÷ kserve's", _ALONE, KSERVE, _p50, 0.4, at_most=True),
    _faster(Workload("forest"), KSERVE, 100),
    _quicker(Workload("forest", connections=1), KSERVE, 8),
    _faster(Workload("forest", Protocol.V2), MLSERVER_BATCHING, 10),
    *(_faster(Workload(model), KSERVE, 10) for model in TABULAR),
    _quicker(Workload("xgboost", connections=1), KSERVE, 4),
    _polling(Workload("xgboost", connections=1), KSERVE, 4),
    _quicker(Workload("lightgbm", connections=1), KSERVE, 8),
    *(_faster(Workload(model, connections=32), KSERVE, 3) for model in TEXT),
    _faster(Workload("logistic", Protocol.GRPC), KSERVE, 10),
    _faster(Workload("logistic", Protocol.GRPC), TRITON, 3),
    _quicker(Workload("logistic", Protocol.GRPC, connections=1), TRITON, 2),
    _faster(Workload("logistic", Protocol.GRPC, client=Client.GRPCIO), TRITON, 1),
    _quicker(Workload("logistic", Protocol.GRPC, 1, client=Client.GRPCIO), TRITON, 1),
    *(_tail(model) for model in ("logistic", "forest", *TABULAR, *TEXT)),
)

STARTS: Sequence[StartClaim] = (StartClaim(ONE, 1.2), StartClaim(EXAMPLES, 1.3))
