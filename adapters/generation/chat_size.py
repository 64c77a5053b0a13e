"""How many parts a conversation holds, before its template is asked to write it.

A template takes some ten microseconds for each, in Python, which whoever generates meanwhile has to share: 700,000 in
100,000 tools are many seconds, and in the end the prompt is too long for the model.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from adapters.generation.job import Chat
from adapters.generation.refusal import TOO_LONG, RefusedJob

_OF_A_TOKEN = 2  #: parts: a message of one word is five, and takes four tokens at least
_BESIDE = 10_000  #: more, which a template may leave out


def check_parts(chat: Chat, context: int) -> None:
    """
    Raises:
        RefusedJob: it holds far more than so many tokens could write.
    """
    most = left = _OF_A_TOKEN * context + _BESIDE
    fields = {"messages": chat.messages, "tools": chat.tools, "chat_template_kwargs": chat.template_values}
    for field, value in fields.items():
        left -= _count(value, left)
        if left < 0:
            raise RefusedJob(
                f"{field}: the chat holds more than {most} values and keys, and this model's maximum context length is "
                f"{context} tokens, which cannot write them: send fewer messages and tools",
                field,
                TOO_LONG,
            )


def _count(value: Any, most: int) -> int:
    """Values of JSON and their keys, in all depths; no further than one more than `most`."""
    found, waiting = 1, [value]
    while waiting and found <= most:
        each = waiting.pop()
        inner: Iterable[Any] = ()
        if isinstance(each, dict):
            found += 2 * len(each)
            inner = each.values()
        elif isinstance(each, list | tuple):
            found += len(each)
            inner = each
        waiting.extend(other for other in inner if isinstance(other, dict | list | tuple))
    return found
