"""Answers read as the model's own tokenizer says: transformers' `response_template` (tokenizer_config.json).

It names the regions of an answer (what the model thinks, what it says, its calls of tools) by what they begin and end
with; transformers' parser finds them. What that cannot read stays text: an answer is never lost.
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from adapters.base import LoadError
from adapters.generation.held_back import Trimmed
from adapters.generation.reasoning_text import AnswerPiece, Stage
from adapters.generation.tool_calls import ToolCall
from adapters.shared.messages import brief

logger = logging.getLogger(__name__)

#: how templates call the regions
THINKING = frozenset({"thinking", "reasoning_content", "reasoning"})
CONTENT, CALLS = "content", "tool_calls"


def read_template(given: Any) -> Any:
    """The `response_template` of a tokenizer as transformers' parser has it.

    Raises:
        LoadError: it is none.
    """
    from transformers.utils.chat_parsing.response_templates import load_response_template

    try:
        template = load_response_template(given)
    except Exception as error:  # whatever it is made of
        told = brief(str(error))
        raise LoadError(
            f"tokenizer_config.json: response_template cannot be read: {told}; options.reasoning: none leaves it out"
        ) from error
    for field in template.fields.values():
        field.optional = True  # a field that the model left out is no reason to lose the others
    return template


class TemplateReader:
    """See `reasoning_text.ResponseReader`. Takes the text with its special tokens."""

    held = 0  #: not told by the parser

    def __init__(self, template: Any, prompt: str, tools: Sequence[Mapping[str, Any]] | None) -> None:
        """`prompt`: its text, special tokens within, which may have begun the answer. Without tools there are no calls:
        what looks like one is text."""
        self._template = template
        self._tools = list(tools or ())
        self._region = ""  #: that is open
        self._raw = ""  #: what it holds, where that has to be whole before it is read
        self._lost = ""  #: all, until something has been told
        self._texts = {True: Trimmed(), False: Trimmed()}  #: reasoning and answer
        self._told: dict[bool, str] = {True: "", False: ""}
        self._calls: list[ToolCall] = []
        self._any = False
        self.stage = Stage.BEGINNING  #: as the prompt left it
        self._parser = self._begun(prompt)

    @property
    def thinks(self) -> bool:
        return self._region in THINKING

    def feed(self, piece: str) -> AnswerPiece:
        if not self._any:
            self._lost += piece
        self._parse(piece)
        return self._taken()

    def flush(self, *, cut: bool) -> AnswerPiece:
        if cut and self._region == CALLS:  # half a call is none
            self._add(self._raw)
        else:
            try:
                _, events = self._parser.finalize()
            except Exception as error:
                self._unread(error)
            else:
                self._take(events)
        if not self._any:
            self._add(self._lost)
        return self._taken()

    def _begun(self, prompt: str) -> Any:
        """A parser behind the prompt."""
        from transformers.utils.chat_parsing import ResponseParser

        try:
            parser = ResponseParser(self._template, prompt, tools=self._tools)
        except Exception as error:  # of what the prompt has of the answer
            logger.warning("the prompt does not fit the tokenizer's response_template: %s", brief(str(error)))
            return ResponseParser(self._template, "", tools=self._tools)
        for event in parser.initial_events:
            self._region = event["field"] if event["type"] == "region_open" else self._region
            if event["type"] == "region_close":
                self._region = ""
                self.stage = Stage.ANSWERING if event["field"] in THINKING else self.stage
        if self.thinks:
            self.stage = Stage.THINKING
        return parser

    def _parse(self, piece: str) -> None:
        """An error would take with it what the parser has found before, so the piece is then read by its characters."""
        before = copy.copy(self._parser)
        try:
            events = self._parser.feed(piece)
        except Exception as error:  # of parsers that the template names, for what the model wrote
            if len(piece) == 1:
                self._unread(error)
                return
            self._parser = before
            for character in piece:
                self._parse(character)
        else:
            self._take(events)

    def _take(self, events: Sequence[Mapping[str, Any]]) -> None:
        for event in events:
            field = event["field"]
            if event["type"] == "region_open":
                self._region, self._raw = field, ""
            elif event["type"] == "region_chunk":
                if event["dirty"] or field == CALLS:
                    self._raw += event["text"]
                else:
                    self._add(event["text"], thought=field in THINKING)
            else:
                self._closed(field, event["value"])

    def _closed(self, field: str, value: Any) -> None:
        raw, self._raw, self._region = self._raw, "", ""
        calls = _calls(value) if field == CALLS and self._tools else None
        if calls is None:
            self._add(raw)
        else:
            self._calls += calls
            self._any = True

    def _unread(self, error: Exception) -> None:
        """What the parser failed at is text, and what follows is read again."""
        from transformers.utils.chat_parsing import ResponseParser

        logger.warning("an answer does not fit the tokenizer's response_template: %s", brief(str(error)))
        self._add(self._raw)
        self._raw = self._region = ""
        self._parser = ResponseParser(self._template, "", tools=self._tools)

    def _add(self, text: str, *, thought: bool = False) -> None:
        told = self._texts[thought].add(text)
        self._told[thought] += told
        self._any = self._any or bool(told)

    def _taken(self) -> AnswerPiece:
        found = AnswerPiece(self._told[True], self._told[False], self._calls)
        self._told, self._calls = {True: "", False: ""}, []
        if self._any:
            self._lost = ""
        return found


def _calls(value: Any) -> list[ToolCall] | None:
    """What a region of calls has been read as; None: those are none."""
    found: list[ToolCall] = []
    for each in value if isinstance(value, list) else [value]:
        function = each.get("function", each) if isinstance(each, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            return None
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments or "{}")
            except (ValueError, RecursionError):
                return None
        if not isinstance(arguments, dict | None):
            return None
        found.append(ToolCall(function["name"], json.dumps(arguments or {}, ensure_ascii=False)))
    return found
