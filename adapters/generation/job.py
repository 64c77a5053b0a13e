"""What one request wants generated, checked as far as that takes no tokenizer.

A job is JSON with OpenAI's names of fields, whatever protocol it came by: `messages` or `prompt`, then how the next
token is drawn, when to stop and what to tell. Fields that are null count as absent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

from adapters.generation.engine import Sampling
from adapters.generation.grammar import Grammar
from adapters.generation.refusal import RefusedJob

#: a chat, a text, or ids
Prompt: TypeAlias = "Chat | str | tuple[int, ...]"

#: field -> least and greatest value
_NUMBERS = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "repetition_penalty": (0.01, 10.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
}
_WHOLE = {
    "top_k": (-1, 2**31),
    "max_tokens": (0, 2**31),
    "n": (1, 128),
    "logprobs": (0, 20),
    "seed": (-(2**63), 2**63 - 1),
}
_FLAGS = ("echo", "ignore_eos", "stream")
_OTHERS = (
    *("grammar", "tool_choice", "parallel_tool_calls", "reasoning_effort", "reasoning"),
    *("messages", "tools", "chat_template_kwargs", "prompt", "stop", "stop_token_ids", "logit_bias"),
)
FIELDS = frozenset({*_NUMBERS, *_WHOLE, *_FLAGS, *_OTHERS})

EFFORT, NO_EFFORT = "reasoning_effort", "none"
_EFFORTS = (NO_EFFORT, "minimal", "low", "medium", "high", "xhigh", "max")
_MOST_SEQUENCES = 1024  #: prompts times n
_MOST_STOPS, _LONGEST_STOP = 32, 1000
_LARGEST_BIAS = 100.0
_LEAST_TOP_P = 1e-6  #: 0 means the likeliest token alone


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation, for the model's chat template."""

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] | None = None
    template_values: Mapping[str, Any] | None = None  #: more names that the template may ask for
    needs_call: bool = False  #: the answer is calls of tools, and nothing else
    required_tool: str = ""  #: ... of this one; "": of any
    parallel_calls: bool = True  #: there may be more than one
    effort: str = ""  #: how much the model is to think, by OpenAI's words; "": as it does
    effort_field: str = EFFORT  #: that says so


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One request: `len(prompts) * n` sequences, in this order."""

    prompts: tuple[Prompt, ...]
    n: int = 1
    max_tokens: int | None = None  #: None: what is left of the context in a chat, else 16
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    stop_ids: tuple[int, ...] = ()
    logprobs: int | None = None  #: alternatives to each token
    echo: bool = False  #: the prompt's text, and its logprobs if those are asked for, come first
    grammar: Grammar | None = None  #: what each text has to be like
    ignore_eos: bool = False  #: go on behind the model's end of sequence
    stream: bool = False  #: parts come as they are made, else each sequence is one

    @classmethod
    def of(cls, fields: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> Self:
        """`defaults` count where the fields say nothing.

        Raises:
            RefusedJob: naming the field and what is allowed.
        """
        given = {**(defaults or {}), **{name: value for name, value in fields.items() if value is not None}}
        numbers = {name: _number(given[name], name) for name in _NUMBERS if name in given}
        whole = {name: _whole(given[name], name) for name in _WHOLE if name in given}
        flags = {name: _flag(given[name], name) for name in _FLAGS if name in given}
        prompts = _prompts(given)
        n = whole.pop("n", 1)
        if len(prompts) * n > _MOST_SEQUENCES:
            raise RefusedJob(
                f"{len(prompts)} prompts with n of {n} are more than {_MOST_SEQUENCES} sequences: send less at a time",
                "n",
            )
        grammar = Grammar.of(given["grammar"]) if "grammar" in given else None
        if grammar is not None and flags.get("ignore_eos"):
            raise RefusedJob(f"ignore_eos: a text ends where its {grammar.field} does: leave one out", "ignore_eos")
        if any(isinstance(each, Chat) and each.needs_call for each in prompts):
            grammar = None  # it is of the answer's text, and there is none beside a call that has to come
        sampling = {"temperature": 1.0, **numbers}
        sampling["top_p"] = max(sampling.get("top_p", 1.0), _LEAST_TOP_P)
        return cls(
            prompts=prompts,
            n=n,
            max_tokens=whole.get("max_tokens"),
            sampling=Sampling(
                **sampling,
                top_k=max(whole.get("top_k", 0), 0),
                seed=whole.get("seed"),
                logit_bias=_biases(given.get("logit_bias", {})),
            ),
            stop=_stops(given.get("stop", ())),
            stop_ids=_ids(given.get("stop_token_ids", []), "stop_token_ids"),
            logprobs=whole.get("logprobs"),
            grammar=grammar,
            **flags,
        )


def _prompts(given: Mapping[str, Any]) -> tuple[Prompt, ...]:
    if "messages" in given:
        return (_chat(given),)
    prompt = given.get("prompt")
    if isinstance(prompt, str):
        return (prompt,)
    if not isinstance(prompt, list):
        raise RefusedJob("prompt must be a text, a list of texts, token ids, or a list of lists of token ids", "prompt")
    if not prompt:
        raise RefusedJob("prompt is an empty list: send at least one text, or one token id", "prompt")
    if type(prompt[0]) is int:
        return (_ids(prompt, "prompt"),)
    return tuple(each if isinstance(each, str) else _ids(each, f"prompt[{i}]") for i, each in enumerate(prompt))


def _chat(given: Mapping[str, Any]) -> Chat:
    tools, choice = given.get("tools") or None, given.get("tool_choice", "auto")
    name = choice["name"] if isinstance(choice, dict) and isinstance(choice.get("name"), str) else ""
    if not name and choice not in ("auto", "none", "required"):
        raise RefusedJob('tool_choice must be "auto", "none", "required", or name a function', "tool_choice")
    needs_call = bool(name) or choice == "required"
    if needs_call and not tools:
        raise RefusedJob("tool_choice asks for a call, and there are no tools: send some", "tool_choice")
    if name and tools and name not in map(_tool_name, tools if isinstance(tools, list) else ()):
        raise RefusedJob(f"tool_choice names {_shown(name)}, which is none of the tools", "tool_choice")
    parallel = _flag(given.get("parallel_tool_calls", True), "parallel_tool_calls")
    tools = None if choice == "none" else tools
    more = given.get("chat_template_kwargs")
    return Chat(given["messages"], tools, more, needs_call, name, parallel, *_effort(given))


def _effort(given: Mapping[str, Any]) -> tuple[str, str]:
    """How much the model is to think, and the field that says so: responses have another one than chats."""
    field = "reasoning" if "reasoning" in given else EFFORT
    said = given.get(field)
    effort = said.get("effort") if isinstance(said, dict) else said
    if effort is not None and effort not in _EFFORTS:
        raise RefusedJob(f"{field}: the effort must be one of {', '.join(_EFFORTS)}", field)
    return effort or "", field


def _tool_name(tool: Any) -> Any:
    function = tool.get("function") if isinstance(tool, dict) else None
    return function.get("name") if isinstance(function, dict) else None


def _ids(value: Any, name: str) -> tuple[int, ...]:
    if not isinstance(value, list) or any(type(each) is not int for each in value):
        raise RefusedJob(f"{name} must be a list of token ids, which are whole numbers", name.partition("[")[0])
    return tuple(value)


def _number(value: Any, name: str) -> float:
    low, high = _NUMBERS[name]
    if type(value) not in (int, float) or not math.isfinite(value) or not low <= value <= high:
        raise RefusedJob(f"{name} must be a number from {low:g} to {high:g}, not {_shown(value)}", name)
    return float(value)


def _whole(value: Any, name: str) -> int:
    low, high = _WHOLE[name]
    if type(value) is not int or not low <= value <= high:
        raise RefusedJob(f"{name} must be a whole number from {low} to {high}, not {_shown(value)}", name)
    return value


def _flag(value: Any, name: str) -> bool:
    if type(value) is not bool:
        raise RefusedJob(f"{name} must be true or false, not {_shown(value)}", name)
    return value


def _stops(value: Any) -> tuple[str, ...]:
    stops = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list | tuple) else None
    if stops is None or not all(isinstance(stop, str) for stop in stops):
        raise RefusedJob("stop must be a text, or a list of texts", "stop")
    if len(stops) > _MOST_STOPS or any(len(stop) > _LONGEST_STOP for stop in stops):
        raise RefusedJob(f"stop takes {_MOST_STOPS} texts of {_LONGEST_STOP} characters, and not more", "stop")
    return tuple(stop for stop in stops if stop)


def _biases(value: Any) -> dict[int, float]:
    if not isinstance(value, dict):
        raise RefusedJob("logit_bias must be an object of token ids and numbers", "logit_bias")
    biases: dict[int, float] = {}
    for key, bias in value.items():
        if not (isinstance(key, str) and key.isascii() and key.isdecimal() and len(key) < 10):
            raise RefusedJob(f"logit_bias: {_shown(key)} is no token id", "logit_bias")
        if type(bias) not in (int, float) or not abs(bias) <= _LARGEST_BIAS:
            raise RefusedJob(f"logit_bias: the bias of {key} must be a number from -100 to 100", "logit_bias")
        biases[int(key)] = float(bias)
    return biases


def _shown(value: Any) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return repr(value)[:60]
