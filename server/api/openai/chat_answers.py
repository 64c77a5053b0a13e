"""Answers of `chat/completions`."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.api.openai.text_answers import MadeText, token_usage


@dataclass(frozen=True)
class ChatShape:
    """One chat, answered `count` times."""

    identity: str
    created: int  #: seconds since 1970
    model: str
    count: int
    logprobs: bool
    reasoning: bool = True  #: is told, under the name that DeepSeek's API gave it
    _calls: Counter[int] = field(default_factory=Counter)  #: of tools, by choice, as far as they are sent

    def complete(self, made: list[MadeText]) -> dict[str, Any]:
        """The document of a whole answer."""
        return self._document("chat.completion", [self._choice(index, each) for index, each in enumerate(made)])

    def usage(self, usage: Mapping[str, int]) -> dict[str, Any]:
        """The tokens, in the words of chats and completions."""
        return token_usage(usage)

    def opening(self) -> Iterator[dict[str, Any]]:
        """Who speaks, once a choice."""
        for index in range(self.count):
            yield self._chunk(index, {"role": "assistant", "content": ""})

    def chunks(self, index: int, delta: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Reasoning, then the text, and by itself why it ended."""
        thoughts, tokens = self._told_apart(delta["tokens"])
        if self.reasoning and (delta.get("reasoning") or thoughts):
            yield self._chunk(index, {"reasoning_content": delta.get("reasoning", "")}, self._logprobs(thoughts))
        if delta["text"] or tokens:
            yield self._chunk(index, {"content": delta["text"]}, self._logprobs(tokens))
        for call in delta.get("calls", ()):
            yield from self._called(index, _call(call))
        if delta["finish"]:
            yield self._chunk(index, {}, finish=delta["finish"])

    def _called(self, index: int, call: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Name and id, then the arguments: clients append them to those of a call's first chunk."""
        place, arguments = self._calls[index], call["function"]["arguments"]
        self._calls[index] += 1
        head = {**call, "function": {**call["function"], "arguments": ""}}
        yield self._chunk(index, {"tool_calls": [{"index": place, **head}]})
        yield self._chunk(index, {"tool_calls": [{"index": place, "function": {"arguments": arguments}}]})

    def closing(self) -> dict[str, Any]:
        """The chunk that has the usage."""
        return self._document("chat.completion.chunk", [])

    def _choice(self, index: int, made: MadeText) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": made.text, "refusal": None}
        if made.reasoning and self.reasoning:
            message |= {"content": made.text or None, "reasoning_content": made.reasoning}
        if made.calls:
            message |= {"content": made.text or None, "tool_calls": [_call(call) for call in made.calls]}
        thoughts, tokens = self._told_apart(made.tokens)
        told = self._logprobs([*thoughts, *tokens] if self.reasoning else tokens)
        return {"index": index, "message": message, "logprobs": told, "finish_reason": made.finish}

    def _chunk(
        self, index: int, delta: Mapping[str, Any], told: Mapping[str, Any] | None = None, finish: str | None = None
    ) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": told, "finish_reason": finish}
        return self._document("chat.completion.chunk", [choice])

    def _told_apart(
        self, tokens: Sequence[Mapping[str, Any]]
    ) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
        """Tokens of reasoning, and of the text."""
        return [each for each in tokens if each.get("thought")], [each for each in tokens if not each.get("thought")]

    def _logprobs(self, tokens: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
        if not self.logprobs:
            return None
        return {"content": [_token(token) for token in tokens], "refusal": None}

    def _document(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.identity,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }


def _token(token: Mapping[str, Any]) -> dict[str, Any]:
    named = {name: token[name] for name in ("token", "logprob", "bytes")}
    return {**named, "top_logprobs": token["top"]}


def _call(call: Mapping[str, str]) -> dict[str, Any]:
    function = {"name": call["name"], "arguments": call["arguments"]}
    return {"id": f"call_{uuid.uuid4().hex[:24]}", "type": "function", "function": function}
