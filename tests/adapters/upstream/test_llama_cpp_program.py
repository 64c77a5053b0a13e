"""The command line of `llama-server`, by options, and its words."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from adapters.base import ModelDir
from adapters.generation.grammar import Grammar
from adapters.generation.refusal import RefusedJob
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


def test_a_function_by_name_is_the_only_one_and_required() -> None:
    """It reads words in that place, and takes any other value for "auto"."""
    tools = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
    asked = {"tools": tools, "tool_choice": {"type": "function", "function": {"name": "g"}}}
    assert PROGRAM.body(asked, None) == {"tools": tools[1:], "tool_choice": "required"}
    assert PROGRAM.body({"tools": tools, "tool_choice": "auto"}, None) == {"tools": tools, "tool_choice": "auto"}


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
