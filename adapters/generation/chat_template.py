"""A conversation as the model's own chat template writes it (Jinja, in transformers' sandbox).

A template is part of the model; what it may make of a conversation, and its time, are bounded (`template_budget`). What
it raises itself (`raise_exception`) is said to the client as it is, for that is how models say which conversations they
were not made for.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from typing import Any

from adapters.base import LoadError
from adapters.generation.job import EFFORT, NO_EFFORT, Chat
from adapters.generation.refusal import RefusedJob
from adapters.generation.tool_calls import OPEN, check_tools, writes_functions
from adapters.shared.messages import brief

NO_TEMPLATE = (
    "the model has no chat template, so it knows no chats: ask /v1/completions; or put its chat_template.jinja into "
    "its folder, or name another file there by the option chat_template"
)
#: OpenAI's newer word for the system, which few templates know
_DEVELOPER, _SYSTEM = "developer", "system"
#: of a message: OpenAI-compatible servers', OpenRouter's, transformers'
_REASONING = ("reasoning_content", "reasoning", "thinking")
#: by which a template asks whether to think at all: Qwen's, SmolLM's; DeepSeek's, Granite's
_SWITCHES = {
    "enable_thinking": re.compile("enable_thinking"),
    "thinking": re.compile(r"if\s+(?:not\s+)?thinking\b"),
}
_TRIAL = Chat([{"role": "user", "content": "Hello"}])


class ChatTemplate:
    """The template of one tokenizer."""

    def __init__(self, tokenizer: Any, *, reads_calls: bool = False) -> None:
        """`reads_calls`: the tokenizer says itself how calls of tools are read.

        Raises:
            LoadError: it is no Jinja template, or is beyond all bounds.
        """
        from jinja2 import TemplateSyntaxError

        from adapters.huggingface_.template_budget import TooMuch
        from adapters.huggingface_.template_environment import bound_templates

        bound_templates()
        self._tokenizer = tokenizer
        self._reads_calls = reads_calls
        self._reserved = set(inspect.signature(tokenizer.apply_chat_template).parameters)
        self.takes_greetings = False  #: a user's first message is a conversation that it renders
        if not tokenizer.chat_template:
            return
        try:
            self.render(_TRIAL)
            self.takes_greetings = True
        except RefusedJob as error:  # a model may want other chats than this one
            if isinstance(error.__cause__, TooMuch):
                raise LoadError(f'for a chat of one "Hello": {error.__cause__}') from error
            if isinstance(error.__cause__, TemplateSyntaxError):
                raise LoadError(f"the chat template is no Jinja template: {brief(str(error.__cause__))}") from error

    @property
    def writes_calls(self) -> bool:
        """Whether it has calls of tools written in a form that `tool_calls` reads."""
        return OPEN in str(self._tokenizer.chat_template)

    @property
    def writes_functions(self) -> bool:
        """Whether it has calls of tools written as functions with parameters, and not as JSON."""
        return writes_functions(str(self._tokenizer.chat_template))

    def render(self, chat: Chat) -> str:
        """The prompt as text, its special tokens within.

        Raises:
            RefusedJob: there is no template, or it does not take this conversation.
        """
        from jinja2 import TemplateError

        written = str(self._tokenizer.chat_template or "")
        if not written:
            raise RefusedJob(NO_TEMPLATE, "messages", "no_chat_template")
        if not isinstance(chat.messages, list) or not chat.messages:
            raise RefusedJob("messages must be a list of at least one message", "messages")
        if chat.tools:
            check_tools(chat.tools, written, reads_calls=self._reads_calls)
        values = {**_effort(chat, written), **self._values(chat.template_values or {})}
        messages = [_with_text(message, f"messages[{i}]") for i, message in enumerate(chat.messages)]
        messages = [_with_reasoning(message, f"messages[{i}]", written) for i, message in enumerate(messages)]
        if _DEVELOPER not in written:
            messages = [{**each, "role": _SYSTEM} if each["role"] == _DEVELOPER else each for each in messages]
        try:
            text: str = self._tokenizer.apply_chat_template(
                messages, tools=chat.tools or None, add_generation_prompt=True, tokenize=False, **values
            )
        except TemplateError as error:
            raise RefusedJob(brief(str(error), "the chat template refuses these messages"), "messages") from error
        except Exception as error:  # whatever an expression of the template trips over
            told = brief(f"{type(error).__name__}: {error}")
            raise RefusedJob(f"the chat template does not take these messages: {told}", "messages") from error
        return text

    def _values(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        if not isinstance(values, dict):
            raise RefusedJob("chat_template_kwargs must be an object", "chat_template_kwargs")
        if taken := sorted(values.keys() & self._reserved):
            raise RefusedJob(f"chat_template_kwargs may not set {taken[0]}", "chat_template_kwargs")
        return values


def _with_text(message: Any, field: str) -> dict[str, Any]:
    """The message with its content as one text: templates of models of texts know nothing else."""
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise RefusedJob(f'{field} must be an object with a "role" and a "content"', "messages")
    found: dict[str, Any] = {**message}
    if found.get("tool_calls"):
        found["tool_calls"] = _with_arguments(found["tool_calls"], f"{field}.tool_calls")
    content = found.get("content")
    if content is None and isinstance(found.get("refusal"), str):  # the assistant's own words, where it said no others
        content = found["content"] = found["refusal"]
    if content is None and found["role"] != "assistant":  # whose calls of tools may be all that there is
        raise RefusedJob(f"{field}.content is missing: it must be a text, or a list of parts of type text", "messages")
    if isinstance(content, list):
        return {
            **found,
            "content": "\n".join(_text_of(part, f"{field}.content[{i}]") for i, part in enumerate(content)),
        }
    if content is not None and not isinstance(content, str):
        raise RefusedJob(f"{field}.content must be a text, or a list of parts of type text", "messages")
    return found


def _with_reasoning(message: dict[str, Any], field: str, template: str) -> dict[str, Any]:
    """The message with what the model thought before it, if it comes back, by a name that the template knows."""
    given = {name: message[name] for name in _REASONING if message.get(name) is not None}
    if not given:
        return message
    if strange := next((name for name, value in given.items() if not isinstance(value, str)), None):
        raise RefusedJob(f"{field}.{strange} must be a text", "messages")
    known = [name for name in _REASONING if re.search(rf"\b{name}\b", template)]
    if not given.keys().isdisjoint(known):
        return message
    return {**message, **dict.fromkeys(known, next(iter(given.values())))}


def _effort(chat: Chat, template: str) -> dict[str, Any]:
    """How much the model is to think, in the template's words."""
    effort = chat.effort
    told: dict[str, Any] = {}
    if effort and EFFORT in template:
        told[EFFORT] = effort
    for name, switch in _SWITCHES.items():
        if effort and switch.search(template):
            told[name] = effort != NO_EFFORT
    if effort and not told:
        raise RefusedJob(
            f"{chat.effort_field}: the model's chat template asks for no such thing, neither as reasoning_effort nor "
            "as enable_thinking: leave it out",
            chat.effort_field,
            "unsupported_parameter",
        )
    return told


def _text_of(part: Any, field: str) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "refusal" and isinstance(part.get("refusal"), str):
        return str(part["refusal"])
    if kind != "text" or not isinstance(part.get("text"), str):
        raise RefusedJob(f'{field}: the model takes parts of type "text" only, with their "text"', "messages")
    return str(part["text"])


def _with_arguments(calls: Any, field: str) -> list[Any]:
    """Earlier calls with their arguments as objects, which templates write as JSON; OpenAI's clients send texts."""
    try:
        return [
            {**call, "function": {**call["function"], "arguments": _object(call["function"].get("arguments"))}}
            for call in calls
        ]
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise RefusedJob(f"{field} must be a list of calls, whose arguments are JSON objects", "messages") from error


def _object(arguments: Any) -> Any:
    return json.loads(arguments or "{}") if isinstance(arguments, str | None) else arguments
