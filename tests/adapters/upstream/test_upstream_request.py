"""What a program is asked for a job: a request each sequence, with all that the client has said and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.generation.job import Job
from adapters.generation.refusal import RefusedJob
from adapters.upstream.upstream_request import CHAT, COMPLETION, requests_of
from adapters.upstream.vllm_program import VllmProgram


def asked(**fields: Any) -> list[tuple[str, dict[str, Any]]]:
    return requests_of(Job.of(fields), VllmProgram(), "m")


def test_choices_have_seeds_of_their_own() -> None:
    found = asked(prompt=["a", [1, 2]], n=2, seed=5)
    assert [target for target, _ in found] == [COMPLETION] * 4
    assert [(body["prompt"], body["seed"]) for _, body in found] == [("a", 5), ("a", 6), ([1, 2], 5), ([1, 2], 6)]


def test_how_tokens_are_drawn_is_always_said() -> None:
    ((_, body),) = asked(prompt="a")
    drawn = {name: body[name] for name in ("temperature", "top_p", "min_p", "top_k", "max_tokens")}
    assert drawn == {"temperature": 1.0, "top_p": 1.0, "min_p": 0.0, "top_k": 0, "max_tokens": 16}
    assert body["stream_options"] == {"include_usage": True}
    assert not {"logprobs", "stop", "seed", "presence_penalty"} & body.keys()


def test_a_chat() -> None:
    messages = [{"role": "user", "content": "hello"}]
    tools = [{"type": "function", "function": {"name": "f"}}]
    ((target, body),) = asked(
        messages=messages, tools=tools, tool_choice={"name": "f"}, logprobs=2, reasoning_effort="low"
    )
    assert body["reasoning_effort"] == "low"
    assert (target, body["messages"], body["tools"]) == (CHAT, messages, tools)
    assert body["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)
    assert "max_tokens" not in body  # what is left of the context
    ((_, required),) = asked(messages=messages, tools=tools, tool_choice="required")
    assert required["tool_choice"] == "required"
    assert "reasoning_effort" not in required


def test_nothing_to_answer() -> None:
    with pytest.raises(RefusedJob, match="max_tokens is 0"):
        asked(prompt="a", max_tokens=0)
    ((_, body),) = asked(prompt="a", max_tokens=0, echo=True, logprobs=1, stop="x", ignore_eos=True)
    assert (body["max_tokens"], body["echo"], body["stop"], body["ignore_eos"]) == (0, True, ["x"], True)
