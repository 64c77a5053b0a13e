"""Jobs: fields to what is generated, and the refusals that need no tokenizer."""

from __future__ import annotations

import math
from typing import Any

import pytest

from adapters.generation.job import FIELDS, Chat, Job
from adapters.generation.refusal import RefusedJob


def test_defaults_are_openai_s() -> None:
    job = Job.of({"prompt": "one", "seed": None, "stop": None})
    assert job == Job(prompts=("one",), sampling=job.sampling)
    assert (job.sampling.temperature, job.sampling.top_p, job.sampling.top_k, job.sampling.seed) == (1.0, 1.0, 0, None)
    assert Job.of({"prompt": "one"}, {"temperature": 0.5}).sampling.temperature == 0.5
    assert Job.of({"prompt": "one", "temperature": 0}, {"temperature": 0.5}).sampling.temperature == 0


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        ("one", ("one",)),
        (["one", "two"], ("one", "two")),
        ([1, 2], ((1, 2),)),
        ([[1], [2, 3]], ((1,), (2, 3))),
    ],
)
def test_prompts(prompt: Any, prompts: Any) -> None:
    assert Job.of({"prompt": prompt}).prompts == prompts


def test_a_chat() -> None:
    messages = [{"role": "user", "content": "hello"}]
    assert Job.of({"messages": messages}).prompts == (Chat(messages),)


def test_sampling_fields() -> None:
    fields = {
        "temperature": 0,
        "top_p": 0,
        "top_k": -1,
        "min_p": 0.1,
        "repetition_penalty": 1.1,
        "logit_bias": {"5": 2},
    }
    sampling = Job.of({"prompt": "one", **fields}).sampling
    assert (sampling.temperature, sampling.top_k, sampling.min_p) == (0.0, 0, 0.1)
    assert 0 < sampling.top_p < 1e-5
    assert sampling.logit_bias == {5: 2.0}


def test_stops() -> None:
    assert Job.of({"prompt": "one", "stop": "x"}).stop == ("x",)
    assert Job.of({"prompt": "one", "stop": ["x", "", "y"]}).stop == ("x", "y")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", 2.1),
        ("temperature", True),
        ("temperature", math.nan),
        ("top_p", "1"),
        ("top_k", 1.5),
        ("min_p", -0.1),
        ("repetition_penalty", 0),
        ("presence_penalty", 3),
        ("frequency_penalty", -3),
        ("max_tokens", -1),
        ("n", 0),
        ("n", 129),
        ("logprobs", 21),
        ("seed", 2**63),
        ("echo", 1),
        ("stop", 3),
        ("stop", ["a", 3]),
        ("stop", ["a"] * 33),
        ("stop", "x" * 1001),
        ("stop_token_ids", ["1"]),
        ("logit_bias", []),
        ("logit_bias", {"x": 1}),
        ("logit_bias", {"1": 101}),
        ("logit_bias", {"1": None}),
        ("prompt", 3),
        ("prompt", []),
        ("prompt", [1, "two"]),
        ("prompt", ["one", 2]),
    ],
)
def test_what_is_refused_names_its_field(field: str, value: Any) -> None:
    assert field in FIELDS
    with pytest.raises(RefusedJob, match=field) as caught:
        Job.of({"prompt": "one", field: value})
    assert caught.value.param == field


def test_too_many_sequences_are_refused() -> None:
    with pytest.raises(RefusedJob, match="1024"):
        Job.of({"prompt": ["one"] * 100, "n": 11})


TOOLS = [{"type": "function", "function": {"name": "now"}}]


def test_which_tools_a_chat_calls() -> None:
    def chat(**fields: Any) -> Any:
        return Job.of({"messages": [{}], "tools": TOOLS, **fields}).prompts[0]

    assert chat() == Chat([{}], TOOLS)
    assert chat(tool_choice="none").tools is None
    assert chat(tool_choice="required").needs_call
    named = chat(tool_choice={"name": "now"}, parallel_tool_calls=False)
    assert (named.needs_call, named.required_tool, named.parallel_calls) == (True, "now", False)


def test_a_form_is_of_the_answer_s_text_and_a_call_that_has_to_come_has_none() -> None:
    asked: dict[str, Any] = {"messages": [{}], "tools": TOOLS, "grammar": {"kind": "json_object"}}
    assert Job.of({**asked, "tool_choice": "required"}).grammar is None
    assert Job.of({**asked, "tool_choice": "auto"}).grammar is not None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": "any"}, "tool_choice"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"reasoning_effort": ["low"]}, "reasoning_effort"),
        ({"reasoning": {"effort": "huge"}}, "reasoning"),
        ({"tool_choice": ["now"]}, "tool_choice"),
        ({"tool_choice": {"name": "then"}}, "tool_choice"),
        ({"tool_choice": "required", "tools": []}, "tool_choice"),
        ({"tool_choice": {"name": "now"}, "tools": [5, {"function": 5}]}, "tool_choice"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ({"grammar": 5}, "grammar"),
        ({"grammar": {"kind": "json_object", "field": "response_format"}, "ignore_eos": True}, "ignore_eos"),
    ],
)
def test_choices_that_are_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RefusedJob) as caught:
        Job.of({"messages": [{}], "tools": TOOLS, **fields})
    assert caught.value.param == param
