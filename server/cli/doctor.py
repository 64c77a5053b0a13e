"""`polyserve doctor`: what is installed here, what is missing for which adapter, and which limits hold."""

from __future__ import annotations

import click

from server.cli.main import FAILED
from server.cli.screen import as_json, paint, plain, say, table

_MARKS = {"ok": ("ok", "green"), "missing": ("missing", "yellow"), "bad": ("bad", "red")}


@click.command()
@click.option("--json", "json_", is_flag=True, help="Print JSON, for programs.")
def doctor(json_: bool) -> int:
    """Show versions, frameworks, cores, memory and limits, and what is missing to serve which models. Imports none of
    the frameworks.

    Status 1: the server could not start, or could not work as it should; a framework that is missing is no fault.
    """
    from server.cli.diagnosis import frameworks, machine

    facts, found = machine(), frameworks()
    bad = [each for each in facts if each.state == "bad"]
    if json_:
        document = {
            "machine": {each.name: each.to_fields() for each in facts},
            "adapters": {each.name: each.to_fields() for each in found},
        }
        say(as_json(document))
        return FAILED if bad else 0
    rows = [(each.name, each.value, "" if each.state == "ok" else each.advice) for each in facts]
    for line, fact in zip(table(("THIS MACHINE", "", "WHAT TO DO"), rows)[1:], facts, strict=True):
        say(f"{_mark(fact.state)}  {line}")
    say()
    framed = [(each.name, each.value, each.advice) for each in found]
    for line, fact in zip(table(("ADAPTER", "INSTALLED", "MISSING"), framed)[1:], found, strict=True):
        say(f"{_mark(fact.state)}  {line}")
    if bad:
        say()
        say(paint(f"{len(bad)} {'things have' if len(bad) > 1 else 'thing has'} to be mended: "
                  f"{plain(', '.join(each.name for each in bad))}", "red"))  # fmt: skip
    return FAILED if bad else 0


def _mark(state: str) -> str:
    text, colour = _MARKS[state]
    return paint(text.ljust(7), colour)
