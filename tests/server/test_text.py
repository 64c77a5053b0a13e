"""Texts and sizes as messages show them."""

from __future__ import annotations

import pytest

from server.text import blanked, mebibytes, printable, size


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain ü", "plain ü"), ("a\nb", r"'a\nb'"), ("x" * 81, "x" * 80 + "..."), ("\x1b" + "x" * 100, None)],
)
def test_a_text_of_strangers_is_one_bounded_line(text: str, shown: str | None) -> None:
    assert printable(text).isprintable()
    assert len(printable(text)) <= 6 * 80
    assert shown is None or printable(text) == shown


def test_what_is_not_printable_leaves_a_blank() -> None:
    assert blanked("a\x1b[1m\tb\u202e\né") == "a [1m b  é"


def test_mebibytes() -> None:
    assert [mebibytes(count) for count in (0, 2**20, 3 * 2**30)] == ["0.0 MiB", "1.0 MiB", "3072.0 MiB"]


def test_sizes_have_their_unit() -> None:
    counts = (0, 1023, 1024, 1536, 2**20 - 1, 2**20, 5 * 2**30, 2**40, 2**51)
    assert [size(count) for count in counts] == [
        "0 bytes",
        "1023 bytes",
        "1.0 KiB",
        "1.5 KiB",
        "1024.0 KiB",
        "1.0 MiB",
        "5.0 GiB",
        "1.0 TiB",
        "2048.0 TiB",
    ]
