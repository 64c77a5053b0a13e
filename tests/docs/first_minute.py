"""The first minute of a new user, timed: `python3 first_minute.py REPOSITORY`, where only git, make and curl are.

Each step is typed as README.md has it, and ends when it has answered: clone, `make serve` (installation, example
models, server), `polyserve inspect`, `polyserve curl` and what it printed, the console. Prints a table.
Needs nothing but the standard library, since it runs in a bare container.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

URL = "http://localhost:8080"
_TICK = 0.05
#: seconds for each thing that is waited for
_PATIENCE = 3600.0

Row = tuple[str, float, str]


def table(rows: list[Row]) -> str:
    """What was typed, how long it took, the first line that it printed."""
    lines = ["| typed | seconds | it says |", "| --- | --- | --- |"]
    for typed, seconds, printed in rows:
        shown = printed.strip().splitlines()[0].replace("|", "\\|") if printed.strip() else ""
        lines.append(f"| {typed} | {seconds:.1f} | {f'`{shown[:90]}`' if shown else ''} |")
    return "\n".join(lines) + "\n"


def timed(typed: str, act: Callable[[], str]) -> Row:
    """A row: what the act printed, and its seconds."""
    start = time.monotonic()
    printed = act()
    return typed, time.monotonic() - start, printed


def typed_in(folder: Path, command: str) -> str:
    """What a command prints.

    Raises:
        subprocess.CalledProcessError: it fails.
    """
    done = subprocess.run(["bash", "-c", command], cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def waits_for(seen: Callable[[], str]) -> str:
    """What is seen at last.

    Raises:
        TimeoutError: nothing is.
    """
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if found := seen():
            return found
        time.sleep(_TICK)
    raise TimeoutError("waited for too long")


def got(path: str) -> str:
    """The answer of the server; "": there is none yet."""
    try:
        with urllib.request.urlopen(URL + path, timeout=10) as answer:
            body: str = answer.read().decode(errors="replace")
            return body
    except OSError:
        return ""


def line_of(log: Path, word: str) -> str:
    """The first line of the log with the word in it."""
    return next((line for line in log.read_text(errors="replace").splitlines() if word in line), "")


def minute(repository: str, base: Path) -> list[Row]:
    """Do it."""
    home, log = base / "polyserve", base / "log"
    rows = [timed("`git clone`", lambda: typed_in(base, f"git clone --quiet '{repository}' polyserve"))]
    with log.open("wb") as output:
        server = subprocess.Popen(["make", "serve"], cwd=home, stdout=output, stderr=output, start_new_session=True)
    try:
        models = "the example models"
        rows.append(timed("`make serve`: installs everything", lambda: waits_for(lambda: line_of(log, ": made in"))))
        rows.append(timed(f"… makes {models}, and listens", lambda: waits_for(lambda: got("/v2/health/live"))))
        rows.append(timed(f"… has loaded {models}", lambda: waits_for(lambda: got("/v2/health/ready"))))
        command = ".venv/bin/polyserve"
        rows.append(timed("`polyserve inspect models`", lambda: typed_in(home, f"{command} inspect models | tail -1")))
        rows.append(timed("`polyserve curl spacy-ner`", lambda: typed_in(home, f"{command} curl spacy-ner")))
        printed = rows[-1][2]
        rows.append(timed("what that printed", lambda: typed_in(home, printed)))
        rows.append(timed("the console opens", lambda: waits_for(lambda: got("/console"))[:15]))
    except BaseException:
        print(table(rows), log.read_text(errors="replace")[-3000:], sep="\n", file=sys.stderr)
        raise
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Time the first minute of a new user.")
    parser.add_argument("repository", help="what git clones")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as base:
        print(table(minute(asked.repository, Path(base))))


if __name__ == "__main__":
    main()
