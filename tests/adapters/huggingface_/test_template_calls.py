"""What a filter, a function or a method would make far too long is not begun."""

from __future__ import annotations

import pytest

from adapters.huggingface_.template_budget import TooMuch
from adapters.huggingface_.template_environment import compiled

#: what is far too long at once
LONG = (
    "'%1000000000d'|format(1)", "'%*d'|format(1000000000, 1)", "'%1000000000d' % 1", "'{:1000000000}'.format(1)",
    "'{:{}}'.format(1, 1000000000)", "'{a:1000000000}'.format_map({'a': 1})", "['%1000000000d']|map('format', 1)|list",
    "'a'|center(1000000000)", "'a'.center(1000000000)", "'a'.ljust(1000000000)", "'a'.zfill(1000000000)",
    "'\t'.expandtabs(1000000000)", "'a' * 1000000000", "1000000000 * 'a'", "[0] * 1000000000", "10 ** (10 ** 8)",
    "[1]|batch(1000000000, 'a')|list", "(1).to_bytes(1000000000, 'big')", "[[1]]|tojson(indent=1000000000)",
    "strftime_now('%1000000000d')", "('a' * 1000000).replace('a', 'a' * 1000000)",
    "('a' * 1000000).translate({97: 'a' * 1000000})", "('a' * 1000000)|join('a' * 1000000)",
)  # fmt: skip


@pytest.mark.parametrize("expression", LONG)
def test_what_is_far_too_long_is_not_begun(expression: str) -> None:
    with pytest.raises(TooMuch):
        compiled("{{ (" + expression + ")|length }}").render(messages=[])


def test_long_texts_are_written_within_the_budget() -> None:
    text = "a b\n" * 250_000
    source = (
        "{{ messages[0]|replace('a', 'bc')|trim|indent(2)|length }} {{ messages|tojson|length }} {{ '%10s'|format(1) }}"
    )
    assert compiled(source).render(messages=[text]) == "1749997 1250004          1"
