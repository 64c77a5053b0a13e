"""Language models in other folders than transformers' whole ones, and what is told of all of them while they work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.process import Server
from tests.gguf_models import save_gguf
from tests.language_models import save_language_model
from tests.lora_models import LLAMA_LAYERS, save_lora
from tests.patience import wait_for

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


def gauge(server: Server, name: str, model: str) -> float:
    pattern = re.compile(rf'^polyserve_{name}\{{[^}}]*model="{model}"[^}}]*\}} (.+)$', re.MULTILINE)
    found = pattern.search(server.client.get("/metrics").text)
    assert found is not None, name
    return float(found[1])


def test_what_an_engine_holds_is_told_while_it_works_and_after(server: Server) -> None:
    answer(server, "base", prompt="the quick brown fox jumps over the lazy dog" * 4)
    assert gauge(server, "num_requests_waiting", "gguf") == 0
    before = gauge(server, "inter_token_latency_seconds_count", "base")
    long = {"model": "base", "prompt": "a", "max_tokens": 3900, "ignore_eos": True, "stream": True}
    with server.client.stream("POST", COMPLETIONS, json=long) as stream:
        next(stream.iter_lines())
        wait_for(lambda: gauge(server, "num_requests_running", "base") == 1, "a running request")
        assert 0 < gauge(server, "kv_cache_usage_perc", "base") < 1
    wait_for(lambda: gauge(server, "num_requests_running", "base") == 0, "its end")
    assert gauge(server, "kv_cache_usage_perc", "base") == 0
    answer(server, "base", prompt="the quick brown fox jumps over the lazy dog" * 4)
    wait_for(lambda: gauge(server, "prefix_cache_hits_total", "base") > 0, "a hit")
    assert gauge(server, "prefix_cache_queries_total", "base") > gauge(server, "prefix_cache_hits_total", "base")
    assert gauge(server, "inter_token_latency_seconds_count", "base") == before + 11
