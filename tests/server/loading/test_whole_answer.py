"""Recorded examples of language models: texts in V1 and V2, as of any other model."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from adapters.base import Adapter, LoadError, Reply, Request
from server.loading import recorded_examples
from server.loading.whole_answer import answer_in_one
from tests.server.generating import ScriptedLanguageModel, parts_of


def ask(adapter: Adapter, request: Request) -> Reply:
    return asyncio.run(answer_in_one(adapter, request))


def recorded(folder: Path, prediction: str) -> Path:
    entry = {"request": {"instances": ["x"]}, "response": {"predictions": [prediction]}}
    (folder / "examples.json").write_bytes(orjson.dumps([entry]))
    return folder


def test_an_example_is_asked_as_v1(tmp_path: Path) -> None:
    recorded_examples.check(recorded(tmp_path, "a"), None, tmp_path, ScriptedLanguageModel(*parts_of("a")), ask)
    with pytest.raises(LoadError, match="expected b, got a"):
        recorded_examples.check(recorded(tmp_path, "b"), None, tmp_path, ScriptedLanguageModel(*parts_of("a")), ask)
