"""Command-line arguments that the programs of this package share."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from bench.check import WrongAnswer
from bench.load import LoadFailed, MissingTool, require
from bench.process import NotStarted, ending_on_sigterm

_T = TypeVar("_T")


def list_of(kind: Callable[[str], _T], known: Sequence[_T] = ()) -> Callable[[str], list[_T]]:
    """An argument of several values behind commas, of `known` ones where those are given."""

    def parse(text: str) -> list[_T]:
        try:
            values = [kind(item.strip()) for item in text.split(",")]
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        if wrong := [value for value in values if known and value not in known]:
            raise argparse.ArgumentTypeError(f"{wrong[0]!r} is unknown: there are {', '.join(map(str, known))}")
        return list(dict.fromkeys(values))

    return parse


def count(text: str) -> int:
    """A whole number of at least 1."""
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def say(line: str) -> None:
    """Progress, beside the tables that go to standard output."""
    print(line, file=sys.stderr, flush=True)


def guarded(run: Callable[[], int]) -> int:
    """The exit status of `run`, or 2 with one line of why it could not run; a signal stops every system first."""
    try:
        require("wrk", "h2load")
        with ending_on_sigterm():
            return run()
    except (MissingTool, NotStarted, WrongAnswer, LoadFailed, subprocess.CalledProcessError) as error:
        say(f"bench: {error}")
    except KeyboardInterrupt:
        say("bench: interrupted")
    return 2
