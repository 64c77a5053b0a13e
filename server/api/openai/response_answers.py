"""Answers of `responses`: the document, and the items that the model's text and its calls are."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.api.openai.response_fields import ResponseRequest
from server.api.openai.text_answers import MadeText

#: a reason why a text ended before it was done -> how it is called here
_INCOMPLETE = {"length": "max_output_tokens"}


@dataclass(frozen=True)
class ResponseShape:
    """One response to one request."""

    identity: str
    created: int  #: seconds since 1970
    request: ResponseRequest
    count: int = 1

    def complete(self, made: list[MadeText]) -> dict[str, Any]:
        """The document of a whole answer."""
        (text,) = made
        output = []
        if text.reasoning:
            output.append(reasoning_item(new_id("rs"), text.reasoning, self._reasoning_status(text)))
        if text.text or not (text.calls or text.reasoning):
            output.append(self.message(new_id("msg"), text.text, text.tokens, text.finish))
        output += [call_item(new_id("fc"), new_id("call"), call) for call in text.calls]
        return self.document(status_of(text.finish), output, finish=text.finish)

    def _reasoning_status(self, text: MadeText) -> str:
        """A text that was cut before its answer began was cut within the reasoning."""
        return "completed" if text.text or text.calls else status_of(text.finish)

    def usage(self, usage: Mapping[str, int]) -> dict[str, Any]:
        """In the words of responses; what is written to the cache is not told by request."""
        given, made = usage["prompt_tokens"], usage["completion_tokens"]
        return {
            "input_tokens": given,
            "input_tokens_details": {"cached_tokens": usage.get("cached_tokens", 0), "cache_write_tokens": 0},
            "output_tokens": made,
            "output_tokens_details": {"reasoning_tokens": usage.get("reasoning_tokens", 0)},
            "total_tokens": given + made,
        }

    def message(
        self, identity: str, text: str, tokens: Sequence[Mapping[str, Any]], finish: str | None
    ) -> dict[str, Any]:
        """The item of a text that has ended."""
        head = {"id": identity, "type": "message", "role": "assistant", "status": status_of(finish)}
        return {**head, "content": [self.part(text, tokens)]}

    def part(self, text: str, tokens: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The only part of a message."""
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": self.logprobs(tokens)}

    def logprobs(self, tokens: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Those of the text's tokens, if they are asked for."""
        if not self.request.tells_logprobs:
            return []
        names = ("token", "logprob", "bytes")
        return [
            {**{name: token[name] for name in names}, "top_logprobs": token["top"]} for token in text_tokens(tokens)
        ]

    def document(
        self, status: str, output: Sequence[Mapping[str, Any]] = (), *, finish: str | None = None
    ) -> dict[str, Any]:
        """The response with what was asked, as far as it has come."""
        asked = self.request
        reason = _INCOMPLETE.get(finish or "")
        text = {"format": {"type": "text"}}
        if asked.text is not None and asked.text.format is not None:
            text = {"format": asked.text.format.model_dump(by_alias=True, exclude_none=True)}
        return {
            "id": self.identity,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "instructions": asked.instructions,
            "max_output_tokens": asked.max_output_tokens,
            "metadata": asked.metadata or {},
            "model": asked.model,
            "output": list(output),
            "parallel_tool_calls": asked.parallel_tool_calls is not False,
            "previous_response_id": None,
            "reasoning": None if asked.reasoning is None else asked.reasoning.model_dump(),
            "service_tier": "default",
            "store": False,
            "temperature": asked.temperature,
            "text": text,
            "tool_choice": asked.tool_choice or "auto",
            "tools": asked.tools or [],
            "top_logprobs": asked.top_logprobs or 0,
            "top_p": asked.top_p,
            "truncation": "disabled",
            "usage": None,
            "user": asked.user,
            "safety_identifier": asked.safety_identifier,
            "max_tool_calls": None,
            **_cache(asked),
        }


def _cache(asked: ResponseRequest) -> dict[str, Any]:
    """What was asked of the cache of prompts; clients of new versions look for all of it, in old ones' objects, too."""
    key, retention = asked.prompt_cache_key, asked.prompt_cache_retention
    return {"prompt_cache_key": key, "prompt_cache_retention": retention, "prompt_cache_diagnostics": None}


def new_id(kind: str) -> str:
    """An id that nobody else has."""
    return f"{kind}_{uuid.uuid4().hex}"


def status_of(finish: str | None) -> str:
    """Of a text that has ended."""
    return "incomplete" if finish in _INCOMPLETE else "completed"


def text_tokens(tokens: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Those that are no reasoning."""
    return [dict(token) for token in tokens if not token.get("thought")]


def reasoning_part(text: str) -> dict[str, Any]:
    """The only part of such an item."""
    return {"type": "reasoning_text", "text": text}


def reasoning_item(identity: str, text: str, status: str) -> dict[str, Any]:
    """What the model thought, in its own words; one that has only begun is empty."""
    content = [] if status == "in_progress" else [reasoning_part(text)]
    return {"id": identity, "type": "reasoning", "summary": [], "content": content, "status": status}


def call_item(identity: str, call_id: str, call: Mapping[str, str], *, begun: bool = False) -> dict[str, Any]:
    """A call of a function; one that has only begun has no arguments yet."""
    head = {"id": identity, "type": "function_call", "call_id": call_id, "name": call["name"]}
    return {**head, "status": "in_progress" if begun else "completed", "arguments": "" if begun else call["arguments"]}
