"""What a program streams, chunk by chunk, held against what was asked: no chunk is taken for what it is not.

A broken chunk, an end that is none, another model's answer, more than was asked for: each fails its own request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from adapters.upstream.socket_http import BrokenAnswer

#: llama.cpp's name and vLLM's older one; vLLM's newer one
_REASONING = ("reasoning_content", "reasoning")
_SHOWN = 200  #: characters of what a program sent, in messages


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A piece of a call of a tool: the first has the name, all have text that the arguments go on with."""

    index: int
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ProgramEvent:
    """One chunk."""

    text: str = ""
    tokens: Sequence[Mapping[str, Any]] = ()  #: token, bytes, logprob and top, where they are asked for
    calls: Sequence[CallPiece] = ()
    finish: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    reasoning: str = ""

    @property
    def in_prompt(self) -> bool:
        """No token of the answer came with it."""
        return not (self.text or self.reasoning or self.tokens or self.calls)


def event_of(data: bytes, served_name: str) -> ProgramEvent:
    """The chunk in one event of a stream.

    Raises:
        BrokenAnswer: it is none, an error, or of another model.
    """
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BrokenAnswer(f"it sent what is no JSON: {_shown(data)}") from error
    if not isinstance(document, dict):
        raise BrokenAnswer(f"it sent what is no chunk of an answer: {_shown(data)}")
    if document.get("error"):
        raise BrokenAnswer(f"it says: {message_of_error(document)}")
    model = document.get("model")
    if isinstance(model, str) and model != served_name:
        raise BrokenAnswer(f"it answers for the model {model[:_SHOWN]!r}, and was asked for {served_name!r}")
    try:
        return _event(document)
    except (TypeError, KeyError, ValueError, AttributeError, IndexError) as error:
        raise BrokenAnswer(f"it sent what is no chunk of an answer: {_shown(data)}") from error


def message_of_error(document: Any) -> str:
    """The sentence in an error of OpenAI's shape, or what there is instead."""
    error = document.get("error", document) if isinstance(document, dict) else document
    message = error.get("message") if isinstance(error, dict) else error
    return str(message)[:500]


def _event(document: Mapping[str, Any]) -> ProgramEvent:
    usage = document.get("usage") or {}
    if not isinstance(usage, dict):
        raise TypeError("usage")
    choices = document.get("choices") or []
    if not choices:
        return ProgramEvent(usage=usage)
    choice = choices[0]
    delta = choice.get("delta") or {}
    text = _text(choice.get("text") if "text" in choice else delta.get("content"))
    reasoning = next((_text(delta[name]) for name in _REASONING if delta.get(name)), "")
    calls = [_piece(call) for call in delta.get("tool_calls") or ()]
    finish = choice.get("finish_reason")
    tokens = _tokens(choice.get("logprobs"))
    return ProgramEvent(text, tokens, calls, None if finish is None else str(finish), usage, reasoning)


def _piece(call: Mapping[str, Any]) -> CallPiece:
    function = call.get("function") or {}
    return CallPiece(int(call.get("index") or 0), _text(function.get("name")), _text(function.get("arguments")))


def _tokens(logprobs: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Of chats, and of llama.cpp's completions; or of completions as OpenAI has them."""
    if not logprobs:
        return []
    if (content := logprobs.get("content")) is not None:
        return [
            {**_named(each), "top": [_named(other) for other in each.get("top_logprobs") or ()]} for each in content
        ]
    columns = [logprobs.get(name) or [] for name in ("tokens", "token_logprobs", "top_logprobs")]
    tokens, own, tops = columns
    tops = tops or [None] * len(tokens)
    return [
        {
            **_named({"token": token, "logprob": logprob}),
            "top": [_named({"token": name, "logprob": value}) for name, value in (top or {}).items()],
        }
        for token, logprob, top in zip(tokens, own, tops, strict=True)
    ]


def _named(token: Mapping[str, Any]) -> dict[str, Any]:
    text, logprob = _text(token["token"]), token["logprob"]
    raw = token.get("bytes")
    raw = list(text.encode()) if raw is None else [int(each) for each in raw]
    return {"token": text, "bytes": raw, "logprob": None if logprob is None else float(logprob)}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError("a text is none")
    return value


def _shown(data: bytes) -> str:
    return repr(data[:_SHOWN].decode(errors="replace"))
