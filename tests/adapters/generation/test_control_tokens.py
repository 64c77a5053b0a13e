"""Special tokens in what a client says are marked, and found again in the prompt."""

from __future__ import annotations

from typing import Any

from adapters.generation.control_tokens import Marks, lies_in

SPECIAL = ["<|end|>", "<|end|>>", "<s>", ""]


def test_texts_within_anything_are_marked_and_come_back() -> None:
    marks = Marks(SPECIAL)
    given: dict[str, Any] = {"a": ["x<s>y", 5, None, True], "<s>": {"b": "<|end|>>"}}
    hidden = marks.hide(given)
    written = str(hidden)
    assert "<s>" not in written
    assert "<|end|>" not in written
    (first, _, _, _), second = hidden["a"], next(value for name, value in hidden.items() if name != "a")["b"]
    text, places = marks.reveal(f"<s>{first}<|end|>{second}")
    assert text == "<s>x<s>y<|end|><|end|>>"
    assert [text[begin:end] for begin, end in places] == ["<s>", "<|end|>>"]
    assert places[0][0] == 4


def test_what_has_none_stays_as_it_is() -> None:
    assert Marks(SPECIAL).hide({"a": ["b"]}) == {"a": ["b"]}
    assert Marks(()).hide("<s>") == "<s>"
    assert Marks(SPECIAL).reveal("plain") == ("plain", [])


def test_nobody_can_write_a_mark() -> None:
    marks = Marks(SPECIAL)
    written = marks.hide("<s>")
    other = Marks(SPECIAL)
    other.hide("<s>")
    assert other.reveal(written) == (written, [])


def test_where_tokens_lie() -> None:
    assert lies_in([(2, 5)], (2, 5))
    assert lies_in([(0, 1), (2, 7)], (3, 5))
    assert lies_in([(0, 1), (2, 7), (9, 11)], (2, 7))
    assert not lies_in([(0, 1), (2, 7), (9, 11)], (7, 9))
    assert not lies_in([(0, 1), (2, 7), (9, 11)], (6, 8))
    assert not lies_in([(2, 5)], (1, 5))
    assert not lies_in([], (0, 0))
