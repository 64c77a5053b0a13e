"""Hostile templates end with the bound, whatever they do it by; ordinary ones write what transformers writes."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.huggingface_ import template_budget, template_environment
from adapters.huggingface_.template_budget import TooMuch
from adapters.huggingface_.template_environment import BoundedTemplate, bound_templates, compiled
from tests.language_models import TEMPLATE, THINKING_TEMPLATE

MESSAGES: list[Any] = [
    {"role": "user", "content": " hello\nthere "},
    {"role": "assistant", "content": "yes", "reasoning_content": "hm"},
]
TOOLS = [{"type": "function", "function": {"name": "now", "parameters": {"a": [1, 2.5, None, True, "é<"]}}}]
#: what makes of `n.x` something that is twice as long, or holds it twice
DOUBLING = {
    "tilde": "n.x ~ n.x", "plus": "n.x + n.x", "join": "[n.x, n.x]|join", "method": "''.join([n.x, n.x])",
    "format": "'{0}{0}'.format(n.x)", "percent": "'%s%s' % (n.x, n.x)", "filter": "'%s%s'|format(n.x, n.x)",
    "replace": "(n.x ~ 'a')|replace('a', 'aa')", "times": "n.x * 2", "list": "[n.x, n.x]",
    "object": "{'a': n.x, 'b': n.x}", "tuple": "(n.x, n.x)", "dict": "dict(a=n.x, b=n.x)",
    "items": "{'a': n.x, 'b': n.x}.items()", "indent": "(n.x ~ '\na')|indent(n.x|length)",
}  # fmt: skip
ENDLESS = (
    "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{% set n = namespace(l=[], x='a' * 100000) %}"
    "{% for i in range(100000) %}{% set n.l = n.l + [n.x[1:]] %}{% endfor %}",
    "{% set x = 'a' * 1000000 %}" + "{{ x }}" * 100,
    "{% set x = 'a' * 1000000 %}{{ " + "~".join(["x"] * 100) + " }}",
    "{% filter replace('a', 'b' * 1000000) %}" + "a" * 100 + "{% endfilter %}",
)


@pytest.mark.parametrize("name", DOUBLING)
def test_what_doubles_ends(name: str) -> None:
    source = "{% set n = namespace(x='aa') %}{% for i in range(60) %}{% set n.x = EXPR %}{% endfor %}{{ n.x }}"
    with pytest.raises(TooMuch, match="the model's chat template makes more than"):
        compiled(source.replace("EXPR", DOUBLING[name])).render(messages=MESSAGES)


@pytest.mark.parametrize("name", DOUBLING)
def test_what_doubles_in_a_block_or_an_object_of_names_ends(name: str) -> None:
    source = "{% set n = namespace(x='aa') %}{% for i in range(60) %}{% set y = EXPR %}{% set n.x %}{{ y }}{% endset %}"
    with pytest.raises(TooMuch):
        compiled(source.replace("EXPR", DOUBLING[name]) + "{% endfor %}").render(messages=MESSAGES)
    names = "{% set n = namespace(x='aa') %}{% for i in range(60) %}{% set n.x = namespace(a=n.x, b=n.x) %}{% endfor %}"
    for written in (
        "{{ n.x }}",
        "{{ n.x|string }}",
        "{{ 'a' ~ n.x }}",
        "{{ raise_exception(n.x) }}",
        "{{ n.x|upper }}",
    ):
        with pytest.raises(TooMuch):
            compiled(names + written).render(messages=MESSAGES)


@pytest.mark.parametrize("source", ENDLESS)
def test_what_never_ends_is_ended(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_budget, "_MOST_MADE", 1 << 23)
    with pytest.raises(TooMuch):
        compiled(source).render(messages=MESSAGES)


ORDINARY = (
    TEMPLATE,
    THINKING_TEMPLATE,
    "{% for m in messages if m.role == 'user' %}{{ loop.index }}/{{ loop.length }} {{ m.content|trim }}{% endfor %}"
    "{{ messages[1:]|length }}{{ messages[0]['content'][1:3] ~ 1 ~ none }}{{ tools|tojson(indent=2) }}",
    "{% macro f(x, y='z') %}<{{ x }}{{ y }}>{% endmacro %}{{ f('a') }}{{ f('b', 1.5) }}{% set q = f(2) %}{{ q|upper }}",
    "{% set n = namespace(l=[], c=0) %}"
    "{% for m in messages %}{% set n.l = n.l + [m] %}{% set n.c = n.c + 1 %}{% endfor %}"
    "{{ n.c }}{{ n.l|map(attribute='role')|join(', ') }}{{ 7 % 4 }}{{ 2 * 3 ** 2 }}{{ '%s-%05.1f' % ('a', 2.25) }}",
    "{% for k, v in tools[0].function.items() %}{{ k }}={{ v }};{% endfor %}{{ tools[0]|tojson }}{{ [1, 'a', none] }}",
    "{% for x in [[1, [2, [3]]], []] recursive %}{{ loop.depth }}{% if x is iterable %}{{ loop(x) }}{% else %}{{ x }}"
    "{% endif %}{% endfor %}{% set a, b = 1, 2 %}{{ (a, b) }}{{ '{} {b:>5}'.format(a, b=b) }}",
    "{{ messages[1].content.split('e')[-1].lstrip('\\n') }}{{ 'abc'.replace('b', '') }}{{ undefined_name or 'none' }}"
    "{% generation %}{{ messages[0].content }}{% endgeneration %}{% for i in [1, 2, 3] %}{% if i == 2 %}{% break %}"
    "{% endif %}{{ i }}{% endfor %}{{ dict(a=1) }}{{ strftime_now('%Y')|length }}"
    "{{ messages|selectattr('role', 'in', ['user'])|list|length }}",
)


@pytest.mark.parametrize("source", ORDINARY)
def test_ordinary_templates_write_what_transformers_writes(source: str) -> None:
    from transformers.utils import chat_template_utils

    given = {"messages": MESSAGES, "tools": TOOLS, "add_generation_prompt": True, "bos_token": "<s>"}
    theirs = chat_template_utils._cached_compile_jinja_template(source)  # type: ignore[no-untyped-call]
    assert compiled(source).render(**given) == theirs.render(**given)


def test_all_of_transformers_templates_are_bounded() -> None:
    """The place by which transformers is told, which a release of it may move."""
    from transformers.utils import chat_template_utils

    bound_templates()
    assert isinstance(chat_template_utils._compile_jinja_template("a"), BoundedTemplate)
    with pytest.raises(TooMuch):
        chat_template_utils.render_jinja_template([MESSAGES], chat_template="{{ 'a' * 10 ** 9 }}")


def test_another_release_s_templates_are_rendered_without_a_bound(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from transformers.utils import chat_template_utils

    template_environment._theirs.cache_clear()
    monkeypatch.delattr(chat_template_utils, "_compile_jinja_template")
    bound_templates()
    assert "chat templates are not bounded" in caplog.text
    assert not hasattr(chat_template_utils, "_compile_jinja_template")
