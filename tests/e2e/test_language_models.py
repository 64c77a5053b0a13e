"""Language models behind a whole server: OpenAI's API, and the other protocols, over HTTP and gRPC."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import httpx
import joblib
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub
from sklearn.linear_model import LinearRegression

from tests.e2e.process import Server
from tests.language_models import CONTEXT, save_language_model
from tests.patience import wait_for

pytestmark = pytest.mark.e2e

CHAT, COMPLETIONS = "/openai/v1/chat/completions", "/openai/v1/completions"
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module", params=["--workers=1", "--workers=2"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    mount = tmp_path_factory.mktemp("models")
    save_language_model(mount / "tiny")
    save_language_model(mount / "long", context=100_000)
    (mount / "long" / "polyserve.yaml").write_text("options: {slots: 1}")
    save_language_model(mount / "bare", template=None)
    (mount / "line").mkdir()
    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]), mount / "line" / "model.joblib")
    server = Server(mount, tmp_path_factory.mktemp("log") / "server.log", request.param).wait_ready()
    yield server
    server.stop()


def ask(server: Server, path: str, **fields: Any) -> Any:
    answer = server.client.post(path, json={"model": "tiny", **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(server: Server, path: str = CHAT, **fields: Any) -> tuple[int, dict[str, Any]]:
    answer = server.client.post(path, json={"model": "tiny", "messages": HELLO, **fields})
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return answer.status_code, error


def events(server: Server, path: str, **fields: Any) -> list[Any]:
    """The chunks of a stream, which ends with [DONE]."""
    with server.client.stream("POST", path, json={"model": "tiny", "stream": True, **fields}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def test_a_chat(server: Server) -> None:
    answer = ask(server, CHAT, messages=HELLO, max_tokens=7, temperature=0)
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "tiny"
    (choice,) = answer["choices"]
    assert choice["message"]["role"] == "assistant"
    assert choice["finish_reason"] == "length"
    usage = answer["usage"]
    assert usage["completion_tokens"] == 7
    assert usage["total_tokens"] == usage["prompt_tokens"] + 7


def test_a_streamed_chat_says_the_same_as_a_whole_one(server: Server) -> None:
    fields = {"messages": HELLO, "max_tokens": 20, "seed": 5, "n": 2}
    whole = ask(server, CHAT, **fields)
    chunks = events(server, CHAT, **fields, stream_options={"include_usage": True})
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == whole["usage"]
    for index, choice in enumerate(whole["choices"]):
        mine = [chunk["choices"][0] for chunk in chunks[:-1] if chunk["choices"][0]["index"] == index]
        assert mine[0]["delta"] == {"role": "assistant", "content": ""}
        assert [each["finish_reason"] for each in mine] == [None] * (len(mine) - 1) + [choice["finish_reason"]]
        assert mine[-1]["delta"] == {}
        assert "".join(each["delta"].get("content", "") for each in mine) == choice["message"]["content"]


def test_the_usage_is_streamed_only_if_it_is_asked_for(server: Server) -> None:
    chunks = events(server, CHAT, messages=HELLO, max_tokens=2)
    assert all("usage" not in chunk and chunk["choices"] for chunk in chunks)


def test_choices_differ_and_a_seed_brings_them_back(server: Server) -> None:
    fields = {"messages": HELLO, "max_tokens": 16, "seed": 11, "n": 3}
    texts = [[each["message"]["content"] for each in ask(server, CHAT, **fields)["choices"]] for _ in range(2)]
    assert texts[0] == texts[1]
    assert len(set(texts[0])) == 3


def test_without_a_seed_texts_differ(server: Server) -> None:
    bias = {"logit_bias": {str(number): -100 for number in range(3)}}  # nothing ends it: two short ones may be alike
    asked = [ask(server, CHAT, messages=HELLO, max_tokens=16, **bias) for _ in range(2)]
    assert len({each["choices"][0]["message"]["content"] for each in asked}) == 2


def test_the_newer_budget_wins_and_without_one_a_chat_takes_what_is_left(server: Server) -> None:
    bias = {"logit_bias": {str(number): -100 for number in range(3)}}  # nothing ends it
    both = ask(server, CHAT, messages=HELLO, max_tokens=3, max_completion_tokens=5, **bias)
    assert both["usage"]["completion_tokens"] == 5
    rest = ask(server, CHAT, messages=HELLO, **bias)
    assert rest["usage"]["total_tokens"] == CONTEXT
    assert ask(server, COMPLETIONS, prompt="one", **bias)["usage"]["completion_tokens"] == 16


def test_the_template_s_special_tokens_come_once(server: Server) -> None:
    rendered = "<|begin|><|start|>user\nhello<|end|>\n<|start|>assistant\n"
    chat = ask(server, CHAT, messages=HELLO, max_tokens=1)
    text = ask(server, COMPLETIONS, prompt=rendered, max_tokens=1)
    assert chat["usage"]["prompt_tokens"] == text["usage"]["prompt_tokens"]
    echoed = ask(server, COMPLETIONS, prompt=rendered, max_tokens=0, echo=True, logprobs=0)
    assert echoed["choices"][0]["logprobs"]["tokens"].count("<|begin|>") == 1


def test_content_may_be_parts_of_text(server: Server) -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]
    fields: dict[str, Any] = {"max_tokens": 5, "temperature": 0}
    one, other = (ask(server, CHAT, messages=messages, **fields) for messages in (parts, HELLO))
    assert one["choices"] == other["choices"]


def test_several_prompts_keep_their_order(server: Server) -> None:
    texts = ["one two", "what is", "the quick"]
    together = ask(server, COMPLETIONS, prompt=texts, temperature=0, max_tokens=6, echo=True, n=2)
    choices = together["choices"]
    assert [choice["index"] for choice in choices] == list(range(6))
    for place, text in enumerate(texts):
        assert choices[2 * place]["text"].startswith(text)
        alone = ask(server, COMPLETIONS, prompt=text, temperature=0, max_tokens=6, echo=True)
        assert choices[2 * place + 1]["text"] == alone["choices"][0]["text"]


def test_logprobs_of_a_prompt_are_those_that_evaluations_ask_for(server: Server) -> None:
    """What lm-eval's local-completions does: ids, echo, one token more, whether each token is the likeliest."""
    fields = {"prompt": [[0, 50, 60, 70], [0, 51]], "max_tokens": 1, "logprobs": 1, "echo": True, "temperature": 0}
    first, second = ask(server, COMPLETIONS, **fields)["choices"]
    told = first["logprobs"]
    assert len(told["tokens"]) == len(told["token_logprobs"]) == len(told["top_logprobs"]) == 5
    assert told["token_logprobs"][0] is None
    assert told["top_logprobs"][0] is None
    assert all(logprob <= 0 for logprob in told["token_logprobs"][1:])
    for own, top in zip(told["token_logprobs"][1:], told["top_logprobs"][1:], strict=True):
        assert own <= max(top.values())
    assert told["token_logprobs"][-1] == max(told["top_logprobs"][-1].values())
    assert len(second["logprobs"]["tokens"]) == 3
    assert told["text_offset"] == sorted(told["text_offset"])
    nothing_new = ask(server, COMPLETIONS, **{**fields, "max_tokens": 0})["choices"][0]
    logprobs = nothing_new["logprobs"]["token_logprobs"]
    assert logprobs[1:] == pytest.approx(told["token_logprobs"][1:-1], abs=1e-4)


def test_logprobs_of_a_chat_have_bytes_that_join_to_the_text(server: Server) -> None:
    fields = {"messages": HELLO, "max_tokens": 12, "seed": 3, "logprobs": True, "top_logprobs": 2}
    (choice,) = ask(server, CHAT, **fields)["choices"]
    tokens = choice["logprobs"]["content"]
    assert all(len(token["top_logprobs"]) == 2 for token in tokens)
    joined = bytes(byte for token in tokens for byte in token["bytes"])
    assert joined.decode(errors="replace") == choice["message"]["content"]
    chunks = [chunk["choices"][0] for chunk in events(server, CHAT, **fields)]
    streamed = [token for chunk in chunks if chunk["logprobs"] for token in chunk["logprobs"]["content"]]
    assert [token["token"] for token in streamed] == [token["token"] for token in tokens]


def test_a_stop_string_ends_the_text_wherever_tokens_cut_it(server: Server) -> None:
    fields = {"prompt": "one", "temperature": 0, "max_tokens": 30}
    text = ask(server, COMPLETIONS, **fields)["choices"][0]["text"]
    stop = text[7:10]
    (choice,) = ask(server, COMPLETIONS, **fields, stop=["never", stop])["choices"]
    assert choice == {**choice, "text": text[: text.index(stop)], "finish_reason": "stop"}
    chunks = events(server, COMPLETIONS, **fields, stop=stop)
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == choice["text"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_one_bad_request_is_refused_by_name_and_harms_nobody(server: Server) -> None:
    bad: list[tuple[str, dict[str, Any]]] = [
        ("prompt", {"prompt": []}),
        ("prompt", {"prompt": [[]]}),
        ("prompt", {"prompt": [10**9]}),
        ("prompt", {"prompt": {"a": 1}}),
        ("prompt", {}),
        ("logit_bias", {"prompt": "one", "logit_bias": {"99999": 1}}),
        ("logit_bias", {"prompt": "one", "logit_bias": {"foo": 1}}),
        ("stop_token_ids", {"prompt": "one", "stop_token_ids": [-1]}),
        ("max_tokens", {"prompt": "one", "max_tokens": 0}),
        ("n", {"prompt": "one", "n": 0}),
        ("temperature", {"prompt": "one", "temperature": 2.5}),
        ("top_p", {"prompt": "one", "top_p": -1}),
        ("best_of", {"prompt": "one", "best_of": 4}),
        ("suffix", {"prompt": "one", "suffix": "x"}),
        ("stream_options", {"prompt": "one", "stream_options": {"include_usage": True}}),
    ]
    for field, fields in bad:
        answer = server.client.post(COMPLETIONS, json={"model": "tiny", **fields})
        assert answer.status_code == 400, (fields, answer.text)
        error = answer.json()["error"]
        assert error["param"] == field
        assert field in error["message"]
    assert ask(server, COMPLETIONS, prompt="one", max_tokens=2)["usage"]["completion_tokens"] <= 2


def test_fields_that_are_not_served_are_refused_by_name(server: Server) -> None:
    for name, value in {"web_search_options": {}, "audio": {}, "functions": []}.items():
        status, error = refused(server, **{name: value})
        assert (status, error["param"], error["code"]) == (400, name, "unsupported_parameter")
    status, error = refused(server, temprature=1)
    assert (status, error["code"]) == (400, "unknown_parameter")
    assert "did you mean 'temperature'" in error["message"]


def test_harmless_fields_are_taken(server: Server) -> None:
    ask(server, CHAT, messages=HELLO, max_tokens=1, user="me", metadata={"a": "b"}, store=False, service_tier="auto")
    ask(server, CHAT, messages=HELLO, max_tokens=1, temperature=None, tools=None, logprobs=False)


def test_a_context_that_is_too_long_is_refused_with_the_numbers(server: Server) -> None:
    status, error = refused(server, messages=[{"role": "user", "content": "one " * 200}])
    assert (status, error["code"], error["param"]) == (400, "context_length_exceeded", "messages")
    assert f"maximum context length is {CONTEXT} tokens" in error["message"]
    status, error = refused(server, max_tokens=CONTEXT)
    assert (status, error["code"]) == (400, "context_length_exceeded")


def test_what_a_template_raises_is_the_client_s_to_read(server: Server) -> None:
    status, error = refused(server, messages=[{"role": "oracle", "content": "?"}])
    assert (status, error["message"]) == (400, "there is no role oracle here")


def test_without_a_template_there_are_completions_only(server: Server) -> None:
    status, error = refused(server, model="bare")
    assert (status, error["code"]) == (400, "no_chat_template")
    assert "chat_template.jinja" in error["message"]
    assert ask(server, COMPLETIONS, model="bare", prompt="one", max_tokens=1)["choices"]


def test_models_that_are_none_of_language(server: Server) -> None:
    for name in ("nobody", "line"):
        status, error = refused(server, model=name)
        assert (status, error["code"], error["param"]) == (404, "model_not_found", "model")
        assert server.client.get(f"/openai/v1/models/{name}").json()["error"]["code"] == "model_not_found"


def test_which_models_there_are(server: Server) -> None:
    listed = server.client.get("/openai/v1/models").json()
    assert sorted(each["id"] for each in listed["data"]) == ["bare", "long", "tiny"]
    assert server.client.get("/openai/v1/models/tiny").json() in listed["data"]
    assert "line" in server.client.get("/v1/models").json()["models"]  # KServe's own list


def test_other_methods_paths_and_bodies_are_answered_in_openai_s_shape(server: Server) -> None:
    client = server.client
    wrong = client.get(CHAT)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST, OPTIONS")
    unknown = client.post("/openai/v1/images/generations", json={})
    assert unknown.status_code == 404
    broken = client.post(CHAT, content=b"{")
    assert broken.status_code == 400
    unpacked = client.post(CHAT, content=b"{}", headers={"content-encoding": "br"})
    assert unpacked.status_code == 415
    for answer in (wrong, unknown, broken, unpacked):
        assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
    assert client.post("/v1/completions", json={"model": "tiny", "prompt": "one", "max_tokens": 1}).status_code == 200
    assert client.options(CHAT).headers["allow"] == "POST, OPTIONS"
    assert client.head("/openai/v1/models").status_code == 200


def tokens(server: Server, family: str) -> float:
    """Of the model "tiny", as counted by all processes."""
    count = re.compile(rf'{family}\{{model="tiny"\}} (.+)')
    return sum(float(number) for number in count.findall(server.client.get("/metrics").text))


def test_tokens_are_counted(server: Server) -> None:
    families = ("polyserve_prompt_tokens_total", "polyserve_generation_tokens_total")
    before = [tokens(server, family) for family in families]
    first = tokens(server, "polyserve_time_to_first_token_seconds_count")
    asked = {"model": "tiny", "prompt": "one two", "max_tokens": 3, "ignore_eos": True}
    usage = server.client.post("/v1/completions", json=asked).json()["usage"]
    after = [tokens(server, family) for family in families]
    made = [now - then for now, then in zip(after, before, strict=True)]
    assert made == [usage["prompt_tokens"], usage["completion_tokens"]] == [made[0], 3]
    assert tokens(server, "polyserve_time_to_first_token_seconds_count") == first + 1


def gone(server: Server) -> float:
    """Requests to the model whose clients have gone, as counted."""
    count = re.compile(r'polyserve_requests_total\{[^}]*model="long"[^}]*status="499"[^}]*\} (.+)')
    return sum(float(number) for number in count.findall(server.client.get("/metrics").text))


def gauge(server: Server, name: str, model: str) -> float:
    text = server.client.get("/metrics").text
    found = re.search(rf'^polyserve_{name}{{model="{model}"}} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else -1.0


def test_what_runs_and_waits_is_seen_while_it_does(server: Server) -> None:
    """Of a model with one slot two streams are open: one runs, the other waits."""
    endless = {"model": "long", "messages": HELLO, "stream": True, "ignore_eos": True, "max_tokens": 90_000}

    def seen(running: int, waiting: int) -> None:
        def look() -> bool:
            found = gauge(server, "num_requests_running", "long"), gauge(server, "num_requests_waiting", "long")
            return found == (running, waiting)

        wait_for(look, f"{running} to run and {waiting} to wait")

    with httpx.Client(base_url=server.url, timeout=60) as other:
        with server.client.stream("POST", CHAT, json=endless) as first:
            assert first.status_code == 200
            with other.stream("POST", CHAT, json=endless):
                seen(1, 1)
                wait_for(lambda: 0 < gauge(server, "kv_cache_usage_perc", "long") <= 1, "the cache that it holds")
            seen(1, 0)
        seen(0, 0)
    assert gauge(server, "kv_cache_usage_perc", "long") == 0


def test_what_was_read_before_is_cached(server: Server) -> None:
    text = "one two three the quick brown fox jumps over the lazy dog " * 2
    fields = {"messages": [{"role": "user", "content": text}], "max_tokens": 1}
    hits = gauge(server, "prefix_cache_hits_total", "tiny")
    first, second = (ask(server, CHAT, **fields)["usage"] for _ in range(2))
    assert second["prompt_tokens_details"]["cached_tokens"] == second["prompt_tokens"] - 1
    assert 0 <= first["prompt_tokens_details"]["cached_tokens"] < first["prompt_tokens"]
    *_, last = events(server, CHAT, **fields, stream_options={"include_usage": True})
    assert last["usage"]["prompt_tokens_details"]["cached_tokens"] == second["prompt_tokens"] - 1
    response = server.client.post("/openai/v1/responses", json={"model": "tiny", "input": text, "max_output_tokens": 1})
    assert response.json()["usage"]["input_tokens_details"]["cached_tokens"] == second["prompt_tokens"] - 1
    wait_for(lambda: gauge(server, "prefix_cache_hits_total", "tiny") >= hits + second["prompt_tokens"], "the hits")
    assert gauge(server, "prefix_cache_queries_total", "tiny") >= gauge(server, "prefix_cache_hits_total", "tiny")


def leave_once_it_runs(server: Server, asked: dict[str, Any]) -> None:
    """Ask for a completion, and hang up while it is being made."""
    wait_for(lambda: gauge(server, "num_requests_running", "long") == 0, "the one before to be gone")
    body = json.dumps(asked).encode()
    head = f"POST {COMPLETIONS} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=60) as end:
        end.sendall(head.encode() + body)
        wait_for(lambda: gauge(server, "num_requests_running", "long") == 1, "it to be made")


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_the_work(server: Server, stream: bool) -> None:
    before = gone(server)
    endless = {"model": "long", "prompt": "one", "max_tokens": 90_000, "ignore_eos": True, "stream": stream}
    if stream:
        client = httpx.Client(base_url=server.url, timeout=60)
        with client, client.stream("POST", COMPLETIONS, json=endless) as answer:
            next(answer.iter_lines())
    else:
        leave_once_it_runs(server, endless)
    wait_for(lambda: gone(server) > before, "the request to be counted as left")
    assert ask(server, COMPLETIONS, model="long", prompt="one", max_tokens=2)["choices"]  # its only slot is free


def test_streams_go_on_side_by_side(server: Server) -> None:
    def text(seed: int) -> str:
        chunks = events(server, CHAT, messages=HELLO, max_tokens=20, seed=seed)
        return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)

    alone = [text(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(text, range(4))) == alone


def test_v1_predicts_texts(server: Server) -> None:
    predicted = server.predict("tiny", {"instances": ["one", "what is"], "parameters": {"max_tokens": 5}})
    assert predicted.status_code == 200
    texts = predicted.json()["predictions"]
    for prompt, text in zip(["one", "what is"], texts, strict=True):
        assert ask(server, COMPLETIONS, prompt=prompt, temperature=0, max_tokens=5)["choices"][0]["text"] == text
    wrong = server.predict("tiny", {"instances": ["one"], "parameters": {"temperature": 9.0}})
    assert (wrong.status_code, "temperature must be" in wrong.json()["error"]) == (400, True)
    assert server.predict("tiny", {"instances": [1]}).status_code == 400
    assert server.client.post("/v1/models/tiny:explain", json={"instances": ["one"]}).status_code == 501


def test_v2_infers_texts(server: Server) -> None:
    tensor = {"name": "text_input", "shape": [2], "datatype": "BYTES", "data": ["one", "what is"]}
    body = {"id": "7", "inputs": [tensor], "parameters": {"max_tokens": 5}}
    answer = server.client.post("/v2/models/tiny/infer", json=body).json()
    expected = server.predict("tiny", {"instances": ["one", "what is"], "parameters": {"max_tokens": 5}}).json()
    assert answer["id"] == "7"
    assert answer["outputs"] == [
        {"name": "text_output", "shape": [2], "datatype": "BYTES", "data": expected["predictions"]}
    ]


def test_triton_s_generate_extension(server: Server) -> None:
    body = {"text_input": "one", "id": "3", "parameters": {"max_tokens": 9}}
    whole = server.client.post("/v2/models/tiny/generate", json=body).json()
    assert (whole["id"], whole["model_name"]) == ("3", "tiny")
    with server.client.stream("POST", "/v2/models/tiny/generate_stream", json=body) as answer:
        parts = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line]
    assert "".join(part["text_output"] for part in parts) == whole["text_output"]
    assert len(parts) > 1
    assert server.client.post("/v2/models/tiny/generate", json={"text_input": 3}).status_code == 400


def test_grpc_infers_and_streams_texts(server: Server) -> None:
    request = pb.ModelInferRequest(model_name="tiny")
    tensor = request.inputs.add(name="text_input", datatype="BYTES", shape=[1])
    tensor.contents.bytes_contents.append(b"one")
    request.parameters["max_tokens"].int64_param = 9
    with grpc.insecure_channel(server.grpc) as channel:
        answer = GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=60)
        whole = answer.outputs[0].contents.bytes_contents[0]
        request.parameters["max_tokens"].int64_param = -1
        with pytest.raises(grpc.RpcError) as caught:
            GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=60)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    expected = server.predict("tiny", {"instances": ["one"], "parameters": {"max_tokens": 9}}).json()
    assert whole.decode() == expected["predictions"][0]


@pytest.fixture(scope="module")
def lazy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that loads nothing before it is asked, of a model that takes two sequences at most."""
    mount = tmp_path_factory.mktemp("models")
    save_language_model(mount / "tiny")
    (mount / "tiny" / "polyserve.yaml").write_text("options: {slots: 1, max_queue: 1}")
    (mount / "line").mkdir()
    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]), mount / "line" / "model.joblib")
    flags = ("--load=lazy", "--max_body_bytes=10000", "--request_timeout=600")
    variable = {"KSERVE_OPENAI_ROUTE_PREFIX": "/llm"}
    server = Server(mount, tmp_path_factory.mktemp("log") / "server.log", *flags, **variable).wait_ready()
    yield server
    server.stop()


def test_a_model_that_is_asleep_is_brought(lazy: Server) -> None:
    assert [each["id"] for each in lazy.client.get("/llm/v1/models").json()["data"]] == ["line", "tiny"]
    assert lazy.index()["tiny"]["state"] == "EVICTED"
    assert ask(lazy, "/llm/v1/chat/completions", messages=HELLO, max_tokens=2)["choices"]
    assert lazy.index()["tiny"]["state"] == "READY"
    assert refused(lazy, "/llm/v1/chat/completions", model="line")[0] == 404
    assert [each["id"] for each in lazy.client.get("/llm/v1/models").json()["data"]] == ["tiny"]


def test_without_room_it_is_429(lazy: Server) -> None:
    status, error = refused(lazy, "/v1/chat/completions", n=4)
    assert (status, error["code"], error["type"]) == (429, "queue_full", "rate_limit_error")
    assert ask(lazy, "/v1/chat/completions", messages=HELLO, max_tokens=2, n=2)["choices"]


def test_a_body_that_is_too_large_is_413(lazy: Server) -> None:
    status, error = refused(lazy, "/v1/chat/completions", user="x" * 20_000)
    assert (status, error["type"]) == (413, "invalid_request_error")
    assert "max_body_bytes" in error["message"]
