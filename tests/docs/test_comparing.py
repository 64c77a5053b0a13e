"""When an answer is the one that a page shows."""

from __future__ import annotations

import pytest

from tests.docs.comparing import is_shown


@pytest.mark.parametrize(
    ("shown", "answer", "same"),
    [
        ("ok", "ok\n", True),
        ("ok", "ko", False),
        ("a   b\nc", "a b c", True),
        ("7 models", "8 models", False),
        ("in 1.50 s", "in 1.5 s", True),
        ("[0.98166, 1.4e-08]", "[0.981656829444016, 1.4395045350105303e-08]", True),
        ("[0.98166]", "[0.9717]", False),
        ("[-0.5]", "[0.5]", False),
        ("made in ... s\nall well", "made in 12.5 s\nall well", True),
        ("a\n...\nz", "a\nb\nc\nz", True),
        ("a\n...\nz", "a\nb\nc", False),
        ("[1] (x?)", "[1] (x?)", True),
        ("", "something", False),
    ],
)
def test_texts(shown: str, answer: str, same: bool) -> None:
    assert is_shown(shown, answer) is same


@pytest.mark.parametrize(
    ("shown", "answer", "same"),
    [
        ('{\n  "a": [1, 2.0]\n}', '{"a":[1,2.0]}', True),
        ('{"a": 1, ...}', '{"a":1,"b":[2]}', True),
        ('{"a": 1}', '{"a":2}', False),
    ],
)
def test_json_without_spaces(shown: str, answer: str, same: bool) -> None:
    assert is_shown(shown, answer, spaces=False) is same
