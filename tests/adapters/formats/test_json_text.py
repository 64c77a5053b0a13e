"""JSON that would take far more memory than its length is refused before anything is made of it."""

from __future__ import annotations

import pytest

from adapters.formats import json_text
from adapters.formats.json_text import TooMuchJson, loads


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_text, "MOST_LISTS", 100)
    monkeypatch.setattr(json_text, "_STEP", 7)


@pytest.mark.parametrize("kind", [bytes, str])
@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[" + "[]," * 100 + "[]]", "100 lists and objects"),
        ("[" + "{}," * 100 + "{}]", "100 lists and objects"),
        ("[" * 101, "100 lists and objects"),
        ("[" + "1," * 50 + "1]", "49 values"),
    ],
)
def test_what_is_many_is_not_read(kind: type, text: str, what: str) -> None:
    given = text.encode() if kind is bytes else text
    with pytest.raises(TooMuchJson, match=f"more than {what}"):
        loads(given, most_values=49)


def test_anything_else_is_read_as_ever() -> None:
    assert loads(b"[" + b"[]," * 98 + b"[]]") == [[]] * 99
    assert loads("[" + "1," * 200 + "1]") == [1] * 201
    assert loads('{"a": 1, "a": 2}', object_pairs_hook=list) == [("a", 1), ("a", 2)]
    with pytest.raises(ValueError, match="Expecting value"):
        loads(b"[,]")
