"""Put the answers that really come into pages: `python -m tests.docs.write docs/quickstart.md …`. Read them afterwards.

An answer that is right as it stands is left alone, with its `...`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.docs.comparing import is_shown
from tests.docs.pages import Answer, PageError, steps
from tests.docs.session import Session

_WIDTH = 110


def pretty(value: Any, indent: str = "") -> str:
    """JSON as a person writes it: on one line where that is short enough."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(indent + flat) <= _WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    inner = indent + "  "
    if isinstance(value, list):
        return "[\n" + ",\n".join(inner + pretty(each, inner) for each in value) + f"\n{indent}]"
    lines = (f"{inner}{json.dumps(key, ensure_ascii=False)}: {pretty(each, inner)}" for key, each in value.items())
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def rewritten(text: str, answers: Sequence[tuple[Answer, str]]) -> str:
    """The page with these answers."""
    lines = text.splitlines()
    for answer, came in reversed(answers):
        shown = "\n".join(answer.lines)
        if is_shown(shown, came, spaces=answer.language != "json"):
            continue
        if answer.language == "json":
            try:
                came = pretty(json.loads(came))
            except ValueError:
                came = came.strip()
        at = answer.line - 1
        lines[at : at + len(answer.lines)] = [line.rstrip() for line in came.strip("\n").splitlines()]
    return "".join(f"{line}\n" for line in lines)


def main() -> None:
    """Follow each page in a folder and a server of its own, or (`--together`) in one."""
    parser = argparse.ArgumentParser(description="Put the answers that really come into pages.")
    parser.add_argument("--together", action="store_true", help="pages that share a folder and a server")
    parser.add_argument("pages", nargs="+", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as base:
        for number, pages in enumerate([asked.pages] if asked.together else [[page] for page in asked.pages]):
            session = Session(Path(base) / f"reader{number}")
            try:
                for page in pages:
                    _write(session, page)
            finally:
                session.close()


def _write(session: Session, page: Path) -> None:
    answers: list[tuple[Answer, str]] = []
    try:
        session.follow(page.name, steps(page.read_text()), lambda answer, came: answers.append((answer, came)))
    except PageError as error:
        print(error)
    page.write_text(rewritten(page.read_text(), answers))


if __name__ == "__main__":
    main()
