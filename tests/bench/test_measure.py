"""A run of the steps goes on where a system does not start, and says so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import pytest

from bench import measure, memory
from bench.measure import Outcome
from bench.plan import KSERVE, LOOPBACK, MOSEC, POLYSERVE, Step, Workload
from bench.process import NotStarted, Running
from bench.systems import System


@contextlib.contextmanager
def nothing_starts(systems: Sequence[System], models: Sequence[str]) -> Iterator[dict[str, Running]]:
    raise NotStarted(f"{systems[0].name} ended with 3: no room")
    yield {}


def test_the_steps_of_a_system_that_does_not_start_have_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "running", nothing_starts)
    said: list[str] = []
    steps = [Step(Workload("logistic"), (POLYSERVE, KSERVE)), Step(Workload("onnx"), (MOSEC,))]
    results = measure.measure(steps, 1, 1, said.append)
    assert said == ["polyserve ended with 3: no room", "mosec ended with 3: no room"]
    assert results.outcomes == {
        (Workload("logistic"), POLYSERVE): Outcome(failure=said[0]),
        (Workload("logistic"), KSERVE): Outcome(failure=said[0]),
        (Workload("onnx"), MOSEC): Outcome(failure=said[1]),
    }
    assert len(results.failures) == 3


def test_a_memory_that_cannot_be_measured_loses_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(memory, "running", nothing_starts)
    assert memory.measure([MOSEC, LOOPBACK], ["logistic"], 1) == {}
    told = capsys.readouterr()
    assert "the memory of mosec was not measured: mosec ended with 3: no room" in told.out + told.err
