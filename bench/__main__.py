"""`python -m bench`: the systems side by side, on the same models, in one run. See README.md."""

from __future__ import annotations

import argparse
import datetime
import itertools
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import machine, making, memory, places, plan, starts
from bench.arguments import count, guarded, list_of, say
from bench.measure import WARM_UP_SECONDS, measure
from bench.models import MODELS
from bench.plan import Step
from bench.report import Setting, report
from bench.requests import Protocol
from bench.systems import SYSTEMS, obtainable

SECONDS, ROUNDS = 3, 3
START_SECONDS = 4  #: that a system takes to start, beside others


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; the exit status: 1 if anything failed (a missed claim is no failure), 2 for a mistake."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(words)
    steps = chosen(options)
    if not steps:
        say("bench: nothing to measure: no system of --systems takes part in that")
        return 2
    return guarded(lambda: _run(steps, options, shlex.join(["python", "-m", "bench", *words])))


def chosen(options: argparse.Namespace) -> list[Step]:
    """The steps of a command line: the claims', all combinations, or the product of what was named."""
    named = {name: getattr(options, name) for name in ("protocols", "connections", "rows") if getattr(options, name)}
    if options.full or named:
        single = {"protocols": (Protocol.V1,), "connections": (64,), "rows": (1,)}
        steps = plan.product(**{**({} if options.full else single), **named})
    else:
        steps = plan.claims()
    return plan.narrowed(steps, options.only, options.systems)


def _run(steps: Sequence[Step], options: argparse.Namespace, command: str) -> int:
    names = obtainable(sorted({name for step in steps for name in step.systems}), say)
    steps = plan.narrowed(steps, list(MODELS), names)
    wanted = {step.workload.model for step in steps}
    date, load = datetime.datetime.now(datetime.UTC), machine.load_average()
    whole = _whole(options)
    begun = starts.measure((starts.ONE, starts.EXAMPLES), options.rounds, say) if whole else {}
    results = measure(steps, options.seconds, options.rounds, _progress(steps, options))
    results.starts = begun
    in_order = [name for name in SYSTEMS if name in names], [name for name in MODELS if name in wanted]
    footprints = memory.measure(*in_order, options.seconds) if whole else {}
    setting = Setting(
        date=date.strftime("%Y-%m-%d %H:%M UTC"),
        command=command,
        machine=machine.machine(),
        load_average=load,
        versions=machine.versions([SYSTEMS[name].environment for name in names]),
        seconds=options.seconds,
        rounds=options.rounds,
    )
    text = report(setting, results, footprints)
    print(text)
    if output := options.output or (places.RESULTS if whole else None):
        output.write_text(text)
        say(f"written to {output}")
    return 1 if results.failures else 0


def _progress(steps: Sequence[Step], options: argparse.Namespace) -> Callable[[str], None]:
    runs = sum(len(step.systems) for step in steps)
    started = sum(len(stage[0].systems) for stage in plan.stages(steps))
    minutes = (runs * (options.seconds * options.rounds + WARM_UP_SECONDS + 1) + started * START_SECONDS) / 60
    say(f"{runs} measurements in {len(steps)} steps, about {minutes:.0f} minutes")
    done = itertools.count(1)
    return lambda text: say(f"{next(done)}/{len(steps)} {text}")


def _whole(options: argparse.Namespace) -> bool:
    """Whether everything was measured: only such a run is worth keeping as the results."""
    narrowed = options.only != list(MODELS) or options.systems != list(SYSTEMS)
    return not (narrowed or options.protocols or options.connections or options.rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the systems side by side.")
    add = parser.add_argument
    add("--full", action="store_true", help="every combination (hours) instead of what the claims need (minutes)")
    add("--only", type=list_of(str, list(MODELS)), default=list(MODELS), metavar="MODELS", help=", ".join(MODELS))
    add("--systems", type=list_of(str, list(SYSTEMS)), default=list(SYSTEMS), help=", ".join(SYSTEMS))
    add("--protocols", type=list_of(Protocol, list(Protocol)), help=f"{', '.join(Protocol)}; default v1")
    add("--connections", type=list_of(count), metavar="NUMBERS", help="default 64")
    add("--rows", type=list_of(int, making.ROWS), metavar="NUMBERS", help=f"of {making.ROWS}; default 1")
    add("--seconds", type=count, default=SECONDS, help=f"of one measurement; default {SECONDS}")
    add("--rounds", type=count, default=ROUNDS, help=f"default {ROUNDS}; figures are their medians")
    add("--output", type=Path, metavar="FILE", help="where to write the tables; a whole run writes bench/RESULTS.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
