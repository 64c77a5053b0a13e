"""`python -m bench.cold_starts IMAGE...`: how large is an image, and how long is it from its start to a first answer?

Each example model is served alone, by each image in turn; an image without its framework has a dash. The clock runs
from the engine's command to the first answer with status 200, so that what the engine itself takes is in it: how long a
container takes that does nothing is in the table, too. In brackets are the processor seconds that the container took
until then, which hold on a machine that does other work, too. Flags for the engine's `run` come after `--`.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from bench.arguments import count, say
from bench.ports import free_port
from examples import EXAMPLES

LONGEST = 180.0  #: seconds until a start is given up
#: tells the processor's time within a container: of control groups in version 2, or in version 1
_USAGE = "cat /sys/fs/cgroup/cpu.stat /sys/fs/cgroup/cpuacct/cpuacct.usage 2>/dev/null; true"


@dataclass(frozen=True)
class Start:
    """One start."""

    seconds: float
    processor: float = 0.0  #: seconds of it; 0 where nothing tells


@dataclass(frozen=True)
class Engine:
    """A container engine's command line."""

    command: str
    flags: tuple[str, ...]

    def __call__(self, *argv: str) -> str:
        """What a command prints.

        Raises:
            subprocess.CalledProcessError: it fails.
        """
        return subprocess.run([self.command, *argv], check=True, capture_output=True, text=True).stdout.strip()

    def megabytes(self, image: str) -> int:
        return round(int(self("image", "inspect", "--format", "{{.Size}}", image)) / 1e6)

    def start_nothing(self, image: str) -> Start:
        """How long a container takes that prints its Python's version."""
        begin = time.monotonic()
        self("run", "--rm", *self.flags, "--entrypoint", "python", image, "--version")
        return Start(time.monotonic() - begin)

    def start(self, image: str, models: Path, name: str) -> Start | None:
        """From the start to the model's first answer, or None: the image does not serve it."""
        port, begin = free_port(), time.monotonic()
        where = ("--publish", f"127.0.0.1:{port}:8080", "--volume", f"{models}:/mnt/models:ro")
        container = self("run", "--detach", *self.flags, *where, image)
        try:
            while time.monotonic() - begin < LONGEST:
                if _ask(port, f"/v1/models/{name}:predict", EXAMPLES[name].sample)[0] == 200:
                    seconds = time.monotonic() - begin
                    return Start(seconds, processor_seconds(self("exec", container, "sh", "-c", _USAGE)))
                if _is_refused(port) or not self._runs(container):
                    return None
                time.sleep(0.05)
        finally:
            self("rm", "--force", container)
        return None

    def _runs(self, container: str) -> bool:
        return self("inspect", "--format", "{{.State.Running}}", container) == "true"


def processor_seconds(usage: str) -> float:
    """What a container's own files say of it, or 0."""
    if found := re.search(r"^usage_usec (\d+)$", usage, re.MULTILINE):
        return int(found[1]) / 1e6
    found = re.search(r"^(\d+)$", usage, re.MULTILINE)
    return int(found[1]) / 1e9 if found else 0.0


def _ask(port: int, path: str, body: object) -> tuple[int, bytes]:
    """The answer's status, or 0, and its body."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, HTTPException):
        return 0, b""
    finally:
        connection.close()


def _is_refused(port: int) -> bool:
    """Whether the only model is there, and will not be served."""
    status, body = _ask(port, "/v2/repository/index", {})
    return status == 200 and any(each["state"] == "UNAVAILABLE" and each["reason"] for each in json.loads(body))


def _make(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """Each example in a folder of its own, for any user to read."""
    made = {}
    for name in names:
        home = folder / name
        only = f"--only={name}"
        subprocess.run([sys.executable, "-m", "examples", home, only], check=True, stdout=subprocess.DEVNULL)
        made[name] = home
    subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument("--engine", default="docker", help="docker (default) or podman")
    parser.add_argument("--rounds", type=count, default=3, help="starts of each; the median is shown (default 3)")
    given = list(sys.argv[1:] if argv is None else argv)
    split = given.index("--") if "--" in given else len(given)
    arguments = parser.parse_args(given[:split])
    engine = Engine(arguments.engine, tuple(given[split + 1 :]))
    rows: dict[tuple[str, str], list[Start | None]] = {}
    with tempfile.TemporaryDirectory() as folder:
        models = _make(Path(folder), list(EXAMPLES))
        for turn in range(arguments.rounds):
            for image in arguments.images:
                rows.setdefault((image, "nothing"), []).append(engine.start_nothing(image))
                for name, home in models.items():
                    say(f"{turn + 1} of {arguments.rounds}: {image}, {name}")
                    rows.setdefault((image, name), []).append(engine.start(image, home, name))
    print(f"| image | MB | {' | '.join(('nothing', *models))} |")
    print(f"| --- | --: |{' --: |' * (len(models) + 1)}")
    for image in arguments.images:
        cells = [median(rows[image, name]) for name in ("nothing", *models)]
        print(f"| `{image}` | {engine.megabytes(image)} | {' | '.join(cells)} |")
    return 0


def median(starts: Sequence[Start | None]) -> str:
    """As a cell of the table shows it."""
    known = [each for each in starts if each is not None]
    if not known:
        return "–"
    seconds = statistics.median(each.seconds for each in known)
    processor = statistics.median(each.processor for each in known)
    return f"{seconds:.1f} s ({processor:.1f})" if processor else f"{seconds:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
