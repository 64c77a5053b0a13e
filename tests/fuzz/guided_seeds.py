"""What coverage-guided fuzzing begins with: for each of its targets some that are sound."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from random import Random

import hpack

from tests.adapters.formats.messages import message, varint
from tests.adapters.tensorflow_.test_graph import calls, node
from tests.adapters.xgboost_.test_format import ubj
from tests.fuzz.http2 import Talker
from tests.fuzz.messages import SOUND
from tests.fuzz.pickles import Composer
from tests.gguf_models import header, number, tensor, text, texts, value
from tests.server.api.grpc.native.raw_calls import head
from tests.server.api.http2.client import HELLO
from tests.server.api.rest.test_fast_protocol import ONE, TENSORS, V1, V2

#: the names of files that are read, and what stands beside them
FILES = (
    *("model.onnx", "saved_model.pb", "frozen.pb", "model.gguf", "model.safetensors", "tokenizer.json", "model.ubj"),
    *("model.cbm", "model.pt", "model.keras", "MLmodel", "polyserve.yaml", "config.pbtxt"),
)
_CONFIG = json.dumps({"model_type": "bert", "architectures": ["BertForSequenceClassification"]}).encode()
_VOCABULARY = {"type": "WordLevel", "vocab": {"a": 0, "[UNK]": 1}, "unk_token": "[UNK]"}
_TOKENIZER = json.dumps(
    {
        "version": "1.0",
        "added_tokens": [{"id": 0, "content": "a", "special": True}],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "a"}, {"type": "NFC"}]},
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "\\s+"}, "behavior": "Isolated", "invert": False},
        "post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": _VOCABULARY,
        "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_id": 0},
        "truncation": None,
    }
).encode()  # fmt: skip
_TENSORS = json.dumps({"t": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}}).encode()
_SAFETENSORS = len(_TENSORS).to_bytes(8, "little") + _TENSORS + bytes(2)
BESIDE: Mapping[str, Mapping[str, bytes]] = {
    "model.safetensors": {"config.json": _CONFIG, "tokenizer.json": _TOKENIZER},
    "tokenizer.json": {"config.json": _CONFIG, "model.safetensors": _SAFETENSORS},
    "polyserve.yaml": {"model.json": b'{"learner": {}, "version": [2, 0, 0]}'},
}


def heads() -> Iterable[bytes]:
    for path, body in ((V1, ONE), (V2, TENSORS)):
        for more in (
            "",
            "Content-Type: application/json; charset=utf-8\r\n",
            "Accept-Encoding: gzip\r\nX-Request-Id: a\r\n",
        ):
            yield f"POST {path} HTTP/1.1\r\nHost: x\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode()


def conversations() -> Iterable[bytes]:
    """What clients of HTTP/2 say behind their greeting."""
    for seed in range(60):
        talker = Talker(Random(seed))
        yield b"".join(talker.said() for _ in range(12))


def connections() -> Iterable[bytes]:
    """HTTP/2 with its greeting, and HTTP/1."""
    for said in conversations():
        yield HELLO + said
    yield b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def blocks() -> Iterable[bytes]:
    """Blocks of HPACK, one behind the other."""
    for seed in range(20):
        encoder, rng = hpack.Encoder(), Random(seed)
        yield b"\xfe\xff".join(encoder.encode(head("/s/echo", ("x", "y" * rng.randrange(9)))) for _ in range(3))


def messages() -> Iterable[bytes]:
    return SOUND


def bodies() -> Iterable[bytes]:
    yield from (ONE, TENSORS, b'{"instances": [[1.5, -2e3], [null, 1]], "parameters": {"top_k": 1}}')
    yield b'{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [[1, 2]]}], "id": ""}'


def openai() -> Iterable[bytes]:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [tool]}}
    chat = {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}
    whole = {
        **chat, "tools": [tool], "tool_choice": allowed, "stop": ["a"], "logit_bias": {"1": 2}, "n": 2, "seed": 1,
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
        "reasoning_effort": "low", "chat_template_kwargs": {"a": 1}, "logprobs": True, "top_logprobs": 2,
    }  # fmt: skip
    response = {"model": "m", "input": [{"role": "user", "content": "a"}], "tools": [{"type": "function", "name": "f"}],
                "tool_choice": {"type": "function", "name": "f"}, "text": {"format": {"type": "json_object"}},
                "include": ["message.output_text.logprobs"], "reasoning": {"effort": "low"}}  # fmt: skip
    completion = {"model": "m", "prompt": ["a", [1, 2]], "guided_regex": "a+", "stream": True, "echo": True,
                  "stream_options": {"include_usage": True}, "structured_outputs": {"choice": ["a"]}}  # fmt: skip
    return [json.dumps(each).encode() for each in (chat, whole, response, completion)]


def forms() -> Iterable[bytes]:
    parts = (("file", "x"), ("model", "m"), ("response_format", "verbose_json"), ("timestamp_granularities[]", "word"))
    said = "".join(f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in parts)
    yield f"{said}--b--\r\n".encode()


def pickles() -> Iterable[bytes]:
    return [Composer(Random(seed), hostile=seed % 2 == 1).pickle() for seed in range(60)]


def file(name: str) -> Iterable[bytes]:
    """Small files as those that write them do; none where that takes a framework."""
    graph = message(1, node("x", "Placeholder")) + message(1, node("y", "PartitionedCall", "x", more=calls("f")))
    known = {
        "saved_model.pb": b"\x08\x01" + message(2, message(2, graph) + message(5, message(1, b"serving_default"))),
        "frozen.pb": graph,
        "model.onnx": _onnx(),
        "model.gguf": header(
            value("general.architecture", 8, text("llama")), number("llama.block_count", 1),
            texts("tokenizer.ggml.tokens", "a", "b"), tensors=(tensor("blk.0.attn_q.weight", (4, 2)),), data=bytes(32),
        ),
        "model.safetensors": _SAFETENSORS,
        "tokenizer.json": _TOKENIZER,
        "model.ubj": ubj({"learner": {"gradient_booster": {"name": "gbtree"}}, "version": [2]}),
        "MLmodel": b"flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n    model_path: m\n",
        "polyserve.yaml": b"adapter: xgboost\nversions: all\nparameters: {a: 1}\nbatching: {max_rows: 2}\n",
        "config.pbtxt": b'name: "m"\nbackend: "onnxruntime"\ninput [ { name: "x" data_type: TYPE_FP32 dims: [2] } ]\n',
    }  # fmt: skip
    return [known[name]] if name in known else []


def _onnx() -> bytes:
    operator = message(1, b"x") + message(2, b"y") + message(4, b"Identity")
    graph = message(1, operator) + message(2, b"g") + message(11, message(1, b"x")) + message(12, message(1, b"y"))
    return b"\x08" + varint(9) + message(7, graph) + message(8, b"\x10" + varint(17))
