"""A response as events: each has its type and its number, items begin and end, and the last event has all of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, Self

import orjson

from server.api.openai.response_answers import (
    ResponseShape,
    call_item,
    new_id,
    reasoning_item,
    reasoning_part,
    status_of,
    text_tokens,
)
from server.api.openai.text_answers import MadeText
from server.api.rest.event_stream import KEEP_ALIVE, NamedEvent
from server.errors import ServingError, as_serving_error, message
from server.inference.answer import StreamedAnswer
from server.inference.generated_parts import GeneratedParts

log = logging.getLogger("kserve")


class ResponseStream:
    """`adapters.base.Parts` for a client that takes events."""

    def __init__(self, parts: GeneratedParts, shape: ResponseShape) -> None:
        self._parts = parts
        self._shape = shape
        self._number = 0
        self._made = MadeText()
        self._output: list[dict[str, Any]] = []  #: items that have ended
        self._message = ""  #: the id of the message that is being written
        self._thought = ""  #: ... or of the reasoning
        self._events = self._all()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._events)

    async def aclose(self) -> None:
        await self._events.aclose()
        await self._parts.aclose()

    def answer(self) -> StreamedAnswer:
        """To be sent."""
        return StreamedAnswer([], self)

    async def _all(self) -> Any:
        usage: dict[str, Any] | None = None
        try:
            for kind in ("created", "in_progress"):
                yield self._lifecycle(kind, self._shape.document("in_progress"))
            async for part in self._parts:
                if not part:
                    yield KEEP_ALIVE
                for delta in part.get("deltas", ()):
                    for event in self._delta(delta):
                        yield event
                if "usage" in part:
                    usage = self._shape.usage(part["usage"])
            for event in self._end():
                yield event
            finish = self._made.finish
            document = self._shape.document(status_of(finish), self._output, finish=finish)
            yield self._lifecycle(status_of(finish), {**document, "usage": usage})
        except Exception as error:
            yield self._failed(error)

    def _delta(self, delta: Mapping[str, Any]) -> Iterator[bytes]:
        self._made.finish = delta["finish"]
        if delta.get("reasoning"):
            yield from self._thinks(delta["reasoning"])
        tokens = text_tokens(delta["tokens"])
        if delta["text"] or tokens:
            yield from self._end_thought("completed")
            if not self._message:
                yield from self._begin()
            self._made.text += delta["text"]
            self._made.tokens += tokens
            told = self._shape.logprobs(tokens)
            yield self._of_message("output_text.delta", delta=delta["text"], logprobs=told)
        for call in delta.get("calls", ()):
            yield from self._end_thought("completed")
            yield from self._end_message()
            yield from self._called(call)

    def _thinks(self, text: str) -> Iterator[bytes]:
        if not self._thought:
            yield from self._end_message()
            self._thought = new_id("rs")
            item = reasoning_item(self._thought, "", "in_progress")
            yield self._event("output_item.added", output_index=len(self._output), item=item)
            yield self._of_thought("content_part.added", part=reasoning_part(""))
        self._made.reasoning += text
        yield self._of_thought("reasoning_text.delta", delta=text)

    def _end_thought(self, status: str) -> Iterator[bytes]:
        if not self._thought:
            return
        text = self._made.reasoning
        yield self._of_thought("reasoning_text.done", text=text)
        yield self._of_thought("content_part.done", part=reasoning_part(text))
        yield from self._done(reasoning_item(self._thought, text, status))
        self._thought = self._made.reasoning = ""

    def _begin(self) -> Iterator[bytes]:
        self._message = new_id("msg")
        item = {"id": self._message, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        yield self._event("output_item.added", output_index=len(self._output), item=item)
        yield self._of_message("content_part.added", part=self._shape.part("", ()))

    def _end_message(self) -> Iterator[bytes]:
        if not self._message:
            return
        made, shape = self._made, self._shape
        item = shape.message(self._message, made.text, made.tokens, made.finish)
        (part,) = item["content"]
        yield self._of_message("output_text.done", text=made.text, logprobs=part["logprobs"])
        yield self._of_message("content_part.done", part=part)
        yield from self._done(item)
        self._message, made.text, made.tokens = "", "", []

    def _called(self, call: Mapping[str, str]) -> Iterator[bytes]:
        item = call_item(new_id("fc"), new_id("call"), call)
        place = {"item_id": item["id"], "output_index": len(self._output)}
        begun = call_item(item["id"], item["call_id"], call, begun=True)
        yield self._event("output_item.added", output_index=place["output_index"], item=begun)
        yield self._event("function_call_arguments.delta", **place, delta=item["arguments"])
        yield self._event("function_call_arguments.done", **place, name=item["name"], arguments=item["arguments"])
        yield from self._done(item)

    def _end(self) -> Iterator[bytes]:
        """A response has at least one item."""
        yield from self._end_thought(status_of(self._made.finish))
        if not self._message and not self._output:
            yield from self._begin()
        yield from self._end_message()

    def _done(self, item: dict[str, Any]) -> Iterator[bytes]:
        yield self._event("output_item.done", output_index=len(self._output), item=item)
        self._output.append(item)

    def _of_message(self, kind: str, **fields: Any) -> bytes:
        return self._of_item(self._message, kind, **fields)

    def _of_thought(self, kind: str, **fields: Any) -> bytes:
        return self._of_item(self._thought, kind, **fields)

    def _of_item(self, identity: str, kind: str, **fields: Any) -> bytes:
        return self._event(kind, item_id=identity, output_index=len(self._output), content_index=0, **fields)

    def _lifecycle(self, kind: str, document: Mapping[str, Any]) -> bytes:
        return self._event(kind, response=document)

    def _event(self, kind: str, **fields: Any) -> bytes:
        name = f"response.{kind}"
        document = {"type": name, "sequence_number": self._number, **fields}
        self._number += 1
        return NamedEvent(name, orjson.dumps(document))

    def _failed(self, error: Exception) -> bytes:
        known: ServingError = as_serving_error(error)
        if known is not error:
            log.exception("a stream failed")
        code = "server_error" if known.status >= 500 else "invalid_prompt"
        document = self._shape.document("failed", self._output)
        return self._lifecycle("failed", {**document, "error": {"code": code, "message": message(known)}})
