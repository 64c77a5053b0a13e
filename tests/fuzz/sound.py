"""Sound clients: each request can be told from every other's, and so can its answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

#: seconds that an answer may take on a slow machine
PATIENCE = 60.0


class WrongAnswer(AssertionError):
    """A sound request got another's answer, none, or an error."""


@dataclass(frozen=True)
class Question:
    raw: bytes
    status: int
    answer: bytes  #: is in the answer's body; with `HEAD` there is none


def question(rng: Random, number: int) -> Question:
    """One that no other has the number of: for a copy, for the main process, or for a model in a worker process."""
    instances = json.dumps({"instances": [[number, 1]]}).encode()
    match rng.randrange(6):
        case 0:
            return Question(_post("/v1/models/own:predict", instances, rng), 200, b"[[%d,1]]" % number)
        case 1:
            return Question(_post("/v1/models/copy:predict", instances, rng), 200, b"[[%d.0]]" % number)
        case 2:
            return Question(_post(f"/v1/models/no-{number}:predict", instances, rng), 404, b"'no-%d'" % number)
        case 3:
            large = json.dumps({"instances": [[number, 1]] * 3000}).encode()
            return Question(_post(f"/v2/models/no-{number}/infer", large, rng), 404, b"'no-%d'" % number)
        case 4:
            return Question(b"HEAD /no-%d HTTP/1.1\r\nHost: x\r\n\r\n" % number, 404, b"")
        case _:
            return Question(b"GET /v2/models/no-%d HTTP/1.1\r\nHost: x\r\n\r\n" % number, 404, b"'no-%d'" % number)


def _post(path: str, body: bytes, rng: Random) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
    if rng.random() < 0.6:
        return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
    cut = rng.randrange(1, len(body))
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:cut], body[cut:]))
    return b"%bTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % (head, chunks)


async def ask(port: int, rng: Random, numbers: Iterator[int]) -> int:
    """Ask some questions on a connection, alone or behind each other, in any pieces; how many were answered.

    Raises:
        WrongAnswer
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answered = 0
    try:
        for _ in range(rng.choice([1, 1, 2, 8])):
            asked = [question(rng, next(numbers)) for _ in range(rng.choice([1, 1, 1, 3]))]
            sent = b"".join(each.raw for each in asked)
            while sent:
                size = rng.choice([len(sent), len(sent), 50, 1000])
                writer.write(sent[:size])
                sent = sent[size:]
                await asyncio.sleep(0)
            for each in asked:
                await _check(reader, each)
                answered += 1
    finally:
        writer.close()
    return answered


async def _check(reader: asyncio.StreamReader, asked: Question) -> None:
    head = body = b""
    try:
        async with asyncio.timeout(PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
            if not asked.raw.startswith(b"HEAD"):
                lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                body = await reader.readexactly(int(lengths[0].partition(b":")[2]))
    except (TimeoutError, OSError, EOFError, IndexError) as error:
        raise WrongAnswer(f"{asked.raw[:200]!r} got {head + body!r} and then {error!r}") from error
    if int(head.split()[1]) != asked.status or asked.answer not in body:
        raise WrongAnswer(f"{asked.raw[:200]!r} got {head + body[:500]!r}")
