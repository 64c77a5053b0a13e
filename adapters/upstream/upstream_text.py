"""The text of one sequence that a program makes: its chunks become deltas, and its end is held to be one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.base import StreamFailed
from adapters.generation.sequence_text import TextDelta
from adapters.generation.tool_calls import ToolCall, ToolCallReader
from adapters.upstream.json_calls import calls_in
from adapters.upstream.upstream_events import ProgramEvent

_ENDS = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "eos": "stop"}


class UpstreamText:
    """Takes the events of one sequence in order; `finish` says why it is over, once the program has said it all."""

    def __init__(
        self,
        program: str,
        *,
        parallel_calls: bool = True,
        tools: Sequence[Mapping[str, Any]] = (),
        as_json: bool = False,
    ) -> None:
        """`program` is its name in messages; without `parallel_calls` the first call of a tool is the only one.

        `tools` are those that may be called: a program leaves calls in the text where it does not know how its model
        writes them. `as_json`: the text is calls, and nothing else (`json_calls`).
        """
        self._program = program
        self._parallel_calls = parallel_calls
        self._reader = ToolCallReader(tools) if tools and not as_json else None
        self._json: list[str] | None = [] if as_json else None
        self._read: list[ToolCall] = []
        self._calls: dict[int, list[str]] = {}  #: name and arguments, by the program's numbers
        self._ended = ""  #: why, as the program has it
        self._events = 0
        self._thoughts = 0  #: of those, that are reasoning
        self._length = 0
        self._usage: Mapping[str, Any] = {}
        self.finish: str | None = None

    def push(self, event: ProgramEvent) -> TextDelta:
        """The delta of a chunk; calls of tools are kept until they are whole."""
        self._usage = event.usage or self._usage
        self._ended = event.finish or self._ended
        self._events += not event.in_prompt
        for piece in event.calls:
            call = self._calls.setdefault(piece.index, ["", ""])
            call[0] = call[0] or piece.name
            call[1] += piece.arguments
        self._thoughts += bool(event.reasoning)
        thought = {"thought": True} if event.reasoning and not event.text else {}
        text = self._without_calls(event.text)
        tokens = []
        for token in event.tokens:
            tokens.append({**token, **thought, "offset": self._length})
            self._length += len(token["token"])
        if not tokens:
            self._length += len(event.text)
        return TextDelta(text, tokens, reasoning=event.reasoning)

    def _without_calls(self, text: str) -> str:
        """What of the text can be told by now."""
        if self._json is not None:
            self._json.append(text)
            return ""
        if self._reader is None:
            return text
        told, calls = self._reader.feed(text)
        self._read += calls
        return told

    def end(self) -> TextDelta:
        """The last delta, when the program has closed the stream as it should.

        Raises:
            StreamFailed: it has not said why, or in a word that nobody knows.
        """
        if self._ended not in _ENDS:
            how = f"with the reason {self._ended[:40]!r}" if self._ended else "without a reason"
            raise StreamFailed(f"{self._program} failed at this request: its answer ended {how}")
        rest = self._rest()
        calls = [ToolCall(name, arguments or "{}") for name, arguments in self._calls.values()] + self._read
        finish = _ENDS[self._ended]
        if calls and finish == "stop":
            finish = "tool_calls"
        self.finish = finish
        return TextDelta(rest, (), finish, calls if self._parallel_calls else calls[:1])

    def _rest(self) -> str:
        """The text that was held back, and is no call."""
        if self._json is None:
            return "" if self._reader is None else self._reader.flush()
        whole = "".join(self._json)
        self._read = calls_in(whole)
        return "" if self._read else whole

    @property
    def generated(self) -> int:
        """Tokens, as the program counts them, or else its chunks."""
        return _count(self._usage.get("completion_tokens"), self._events)

    @property
    def reasoned(self) -> int | None:
        """Tokens of reasoning, by its count or its chunks; None where there was none."""
        details = self._usage.get("completion_tokens_details")
        told = details.get("reasoning_tokens") if isinstance(details, dict) else None
        return _count(told, self._thoughts) or self._thoughts or None

    @property
    def prompt_tokens(self) -> int:
        return _count(self._usage.get("prompt_tokens"), 0)

    @property
    def cached_tokens(self) -> int:
        """Tokens of the prompt that it did not compute."""
        details = self._usage.get("prompt_tokens_details")
        return _count(details.get("cached_tokens"), 0) if isinstance(details, dict) else 0


def _count(value: Any, otherwise: int) -> int:
    return value if type(value) is int and 0 <= value < 2**40 else otherwise
