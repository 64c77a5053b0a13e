"""The text of one sequence as it grows: what may be sent, with which tokens, and why it ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapters.generation.detokenizer import Detokenizer
from adapters.generation.engine import Finish, TokenEvent
from adapters.generation.reasoning_text import AnswerPiece, ResponseReader
from adapters.generation.stop_strings import StopStrings
from adapters.generation.tool_calls import ToolCall, ToolCallReader
from adapters.generation.vocabulary import Vocabulary

_CALLED = "tool_calls"
_LEAST_LOGPROB = -9999.0  #: JSON has no infinities; OpenAI's number for them


@dataclass(frozen=True, slots=True)
class TextDelta:
    """What came with a token, or at the end."""

    text: str
    tokens: Sequence[dict[str, Any]] = ()  #: those that the text is of, where logprobs are told
    finish: str | None = None  #: as OpenAI has it; "tool_calls" where the model stopped for those
    calls: Sequence[ToolCall] = ()
    reasoning: str = ""  #: comes before the text


class SequenceText:
    """Takes the events of one generation in order; `finish` says why it is over."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        stops: Sequence[str] = (),
        *,
        told: bool = False,
        before: Sequence[int] = (),
        echo: bool = False,
        tools: ToolCallReader | None = None,
        parallel_calls: bool = True,
        reader: ResponseReader | None = None,
        hidden: frozenset[int] | None = None,
    ) -> None:
        """`told`: deltas carry their tokens. `before`: ids that the text goes on from; `echo`: it begins with them.

        Without `parallel_calls` the first call of a tool ends it. `reader` tells reasoning from the answer, in which
        alone stop strings count; `hidden` are tokens that are no text, the special ones unless given.
        """
        self._vocabulary = vocabulary
        self._hidden = vocabulary.special if hidden is None else hidden
        decode = vocabulary.decode if reader is None else vocabulary.decode_all
        self._detokenizer = Detokenizer(decode, vocabulary.shown(before))
        self._reader = reader
        self._reasoned = 0
        self._undecided = 0  #: tokens that may become reasoning
        self._stops = StopStrings(stops)
        self._told = told
        self._tools = tools
        self._parallel_calls = parallel_calls
        self._called = False
        self._tokens: deque[tuple[int, dict[str, Any]]] = deque()  #: those not sent yet, and where their text begins
        self._ahead = vocabulary.decode(before) if echo else ""  #: comes before the first delta's text
        self._length = len(self._ahead)  #: characters that were decoded
        self._sent = 0  #: ... and of those, sent
        self.generated = 0  #: tokens, the end of sequence among them
        self.finish: Finish | None = None

    @property
    def reasoned(self) -> int | None:
        """Tokens of reasoning, its marks among them; None: nobody tells them from the answer."""
        return None if self._reader is None else self._reasoned

    def push(self, event: TokenEvent) -> TextDelta:
        """The delta that a token makes, which is often empty while something is held back."""
        if event.in_prompt:
            return self._released(AnswerPiece(text=self._decoded(event)))
        self.generated += 1
        piece = "" if event.finish is Finish.STOP else self._decoded(event)  # what ended it is no text
        if event.finish is not None:
            return self._last(piece, event.finish)
        read = self._read(piece)
        text = self._stops.feed(read.text)
        if self._stops.found:
            self.finish = Finish.STOP
        return self._released(replace(read, text=text))

    def end(self) -> TextDelta:
        """The last delta of a generation that made no token which said so."""
        return self._last("", Finish.LENGTH)

    def _last(self, piece: str, finish: Finish) -> TextDelta:
        read = self._read(piece + self._detokenizer.flush())
        if self._reader is not None:
            rest = self._reader.flush(cut=finish is Finish.LENGTH)
            read = AnswerPiece(read.reasoning + rest.reasoning, read.text + rest.text, [*read.calls, *rest.calls])
        text = self._stops.feed(read.text)
        if not self._stops.found:
            text += self._stops.flush()
        self.finish = Finish.STOP if self._stops.found else finish
        return self._released(replace(read, text=text))

    def _decoded(self, event: TokenEvent) -> str:
        if self._told:
            self._tokens.append((self._length, self._info(event)))
        piece = "" if event.token in self._hidden else self._detokenizer.step(event.token)
        self._length += len(piece)
        return piece

    def _read(self, piece: str) -> AnswerPiece:
        """What a piece is of. Characters that are reasoning, or marks, count as sent."""
        if self._reader is None:
            return AnswerPiece(text=piece)
        thought, held = self._reader.thinks, self._reader.held
        read = self._reader.feed(piece)
        self._sent += held + len(piece) - self._reader.held - len(read.text)
        if thought or self._reader.thinks:
            self._reasoned += 1 + self._undecided
            self._undecided = 0
            for _, info in self._tokens:
                info["thought"] = True
        else:
            self._undecided = self._undecided + 1 if self._reader.held else 0
        return read

    def _released(self, read: AnswerPiece) -> TextDelta:
        """A delta with the tokens whose text it begins to send; at the end with all, but those of a stop string."""
        text, self._ahead = self._ahead + read.text, ""
        self._sent += len(text)
        all_of_them = self.finish is not None and not self._stops.found
        tokens = []
        while self._tokens and (all_of_them or self._tokens[0][0] < self._sent):
            offset, info = self._tokens.popleft()
            tokens.append({**info, "offset": offset})
        calls = list(read.calls)
        if self._tools is not None:
            text, calls = self._tools.feed(text)
        self._called = self._called or bool(calls)
        if calls and not self._parallel_calls:
            self.finish = Finish.STOP
            return TextDelta(text, tokens, _CALLED, calls[:1], read.reasoning)
        if self.finish is None:
            return TextDelta(text, tokens, None, calls, read.reasoning)
        finish = _CALLED if self._called and self.finish is Finish.STOP else self.finish
        rest = self._tools.flush() if self._tools is not None else ""
        return TextDelta(text + rest, tokens, finish, calls, read.reasoning)

    def _info(self, event: TokenEvent) -> dict[str, Any]:
        top = [self._named(token, logprob) for token, logprob in event.top]
        return {**self._named(event.token, event.logprob), "top": top}

    def _named(self, token: int, logprob: float | None) -> dict[str, Any]:
        raw = self._vocabulary.bytes_of(token)
        told = None if logprob is None else max(logprob, _LEAST_LOGPROB)
        return {"token": raw.decode(errors="replace"), "bytes": list(raw), "logprob": told}
