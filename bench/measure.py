"""Every system in turn, round after round: what slows the machine down slows them all."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.check import WrongAnswer, ask, check
from bench.load import Client, Figures, LoadFailed, drive
from bench.making import Sample, sample
from bench.plan import Step, Workload, stages
from bench.process import NotStarted, Running
from bench.requests import Protocol, Request, request
from bench.starts import Starts
from bench.systems import SYSTEMS, System, running

WARM_UP_SECONDS = 1


@dataclass
class Outcome:
    """One system under one workload: a figure a round, or why there is none. Figures are medians of the rounds."""

    rounds: list[Figures] = field(default_factory=list)
    failure: str = ""

    @property
    def throughput(self) -> float:
        """Requests a second."""
        return statistics.median(each.throughput for each in self.rounds)

    @property
    def spread(self) -> tuple[float, float]:
        """The slowest and the fastest round, in requests a second."""
        found = [each.throughput for each in self.rounds]
        return min(found), max(found)

    @property
    def p50(self) -> float:
        """Milliseconds."""
        return statistics.median(each.p50 for each in self.rounds)

    @property
    def p99(self) -> float:
        """Milliseconds."""
        return statistics.median(each.p99 for each in self.rounds)


@dataclass
class Results:
    """What a run found."""

    outcomes: dict[tuple[Workload, str], Outcome] = field(default_factory=dict)
    starts: Starts = field(default_factory=dict)

    def of(self, workload: Workload, system: str) -> Outcome | None:
        """The outcome, if that was measured and succeeded."""
        outcome = self.outcomes.get((workload, system))
        return None if outcome is None or outcome.failure else outcome

    @property
    def failures(self) -> list[str]:
        """What went wrong, a line each."""
        return [
            f"{workload}: {system}: {each.failure}"
            for (workload, system), each in self.outcomes.items()
            if each.failure
        ]


@dataclass
class _Contestant:
    """A running system and what it is sent."""

    system: System
    running: Running
    request: Request
    expected: Sample
    outcome: Outcome
    answer_bytes: int = 0

    def check(self) -> None:
        """Ask once, and compare the answer with the framework's."""
        with self._turn():
            answer = ask(self.request, self.running.http_port, self.running.grpc_port)
        self.answer_bytes = len(answer.body)
        if not self.system.path:
            check(self.request.protocol, answer, self.expected)
        elif answer.body not in (self.request.body, b"{}"):
            raise WrongAnswer(f"{self.system.name} answered {answer.body[:300]!r}")

    def drive(self, connections: int, seconds: int, client: Client) -> Figures:
        grpc = self.request.protocol is Protocol.GRPC
        port = self.running.grpc_port if grpc else self.running.http_port
        with self._turn():
            return drive(self.request, port, connections, seconds, self.answer_bytes, client)

    def _turn(self) -> contextlib.AbstractContextManager[None]:
        return self.running.awake() if self.system.polls else contextlib.nullcontext()

    def attempt(self, work: Callable[[], None]) -> None:
        """Do it unless the system has failed under this workload; its failure is kept."""
        if self.outcome.failure:
            return
        try:
            work()
        except (WrongAnswer, LoadFailed) as error:
            status = self.running.process.poll()
            ended = "" if status is None else f" (the system has ended with status {status})"
            self.outcome.failure = " ".join(str(error).split()) + ended


def measure(steps: Sequence[Step], seconds: int, rounds: int, say: Callable[[str], None]) -> Results:
    """Do every step: check each system's answer, warm it up, then `rounds` times each in turn for `seconds`.

    Only what a step compares is up meanwhile. Those that poll are halted while others have their turn: they take a
    third of a core. Where one does not start, its steps have failed, and the others go on.
    """
    results = Results()
    for stage in stages(steps):
        try:
            with running([SYSTEMS[name] for name in stage[0].systems], [stage[0].workload.model]) as alive:
                _perform(stage, alive, results, seconds, rounds, say)
        except NotStarted as error:
            failed = Outcome(failure=" ".join(str(error).split()))
            results.outcomes.update({(step.workload, name): failed for step in stage for name in step.systems})
            say(str(error))
    return results


def _perform(
    stage: Sequence[Step],
    systems: Mapping[str, Running],
    results: Results,
    seconds: int,
    rounds: int,
    say: Callable[[str], None],
) -> None:
    with _halted([running for name, running in systems.items() if SYSTEMS[name].polls]):
        for step in stage:
            contestants = [_contestant(step.workload, name, systems[name]) for name in step.systems]
            for each in contestants:
                results.outcomes[step.workload, each.system.name] = each.outcome
            _compete(contestants, step.workload, seconds, rounds)
            say(f"{step.workload}: {', '.join(map(_brief, contestants))}")


@contextlib.contextmanager
def _halted(systems: Collection[Running]) -> Iterator[None]:
    for each in systems:
        each.halt()
    try:
        yield
    finally:
        for each in systems:
            each.go_on()


def _compete(contestants: Sequence[_Contestant], workload: Workload, seconds: int, rounds: int) -> None:
    for each in contestants:
        each.attempt(each.check)
        each.attempt(lambda each=each: _timed(each, workload, WARM_UP_SECONDS, keep=False))  # type: ignore[misc]
    for _ in range(rounds):
        for each in contestants:
            each.attempt(lambda each=each: _timed(each, workload, seconds, keep=True))  # type: ignore[misc]
    for each in contestants:
        each.attempt(each.check)


def _timed(contestant: _Contestant, workload: Workload, seconds: int, keep: bool) -> None:
    figures = contestant.drive(workload.connections, seconds, workload.client)
    if figures.errors:
        raise LoadFailed(f"{figures.errors} of {figures.requests} requests failed")
    if not keep:
        return
    if not figures.requests:
        raise LoadFailed(f"nothing was answered within {seconds} s")
    contestant.outcome.rounds.append(figures)


def _contestant(workload: Workload, name: str, running: Running) -> _Contestant:
    system = SYSTEMS[name]
    expected = sample(workload.model, workload.rows)
    asked = request(workload.protocol, workload.model, expected.inputs)
    if system.path and workload.protocol is not Protocol.GRPC:
        asked = replace(asked, path=system.path)
    return _Contestant(system, running, asked, expected, Outcome())


def _brief(contestant: _Contestant) -> str:
    outcome = contestant.outcome
    return f"{contestant.system.name} {'failed' if outcome.failure else f'{outcome.throughput:,.0f}/s'}"
