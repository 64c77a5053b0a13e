"""`python -m examples DIR`: make the example models in DIR, each in a folder of its own.

A model that is there already is left alone; one whose framework is not installed is skipped with what to install.
"""

from __future__ import annotations

import argparse
import difflib
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path

from examples import EXAMPLES
from examples.making import absent, make


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the models; the exit status: 1 if making one failed."""
    options = _parser().parse_args(arguments)
    options.directory.mkdir(parents=True, exist_ok=True)
    missing = [name for name in options.only if not _skipped(name, options.directory)]
    # Processes of one thread each: all cores have work, and none waits for another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    workers = min(os.cpu_count() or 1, max(len(missing), 1))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        futures = {pool.submit(make, name, options.directory): name for name in missing}
        made = [_report(futures[future], future) for future in as_completed(futures)]
    return 0 if all(made) else 1


def _skipped(name: str, directory: Path) -> bool:
    if (directory / name).exists():
        _say(f"{name}: is there already")
        return True
    if needed := absent(name):
        _say(f"{name}: skipped, pip install {' '.join(needed)} to make it")
        return True
    return False


def _report(name: str, future: Future[float]) -> bool:
    if error := future.exception():
        _say(f"{name}: failed: {type(error).__name__}: {error}")
        return False
    _say(f"{name}: made in {future.result():.1f} s")
    return True


def _say(line: str) -> None:
    print(line, flush=True)


def names_of(text: str) -> list[str]:
    """Comma-separated names of examples.

    Raises:
        argparse.ArgumentTypeError: there is no such example; the message names the nearest.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError(f"it names none: there are {', '.join(EXAMPLES)}")
    for name in names:
        if name not in EXAMPLES:
            near = difflib.get_close_matches(name, EXAMPLES, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(EXAMPLES)}"
            raise argparse.ArgumentTypeError(f"{name!r} is no example: {hint}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m examples", description="Make one small real model per framework.")
    parser.add_argument("directory", type=Path, help="where to; each model gets a folder in it")
    parser.add_argument("--only", type=names_of, default=list(EXAMPLES), metavar="NAMES", help="comma-separated names")
    return parser


if __name__ == "__main__":
    sys.exit(main())
