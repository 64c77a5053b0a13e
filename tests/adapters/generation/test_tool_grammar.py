"""Grammars of calls: what a model may write, in both forms, and what it may not."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.generation.grammar import Grammar, GrammarLimits
from adapters.generation.job import Chat, Job
from adapters.generation.refusal import RefusedJob
from adapters.generation.tool_calls import ToolCallReader
from adapters.generation.tool_grammar import grammar_of

WEATHER = {
    "name": "weather",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "unit": {"type": "string", "enum": ["C", "F"]},
            "days": {"$ref": "#/$defs/count"},
        },
        "required": ["city", "days"],
        "additionalProperties": False,
        "$defs": {"count": {"type": "integer"}},
    },
}
NOW = {"name": 'no"w'}
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris", "days": 3}}\n</tool_call>'
OTHER = '<tool_call>\n{"name": "no\\"w", "arguments": {}}\n</tool_call>'
FUNCTION = (
    "<tool_call>\n<function=weather>\n<parameter=city>\nP<aris\n</parameter>\n<parameter=unit>\nC\n</parameter>\n"
    "<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>"
)
WRONG = CALL.replace("3", '"3"')


def chat(*functions: dict[str, Any], **fields: Any) -> Chat:
    tools = [{"type": "function", "function": function} for function in functions or (WEATHER, NOW)]
    (prompt,) = Job.of({"messages": [{}], "tools": tools, **fields}).prompts
    assert isinstance(prompt, Chat)
    return prompt


def fits(grammar: Grammar | None, text: str) -> bool:
    """Whether a model may write the whole text, and end there."""
    from llguidance import LLMatcher, LLTokenizer

    assert grammar is not None
    matcher = LLMatcher(LLTokenizer("byte"), grammar.source(), log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    return matcher.try_consume_tokens(list(text.encode())) == len(text.encode()) and matcher.is_accepting()


def call(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


@pytest.mark.parametrize(
    ("parameters", "is_open"),
    [
        ({"type": "object", "properties": {}}, False),
        ({"properties": {"a": {"type": "integer"}}}, False),
        ({"type": "object", "properties": {}, "additionalProperties": True}, True),
        ({"type": "object"}, True),
    ],
)
def test_a_call_has_the_arguments_that_its_function_lists(parameters: dict[str, Any], is_open: bool) -> None:
    """Else a model would go on with names of its own until its tokens are used up, and no call be made."""
    grammar = grammar_of(
        chat({"name": "f", "parameters": parameters}, tool_choice="required"), None, as_functions=False
    )
    assert fits(grammar, call("f", "{}"))
    assert fits(grammar, call("f", '{"b": 1}')) is is_open


def test_any_call_that_is_required() -> None:
    grammar = grammar_of(chat(tool_choice="required"), None, as_functions=False)
    assert fits(grammar, CALL)
    assert fits(grammar, f"{CALL}\n{OTHER}")
    assert not fits(grammar, WRONG)
    assert not fits(grammar, "hello")
    assert not fits(grammar, "")


def test_one_function_and_one_call() -> None:
    named = chat(tool_choice={"name": "weather"}, parallel_tool_calls=False)
    grammar = grammar_of(named, None, as_functions=False)
    assert fits(grammar, CALL)
    assert not fits(grammar, OTHER)
    assert not fits(grammar, f"{CALL}\n{CALL}")


def test_calls_as_functions_with_parameters() -> None:
    grammar = grammar_of(chat(tool_choice="required"), None, as_functions=True)
    assert fits(grammar, FUNCTION)
    assert not fits(grammar, FUNCTION.replace("\nC\n", "\nK\n"))
    assert not fits(grammar, FUNCTION.replace("\n3\n", "\nthree\n"))
    _, (call,) = ToolCallReader(chat().tools or ()).feed(FUNCTION)
    assert call.arguments == '{"city": "P<aris", "unit": "C", "days": 3}'


def test_strict_functions_of_a_chat_that_may_call_or_not() -> None:
    assert grammar_of(chat(), None, as_functions=False) is None
    grammar = grammar_of(chat({**WEATHER, "strict": True}), None, as_functions=False)
    assert fits(grammar, "a < b, and <tool")
    assert fits(grammar, f"so: {CALL} and {CALL}.")
    assert not fits(grammar, f"so: {WRONG}")


def test_an_answer_of_a_form_or_calls() -> None:
    answer = Grammar("json_schema", {"type": "object"}, "response_format")
    grammar = grammar_of(chat(), answer, as_functions=False)
    assert fits(grammar, '{"a": 1}')
    assert fits(grammar, CALL)
    assert not fits(grammar, "hello")
    with pytest.raises(RefusedJob, match="leave the tools out"):
        grammar_of(chat(), Grammar("lark", "start: X", "guided_grammar"), as_functions=False)


def test_without_tools_there_is_only_the_answer_s() -> None:
    answer = Grammar("json_object", None, "response_format")
    assert grammar_of(Chat([{}]), answer, as_functions=False) is answer
    assert grammar_of(chat(tool_choice="none"), None, as_functions=False) is None


def test_definitions_that_each_parameter_has_once_more_are_bounded() -> None:
    """Two megabytes of tools would become two gigabytes of a grammar, before it is found to be too long."""
    schema = {
        "$defs": {"d": {"description": "=" * 1_000_000}},
        "properties": {f"p{number}": {"$ref": "#/$defs/d"} for number in range(2000)},
    }
    for function in ({"name": "f", "parameters": schema}, {"name": "f", "parameters": {**schema, "required": [[], 1]}}):
        with pytest.raises(RefusedJob, match="more than 262144 bytes") as caught:
            grammar_of(chat(function, tool_choice="required"), None, as_functions=True)
        assert caught.value.param == "tools"
    few = {"name": "f", "parameters": {"properties": {"a": {"type": "integer"}}, "required": ["a", ["a"], 1]}}
    with pytest.raises(RefusedJob, match="more than 40 bytes"):
        grammar_of(chat(few, tool_choice="required"), None, as_functions=True, limits=GrammarLimits(size=40))
    assert grammar_of(chat(few, tool_choice="required"), None, as_functions=True) is not None


@pytest.mark.parametrize("parameters", [[], "x", {"properties": []}, {"required": "city"}, {"properties": 5}])
def test_parameters_that_are_none(parameters: Any) -> None:
    with pytest.raises(RefusedJob, match="parameters of f must"):
        grammar_of(chat({"name": "f", "parameters": parameters}, tool_choice="required"), None, as_functions=True)
