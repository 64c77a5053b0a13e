"""Conversations of more parts than the model's context could write are refused before their template sees them."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.generation import chat_size
from adapters.generation.chat_size import check_parts
from adapters.generation.job import Job
from adapters.generation.refusal import RefusedJob

HELLO = [{"role": "user", "content": "hello"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CONTEXT = 20


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_size, "_BESIDE", 10)


def checked(**fields: Any) -> None:
    (chat,) = Job.of(fields).prompts
    check_parts(chat, CONTEXT)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("messages", {"messages": HELLO * 12}),
        ("messages", {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}] * 12}]}),
        ("tools", {"messages": HELLO, "tools": [TOOL] * 8}),
        ("chat_template_kwargs", {"messages": HELLO, "chat_template_kwargs": {"a": [[]] * 50}}),
        ("chat_template_kwargs", {"messages": HELLO, "chat_template_kwargs": {f"k{i}": 1 for i in range(25)}}),
    ],
)
def test_the_field_is_named_in_which_it_becomes_too_much(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(RefusedJob, match=f"^{field}: .*more than 50 values and keys.* {CONTEXT} tokens") as caught:
        checked(**fields)
    assert (caught.value.param, caught.value.code) == (field, "context_length_exceeded")


def test_what_may_fit_is_left_to_the_template() -> None:
    checked(messages=HELLO * 9)
    checked(messages=[{"role": "user", "content": "a" * 10_000}])
    checked(messages="no list", chat_template_kwargs=[1])
