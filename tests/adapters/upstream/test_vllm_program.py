"""The command line of `vllm serve`, by options, and its words."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.base import LoadError, ModelDir
from adapters.generation.grammar import Grammar
from adapters.upstream.vllm_program import VllmProgram

PROGRAM = VllmProgram()


def line(folder: Path, **options: object) -> list[str]:
    return PROGRAM.arguments(ModelDir.of(folder), "", "m", Path("/s"), options)


def test_only_what_is_asked_for_is_told(tmp_path: Path) -> None:
    plain = ["serve", str(tmp_path), "--served-model-name=m", "--uds=/s", "--enable-prompt-tokens-details"]
    assert line(tmp_path) == plain
    assert line(tmp_path, slots=2, gpus=4, tool_parser="hermes", reasoning_parser="qwen3", eager=True) == [
        *plain,
        "--max-num-seqs=2",
        "--tensor-parallel-size=4",
        "--enable-auto-tool-choice",
        "--tool-call-parser=hermes",
        "--reasoning-parser=qwen3",
        "--enforce-eager",
    ]


def test_a_template_is_named_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").touch()
    assert f"--chat-template={tmp_path}/mine.jinja" in line(tmp_path, chat_template="mine.jinja")


def test_code_of_the_model_s_is_run_by_trust_alone(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="needs `trust: full`"):
        line(tmp_path, trust_remote_code=True)
    assert "--trust-remote-code" in line(tmp_path, trust_remote_code=True, trust="full")


def test_every_option_of_text_has_choices_or_is_a_place() -> None:
    """No text of a folder's reaches the command line but from a list of ours, or as a path that is checked."""
    free = [option.name for option in PROGRAM.options if option.kind is str and not option.choices]
    assert free == ["environment", "chat_template"]


def test_grammars() -> None:
    schema = {"type": "object"}
    for kind, value, told in (
        ("json_schema", schema, {"structured_outputs": {"json": schema}}),
        ("lark", "start: x", {"structured_outputs": {"grammar": "start: x"}}),
        ("json_object", None, {"response_format": {"type": "json_object"}}),
    ):
        assert PROGRAM.body({"top_k": 1}, Grammar(kind, value, "f")) == {"top_k": 1, **told}
