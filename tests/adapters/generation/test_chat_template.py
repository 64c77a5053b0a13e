"""Chats as the model's template writes them, and what is said where it does not."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from adapters.base import LoadError
from adapters.generation.chat_template import ChatTemplate
from adapters.generation.job import Chat
from adapters.generation.refusal import RefusedJob

HELLO = [{"role": "user", "content": "hello"}]


def with_template(tokenizer: Any, template: str | None) -> Any:
    found = copy.copy(tokenizer)
    found.chat_template = template
    return found


def test_the_template_s_own_words(tokenizer: Any) -> None:
    text = ChatTemplate(tokenizer).render(Chat(HELLO))
    assert text == "<|begin|><|start|>user\nhello<|end|>\n<|start|>assistant\n"


def test_parts_of_text_become_one(tokenizer: Any) -> None:
    parts = [{"type": "text", "text": "hello"}, {"type": "text", "text": "there"}]
    text = ChatTemplate(tokenizer).render(Chat([{"role": "user", "content": parts}]))
    assert "hello\nthere<|end|>" in text


def test_a_refusal_that_comes_back_is_what_the_assistant_said(tokenizer: Any) -> None:
    refused = {"role": "assistant", "content": None, "refusal": "I would rather not"}
    text = ChatTemplate(tokenizer).render(Chat([*HELLO, refused, *HELLO]))
    assert "<|start|>assistant\nI would rather not<|end|>" in text


def test_a_developer_is_the_system_where_the_template_knows_no_other_word(tokenizer: Any) -> None:
    asked = Chat([{"role": "developer", "content": "be brief"}, *HELLO])
    assert "<|start|>system\nbe brief<|end|>" in ChatTemplate(tokenizer).render(asked)
    knows = "{% for each in messages %}{{ 'D' if each.role == 'developer' else each.role }} {% endfor %}"
    assert ChatTemplate(with_template(tokenizer, knows)).render(asked) == "D user "


def test_whether_a_greeting_is_a_chat(tokenizer: Any) -> None:
    assert ChatTemplate(tokenizer).takes_greetings
    assert not ChatTemplate(with_template(tokenizer, None)).takes_greetings
    assert not ChatTemplate(with_template(tokenizer, "{{ raise_exception('no') }}")).takes_greetings


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([], "at least one message"),
        (["hello"], "messages[0] must be an object"),
        ([{"content": "hello"}], '"role"'),
        ([{"role": "user"}], "messages[0].content is missing"),
        ([*HELLO, {"role": "tool", "content": None}], "messages[1].content is missing"),
        ([{"role": "user", "content": 3}], "messages[0].content must be a text"),
        (
            [{"role": "user", "content": [{"type": "image_url"}]}],
            "messages[0].content[0]: the model takes parts of type",
        ),
        ([{"role": "oracle", "content": ""}], "there is no role oracle here"),
    ],
)
def test_what_is_refused(tokenizer: Any, messages: list[Any], told: str) -> None:
    with pytest.raises(RefusedJob) as caught:
        ChatTemplate(tokenizer).render(Chat(messages))
    assert told in str(caught.value)
    assert caught.value.param == "messages"


def test_without_a_template_the_way_out_is_named(tokenizer: Any) -> None:
    with pytest.raises(RefusedJob, match=r"chat_template\.jinja") as caught:
        ChatTemplate(with_template(tokenizer, None)).render(Chat(HELLO))
    assert caught.value.code == "no_chat_template"


def test_a_template_that_is_none_is_the_model_s_fault(tokenizer: Any) -> None:
    with pytest.raises(LoadError, match="no Jinja template"):
        ChatTemplate(with_template(tokenizer, "{% for %}"))


def test_a_template_that_trips_over_a_message_is_told(tokenizer: Any) -> None:
    template = ChatTemplate(with_template(tokenizer, "{{ messages[0]['name'] + 1 }}"))
    with pytest.raises(RefusedJob, match="does not take these messages"):
        template.render(Chat([{"role": "user", "content": "", "name": "x"}]))


def test_a_template_runs_in_a_sandbox(tokenizer: Any) -> None:
    template = ChatTemplate(with_template(tokenizer, "{{ ''.__class__.__mro__[1].__subclasses__() }}"))
    with pytest.raises(RefusedJob):
        template.render(Chat(HELLO))


def test_more_values_for_the_template(tokenizer: Any) -> None:
    template = ChatTemplate(with_template(tokenizer, "{{ 'thinking' if enable_thinking else 'not' }}"))
    assert template.render(Chat(HELLO, template_values={"enable_thinking": True})) == "thinking"
    for values in ({"tokenize": True}, {"chat_template": "x"}, {"conversation": []}):
        with pytest.raises(RefusedJob, match="may not set"):
            template.render(Chat(HELLO, template_values=values))


TOOLS = [{"type": "function", "function": {"name": "now"}}]
WITH_TOOLS = (
    "{% for tool in tools %}{{ tool.function.name }}{% endfor %}{% for message in messages %}"
    "{% for call in message.tool_calls %}<tool_call>{{ call.function.arguments | tojson }}{% endfor %}{% endfor %}"
)


def test_tools_and_earlier_calls_reach_the_template(tokenizer: Any) -> None:
    template = ChatTemplate(with_template(tokenizer, WITH_TOOLS))
    call = {"id": "1", "type": "function", "function": {"name": "now", "arguments": '{"zone": "UTC"}'}}
    messages = [*HELLO, {"role": "assistant", "content": None, "tool_calls": [call]}]
    assert template.render(Chat(messages, TOOLS)) == 'now<tool_call>{"zone": "UTC"}'
    for calls in ([3], "x", [{"function": {"arguments": "{"}}]):
        with pytest.raises(RefusedJob, match=r"messages\[0\].tool_calls"):
            template.render(Chat([{"role": "assistant", "tool_calls": calls}]))


def test_tools_of_a_model_whose_calls_are_not_read_are_refused(tokenizer: Any) -> None:
    with pytest.raises(RefusedJob, match="leave them out") as caught:
        ChatTemplate(tokenizer).render(Chat(HELLO, TOOLS))
    assert caught.value.param == "tools"


def test_what_it_thought_comes_back_by_the_name_that_the_template_knows(tokenizer: Any) -> None:
    names = ("reasoning_content", "reasoning", "thinking")
    for known in names:
        knows = (
            f"{{% if enable_thinking %}}{{% endif %}}{{% for each in messages %}}{{{{ each.{known} }}}}{{% endfor %}}"
        )
        template = ChatTemplate(with_template(tokenizer, knows))
        for name in names:
            assert template.render(Chat([{"role": "assistant", "content": "yes", name: "so"}])) == "so"
    with pytest.raises(RefusedJob, match=r"messages\[0\].reasoning_content must be a text"):
        template.render(Chat([{"role": "assistant", "content": "yes", "reasoning_content": 5}]))


@pytest.mark.parametrize(
    ("written", "effort", "told"),
    [
        ("{{ reasoning_effort }}", "high", "high"),
        ("{{ enable_thinking }}", "none", "False"),
        ("{{ enable_thinking }}", "low", "True"),
        ("{% if thinking %}yes{% else %}no{% endif %}", "medium", "yes"),
        ("{% if not thinking %}no{% endif %}", "none", "no"),
    ],
)
def test_how_much_it_is_to_think_is_told_in_the_template_s_words(
    tokenizer: Any, written: str, effort: str, told: str
) -> None:
    assert ChatTemplate(with_template(tokenizer, written)).render(Chat(HELLO, effort=effort)) == told


def test_a_template_that_asks_for_no_effort_has_it_refused(tokenizer: Any) -> None:
    with pytest.raises(RefusedJob, match="reasoning_effort") as caught:
        ChatTemplate(tokenizer).render(Chat(HELLO, effort="low", effort_field="reasoning"))
    assert (caught.value.param, caught.value.code) == ("reasoning", "unsupported_parameter")


def test_calls_of_another_form_are_taken_where_the_tokenizer_reads_them(tokenizer: Any) -> None:
    template = with_template(tokenizer, "{% if tools %}tools{% endif %}")
    asked = Chat(HELLO, [{"type": "function", "function": {"name": "now"}}])
    assert ChatTemplate(template, reads_calls=True).render(asked) == "tools"
    with pytest.raises(RefusedJob, match="tools"):
        ChatTemplate(template).render(asked)


DOUBLING = "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}"


def test_a_template_beyond_all_bounds_is_refused_and_one_for_some_messages_refuses_them(tokenizer: Any) -> None:
    with pytest.raises(LoadError, match='for a chat of one "Hello": the model\'s chat template makes more than'):
        ChatTemplate(with_template(tokenizer, DOUBLING))
    some = ChatTemplate(with_template(tokenizer, "{% if messages|length > 1 %}" + DOUBLING + "{% endif %}sound"))
    with pytest.raises(RefusedJob, match="the model's chat template makes more than"):
        some.render(Chat(HELLO * 2))
    assert some.render(Chat(HELLO)) == "sound"
