"""`python -m bench.soak`: thousands of large requests; does the memory stay flat, and every answer the same?"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bench.arguments import count, guarded, list_of, say
from bench.check import TIMEOUT_SECONDS, Answer, ask, check, exchange
from bench.making import sample
from bench.plan import KSERVE, POLYSERVE
from bench.process import Running
from bench.report import number, table
from bench.requests import Protocol, Request, request
from bench.systems import SYSTEMS, running

MODEL, ROWS = "wide", 1024
PARTS = 4
#: what a server may grow by while it sends and frees the same sizes again and again, in MiB
SLACK = 32
PROTOCOLS = (Protocol.V1, Protocol.V2, Protocol.V2_BINARY)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit status: 1 if the memory grew, 2 if it could not be measured or an answer was wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--requests", type=count, default=10_000, help="of each protocol; default 10000")
    parser.add_argument("--connections", type=count, default=4, help="default 4")
    parser.add_argument("--protocols", type=list_of(Protocol, PROTOCOLS), default=list(PROTOCOLS))
    parser.add_argument("--system", choices=[POLYSERVE, KSERVE], default=POLYSERVE)
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    lines, grown = [], False
    with running([SYSTEMS[options.system]], [MODEL]) as alive:
        for protocol in options.protocols:
            sizes = list(_sizes(alive[options.system], protocol, options.requests, options.connections))
            growth = sizes[-1] - sizes[1]
            grown = grown or growth > SLACK
            lines.append((protocol, *(number(size) for size in sizes), f"{growth:+.0f}"))
            say(f"{protocol}: {growth:+.0f} MiB")
    head = ("protocol", "before", *(f"{part}/{PARTS}" for part in range(1, PARTS + 1)), "growth after the first part")
    print(f"Resident memory in MiB of {options.system} with all its children over {options.requests:,} requests of")
    print(f"{ROWS:,} rows of 100 features each; {SLACK} MiB of growth are let pass.\n")
    print(table(head, lines))
    return 1 if grown else 0


def _sizes(system: Running, protocol: Protocol, requests: int, connections: int) -> Iterator[float]:
    """Resident memory before, and after each part of the requests."""
    expected = sample(MODEL, ROWS)
    asked = request(protocol, MODEL, expected.inputs)
    good = ask(asked, system.http_port, system.grpc_port)
    check(protocol, good, expected)
    yield system.memory().tree
    for part in range(PARTS):
        share = requests * (part + 1) // PARTS - requests * part // PARTS
        _Callers(asked, good, lambda answer: check(protocol, answer, expected), share).run(
            system.http_port, connections
        )
        yield system.memory().tree


@dataclass
class _Callers:
    """Several callers who together send a number of requests."""

    request: Request
    good: Answer
    check: Callable[[Answer], None]  #: raises WrongAnswer; asked only about bytes that differ from the good answer's
    left: int
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, port: int, connections: int) -> None:
        """Send them all.

        Raises:
            WrongAnswer: one was refused or answered otherwise.
        """
        with ThreadPoolExecutor(connections) as pool:
            calls = [pool.submit(self._call, port) for _ in range(connections)]
        for call in calls:
            call.result()

    def _call(self, port: int) -> None:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)) as connection:
            while self._take():
                try:
                    self._ask(connection)
                except BaseException:
                    self.left = 0  # the others need not go on
                    raise

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        answer = exchange(connection, self.request)
        if answer.body != self.good.body:
            self.check(answer)

    def _take(self) -> bool:
        with self.lock:
            self.left -= 1
            return self.left >= 0


if __name__ == "__main__":
    sys.exit(main())
