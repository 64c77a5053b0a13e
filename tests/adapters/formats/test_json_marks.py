"""Marks of JSON, counted outside of texts, wherever a part of the bytes ends."""

from __future__ import annotations

import json
import random

import pytest

from adapters.formats import json_marks
from adapters.formats.json_marks import count_outside

_LETTERS = ('"', "\\", "{", "[", ",", "é", "\\\\", '\\"')


@pytest.mark.parametrize("step", [1, 3, 1 << 20])
def test_what_stands_in_a_text_is_a_letter(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    monkeypatch.setattr(json_marks, "_STEP", step)
    draw = random.Random(5)
    for _ in range(100):
        texts = ["".join(draw.choices(_LETTERS, k=draw.randrange(6))) for _ in range(draw.randrange(8))]
        written = json.dumps([{}, *texts], ensure_ascii=False).encode()
        assert count_outside(written, ("[", "{"), 10**6) == 2
        assert count_outside(written, ('"',), 10**6) == 2 * len(texts)
        assert count_outside(written, (",",), 10**6) == len(texts)


def test_no_further_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_marks, "_STEP", 10)
    assert 5 < count_outside(b"[" * 1000, ("[",), 5) < 20
    assert count_outside(b"", ("[",), 5) == 0
