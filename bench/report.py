"""A run's figures as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.claims import CLAIMS, STARTS, Claim, StartClaim
from bench.measure import Outcome, Results
from bench.plan import LOOPBACK, POLYSERVE
from bench.process import Memory
from bench.starts import THEIRS, Starts, median
from bench.systems import SYSTEMS


@dataclass(frozen=True)
class Setting:
    """Where, with what and how a run was made."""

    date: str
    command: str
    machine: str
    load_average: float
    versions: Mapping[str, str]
    seconds: int
    rounds: int


@dataclass(frozen=True)
class Footprint:
    """Resident memory of a system, once ready and after its load."""

    ready: Memory
    after: Memory
    seconds_to_ready: float


def report(setting: Setting, results: Results, footprints: Mapping[str, Footprint]) -> str:
    """The whole of RESULTS.md."""
    systems = {name for _, name in results.outcomes}
    parts = [
        "# Side by side\n",
        _how(setting),
        "## Claims\n",
        "Where KServe was measured with one OpenMP thread, too, the better of the two counts. At one connection, the "
        "last column is what `loopback` reaches, which sends a constant: no server can be quicker there.\n",
        claims_table(results),
        "## Figures\n",
        "Medians of the rounds, with the slowest and the fastest round behind the throughput; latencies in ms. The "
        "last column is PolyServe's throughput divided by that system's.\n",
        figures_table(results),
        *_failures(results.failures),
        *_starts(results.starts, setting.rounds),
        *_memory(footprints),
        "## Systems\n",
        "\n".join(f"- **{name}**: {system.about}." for name, system in SYSTEMS.items() if name in systems),
    ]
    return "\n".join(parts) + "\n"


def claims_table(results: Results) -> str:
    """Target, measured and verdict of every claim, and what the machine lets nobody surpass."""
    lines = []
    all_of_them: Sequence[Claim | StartClaim] = (*CLAIMS, *STARTS)
    for claim in all_of_them:
        measured = claim.measured(results)
        most = claim.measured(results, by=LOOPBACK) if isinstance(claim, Claim) else None
        told = "-" if most is None else number(most)
        if measured is None:
            lines.append((claim.text, claim.bound, "-", "not measured", told))
        else:
            verdict = "pass" if claim.holds(measured) else "**miss**"
            lines.append((claim.text, claim.bound, number(measured), verdict, told))
    return table(("claim", "target", "measured", "", "loopback's"), lines)


def figures_table(results: Results) -> str:
    """A line for each workload and system."""
    head = ("model", "protocol", "connections", "rows", "system", "requests/s", "rounds", "p50", "p99", "ratio")
    return table(
        head,
        (
            (
                workload.model,
                workload.wire,
                str(workload.connections),
                f"{workload.rows:,}",
                system,
                *_figures(outcome, results.of(workload, POLYSERVE) if system != POLYSERVE else None),
            )
            for (workload, system), outcome in results.outcomes.items()
        ),
    )


def starts_table(starts: Starts) -> str:
    """A line for each case and server: medians of its starts, and their ratios to KServe's."""
    lines = []
    for case, servers in starts.items():
        theirs = median(servers[THEIRS])
        for name, each in servers.items():
            one, rounds = median(each), " ".join(f"{start.seconds:.1f}" for start in each)
            pairs = (one.seconds, theirs.seconds), (one.processor, theirs.processor), (one.memory, theirs.memory)
            ratios = ("-" if name == THEIRS else f"{ours / other:.2f}" for ours, other in pairs)
            figures = (f"{one.seconds:.1f}", rounds, f"{one.processor:.1f}", f"{one.memory:,.0f}")
            lines.append((case, name, *figures, *ratios))
    ours = ("models", "server", "ready, s", "rounds", "processor s", "Pss, MiB")
    return table((*ours, "ready ÷ kserve's", "processor ÷ kserve's", "Pss ÷ kserve's"), lines)


def memory_table(footprints: Mapping[str, Footprint]) -> str:
    """Resident memory and time to ready of every system."""
    head = ("system", "ready: main", "ready: all", "after load: main", "after load: all", "ready after, s")
    return table(
        head,
        (
            (
                name,
                *(f"{size:,.0f}" for each in (found.ready, found.after) for size in (each.main, each.tree)),
                f"{found.seconds_to_ready:.1f}",
            )
            for name, found in footprints.items()
        ),
    )


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose columns line up in plain text, too; columns of figures are set to the right."""
    rows = [list(line) for line in lines]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    right = [bool(rows) and all(_is_figure(row[i]) for row in rows) for i in range(len(head))]
    rules = [
        "-" * (width - 1) + ":" if is_right else "-" * width for width, is_right in zip(widths, right, strict=True)
    ]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(cells, widths, right, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    return "\n".join([line(head), f"| {' | '.join(rules)} |", *map(line, rows)]) + "\n"


def number(value: float) -> str:
    """Three significant digits."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def _figures(outcome: Outcome, ours: Outcome | None) -> tuple[str, ...]:
    if outcome.failure:
        return ("failed", "-", "-", "-", "-")
    low, high = outcome.spread
    ratio = number(ours.throughput / outcome.throughput) if ours else "-"
    return (
        number(outcome.throughput),
        f"{number(low)} to {number(high)}",
        number(outcome.p50),
        number(outcome.p99),
        ratio,
    )


def _how(setting: Setting) -> str:
    lines = [
        f"- Date: {setting.date}",
        f"- Command: `{setting.command}`",
        f"- Machine: {setting.machine}; load average at the start {setting.load_average:.1f}",
        f"- {setting.rounds} rounds of {setting.seconds} s for each system in turn, after a check of the answer and a "
        "warm-up; the load generator runs on the same cores",
        *(f"- {name}: {what}" for name, what in setting.versions.items()),
    ]
    return "\n".join(lines) + "\n"


def _starts(starts: Starts, rounds: int) -> list[str]:
    if not starts:
        return []
    head = f"From the command to ready, each alone, in turn: medians of {rounds} starts (`python -m bench.start`).\n"
    return ["## Starts\n", head, starts_table(starts)]


def _memory(footprints: Mapping[str, Footprint]) -> list[str]:
    if not footprints:
        return []
    head = (
        "Resident, in MiB: the process that was started, and that with all its children. Each system alone, with all "
        "models that it has a runtime for, before and after a load of each (`python -m bench.memory`).\n"
    )
    return ["## Memory\n", head, memory_table(footprints)]


def _failures(failures: Sequence[str]) -> list[str]:
    return ["### Failed\n", "\n".join(f"- {each}" for each in failures) + "\n"] if failures else []


def _is_figure(cell: str) -> bool:
    return cell == "-" or cell.replace(",", "").replace(".", "").isdigit()
