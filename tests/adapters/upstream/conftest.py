from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from adapters.base import ModelDir, Reply, ReplyStream, Request
from adapters.upstream import LlamaCppAdapter, VllmAdapter
from adapters.upstream.adapter import UpstreamAdapter
from tests.gguf_models import header
from tests.upstream_program import install

Start = Callable[..., UpstreamAdapter]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """start(kind="vllm", start="", **options): a model served by the stand-in; `deaths` has why it ended."""
    monkeypatch.setenv("PATH", str(install(tmp_path / "bin")))
    running: list[UpstreamAdapter] = []

    def start(kind: str = "vllm", start: str = "", **options: Any) -> UpstreamAdapter:
        folder = tmp_path / "tiny"
        folder.mkdir(exist_ok=True)
        (folder / "start").write_text(start)
        (folder / "model.gguf").write_bytes(header())
        adapter = VllmAdapter if kind == "vllm" else LlamaCppAdapter
        deaths: list[str] = []
        monkeypatch.setattr(UpstreamAdapter, "on_death", staticmethod(deaths.append))
        model = adapter.load(ModelDir.of(folder), "model.gguf" if kind == "llama_cpp" else "", options)
        model.deaths = deaths  # type: ignore[attr-defined]
        running.append(model)
        return model

    yield start
    for model in running:
        model.close()


def asked(model: UpstreamAdapter, *jobs: dict[str, Any]) -> list[Any]:
    """What becomes of jobs that are asked at the same time: their parts, a refusal, or what they failed with."""

    async def ask(job: dict[str, Any]) -> Any:
        try:
            reply = await model.answer(Request("complete", "generation", orjson.dumps(job), {}))
            if isinstance(reply, Reply):
                return reply.status, orjson.loads(reply.body)["error"]
            assert isinstance(reply, ReplyStream)
            try:
                return [orjson.loads(part) async for part in reply.parts]
            finally:
                await reply.parts.aclose()
        except Exception as error:
            return error

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*map(ask, jobs))

    return asyncio.run(all_of_them())


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "stream": True, **more}


def text_of(parts: list[dict[str, Any]], index: int = 0) -> str:
    deltas = [delta for part in parts for delta in part.get("deltas", ())]
    return "".join(delta["text"] for delta in deltas if delta["index"] == index)
