"""What is measured, for which command line; and that the claims are among it."""

from __future__ import annotations

import pytest

from bench import plan
from bench.__main__ import _parser, _whole, chosen
from bench.claims import CLAIMS
from bench.models import MODELS
from bench.plan import Step, Workload
from bench.requests import Protocol
from bench.systems import SYSTEMS


def steps(*arguments: str) -> list[Step]:
    return chosen(_parser().parse_args(arguments))


def test_the_default_run_measures_what_every_claim_needs() -> None:
    planned = {step.workload: step.systems for step in steps()}
    for claim in CLAIMS:
        assert {claim.ours, claim.other} <= set(planned[claim.workload]), claim.text


def test_the_default_run_asks_no_system_for_what_it_cannot() -> None:
    for step in steps():
        for name in step.systems:
            assert SYSTEMS[name].serves(step.workload.model, step.workload.protocol), (step.workload, name)


def test_a_workload_is_planned_once() -> None:
    workloads = [step.workload for step in steps()]
    assert len(workloads) == len(set(workloads))


def test_only_what_a_step_compares_is_up_and_what_the_next_needs_too_is_started_once() -> None:
    for planned in (steps(), steps("--full")):
        stages = plan.stages(planned)
        assert [step for stage in stages for step in stage] == planned
        for stage in stages:
            assert {(step.workload.model, step.systems) for step in stage} == {
                (stage[0].workload.model, stage[0].systems)
            }
    each_protocol = steps("--only", "forest", "--protocols", "v1,grpc", "--connections", "16,64")
    assert [len(stage) for stage in plan.stages(each_protocol)] == [2, 2]


def test_named_systems_and_models_narrow_the_default_run() -> None:
    narrowed = steps("--only", "logistic,forest", "--systems", "polyserve,kserve")
    assert {step.workload.model for step in narrowed} == {"logistic", "forest"}
    assert {name for step in narrowed for name in step.systems} == {"polyserve", "kserve"}


def test_named_protocols_connections_and_rows_are_multiplied() -> None:
    assert steps(
        "--only", "forest", "--systems", "polyserve,kserve", "--protocols", "v1,grpc", "--connections", "1,8"
    ) == [
        Step(Workload("forest", protocol, connections), ("polyserve", "kserve"))
        for protocol in (Protocol.V1, Protocol.GRPC)
        for connections in (1, 8)
    ]


def test_the_full_run_has_every_combination() -> None:
    full = steps("--full")
    assert len(full) == len(MODELS) * len(Protocol) * len(plan.CONNECTIONS) * 3
    spacy = next(step for step in full if step.workload == Workload("spacy", Protocol.V2, 16, 32))
    assert spacy.systems == ("polyserve", "kserve", "kserve-1-thread")


@pytest.mark.parametrize(
    ("arguments", "whole"),
    [
        ((), True),
        (("--full",), True),
        (("--rounds", "5"), True),
        (("--only", "forest"), False),
        (("--rows", "1"), False),
    ],
)
def test_only_a_whole_run_is_written_to_the_results(arguments: tuple[str, ...], whole: bool) -> None:
    assert _whole(_parser().parse_args(arguments)) is whole


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--only", "forst"), "'forst' is unknown: there are logistic, forest"),
        (("--systems", "polyserve,tgi"), "'tgi' is unknown"),
        (("--protocols", "v3"), "'v3' is not a valid Protocol"),
        (("--connections", "0"), "0 is less than 1"),
        (("--rows", "7"), "7 is unknown: there are 1, 32, 1024"),
        (("--seconds", "x"), "invalid count value: 'x'"),
    ],
)
def test_mistakes_are_named(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        steps(*arguments)
    assert message in capsys.readouterr().err
