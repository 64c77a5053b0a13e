"""Answers of `completions`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.api.openai.text_answers import MadeText, token_usage


@dataclass(frozen=True)
class CompletionShape:
    """Prompts, each continued n times: `count` choices in all, those of one prompt after each other."""

    identity: str
    created: int  #: seconds since 1970
    model: str
    count: int
    alternatives: int | None  #: to each token; None: no logprobs are told

    def complete(self, made: list[MadeText]) -> dict[str, Any]:
        """The document of a whole answer."""
        return self._document([self._choice(i, each.text, each.tokens, each.finish) for i, each in enumerate(made)])

    def usage(self, usage: Mapping[str, int]) -> dict[str, Any]:
        """The tokens, in the words of chats and completions."""
        return token_usage(usage)

    def opening(self) -> Iterator[dict[str, Any]]:
        """Nothing: a text has no speaker."""
        return iter(())

    def chunks(self, index: int, delta: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The text, and by itself why it ended."""
        if delta["text"] or delta["tokens"]:
            yield self._document([self._choice(index, delta["text"], delta["tokens"], None)])
        if delta["finish"]:
            yield self._document([self._choice(index, "", (), delta["finish"])])

    def closing(self) -> dict[str, Any]:
        """The chunk that has the usage."""
        return self._document([])

    def _choice(self, index: int, text: str, tokens: Sequence[Mapping[str, Any]], finish: str | None) -> dict[str, Any]:
        told = None if self.alternatives is None or (finish and not tokens and not text) else self._logprobs(tokens)
        return {"index": index, "text": text, "logprobs": told, "finish_reason": finish}

    def _logprobs(self, tokens: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {
            "tokens": [token["token"] for token in tokens],
            "token_logprobs": [token["logprob"] for token in tokens],
            "top_logprobs": [_alternatives(token) for token in tokens] if self.alternatives else None,
            "text_offset": [token["offset"] for token in tokens],
        }

    def _document(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.identity,
            "object": "text_completion",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }


def _alternatives(token: Mapping[str, Any]) -> dict[str, float] | None:
    """Logprobs by token, its own among them. Tokens of one text (halves of characters) are told by the likeliest."""
    if token["logprob"] is None:  # the first of a prompt
        return None
    found: dict[str, float] = {}
    for each in (*token["top"], token):
        found[each["token"]] = max(each["logprob"], found.get(each["token"], each["logprob"]))
    return found
