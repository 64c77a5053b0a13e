"""From the command to the first answer of a server whose models are all ready, beside plain KServe, in turn.

    python -m bench.start [--cases one,examples,many] [--rounds 3] [--count 1000] [--other TREE]

One scikit-learn model, the seven example models, and as many small scikit-learn models as `--count` says. Of each start
the seconds until GET /v2/health/ready is 200, the processor seconds of all processes until then, those included that
have ended, and their proportional memory (Pss). Processor seconds hold on a machine that does other work, too.

`--other` is another checkout of PolyServe, measured in turn with this one. Every process finds its modules compiled, as
after an installation.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import starts
from bench.arguments import count, guarded, list_of, say
from bench.report import starts_table

CASES = (starts.ONE, starts.EXAMPLES, starts.MANY)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table; the exit status is 2 if a server did not start."""
    parser = argparse.ArgumentParser(prog="python -m bench.start", description=__doc__)
    parser.add_argument("--cases", type=list_of(str, CASES), default=list(CASES), help="default: all")
    parser.add_argument("--rounds", type=count, default=3)
    parser.add_argument("--count", type=count, default=1000, help="small models; default 1000")
    parser.add_argument("--other", type=Path, help="another checkout of PolyServe")
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    found = starts.measure(options.cases, options.rounds, say, options.count, options.other)
    print(f"Medians of {options.rounds} starts each, in turn.\n")
    print(starts_table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
