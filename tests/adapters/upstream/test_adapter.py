"""A model that another program serves: what it answers, and what becomes of each request when that program fails."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from adapters import registry
from adapters.base import LoadError, ModelDir, Reply, ReplyStream, Request, StreamFailed, Trust
from adapters.upstream import LlamaCppAdapter, VllmAdapter
from adapters.upstream.adapter import UpstreamAdapter
from tests.adapters.upstream.conftest import Start, asked, chat, text_of
from tests.gguf_models import save_gguf
from tests.language_models import save_language_model
from tests.patience import wait_for
from tests.upstream_program import CACHED


@pytest.mark.parametrize("kind", ["vllm", "llama_cpp"])
def test_chats_and_completions(start: Start, kind: str) -> None:
    model = start(kind)
    chatted, completed = asked(model, chat("hello", max_tokens=3), {"prompt": "go on", "max_tokens": 2})
    assert text_of(chatted) == " 0 1 2"
    assert text_of(completed) == " 0 1"
    last = chatted[-1]
    assert last["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "cached_tokens": CACHED}
    assert last["finished"] == {"length": 1}
    assert {"first_token", "whole"} <= last["seconds"].keys()
    assert model.open_sequences == 0


def test_each_choice_and_each_prompt_is_a_sequence_of_its_own(start: Start) -> None:
    (parts,) = asked(start(), {"prompt": ["a", [1, 2]], "n": 2, "max_tokens": 1})
    assert [text_of(parts, index) for index in range(4)] == [" 0"] * 4
    assert parts[-1]["usage"]["prompt_tokens"] == 14  # of two prompts
    assert parts[-1]["usage"]["completion_tokens"] == 4


def test_logprobs(start: Start) -> None:
    (parts,) = asked(start(), chat("hello", logprobs=1, max_tokens=2))
    tokens = [token for part in parts for delta in part.get("deltas", ()) for token in delta["tokens"]]
    assert [(token["token"], token["offset"], token["bytes"]) for token in tokens] == [
        (" 0", 0, [32, 48]),
        (" 1", 2, [32, 49]),
    ]


def test_calls_of_tools_are_given_whole(start: Start) -> None:
    tools = [{"type": "function", "function": {"name": "weather"}}]
    ((status, error),) = asked(start("llama_cpp"), chat("tools", tools=tools))
    assert (status, error["param"]) == (400, "tools")
    assert "llama-server would ignore them" in error["message"]
    (parts,) = asked(start(), chat("tools", tools=tools))
    (last,) = [delta for part in parts for delta in part.get("deltas", ()) if delta["finish"]]
    assert last["finish"] == "tool_calls"
    assert last["calls"] == [{"name": "weather", "arguments": '{"city": "Paris"}'}]


@pytest.mark.parametrize("kind", ["vllm", "llama_cpp"])
def test_a_call_that_has_to_come_comes(start: Start, kind: str, tmp_path: Path) -> None:
    """llama-server ignores the wish for one where the template is foreign to it; as its stand-in does always."""
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "own.jinja").write_text("{{ tools }}")
    tools = [{"type": "function", "function": {"name": name}} for name in ("now", "later")]
    model = start(kind, chat_template="own.jinja")
    for choice, name in (("required", "now"), ({"name": "later"}, "later")):
        (parts,) = asked(model, chat("has to call", tools=tools, tool_choice=choice))
        assert text_of(parts) == ""
        (last,) = [delta for part in parts for delta in part.get("deltas", ()) if delta["finish"]]
        assert (last["finish"], last["calls"]) == ("tool_calls", [{"name": name, "arguments": "{}"}])
        assert parts[-1]["finished"] == {"tool_calls": 1}


def test_what_are_no_tools_is_refused(start: Start) -> None:
    model = start()
    for tools in ([{}], "x", [{"type": "function", "function": {}}]):
        for choice in ("auto", "required"):
            ((status, error),) = asked(model, chat("hello", tools=tools, tool_choice=choice))
            assert (status, error["param"]) == (400, "tools"), tools


#: what the program does -> what its request fails with
FAILURES = {
    "cut": "was cut: it has no end",
    "cut short": "was cut",
    "no http": "no HTTP",
    "no JSON": "no JSON",
    "a list": "no chunk of an answer",
    "bad types": "no chunk of an answer",
    "an error": "it says: the engine has died",
    "wrong model": "it answers for the model 'another', and was asked for 'tiny'",
    "no reason": "ended without a reason",
    "odd reason": "ended with the reason 'odd'",
    "endless": "goes on behind the 4 tokens that were asked for",
    "huge": "a line of more than",
    "500": "it answered 500: the engine is out of blocks",
    "500 page": "it answered 500: <html>oops</html>",
}


def test_each_failure_is_its_own_request_s(start: Start) -> None:
    """All of them at the same time, beside one that is well."""
    model = start()
    *failed, well = asked(model, *(chat(mode, max_tokens=4) for mode in FAILURES), chat("hello", max_tokens=4))
    assert text_of(well) == " 0 1 2 3"
    for (mode, message), found in zip(FAILURES.items(), failed, strict=True):
        assert isinstance(found, StreamFailed), mode
        assert re.search(message, str(found)), mode
    assert model.open_sequences == 0
    assert text_of(asked(model, chat("hello", max_tokens=1))[0]) == " 0"


@pytest.mark.slow
def test_what_hangs_holds_up_nobody_else(start: Start) -> None:
    model = start()

    async def run() -> None:
        silent = [await model.answer(job_of(chat(mode))) for mode in ("hang", "stall")]
        assert text_of(await asyncio.to_thread(asked_once, model)) == " 0"
        assert model.open_sequences == 2
        for each in silent:
            assert isinstance(each, ReplyStream)
            await each.parts.aclose()
        assert model.open_sequences == 0

    asyncio.run(run())


@pytest.mark.slow
def test_what_hangs_is_given_up_in_time(start: Start) -> None:
    (hung,) = asked(start(first_token_seconds=1.0), chat("hang"))
    (stalled,) = asked(start(token_seconds=1.0), chat("stall"))
    assert "no token came for 1 s (options.first_token_seconds)" in str(hung)
    assert "no token came for 1 s (options.token_seconds)" in str(stalled)


def test_refusals_are_the_program_s(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.upstream.adapter._FIRST_WORD", 240.0)  # however slow the program is here
    model = start()
    too_long, busy = asked(model, chat("400"), chat("429"))
    assert too_long[0] == 400
    assert (too_long[1]["message"], too_long[1]["code"]) == ("too long by 3", "context_length_exceeded")
    assert too_long[1]["param"] == "messages"
    for program in ("llama.cpp", "vLLM"):
        (refused,) = asked(model, chat(f"400 of {program}"))
        assert (refused[0], refused[1]["code"]) == (400, "context_length_exceeded")
    tools = {"tools": [{"type": "function", "function": {"name": "f"}}]}
    answer = {"grammar": {"kind": "json_schema", "value": {}, "field": "response_format.json_schema"}}
    for more, field in ((tools, "tools"), (answer, "response_format.json_schema")):
        ((status, error),) = asked(model, chat("bad schema", **more))
        assert (status, error["message"]) == (400, f"{field}: JSON schema error at #: no type objekt")
        assert error["param"] == field.partition(".")[0]
    assert busy[0] == 429
    assert "busy" in busy[1]["message"]


def test_there_is_a_limit_to_what_it_is_asked_at_a_time(start: Start) -> None:
    model = start(max_queue=2)
    refused, well = asked(model, chat("hello", n=3), chat("hello", n=2, max_tokens=1))
    assert refused[0] == 429
    assert "2 may be (options.max_queue)" in refused[1]["message"]
    assert text_of(well) == " 0"


def test_a_client_that_leaves_ends_its_work(start: Start) -> None:
    model = start()

    async def leave() -> None:
        reply = await model.answer(job_of(chat("endless")))
        assert not isinstance(reply, Reply)
        async for part in reply.parts:
            if b"more" in part:
                break
        await reply.parts.aclose()

    asyncio.run(leave())
    assert model.open_sequences == 0
    wait_for(lambda: text_of(asked(model, chat("given up"))[0]) == "1", "the program to see that nobody reads")


def test_what_it_holds_is_asked_of_the_program(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.upstream.upstream_usage._SECONDS", 240.0)  # however slow the program is here

    def usage(kind: str) -> dict[str, Any]:
        reply = asyncio.run(start(kind).answer(Request("usage", "generation", b"", {})))
        assert isinstance(reply, Reply)
        found: dict[str, Any] = orjson.loads(reply.body)
        return found

    vllm = usage("vllm")
    assert (vllm["running"], vllm["waiting"], vllm["preemptions"]) == (2, 1, 1)
    assert (vllm["prompt_tokens"], vllm["prefix_hits"]) == (40, 30)
    assert vllm["running_bytes"] / vllm["cache_limit"] == 0.25
    llama = usage("llama_cpp")
    assert (llama["running"], llama["waiting"], llama["prompt_tokens"]) == (2, 1, 40)


def test_its_end_is_told(start: Start) -> None:
    model = start()
    (found,) = asked(model, chat("die"))
    assert isinstance(found, Exception)
    wait_for(lambda: model.deaths == ["vllm has ended (exit code 3)"], "its death")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("begin", "told"),
    [("die", r"ended while it was loading the model \(exit code 3\)"), ("other", "serves 'other', and not 'tiny'")],
)
def test_what_does_not_start(start: Start, begin: str, told: str) -> None:
    with pytest.raises(LoadError, match=told):
        start(start=begin)


def test_a_program_that_is_nowhere(start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LoadError, match=r"llama-server is not found: install llama\.cpp on the machine"):
        start("llama_cpp")


def test_code_needs_trust(start: Start, tmp_path: Path) -> None:
    for options in ({"trust_remote_code": True}, {"environment": str(tmp_path)}):
        with pytest.raises(LoadError, match="trust: full"):
            start(**options)
    with pytest.raises(LoadError, match="must be a folder"):
        start(environment="elsewhere", trust="full")
    line = told(start(environment=str(tmp_path), trust_remote_code=True, trust="full"))["line"]
    assert "--trust-remote-code" in line


def job_of(job: dict[str, Any]) -> Request:
    return Request("complete", "generation", orjson.dumps(job), {})


def asked_once(model: UpstreamAdapter) -> Any:
    return asked(model, chat("hello", max_tokens=1))[0]


def told(model: Any) -> Any:
    return json.loads(text_of(asked(model, chat("told"))[0]))


@pytest.mark.slow
def test_who_claims_folders(tmp_path: Path) -> None:
    folder = save_language_model(tmp_path / "tiny")
    choice = registry.choose(ModelDir.of(folder), "vllm")
    assert (choice.adapter, choice.match.trust) == (VllmAdapter, Trust.SAFE)
    assert registry.choose(ModelDir.of(folder)).adapter.name == "generation"  # nobody asked for the program
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModelForCausalLM": "own.py"}}))
    with pytest.raises(LoadError, match="auto_map"):
        registry.choose(ModelDir.of(folder), "vllm")
    trusted = ModelDir(folder, folder, trusted=True)
    assert registry.choose(trusted, "vllm").adapter is VllmAdapter


@pytest.mark.slow
def test_who_claims_files(tmp_path: Path) -> None:
    save_gguf(tmp_path / "tiny" / "model.gguf")
    choice = registry.choose(ModelDir.of(tmp_path / "tiny"), "llama_cpp")
    assert choice.adapter is LlamaCppAdapter
    assert choice.match.requires == ()
