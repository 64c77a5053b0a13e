"""Models that other programs serve, behind a whole server: asked, measured, started again, evicted, ended."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import psutil
import pytest
from sklearn.linear_model import LinearRegression

from tests.e2e.process import Server
from tests.gguf_models import save_gguf
from tests.language_models import save_language_model
from tests.patience import wait_for
from tests.upstream_program import CACHED, install

pytestmark = pytest.mark.e2e

CHAT = "/openai/v1/chat/completions"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("upstream")
    mount = base / "models"
    save_language_model(mount / "tiny")
    (mount / "tiny" / "polyserve.yaml").write_text("engine: vllm\noptions: {max_context: 64, dtype: float32}")
    save_gguf(mount / "quant" / "model.gguf", source=mount / "tiny")
    (mount / "quant" / "polyserve.yaml").write_text("engine: llama_cpp\noptions: {slots: 2, max_context: 64}")
    for name, text in {
        "wordy": "engine: vllm\noptions: {extra_args: --middleware=own}",
        "code": "engine: vllm\noptions: {trust_remote_code: true}",
    }.items():
        save_language_model(mount / name)
        (mount / name / "polyserve.yaml").write_text(text)
    (mount / "line").mkdir()
    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]), mount / "line" / "model.joblib")
    path = f"{install(base / 'bin')}{os.pathsep}{os.environ['PATH']}"
    server = Server(mount, base / "server.log", PATH=path, HF_TOKEN="secret").wait_scanned()
    yield server
    if server.process.poll() is None:
        server.stop()


def ask(server: Server, text: str, model: str = "tiny", **fields: Any) -> Any:
    return server.client.post(CHAT, json={"model": model, "messages": [{"role": "user", "content": text}], **fields})


def programs(server: Server) -> list[psutil.Process]:
    return [each for each in psutil.Process(server.process.pid).children(recursive=True) if is_program(each)]


def is_program(process: psutil.Process) -> bool:
    try:
        return "bin/vllm" in " ".join(process.cmdline())
    except psutil.Error:  # it has just ended
        return False


@pytest.mark.parametrize("model", ["tiny", "quant"])
def test_chats_texts_and_tensors(server: Server, model: str) -> None:
    answer = ask(server, "hello", model, max_tokens=3).json()
    assert answer["model"] == model
    assert answer["choices"][0]["message"]["content"] == " 0 1 2"
    assert answer["usage"]["prompt_tokens_details"] == {"cached_tokens": CACHED}
    told = server.client.post(f"/v1/models/{model}:predict", json={"instances": ["a", "b"]}).json()
    assert len(told["predictions"]) == 2
    with server.client.stream(
        "POST", CHAT, json={"model": model, "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    ) as stream:
        lines = [line for line in stream.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    thinks = ask(server, "thinks", model).json()
    message = thinks["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == (" so it", "yes")
    assert thinks["usage"]["completion_tokens_details"] == {"reasoning_tokens": 2}


def test_what_the_program_is_told(server: Server) -> None:
    vllm, llama = (
        json.loads(ask(server, "told", model).json()["choices"][0]["message"]["content"]) for model in ("tiny", "quant")
    )
    assert {"--max-model-len=64", "--dtype=float32", "--served-model-name=tiny"} <= {*vllm["line"]}
    assert llama["line"][llama["line"].index("--ctx-size") + 1] == "128"
    for told in (vllm, llama):
        assert told["environ"].get("HF_TOKEN") is None
        assert told["environ"]["HF_HUB_OFFLINE"] == "1"


def test_what_a_folder_may_not_tell_it(server: Server) -> None:
    index = server.index()
    assert "unknown key options.extra_args" in index["wordy"]["reason"]
    assert "needs `trust: full`" in index["code"]["reason"]
    assert "--trust=code" in index["code"]["reason"]


def test_a_failure_is_told_and_is_nobody_else_s(server: Server) -> None:
    failed = ask(server, "wrong model")
    assert failed.status_code == 500
    assert "it answers for the model 'another', and was asked for 'tiny'" in failed.json()["error"]["message"]
    refused = ask(server, "400")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert server.predict("line", {"instances": [[3.0]]}).status_code == 200


def test_it_is_measured_and_counts_in_memory(server: Server) -> None:
    ask(server, "hello", max_tokens=3)
    text = server.client.get("/metrics").text
    for name in ("time_to_first_token_seconds_count", "e2e_request_latency_seconds_count", "generation_tokens_total"):
        (line,) = [line for line in text.splitlines() if line.startswith(f'polyserve_{name}{{model="tiny"')]
        assert float(line.split()[-1]) > 0


def test_what_dies_is_started_again(server: Server) -> None:
    (program,) = programs(server)
    dead = ask(server, "die")
    assert dead.status_code in (500, 503)
    wait_for(lambda: [each.pid for each in programs(server)] not in ([], [program.pid]), "another program")
    wait_for(lambda: ask(server, "hello").status_code == 200, "its answer")
    wait_for(lambda: "vllm has ended (exit code 3)" in server.log, "its line")
    assert ask(server, "hello", "quant").status_code == 200


def test_it_goes_with_the_server_even_when_that_is_killed(server: Server) -> None:
    wait_for(lambda: programs(server), "the programs")
    running = programs(server)
    os.kill(server.process.pid, signal.SIGKILL)
    server.wait()
    wait_for(lambda: not any(each.is_running() and each.status() != "zombie" for each in running), "the programs' end")


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Server]:
    """Two models for whose programs together there is no room."""
    mount = tmp_path / "models"
    for name in ("one", "two"):
        save_language_model(mount / name)
        (mount / name / "polyserve.yaml").write_text("engine: vllm")
        (mount / name / "start").write_text("large")
    path = f"{install(tmp_path / 'bin')}{os.pathsep}{os.environ['PATH']}"
    flags = ("--memory_budget=450MiB", "--load=lazy", "--request_timeout=600")
    server = Server(mount, tmp_path / "server.log", *flags, PATH=path)
    server.wait_listening()
    yield server
    assert server.stop() == 0, server.log
    wait_for(lambda: not programs_of(tmp_path), "the programs' end")


def programs_of(folder: Path) -> list[int]:
    found = []
    for each in psutil.process_iter(["cmdline"]):
        line = " ".join(each.info["cmdline"] or ())
        if str(folder) in line and "bin/vllm" in line:
            found.append(each.pid)
    return found


def test_it_is_evicted_for_another(two: Server) -> None:
    for name in ("one", "two", "one"):
        answer = ask(two, "hello", name, max_tokens=1)
        assert answer.status_code == 200, answer.text
        wait_for(lambda: len(programs(two)) == 1, "one program at a time")
    wait_for(lambda: two.index()["two"]["state"] == "EVICTED", "its state")
