"""Requests in every way: what is printed is what a shell, or Python, takes for it."""

from __future__ import annotations

import ast
import base64
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from server.cli.main import Failure
from server.cli.snippets import ModelRequest, choose_way, request_for, shown
from server.cli.tls_files import TlsFiles

V1 = {"instances": [{"it's": "a 'quote' \"and\" ünï $HOME `x`\n"}]}
V2 = {
    "inputs": [
        {"name": "t", "shape": [1], "datatype": "BYTES", "data": ["ü"]},
        {"name": "n", "shape": [2], "datatype": "INT8", "data": [1, 2]},
    ],
    "parameters": {"a": 1, "b": "x", "c": True, "d": 0.5},
}
OPENAI = {"/v1/completions": {"model": "m", "prompt": "Once"}}


def metadata(**parameters: Any) -> dict[str, Any]:
    return {"name": "a model", "parameters": parameters}


ALL = metadata(examples={"v1": V1, "v2": V2, "openai": OPENAI})


def words(way: str) -> list[str]:
    """What a shell makes of the line."""
    line = shown(request_for(way, ALL), "http://host:1", "host:2", {"X-Key": "a'b"})
    return shlex.split(line.replace("\\\n", " "))


@pytest.mark.parametrize(
    ("way", "path", "body"), [("v1", "v1/models/a%20model:predict", V1), ("v2", "v2/models/a%20model/infer", V2)]
)
def test_curl(way: str, path: str, body: Any) -> None:
    found = words(way)
    assert found[:3] == ["curl", "-s", f"http://host:1/{path}"]
    assert json.loads(found[found.index("-d") + 1]) == body
    assert found[found.index("-H") + 1] == "Content-Type: application/json"
    assert "X-Key: a'b" in found


def test_grpc() -> None:
    found = words("grpc")
    assert (found[0], found[-2], found[-1]) == ("grpcurl", "host:2", "inference.GRPCInferenceService/ModelInfer")
    message = json.loads(found[found.index("-d") + 1])
    text, numbers = message["inputs"]
    assert base64.b64decode(text["contents"]["bytes_contents"][0]).decode() == "ü"
    assert numbers["contents"] == {"int_contents": [1, 2]}
    assert message["parameters"] == {
        "a": {"int64_param": 1}, "b": {"string_param": "x"}, "c": {"bool_param": True}, "d": {"double_param": 0.5},
    }  # fmt: skip


def test_openai() -> None:
    found = words("openai")
    assert found[2] == "http://host:1/v1/completions"
    chat = request_for("openai", ALL, body={"model": "m", "messages": []})
    assert chat.path == "/v1/chat/completions"


def test_python() -> None:
    program = shown(request_for("python", ALL), "http://host:1", "", {})
    tree = ast.parse(program)
    body = next(node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "body")
    assert ast.literal_eval(body) == V1
    assert "json.load(answer)" in program


def test_python_prints_an_answer_in_parts_as_they_come() -> None:
    facts = {"name": "m", "parameters": {"streams": True}}
    program = shown(request_for("python", facts, body={"instances": ["a"]}), "http://host:1", "", {})
    ast.parse(program)
    assert program.endswith('as answer:\n    for line in answer:\n        print(line.decode(), end="")')


def test_over_tls() -> None:
    tls = TlsFiles(Path("my ca.pem"), Path("me.pem"), Path("me.key"))

    def secured(way: str, url: str = "https://h") -> str:
        return shown(request_for(way, ALL), url, "h:2", {}, tls)

    files = ["my ca.pem", "me.pem", "me.key"]
    curl = shlex.split(secured("v1").replace("\\\n", " "))
    assert curl[3:9] == [each for pair in zip(["--cacert", "--cert", "--key"], files, strict=True) for each in pair]
    grpc = shlex.split(secured("grpc").replace("\\\n", " "))
    assert grpc[1:7] == [each for pair in zip(["-cacert", "-cert", "-key"], files, strict=True) for each in pair]
    program = secured("python")
    ast.parse(program)
    assert (
        "context = ssl.create_default_context(cafile='my ca.pem')\ncontext.load_cert_chain('me.pem', 'me.key')"
        in program
    )
    assert "urlopen(request, context=context)" in program
    assert "cacert" not in secured("v1", "http://h")
    assert "-plaintext" in secured("grpc", "http://h")
    assert "-plaintext" not in shown(request_for("grpc", ALL), "https://h", "h:2", {})


def test_versions() -> None:
    assert request_for("v1", ALL, "2").path == "/v1/models/a%20model/versions/2:predict"
    assert request_for("v2", ALL, "old").path == "/v2/models/a%20model/versions/old/infer"
    assert request_for("grpc", ALL, "2").body["model_version"] == "2"


@pytest.mark.parametrize(
    ("known", "body", "way"),
    [
        (ALL, None, "v1"),
        (metadata(task="generation", examples={"v1": V1}), None, "openai"),
        (metadata(examples={"v2": V2}), None, "v2"),
        (metadata(), None, "v1"),
        (ALL, {"inputs": [{}]}, "v2"),
        (ALL, {"inputs": {"x": []}}, "v1"),
        (ALL, {"instances": []}, "v1"),
    ],
)
def test_the_way_that_suits_best(known: dict[str, Any], body: Any, way: str) -> None:
    assert choose_way(known, body) == way


@pytest.mark.parametrize("way", ["v1", "v2", "grpc", "python"])
def test_without_an_example(way: str) -> None:
    with pytest.raises(
        Failure, match=r"nobody knows what a model takes: .*examples.json .* or give the body by --data"
    ):
        request_for(way, metadata())
    with pytest.raises(Failure, match="neither a language model nor of embeddings"):
        request_for("openai", metadata())
    if way in ("v1", "v2"):
        assert request_for(way, metadata(), body={"x": 1}).body == {"x": 1}


@pytest.mark.parametrize(("datatype", "value"), [("BF16", 1.0), ("FP64", None)])
def test_what_grpc_has_no_json_for(datatype: str, value: Any) -> None:
    v2 = {"inputs": [{"name": "x", "shape": [1], "datatype": datatype, "data": [value]}]}
    with pytest.raises(Failure, match="take another way"):
        request_for("grpc", metadata(examples={"v2": v2}))


def test_a_short_one_is_a_line() -> None:
    line = shown(ModelRequest("v1", "/x", {}), "http://h", "", {})
    assert line == "curl -s http://h/x -H 'Content-Type: application/json' -d '{}'"


def test_rows_of_tensors_are_flat_over_grpc() -> None:
    body = {"inputs": [{"name": "x", "shape": [2, 1], "datatype": "FP64", "data": [[0.5], [1.0]]}]}
    (tensor,) = request_for("grpc", {"name": "m"}, body=body).body["inputs"]
    assert tensor["contents"] == {"fp64_contents": [0.5, 1.0]}


def test_half_floats_go_as_bytes_over_grpc_and_all_with_them() -> None:
    tensors = [
        {"name": "x", "shape": [2], "datatype": "FP16", "data": [0.5, 1.0]},
        {"name": "n", "shape": [1], "datatype": "INT64", "data": [7]},
        {"name": "t", "shape": [1], "datatype": "BYTES", "data": ["é"]},
    ]
    message = request_for("grpc", {"name": "m"}, body={"inputs": tensors}).body
    expected = [b"\x008\x00<", b"\x07" + bytes(7), b"\x02\0\0\0" + "é".encode()]
    assert [base64.b64decode(each) for each in message["raw_input_contents"]] == expected
    assert all(tensor.keys() == {"name", "shape", "datatype"} for tensor in message["inputs"])
    tensors[1]["data"] = ["x"]
    with pytest.raises(Failure, match="no values of INT64"):
        request_for("grpc", {"name": "m"}, body={"inputs": tensors})


def test_speech_is_a_form() -> None:
    metadata = {"name": "whisper", "parameters": {"task": "transcription"}}
    with pytest.raises(Failure, match="/openai/v1/audio/transcriptions -F model=whisper -F file=@FILE"):
        request_for("openai", metadata)


@pytest.mark.parametrize("tensor", ["x", {"name": "x"}, {"name": "x", "shape": [1], "datatype": "FP64"}])
def test_a_body_that_is_none_of_v2s_over_grpc(tensor: Any) -> None:
    with pytest.raises(Failure, match="an object with name, shape, datatype and data"):
        request_for("grpc", {"name": "m"}, body={"inputs": [tensor]})
