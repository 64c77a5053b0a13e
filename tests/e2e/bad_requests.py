"""Requests that nobody should send to a language model: a thousand of many kinds, the same ones every time."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

CHAT, COMPLETIONS, RESPONSES, EMBEDDINGS = "chat/completions", "completions", "responses", "embeddings"
HELLO = [{"role": "user", "content": "hello"}]
_TOOL = {"type": "function", "function": {"name": "now"}}


@dataclass(frozen=True)
class BadRequest:
    """A body for a path, and the statuses that it may be answered with."""

    path: str
    body: bytes
    statuses: frozenset[int] = field(default=frozenset({400}))


def thousand(seed: int, count: int = 1000) -> Iterator[BadRequest]:
    """So many, of all kinds; the dear ones are rare."""
    chance = random.Random(seed)
    for number in range(count):
        if number % 50 == 0:
            yield chance.choice(_DEAR)(chance)
        else:
            yield chance.choice(_CHEAP)(chance)


def request(path: str, **fields: Any) -> BadRequest:
    return BadRequest(path, json.dumps({"model": "tiny", **fields}).encode())


def chat(**fields: Any) -> BadRequest:
    return request(CHAT, **{"messages": HELLO, "max_tokens": 4, **fields})


def completion(**fields: Any) -> BadRequest:
    return request(COMPLETIONS, **{"prompt": "one", "max_tokens": 4, **fields})


def schema(value: Any) -> BadRequest:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": value}}
    return chat(response_format=form)


def nested(levels: int) -> Any:
    found: Any = {}
    for _ in range(levels):
        found = {"type": "object", "properties": {"a": found}}
    return found


def chained(length: int) -> Any:
    """References one behind the other, which take a compiler's stack."""
    chain = {f"a{number}": {"$ref": f"#/$defs/a{number + 1}"} for number in range(length)}
    return {"$ref": "#/$defs/a0", "$defs": {**chain, f"a{length}": {}}}


def _odd(chance: random.Random) -> Any:
    """Any value of JSON."""
    odd: list[Any] = [-1, 1e308, 2**70, "", "x" * chance.randrange(2000), [], {}, [[]], {"a": [None]}, "\x00", True]
    return chance.choice(odd)


def _raw(chance: random.Random) -> BadRequest:
    """Bytes that are no JSON, or hold a half of a character."""
    head = b'{"model": "tiny", "messages": [{"role": "user", "content": "'
    surrogate = f"\\ud{chance.randrange(8, 16):x}{chance.randrange(16):x}0".encode()
    tails = [surrogate + b'"}]}', b'\xff\xfe"}]}', b'a"}', b'a"}]} {}', b"\x00", b'a"}], "temperature": NaN}']
    return BadRequest(chance.choice([CHAT, COMPLETIONS, RESPONSES]), head + chance.choice(tails))


def _deep_json(chance: random.Random) -> BadRequest:
    levels = chance.choice([300, 2000, 50_000])
    body = b'{"model": "tiny", "messages": ' + b"[" * levels + b"]" * levels + b"}"
    return BadRequest(chance.choice([CHAT, RESPONSES]), body)


def _wrong_type(chance: random.Random) -> BadRequest:
    """A field of a kind that it has not; some values of these are right, and answered."""
    name = chance.choice(
        [
            *("temperature", "top_p", "top_k", "min_p", "seed", "n", "stop", "logit_bias", "stream", "logprobs"),
            *("max_tokens", "tools", "tool_choice", "response_format", "structured_outputs", "stream_options"),
            *("messages", "parallel_tool_calls", "chat_template_kwargs", "model"),
        ]
    )
    made = chat(**{name: _odd(chance)})
    return BadRequest(made.path, made.body, frozenset({200, 400, 404}))


_CHEAP: list[Callable[[random.Random], BadRequest]] = [
    _raw,
    _deep_json,
    _wrong_type,
    _wrong_type,
    lambda chance: completion(prompt=chance.choice([[], [[]], {}, None, [50, "a"], [None], [[50], []]]))
    if chance.random() < 0.9
    else BadRequest(COMPLETIONS, b""),
    lambda chance: completion(prompt=[chance.choice([-1, 10**6, 2**63, 2**80]), 50]),
    lambda chance: completion(logit_bias={str(chance.choice([10**6, -1, "x", 2**40])): 1}),
    lambda chance: completion(stop_token_ids=[chance.choice([-1, 10**6])]),
    lambda chance: chat(n=chance.choice([0, -5, 129, 10_000, 2**40])),
    lambda chance: completion(prompt=["a"] * 1000, n=chance.choice([2, 10, 100])),
    lambda chance: completion(max_tokens=chance.choice([-1, 10**6, 2**40])),
    lambda chance: chat(messages=chance.choice([[], [5], [{}], [{"role": 5}], "hello", [{"role": "oracle"}]])),
    lambda chance: chat(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]),
    lambda chance: schema(chance.choice([{"type": "objekt"}, {"items": {"type": 5}}, {"$ref": "#"}, {"$ref": "x:y"}])),
    lambda chance: schema(chance.choice([nested(40), nested(100), {"uniqueItems": True}, {"pattern": "(?=a)"}])),
    lambda chance: chat(structured_outputs={"regex": chance.choice(["(", "(?=a)b", "[", "a{99999999999}"])}),
    lambda chance: chat(guided_grammar=chance.choice(["start: foo", "", "start: start", "start: (((((" * 50])),
    lambda chance: chat(tools=[_TOOL], tool_choice=chance.choice([{"type": "function"}, {"type": "mcp"}, "must"])),
    lambda chance: request(RESPONSES, input=chance.choice([[], [{"type": "reasoning"}], [{"role": 5}], 5])),
    lambda chance: request(RESPONSES, input="a", **chance.choice([{"store": True}, {"previous_response_id": "r"}])),
    lambda chance: request(EMBEDDINGS, input=chance.choice([[], "a", [5], None])),
]  # fmt: skip
_DEAR: list[Callable[[random.Random], BadRequest]] = [
    lambda chance: chat(messages=[{"role": "user", "content": "one " * 100_000}]),
    lambda chance: completion(prompt=[50] * 100_000),
    lambda chance: completion(prompt="x" * 400_000),
    lambda chance: schema(chained(5000)),
    lambda chance: schema({"enum": ["x" * 300_000]}),
    lambda chance: chat(guided_grammar="start: r0\n" + "\n".join(f"r{i}: r{i + 1}" for i in range(9999))),
]  # fmt: skip
