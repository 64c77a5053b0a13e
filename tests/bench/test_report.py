"""The claims' verdicts and the tables."""

from __future__ import annotations

import pytest

from bench.claims import CLAIMS, STARTS, Claim
from bench.load import Figures
from bench.measure import Outcome, Results
from bench.plan import KSERVE, POLYSERVE, Workload
from bench.process import Memory
from bench.report import (
    Footprint,
    Setting,
    claims_table,
    figures_table,
    memory_table,
    number,
    report,
    starts_table,
    table,
)
from bench.requests import Protocol
from bench.starts import EXAMPLES, ONE, Start, Starts, words


def outcome(*throughputs: float, p50: float = 1.0, p99: float = 2.0) -> Outcome:
    return Outcome([Figures(int(each * 2), 2.0, p50, p99, 0) for each in throughputs])


def results(workload: Workload, **outcomes: Outcome) -> Results:
    return Results({(workload, system): each for system, each in outcomes.items()})


def claim(text: str) -> Claim:
    return next(each for each in CLAIMS if text in each.text)


def test_figures_are_medians_of_the_rounds() -> None:
    measured = outcome(100, 1000, 300)
    assert measured.throughput == 300
    assert measured.spread == (100, 1000)


@pytest.mark.parametrize(("ours", "verdict"), [(1500, "pass"), (1499, "**miss**")])
def test_a_throughput_claim(ours: float, verdict: str) -> None:
    shown = claims_table(results(Workload("logistic"), polyserve=outcome(ours), kserve=outcome(100)))
    line = next(
        line for line in shown.splitlines() if "logistic, v1, 64 connections, 1 row: requests/s ÷ kserve's" in line
    )
    assert verdict in line


@pytest.mark.parametrize(("p50", "holds"), [(0.4, True), (0.41, False)])
def test_a_latency_claim_is_at_most(p50: float, holds: bool) -> None:
    latency = claim("1 connections, 1 row: p50 ÷ kserve's")
    found = latency.measured(results(latency.workload, polyserve=outcome(1, p50=p50), kserve=outcome(1, p50=1)))
    assert found == p50
    assert latency.holds(found) is holds


def test_what_the_machine_lets_nobody_surpass_stands_beside_the_claim() -> None:
    quick = claim("lightgbm, v1, 1 connections, 1 row: kserve's p50 ÷ ours")
    found = results(
        quick.workload, polyserve=outcome(1, p50=0.2), kserve=outcome(1, p50=0.5), loopback=outcome(1, p50=0.0625)
    )
    (line,) = (line for line in claims_table(found).splitlines() if quick.text in line)
    assert [cell.strip() for cell in line.split("|")[2:-1]] == ["at least 8", "2.50", "**miss**", "8.00"]


def test_the_tail_is_compared_with_the_middle_of_kserves() -> None:
    tail = claim("forest, v1, 64 connections, 1 row: p99 ÷ kserve's p50")
    found = tail.measured(results(tail.workload, polyserve=outcome(1, p99=30), kserve=outcome(1, p50=40, p99=9)))
    assert found == 0.75
    assert tail.holds(found)


def test_the_better_kserve_counts() -> None:
    outcomes = {"kserve": outcome(10, p50=90), "kserve-1-thread": outcome(100, p50=20)}
    found = results(Workload("lightgbm"), polyserve=outcome(500, p99=30), **outcomes)
    assert claim("lightgbm, v1, 64 connections, 1 row: requests/s ÷ kserve's").measured(found) == 5
    assert claim("lightgbm, v1, 64 connections, 1 row: p99 ÷ kserve's p50").measured(found) == 1.5


def test_a_system_that_failed_proves_nothing() -> None:
    workload = Workload("logistic")
    failed = Outcome([Figures(9, 1, 1, 1, 0)], failure="3 of 9 requests failed")
    found = results(workload, polyserve=outcome(1000), kserve=failed)
    assert "pass" not in claims_table(found)
    assert found.failures == ["logistic, v1, 64 connections, 1 row: kserve: 3 of 9 requests failed"]
    assert "failed" in figures_table(found)


def test_ratios_are_polyserves_to_each_system() -> None:
    shown = figures_table(
        results(Workload("onnx", Protocol.V2, 16, 1024), polyserve=outcome(3000), kserve=outcome(100))
    )
    assert [cell.strip() for cell in shown.splitlines()[-1].split("|")[1:-1]] == [
        "onnx", "v2", "16", "1,024", "kserve", "100", "100 to 100", "1.00", "2.00", "30.0",
    ]  # fmt: skip


def starts(case: str, ours: float, theirs: float) -> Starts:
    """PolyServe's starts, the middle one in `ours` seconds, and KServe's."""
    mine = [Start(seconds, 2.0, 300.0) for seconds in (9.0, ours, 0.1)]
    return {words(case): {"polyserve": mine, "kserve": [Start(theirs, 4.0, 100.0)]}}


@pytest.mark.parametrize(("case", "bound"), [(ONE, 1.2), (EXAMPLES, 1.3)])
def test_how_long_a_start_may_take(case: str, bound: float) -> None:
    (claimed,) = (each for each in STARTS if each.case == case)
    within = claimed.measured(Results(starts=starts(case, bound, 1.0)))
    assert within is not None
    assert claimed.holds(within)
    beyond = claimed.measured(Results(starts=starts(case, bound + 0.01, 1.0)))
    assert beyond is not None
    assert not claimed.holds(beyond)
    line = next(line for line in claims_table(Results()).splitlines() if claimed.text in line)
    assert "not measured" in line


def test_starts_are_medians_and_their_ratios() -> None:
    ours, theirs = starts_table(starts(ONE, 3.0, 2.0)).splitlines()[2:]
    assert [cell.strip() for cell in ours.split("|")[1:-1]] == [
        "1 scikit-learn model", "polyserve", "3.0", "9.0 3.0 0.1", "2.0", "300", "1.50", "0.50", "3.00",
    ]  # fmt: skip
    assert theirs.split("|")[-2].strip() == "-"


def test_a_table_lines_up() -> None:
    assert table(("a", "size"), [("one", "1,000"), ("three", "-")]) == (
        "| a     |  size |\n| ----- | ----: |\n| one   | 1,000 |\n| three |     - |\n"
    )


@pytest.mark.parametrize(("value", "shown"), [(22_300.4, "22,300"), (43.21, "43.2"), (1.5, "1.50"), (0.4567, "0.457")])
def test_numbers_have_three_digits(value: float, shown: str) -> None:
    assert number(value) == shown


def test_the_report_tells_how_it_was_made() -> None:
    setting = Setting("2026-01-01", "python -m bench", "2 cores", 0.1, {"Python": "3.11.7"}, 3, 5)
    found = results(Workload("logistic"), polyserve=outcome(10), kserve=outcome(10))
    footprints = {name: Footprint(Memory(100, 200), Memory(150, 1250), 2.06) for name in (POLYSERVE, KSERVE)}
    text = report(setting, found, footprints)
    for part in ("`python -m bench`", "2 cores", "Python: 3.11.7", "5 rounds of 3 s", "- **kserve**: KServe"):
        assert part in text
    assert memory_table(footprints) in text
    assert "## Starts" not in text  # of a part of a run
    found.starts = starts(ONE, 3.0, 2.0)
    assert starts_table(found.starts) in report(setting, found, footprints)
    assert "1,250" in memory_table(footprints)
    assert "## Memory" not in report(setting, found, {})
