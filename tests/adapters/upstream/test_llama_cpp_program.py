"""The command line of `llama-server`, by options, and its words."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from adapters.base import ModelDir
from adapters.generation.grammar import Grammar
from adapters.generation.refusal import RefusedJob
from adapters.upstream.json_calls import schema_of
from adapters.upstream.llama_cpp_program import LlamaCppProgram
from tests.gguf_models import header, text, value

PROGRAM = LlamaCppProgram()


def line(folder: Path, **options: object) -> list[str]:
    (folder / "m.gguf").touch()
    return PROGRAM.arguments(ModelDir.of(folder), "m.gguf", "m", Path("/s"), options)


def pairs(words: list[str]) -> dict[str, str]:
    return dict(pairwise(words))


def test_the_context_is_each_sequence_s(tmp_path: Path) -> None:
    told = pairs(line(tmp_path, slots=3, max_context=100, threads=2, cache_type="q8_0"))
    assert (told["--ctx-size"], told["--parallel"], told["--threads"]) == ("300", "3", "2")
    assert told["--model"] == str(tmp_path / "m.gguf")
    assert told["--cache-type-v"] == "q8_0"
    assert "--ctx-size" not in line(tmp_path)


def test_reasoning_is_told_apart_unless_it_is_to_stay_in_the_text(tmp_path: Path) -> None:
    assert pairs(line(tmp_path))["--reasoning-format"] == "deepseek"
    assert pairs(line(tmp_path, reasoning="none"))["--reasoning-format"] == "none"


def test_every_option_of_text_has_choices_or_is_a_place() -> None:
    free = [option.name for option in PROGRAM.options if option.kind is str and not option.choices]
    assert free == ["environment", "chat_template"]


def test_its_words() -> None:
    assert PROGRAM.body({"repetition_penalty": 1.5}, None) == {"repeat_penalty": 1.5, "repeat_last_n": -1}
    asked = PROGRAM.body({"reasoning_effort": "none", "chat_template_kwargs": {"more": 1}}, None)
    told = {"reasoning_effort": "none", "enable_thinking": False, "more": 1}
    assert asked == {"chat_template_kwargs": told}
    choice = PROGRAM.body({}, Grammar("choice", ["yes", 'n"o'], "guided_choice"))
    assert choice == {"grammar": 'root ::= "yes" | "n\\"o"'}
    assert PROGRAM.body({}, Grammar("json_schema", {"type": "object"}, "f")) == {"json_schema": {"type": "object"}}


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "g"}}], ids=["any", "named"])
def test_a_call_that_has_to_come_is_asked_for_by_a_schema(choice: Any) -> None:
    """Its own word for it is ignored with a template whose calls it does not know; the template has the tools all the
    same, as `tools` itself would have told it of them."""
    tools = [{"type": "function", "function": {"name": name, "strict": True}} for name in ("f", "g")]
    fields = {"tools": tools, "tool_choice": choice, "parallel_tool_calls": False, "reasoning_effort": "none"}
    asked = PROGRAM.body(fields, None)
    assert asked.keys() == {"chat_template_kwargs", "json_schema"}
    assert asked["json_schema"] == schema_of(tools, "" if choice == "required" else "g", several=False)
    assert asked["chat_template_kwargs"]["enable_thinking"] is False
    told = {"description": "", "parameters": {"type": "object", "properties": {}}}
    assert asked["chat_template_kwargs"]["tools"] == [
        {"type": "function", "function": {"name": name, **told}} for name in ("f", "g")
    ]
    assert fields["tools"] is tools
    auto = {"tools": tools, "tool_choice": "auto", "parallel_tool_calls": False}
    assert PROGRAM.body(auto, None) == auto


def test_what_it_has_no_word_for() -> None:
    with pytest.raises(RefusedJob, match="stop_token_ids: llama-server has no word for it"):
        PROGRAM.body({"stop_token_ids": [1]}, None)
    with pytest.raises(RefusedJob, match="echo: llama-server has no word for it"):
        PROGRAM.body({"echo": True}, None)
    with pytest.raises(RefusedJob, match="guided_regex: llama-server reads JSON schemas and choices"):
        PROGRAM.body({}, Grammar("regex", "a+", "guided_regex"))


def test_whether_tools_reach_the_model_is_up_to_the_template(tmp_path: Path) -> None:
    chats = value("tokenizer.chat_template", 8, text("{{ messages }}"))
    asks = value("tokenizer.chat_template", 8, text("{{ tools }}"))
    for name, given, takes in (("none", (), False), ("chats", (chats,), False), ("asks", (asks,), True)):
        (tmp_path / f"{name}.gguf").write_bytes(header(*given))
        assert PROGRAM.takes_tools(ModelDir.of(tmp_path), f"{name}.gguf", {}) is takes
    (tmp_path / "own.jinja").write_text("{{ tools }}")
    assert PROGRAM.takes_tools(ModelDir.of(tmp_path), "none.gguf", {"chat_template": "own.jinja"})
