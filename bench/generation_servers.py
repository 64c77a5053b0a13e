"""`python -m bench.generation_servers`: SmolLM2 behind several servers, asked by 1, 8 and 32 clients that stream.

Tokens a second, the time to the first token, the time between two, and the processor seconds of the server for each
thousand tokens: those hardly change when others work on the machine. The systems are up one beside the other and take
turns; each asks its own chats, so that nothing is found in a cache but the system prompt. `--mixed` has 31 short
streams, and then the same beside one prompt of 4,000 tokens: what a newcomer costs those who are being answered.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench import places
from bench.arguments import count, list_of, say
from bench.generation_systems import SYSTEMS, LanguageServer, missing
from bench.ports import free_port
from bench.process import NotStarted, Running, ending_on_sigterm, started
from bench.report import number, table
from bench.token_streams import Chat, Streamed, StreamFailed, by_clients, stream

_LEAST = 4  #: chats of a round, however few clients there are
_SHORT_STREAMS, _LONG_PROMPT, _CHUNK = 31, 4000, 128
_SOME = 16  #: tokens of its answer: the first may be marks of the template, which are no text
_CLAUSE = " and then one more"  #: four tokens of SmolLM2
_PATIENCE = 600.0  #: seconds to be ready


@dataclass(frozen=True)
class Up:
    """A system that runs."""

    system: LanguageServer
    server: Running

    def ask(self, chats: Sequence[Chat], clients: int) -> Streamed:
        asked = by_clients(self.server.http_port, self.system.path, chats, clients, self.system.fields)
        return asyncio.run(asked)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; the exit status is 1 where a system failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.generation_servers", description=__doc__)
    parser.add_argument("--systems", type=list_of(str, list(SYSTEMS)), default=list(SYSTEMS), help="default: all")
    parser.add_argument("--clients", type=list_of(count), default=[1, 8, 32], help="default 1,8,32")
    parser.add_argument("--tokens", type=count, default=64, help="of an answer; default 64")
    parser.add_argument("--rounds", type=count, default=2, help="default 2; figures are their medians")
    parser.add_argument("--mixed", action="store_true", help="31 short streams and a prompt of 4,000 tokens instead")
    options = parser.parse_args(arguments)
    with ending_on_sigterm(), _running([SYSTEMS[name] for name in options.systems]) as systems:
        begun = os.getloadavg()[0]
        lines, failed = (_mixed if options.mixed else _by_clients)(systems, options)
        head = _MIXED_HEAD if options.mixed else _HEAD
        print(table(head, lines))
        print(f"load average {begun:.1f} at the start, {os.getloadavg()[0]:.1f} at the end")
    return int(failed)


@contextlib.contextmanager
def _running(wanted: Sequence[LanguageServer]) -> Iterator[list[Up]]:
    """Those that can be had here, ready, and warm; the others are named."""
    with contextlib.ExitStack() as stack:
        found = []
        for system in wanted:
            try:
                found.append(_start(system, stack))
            except (NotStarted, StreamFailed, subprocess.CalledProcessError) as error:
                say(f"{system.name} is left out: {error}")
        yield found


def _start(system: LanguageServer, stack: contextlib.ExitStack) -> Up:
    if reason := missing(system):
        raise NotStarted(reason)
    if system.environment:
        system.environment.ensure()
    ports = free_port(), free_port()
    begun = time.monotonic()
    log = places.LOGS / f"{system.name}.log"
    started_one = started(system.name, system.command(*ports), ports, log, places.REPOSITORY, system.environ)
    server = stack.enter_context(started_one)
    server.wait_ready(system.ready, begun, _PATIENCE)
    up = Up(system, server)
    up.ask([Chat("hello", 8)] * 2, 2)
    say(f"{system.name} is ready after {server.seconds_to_ready:.1f} s")
    return up


_HEAD = (
    *("clients", "system", "tokens/s", "first token p50, ms", "p99", "between tokens p50, ms", "p99"),
    "processor s per 1,000 tokens",
)


def _by_clients(systems: Sequence[Up], options: argparse.Namespace) -> tuple[list[list[str]], bool]:
    lines, failed = [], False
    for clients in options.clients:
        rounds: dict[str, list[list[float]]] = {up.system.name: [] for up in systems}
        for which in range(options.rounds):
            for up in systems:
                chats = _chats(max(_LEAST, clients), options.tokens, f"{up.system.name} {clients} {which}")
                try:
                    rounds[up.system.name].append(_figures(up, chats, clients))
                except (StreamFailed, TimeoutError, OSError, ExceptionGroup) as error:
                    failed = True
                    say(f"{up.system.name}, {clients} clients: {error!r}")
        for name, found in rounds.items():
            if found:
                medians = [statistics.median(each) for each in zip(*found, strict=True)]
                lines.append([str(clients), name, *map(number, medians)])
    return lines, failed


def _figures(up: Up, chats: Sequence[Chat], clients: int) -> list[float]:
    before = up.server.cpu_seconds()
    found = up.ask(chats, clients)
    cost = 1000 * (up.server.cpu_seconds() - before) / sum(chat.tokens for chat in found.chats)
    say(f"{up.system.name}, {clients} clients: {found.tokens_a_second:.1f} tokens/s")
    latencies = [found.first(50), found.first(99), found.between(50), found.between(99)]
    return [found.tokens_a_second, *latencies, cost]


def _chats(number_of: int, tokens: int, about: str) -> list[Chat]:
    """Different ones."""
    return [Chat(f"Write a long story about the number {each} of {about}.", tokens) for each in range(number_of)]


_MIXED_HEAD = (
    *("system", "between tokens p50, ms", "p99", "beside the long prompt p50", "p99", "p99 grows by"),
    *("one of its chunks takes, ms", "its first token, alone, s", "beside the streams, s"),
)


def _mixed(systems: Sequence[Up], options: argparse.Namespace) -> tuple[list[list[str]], bool]:
    """What it takes to read a chunk is the whole prompt's time, alone, over its chunks: later ones take longer."""
    lines, failed = [], False
    for up in systems:
        rounds = []
        try:
            for which in range(options.rounds):
                rounds.append(asyncio.run(_beside(up, options.tokens, f"{up.system.name} {which}")))
        except (StreamFailed, TimeoutError, OSError, ExceptionGroup) as error:
            failed = True
            say(f"{up.system.name}, mixed: {error!r}")
            continue
        lines.append([up.system.name, *(number(statistics.median(each)) for each in zip(*rounds, strict=True))])
    return lines, failed


async def _beside(up: Up, tokens: int, about: str) -> list[float]:
    port, path, fields = up.server.http_port, up.system.path, up.system.fields

    def long_prompt(which: str) -> Chat:
        return Chat(f"{about} {which}:" + _CLAUSE * (_LONG_PROMPT // 4), _SOME)

    def short(which: str) -> Coroutine[Any, Any, Streamed]:
        return by_clients(port, path, _chats(_SHORT_STREAMS, tokens, f"{about} {which}"), _SHORT_STREAMS, fields)

    long_alone = await stream(port, path, long_prompt("alone"), fields)
    alone = await short("alone")
    streams = asyncio.create_task(short("beside"))
    await asyncio.sleep(alone.seconds / 8)  # they have begun, and go on for long
    newcomer = await stream(port, path, long_prompt("beside"), fields)
    whole = not streams.done()
    beside = await streams
    say(f"{up.system.name}: the streams went on {'all the while' if whole else 'NOT all the while'}")
    growth = beside.between(99) - alone.between(99)
    chunk = long_alone.first / (_LONG_PROMPT / _CHUNK)
    return [
        *(alone.between(50), alone.between(99), beside.between(50), beside.between(99), growth, chunk),
        *(long_alone.first / 1000, newcomer.first / 1000),
    ]


if __name__ == "__main__":
    sys.exit(main())
