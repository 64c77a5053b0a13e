"""A request to a model in the words of V1, V2, gRPC, OpenAI's API, and as a Python program."""

from __future__ import annotations

import base64
import json
import pprint
import shlex
import struct
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from server.cli.main import Failure
from server.cli.screen import plain
from server.cli.tls_files import TlsFiles

WAYS = ("v1", "v2", "grpc", "python", "openai")
_METHOD = "inference.GRPCInferenceService/ModelInfer"
#: where a ModelInferRequest has the values of each datatype
_CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
#: each datatype as `struct` writes it
_FORMATS = {
    **{"BOOL": "?", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "UINT8": "B", "UINT16": "H", "UINT32": "I"},
    **{"UINT64": "Q", "FP16": "e", "FP32": "f", "FP64": "d", "BYTES": ""},
}
_NO_EXAMPLE = (
    "nobody knows what {name} takes: write a request and its answer into examples.json in its folder, "
    "or give the body by --data"
)

_IN_PARTS = ["    for line in answer:", '        print(line.decode(), end="")']


@dataclass(frozen=True)
class ModelRequest:
    """A request: its way, the path (none for gRPC) and the body."""

    way: str
    path: str
    body: Any
    streamed: bool = False  #: the answer comes in parts

    @property
    def text(self) -> str:
        return json.dumps(self.body, ensure_ascii=False)


def choose_way(metadata: Mapping[str, Any], body: Any) -> str:
    """The way that suits a model, or the body that is given, best."""
    if isinstance(body, Mapping):
        return "v2" if isinstance(body.get("inputs"), list) and "instances" not in body else "v1"
    known = examples(metadata)
    return "openai" if task(metadata) == "generation" else "v2" if "v2" in known and "v1" not in known else "v1"


def examples(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the server says that the model answers."""
    found = metadata.get("parameters", {}).get("examples", {})
    return found if isinstance(found, Mapping) else {}


def task(metadata: Mapping[str, Any]) -> str:
    return str(metadata.get("parameters", {}).get("task", ""))


def request_for(way: str, metadata: Mapping[str, Any], version: str = "", body: Any = None) -> ModelRequest:
    """The request to a model in one of the `WAYS`; `body`: the user's own, instead of an example.

    Raises:
        Failure: there is no example, or the model has no such way.
    """
    name = str(metadata["name"])
    known = examples(metadata)
    if way == "openai":
        return _openai(name, metadata, known.get("openai", {}), body)
    if way == "python":
        way = "v1" if "v1" in known or (isinstance(body, Mapping) and "instances" in body) else "v2"
        asked = _rest("python", name, version, way, known.get(way) if body is None else body)
        return replace(asked, streamed=bool(metadata.get("parameters", {}).get("streams")))
    if way == "grpc":
        return ModelRequest("grpc", "", _grpc(name, version, known.get("v2") if body is None else body))
    return _rest(way, name, version, way, known.get(way) if body is None else body)


def _rest(way: str, name: str, version: str, protocol: str, body: Any) -> ModelRequest:
    if body is None:
        raise Failure(_NO_EXAMPLE.format(name=plain(name)))
    quoted = urllib.parse.quote(name, safe="")
    versioned = f"/versions/{urllib.parse.quote(version, safe='')}" if version else ""
    path = f"/v1/models/{quoted}{versioned}:predict" if protocol == "v1" else f"/v2/models/{quoted}{versioned}/infer"
    return ModelRequest(way, path, body)


def _openai(name: str, metadata: Mapping[str, Any], known: Mapping[str, Any], body: Any) -> ModelRequest:
    if not known and task(metadata) == "transcription":
        form = f"curl -s URL/openai/v1/audio/transcriptions -F model={plain(name)} -F file=@FILE"
        raise Failure(f"OpenAI's API takes speech as a form: {form}")
    if not known:
        raise Failure(f"{plain(name)} has no route of OpenAI's API: it is neither a language model nor of embeddings")
    path, example = next(iter(known.items()))
    if isinstance(body, Mapping):
        path = "/v1/chat/completions" if "messages" in body else path
    return ModelRequest("openai", path, example if body is None else body)


def _grpc(name: str, version: str, body: Any) -> dict[str, Any]:
    """A V2 body as the JSON of a ModelInferRequest."""
    if not isinstance(body, Mapping) or not isinstance(body.get("inputs"), list):
        raise Failure(_NO_EXAMPLE.format(name=plain(name)) + " (gRPC takes V2's: an object with inputs)")
    message: dict[str, Any] = {"model_name": name}
    if version:
        message["model_version"] = version
    tensors = [_tensor(tensor) for tensor in body["inputs"]]
    if any(tensor["datatype"] == "FP16" for tensor in tensors):  # which has no field: then all go as bytes
        message["raw_input_contents"] = [_raw(tensor.pop("data"), tensor["datatype"]) for tensor in tensors]
    else:
        for tensor in tensors:
            tensor["contents"] = _contents(tensor["name"], tensor["datatype"], tensor.pop("data"))
    message["inputs"] = tensors
    if parameters := body.get("parameters"):
        message["parameters"] = {key: _parameter(value) for key, value in parameters.items()}
    return message


def _tensor(tensor: Any) -> dict[str, Any]:
    named = isinstance(tensor, Mapping) and all(key in tensor for key in ("name", "shape", "datatype", "data"))
    if not named:
        raise Failure("each of inputs is an object with name, shape, datatype and data, as V2 has them (--as=v2)")
    values = _flat(tensor["data"])
    if tensor["datatype"] not in _FORMATS or any(value is None for value in values):
        raise Failure(
            f"{plain(tensor['name'])}: {plain(tensor['datatype'])} has no JSON over gRPC; take another way (--as=v2)"
        )
    return {**{key: tensor[key] for key in ("name", "shape", "datatype")}, "data": values}


def _contents(name: str, datatype: str, values: list[Any]) -> dict[str, Any]:
    """The field of the values' type."""
    if datatype == "BYTES":
        values = [base64.b64encode(str(value).encode()).decode() for value in values]
    return {_CONTENTS[datatype]: values}


def _raw(values: list[Any], datatype: str) -> str:
    """The values' bytes, in base64 as JSON has them.

    Raises:
        Failure: they are none of this type.
    """
    try:
        if datatype == "BYTES":
            texts = [str(value).encode() for value in values]
            packed = b"".join(struct.pack("<I", len(text)) + text for text in texts)
        else:
            packed = struct.pack(f"<{len(values)}{_FORMATS[datatype]}", *values)
    except (struct.error, OverflowError) as error:
        raise Failure(f"these are no values of {datatype}: {error}") from error
    return base64.b64encode(packed).decode()


def _flat(values: Any) -> list[Any]:
    """Elements, which V2 takes as rows, too."""
    return [each for value in values for each in _flat(value)] if isinstance(values, list) else [values]


def _parameter(value: Any) -> dict[str, Any]:
    kinds = {bool: "bool_param", int: "int64_param", str: "string_param", float: "double_param"}
    return {kinds.get(type(value), "string_param"): value}


def shown(
    request: ModelRequest, url: str, grpc_address: str, headers: Mapping[str, str], tls: TlsFiles | None = None
) -> str:
    """The request as a line for a shell, or a program; over TLS where the address is."""
    secure = url.startswith("https:")
    tls = (tls or TlsFiles()) if secure else TlsFiles()
    if request.way == "python":
        return _program(request, url, headers, tls)
    given = [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items()]
    body = f"-d {shlex.quote(request.text)}"
    if request.way == "grpc":
        how = tls.words("-") if secure else ["-plaintext"]
        return _joined([" ".join(["grpcurl", *how]), *given, body, grpc_address, _METHOD])
    address = f"curl -s {shlex.quote(url + request.path)}"
    return _joined([address, *tls.words("--"), "-H 'Content-Type: application/json'", *given, body])


def _joined(words: list[str]) -> str:
    """On one line, where it is short; else a word a line."""
    line = " ".join(words)
    return line if len(line) <= 100 else " \\\n  ".join(words)


def _program(request: ModelRequest, url: str, headers: Mapping[str, str], tls: TlsFiles) -> str:
    body = pprint.pformat(request.body, width=100, sort_dicts=False)
    given = {"Content-Type": "application/json", **headers}
    return "\n".join(
        [
            "import json",
            *(["import ssl"] if tls.program() else []),
            "import urllib.request",
            "",
            *tls.program(),
            f"body = {body}",
            "request = urllib.request.Request(",
            f"    {url + request.path!r},",
            "    json.dumps(body).encode(),",
            f"    {given!r},",
            ")",
            f"with urllib.request.urlopen(request{', context=context' if tls.program() else ''}) as answer:",
            *(_IN_PARTS if request.streamed else ["    print(json.dumps(json.load(answer), indent=2))"]),
        ]
    )
