"""A stand-in for `vllm serve` and `llama-server`: it speaks their protocol, and fails or lies as a prompt asks it to.

Run as a program of its own; the standard library is all it needs. How it starts is up to a file `start` in the model's
folder: "die", "silent" (never ready), "other" (another model's name), or "large" (300 MB of memory).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

CACHED = 3
METRICS = """# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 2.0
vllm:num_requests_waiting{engine="0"} 1.0
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:prefix_cache_queries_total{engine="0"} 40.0
vllm:prefix_cache_hits_total{engine="0"} 30.0
vllm:num_preemptions_total{engine="0"} 1.0
llamacpp:requests_processing 2
llamacpp:requests_deferred 1
llamacpp:prompt_tokens_total 40
llamacpp:broken nan
"""


def install(folder: Path) -> Path:
    """Put it into a folder under both names; that folder is for PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("vllm", "llama-server"):
        script = folder / name
        script.write_text(f"#!{sys.executable}\n{Path(__file__).read_text()}")
        script.chmod(0o755)
    return folder


class StandIn:
    def __init__(self, line: list[str]) -> None:
        flags = dict(each.partition("=")[::2] for each in line if "=" in each)
        words = dict(pairwise(line))
        self.socket = flags.get("--uds") or words["--host"]
        self.name = flags.get("--served-model-name") or words["--alias"]
        model = Path(words.get("--model") or words["serve"])
        folder = model if model.is_dir() else model.parent
        self.start = (folder / "start").read_text() if (folder / "start").exists() else ""
        self.line = line
        self.given_up = 0
        self.memory = b"x" * (300_000_000 if self.start == "large" else 0)

    async def run(self) -> None:
        if self.start == "die":
            print("cannot allocate the cache", file=sys.stderr)
            os._exit(3)
        if self.start == "silent":
            await asyncio.Event().wait()
        async with await asyncio.start_unix_server(self.answer, self.socket) as server:
            await server.serve_forever()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            target = head.split()[1].decode()
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            body = json.loads(await reader.readexactly(length)) if length else {}
            await self.answered(target, body, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.given_up += 1
        finally:
            writer.close()

    async def answered(self, target: str, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        if target == "/health":
            return send(writer, 200, b"{}")
        if target == "/metrics":
            return send(writer, 200, METRICS.encode())
        if target == "/v1/models":
            name = "other" if self.start == "other" else self.name
            return send(writer, 200, json.dumps({"data": [{"id": name}]}).encode())
        prompt = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
        mode = prompt if isinstance(prompt, str) else "ids"
        if mode == "die":
            print("out of memory", file=sys.stderr, flush=True)
            os._exit(3)
        if mode == "hang":
            await asyncio.Event().wait()
        if mode in REFUSALS:
            return send(writer, *REFUSALS[mode])
        if mode == "no http":
            writer.write(b"hello?\r\n\r\n")
            return await writer.drain()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for event in self.events(mode, body):
            if event is None:
                await asyncio.Event().wait()
            write_chunk(writer, event or b"")
            await writer.drain()
            await asyncio.sleep(0)
        if mode != "cut short":
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return None

    def events(self, mode: str, body: dict[str, Any]) -> Iterator[bytes | None]:
        """None: nothing comes any more."""
        chat = "messages" in body
        most = body.get("max_tokens", 4)
        yield self.chunk(chat, "" if chat else None)
        if mode in LIES:
            yield self.chunk(chat, "one")
            yield LIES[mode]
        elif mode == "stall":
            yield self.chunk(chat, "one")
            yield None
        elif mode == "endless":
            while True:
                yield self.chunk(chat, " more")
        elif mode == "huge":
            yield b"data: " + b"x" * (9 << 20)
        elif mode == "wrong model":
            yield self.chunk(chat, "one", model="another")
        elif mode == "tools":
            call = {"index": 0, "id": "1", "type": "function", "function": {"name": "weather", "arguments": ""}}
            yield self.delta({"tool_calls": [call]})
            for piece in ('{"city":', ' "Paris"}'):
                yield self.delta({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
            yield self.chunk(chat, None, "tool_calls")
        elif mode == "has to call":
            yield from self.called(body)
        elif mode == "thinks":
            for piece in (" so", " it"):
                yield self.delta({"reasoning_content": piece})
            yield self.chunk(chat, "yes", "stop")
        elif mode == "told":
            yield self.chunk(chat, json.dumps({"body": body, "line": self.line, "environ": dict(os.environ)}), "stop")
        elif mode == "given up":
            yield self.chunk(chat, str(self.given_up), "stop")
        else:
            for number in range(most):
                yield self.chunk(chat, f" {number}")
            if mode != "no reason":
                yield self.chunk(chat, None, "odd" if mode == "odd reason" else "length")
        details = {"prompt_tokens_details": {"cached_tokens": CACHED}}
        yield self.document({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": most, **details}})
        if mode not in ("cut", "cut short"):
            yield b"data: [DONE]\n\n"

    def called(self, body: dict[str, Any]) -> Iterator[bytes]:
        """vLLM obeys `tool_choice`; llama-server a schema alone, where it does not know the template."""
        if "--uds" in " ".join(self.line):
            choice = body["tool_choice"]
            name = choice["function"]["name"] if isinstance(choice, dict) else body["tools"][0]["function"]["name"]
            yield self.delta({"tool_calls": [{"index": 0, "id": "1", "function": {"name": name, "arguments": "{}"}}]})
        elif "json_schema" in body and "tools" in body["chat_template_kwargs"]:
            one = body["json_schema"]["items"]
            name = one.get("anyOf", [one])[0]["properties"]["name"]["const"]
            for piece in ('[{"name":', f' "{name}", "arguments"', ": {}}]"):
                yield self.chunk(True, piece)
        else:
            yield self.chunk(True, "a text")
        yield self.chunk(True, None, "stop")

    def chunk(self, chat: bool, text: str | None, finish: str | None = None, model: str = "") -> bytes:
        content: dict[str, Any] = {"delta": {"content": text}} if chat else {"text": text or ""}
        told = None
        if text:
            named = {"token": text, "logprob": -0.5}
            told = {"content": [{**named, "top_logprobs": [named]}]}
        choice = {"index": 0, "finish_reason": finish, "logprobs": told, **content}
        return self.document({"choices": [choice], "model": model or self.name})

    def delta(self, delta: dict[str, Any]) -> bytes:
        return self.document({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})

    def document(self, document: dict[str, Any]) -> bytes:
        return b"data: " + json.dumps({"model": self.name, **document}).encode() + b"\n\n"


REFUSALS = {
    "500": (500, b'{"error": {"message": "the engine is out of blocks"}}'),
    "500 page": (500, b"<html>oops</html>"),
    "400": (400, b'{"error": {"message": "too long by 3", "param": "messages", "code": "context_length_exceeded"}}'),
    "400 of llama.cpp": (
        400,
        b'{"error": {"message": "931 of 512", "type": "exceed_context_size_error", "code": 400}}',
    ),
    "400 of vLLM": (400, b'{"error": {"message": "This model\'s maximum context length is 9 tokens.", "code": 400}}'),
    "bad schema": (400, b'{"error": {"message": "No parser for this: JSON schema error at #: no type objekt"}}'),
    "429": (429, b'{"error": "busy"}'),
}
LIES = {
    "no JSON": b"data: {no\n\n",
    "a list": b"data: [1]\n\n",
    "bad types": b'data: {"choices": [{"delta": {"content": 5}}]}\n\n',
    "an error": b'data: {"error": {"message": "the engine has died"}}\n\n',
}


def send(writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
    writer.write(b"HTTP/1.1 %d Some\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body)


def write_chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%s\r\n" % (len(data), data))


if __name__ == "__main__":
    asyncio.run(StandIn(sys.argv[1:]).run())
