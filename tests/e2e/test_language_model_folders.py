"""Language models in other folders than transformers' whole ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.process import Server
from tests.gguf_models import save_gguf
from tests.language_models import save_language_model
from tests.lora_models import LLAMA_LAYERS, save_lora

pytestmark = pytest.mark.e2e

COMPLETIONS = "/openai/v1/completions"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    mount = tmp_path_factory.mktemp("models")
    save_language_model(mount / "base", context=4000)
    whole = save_gguf(mount / "gguf" / "model.gguf", mount / "base").read_bytes()
    for name, content in (("cut", whole[:-100]), ("head", whole[:40]), ("nothing", b"")):
        (mount / name).mkdir()
        (mount / name / "model.gguf").write_bytes(content)
    save_lora(mount / "lora", "someone/base", LLAMA_LAYERS)
    save_lora(mount / "orphan", "someone/else", LLAMA_LAYERS)
    log = tmp_path_factory.mktemp("log")
    flags = ("--workers=2", "--trust=safe", f"--converted_dir={log / 'converted'}")
    server = Server(mount, log / "server.log", *flags).wait_ready()
    yield server
    server.stop()


def answer(server: Server, model: str, **fields: Any) -> str:
    job = {"model": model, "prompt": "one two", "max_tokens": 12, "temperature": 0, "ignore_eos": True, **fields}
    answer = server.client.post(COMPLETIONS, json=job)
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["choices"][0]["text"]
    return text


def reasons(server: Server) -> dict[str, str]:
    return {each["name"]: each["reason"] for each in server.client.post("/v2/repository/index").json()}


def test_a_gguf_file_answers_as_the_folder_it_was_made_of(server: Server) -> None:
    assert answer(server, "gguf") == answer(server, "base")


def test_a_lora_is_a_model_of_its_own(server: Server) -> None:
    assert answer(server, "lora") != answer(server, "base")
    listed = server.client.get("/openai/v1/models").json()["data"]
    assert {each["id"] for each in listed} == {"base", "gguf", "lora"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("cut", "model.gguf is damaged: it is cut off"),
        ("head", "model.gguf is damaged"),
        ("nothing", "model.gguf is no GGUF file"),
        ("orphan", "names 'else' (base_model_name_or_path)"),
    ],
)
def test_others_have_a_reason(server: Server, name: str, told: str) -> None:
    assert told in reasons(server)[name]
