"""The inputs of KServe's own end-to-end tests (test/e2e/data), one by one: right, or refused by name; no third column.

Each is sent over the protocol that KServe's test sends it over, to a model of its format that was made on the spot, and
the answer is the framework's own. What there is of language models is asked of one in `test_language_models`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import orjson
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from tests.adapters.huggingface_ import models as hugging
from tests.e2e import kserve_models as made
from tests.e2e.corpus import same
from tests.e2e.process import Server
from tests.language_models import save_language_model

pytestmark = pytest.mark.slow

V2_IRIS = {"name": "input-0", "shape": [2, 4], "datatype": "FP32", "data": made.IRIS}
ONE_TEXT = {"name": "input-0", "datatype": "BYTES", "shape": []}


def v2(*tensors: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"inputs": list(tensors), **more}


def columns(row: dict[str, Any], number: str) -> list[dict[str, Any]]:
    """A row as KServe's clients send a data frame."""
    return [
        {"name": name, "shape": [1], "datatype": "BYTES" if isinstance(value, str) else number, "data": [value]}
        for name, value in row.items()
    ]


PD = {"content_type": "pd"}
INPUTS: dict[str, tuple[str, str, Any, str]] = {  # file -> protocol, model, body, where the right answer is
    "iris_input": ("v1", "sklearn", {"instances": made.IRIS}, "sklearn"),
    "iris_input to xgboost": ("v1", "xgboost", {"instances": made.IRIS}, "xgboost"),
    "iris_input_v2": ("v2", "sklearn", v2(V2_IRIS), "sklearn"),
    "iris_input_v2 to xgboost": ("v2", "xgboost", v2(V2_IRIS), "xgboost"),
    "iris_input_v2 to lightgbm": ("v2", "lightgbm", v2(V2_IRIS), "lightgbm.v2"),
    "iris_input_v3": ("v1", "lightgbm", {"inputs": [{k: [v] for k, v in made.SEPALS.items()}]}, "lightgbm.v3"),
    "iris_input_v4": ("v1", "lightgbm", {"inputs": [[{k: v} for k, v in made.SEPALS.items()]]}, "lightgbm.v4"),
    "iris_input_v5": (
        "v1", "lightgbm", {"inputs": [[{k: v} for k, v in list(made.SEPALS.items())[:3]]]}, "lightgbm.v5"
    ),
    "news_grouping_input_v1": ("v1", "news", {"inputs": [made.NEWS]}, "news"),
    "income_input": ("v1", "income", {"instances": made.INCOME}, "income"),
    "sklearn_mixed": ("v1", "house", {"instances": [made.HOUSE]}, "house"),
    "sklearn_mixed_v2": ("v2", "house", v2(*columns(made.HOUSE, "INT32"), parameters=PD), "house"),
    "mlflow_input_v2": ("v2", "wine", v2(*columns(made.WINE, "FP32"), parameters=PD), "wine"),
    "flower_input": (
        "v1", "flowers", {"instances": [{"image_bytes": {"b64": made.b64(made.FLOWER)}, "key": "   1"}]}, "flowers"
    ),
    "cifar10_input_v2": (
        "v2", "cifar",
        v2({"name": "INPUT__0", "shape": [1, 3, 32, 32], "datatype": "FP32", "data": made.CIFAR.tolist()}), "cifar",
    ),
    "torchserve_input": (
        "v1", "vision", {"instances": [{"data": made.b64(made.PICTURE), "target": 0}]}, "vision.once"
    ),
    "torchserve_batch_input": (
        "v1", "vision", {"instances": [{"data": made.b64(made.PICTURE), "target": 0}] * 2}, "vision.twice"
    ),
    "custom_model_input": ("v1", "image", {"instances": [{"image": {"b64": made.b64(made.PICTURE)}}]}, "image"),
    "custom_model_input_v2": (
        "v2", "image",
        v2({"name": "input-0", "shape": [1], "datatype": "BYTES", "data": [made.b64(made.PICTURE)]}), "image",
    ),
    "bert_fill_mask_v1": ("v1", "fill", {"instances": made.TEXTS["fill"]}, "fill"),
    "bert_sequence_classification_v2": (
        "v2", "sentiment", v2({**ONE_TEXT, "data": made.TEXTS["sentiment"]}), "sentiment"
    ),
    "bert_token_classification_v2": ("v2", "entities", v2({**ONE_TEXT, "data": made.TEXTS["entities"]}), "entities"),
    "text_embedding_input_v2": ("v2", "embedding", v2({**ONE_TEXT, "data": made.TEXTS["embedding"]}), "embedding"),
}  # fmt: skip
REFUSED: dict[str, tuple[str, Any, str]] = {  # file -> model, body, what is said of it
    "jay": ("paddle", {"instances": [[[[0.5]]]]}, "a PaddlePaddle model, which this version does not serve; "),
    "pmml_input": ("pmml", {"instances": [[5.1, 3.5, 1.4, 0.2]]}, "a PMML model, which this version does not serve; "),
    "jay-v2": (
        "paddle",
        v2({**V2_IRIS, "datatype": "FP64"}),
        "a PaddlePaddle model, which this version does not serve; ",
    ),
    "pmml-input-v2": ("pmml", v2(V2_IRIS), "a PMML model, which this version does not serve; "),
    "autogluon_titanic_input": ("autogluon", {"instances": [made.TITANIC]}, "an AutoGluon predictor"),
    "autogluon_titanic_input_v2": ("autogluon", v2(*columns({"Pclass": 3, "Sex": "male"}, "INT64")), "an AutoGluon "),
    "autogluon_timeseries_input": (
        "autogluon",
        {"instances": [{"item_id": "0", "timestamp": "2020-01-01", "target": 100.0}]},
        "an AutoGluon ",
    ),
    "autogluon_timeseries_input_long": (
        "autogluon",
        {"instances": [{"item_id": "H200", "timestamp": "1750-02-09 00:00:00", "target": 28.0}]},
        "an AutoGluon ",
    ),
    "autogluon_titanic_input_v2_binary": (
        "autogluon",
        v2(*columns({"Sex": "male"}, "INT64"), outputs=[{"name": "predictions", "parameters": {"binary_data": True}}]),
        "an AutoGluon ",
    ),
    "autogluon_titanic_input_v2_all_binary": (
        "autogluon",
        v2(*columns({"Sex": "male"}, "INT64"), parameters={"binary_data_output": True}),
        "an AutoGluon ",
    ),
    "mnist_input_bw": ("sklearn", {"instances": [[[[[-0.5]]], 3]]}, "lists and single values are mixed"),
}


@dataclass
class Site:
    server: Server
    right: dict[str, Any]

    def answer(self, where: str) -> Any:
        name, _, part = where.partition(".")
        return self.right[name][part] if part else self.right[name]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    base = tmp_path_factory.mktemp("kserve")
    root: Path = base / "models"
    right: dict[str, Any] = {}
    for name, make in {
        "sklearn": made.sklearn_iris, "xgboost": made.xgboost_iris, "lightgbm": made.lightgbm_iris, "news": made.news,
        "income": made.income, "house": made.house, "wine": made.wine, "flowers": made.flowers, "cifar": made.cifar,
        "image": made.image, "paddle": made.paddle, "pmml": made.pmml, "autogluon": made.autogluon,
        "node": made.failing_node,
    }.items():  # fmt: skip
        (root / name).mkdir(parents=True)
        right[name] = make(root / name)
    right["vision"] = made.vision(root / "vision", base / "work")
    right.update(_texts(root))
    save_language_model(root / "language")
    server = Server(root, base / "server.log").wait_scanned()
    yield Site(server, right)
    assert server.stop() == 0, server.log


def _texts(root: Path) -> dict[str, Any]:
    """The models of transformers, and what it answers itself."""
    made.bert(root / "fill", "BertForMaskedLM")
    made.bert(root / "sentiment", "BertForSequenceClassification", num_labels=2)
    made.bert(root / "entities", "BertForTokenClassification", num_labels=9)
    made.bert(root / "embedding", "BertModel")
    made.bert(root / "reranker", "BertForSequenceClassification", num_labels=1)
    made.t5(root / "t5")
    right: dict[str, Any] = {"fill": []}
    for text in made.TEXTS["fill"]:
        tokens, output = hugging.direct(root / "fill", "AutoModelForMaskedLM", text)
        tokenizer, _ = hugging._loaded(root / "fill", "AutoModelForMaskedLM")
        at = tokens["input_ids"][0] == tokenizer.mask_token_id
        right["fill"].append(tokenizer.decode(output.logits[0, at].argmax(-1)))
    (text,) = made.TEXTS["sentiment"]
    _, output = hugging.direct(root / "sentiment", "AutoModelForSequenceClassification", text)
    right["sentiment"] = [int(output.logits.argmax())]
    (text,) = made.TEXTS["entities"]
    _, output = hugging.direct(root / "entities", "AutoModelForTokenClassification", text)
    right["entities"] = [output.logits.argmax(-1).tolist()]  # in KServe's shape: [rows, 1, tokens]
    (text,) = made.TEXTS["embedding"]
    tokens, output = hugging.direct(root / "embedding", "AutoModel", text)
    vector = output.last_hidden_state.mean(1)
    right["embedding"] = (vector / vector.norm()).tolist()
    logits = [
        hugging.direct(root / "reranker", "AutoModelForSequenceClassification", made.QUERY, text_pair=each)[1].logits
        for each in made.DOCUMENTS
    ]
    right["reranker"] = [float(each.sigmoid()) for each in logits]
    right["t5"] = made.t5_text(root / "t5")
    return right


def _predicted(protocol: str, answer: httpx.Response) -> Any:
    document = answer.json()
    if protocol == "v1":
        return document["predictions"]
    (tensor,) = document["outputs"]
    return np.array(tensor["data"]).reshape(tensor["shape"]).tolist()


@pytest.mark.parametrize("file", INPUTS)
def test_it_is_answered_as_the_framework_does(site: Site, file: str) -> None:
    protocol, model, body, where = INPUTS[file]
    path = f"/v1/models/{model}:predict" if protocol == "v1" else f"/v2/models/{model}/infer"
    answer = site.server.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    assert same(site.answer(where), _predicted(protocol, answer), 1e-4), answer.text


@pytest.mark.parametrize("file", REFUSED)
def test_what_is_not_served_is_refused_by_name(site: Site, file: str) -> None:
    model, body, says = REFUSED[file]
    path = f"/v2/models/{model}/infer" if "inputs" in body else f"/v1/models/{model}:predict"
    answer = site.server.client.post(path, json=body)
    assert answer.status_code in (400, 503), answer.text
    assert says in answer.json()["error"]


@pytest.mark.parametrize(
    "asked",
    [
        {"outputs": [{"name": "output-0", "parameters": {"binary_data": True}}]},
        {"parameters": {"binary_data_output": True}},
    ],
)
def test_binary_answers(site: Site, asked: dict[str, Any]) -> None:
    """iris_input_v2_binary and iris_input_v2_all_binary."""
    answer = site.server.client.post("/v2/models/sklearn/infer", json=v2(V2_IRIS, **asked))
    length = int(answer.headers["inference-header-content-length"])
    assert orjson.loads(answer.content[:length])["outputs"][0]["parameters"] == {"binary_data_size": 16}
    assert np.frombuffer(answer.content[length:], np.int64).tolist() == site.right["sklearn"]


GRPC: dict[str, tuple[str, list[dict[str, Any]], str]] = {
    "iris_input_v2_grpc": (
        "sklearn",
        [{**V2_IRIS, "data": None, "contents": {"fp32_contents": [*made.IRIS[0], *made.IRIS[1]]}}],
        "sklearn",
    ),
    "sklearn_mixed_v2 over gRPC": (
        "house",
        [
            {**each, "contents": {"bytes_contents": [each["data"][0].encode()]}}
            if each["datatype"] == "BYTES"
            else {**each, "contents": {"int_contents": each["data"]}}
            for each in columns(made.HOUSE, "INT32")
        ],
        "house",
    ),
    "custom_model_input over gRPC": (
        "image",
        [{"name": "input-0", "shape": [], "datatype": "BYTES", "contents": {"bytes_contents": [made.PICTURE]}}],
        "image",
    ),
    "torchserve_input over gRPC": (
        "vision",
        [{"name": "input-0", "shape": [], "datatype": "BYTES", "contents": {"bytes_contents": [made.PICTURE]}}],
        "vision.once",
    ),
}


@pytest.mark.parametrize("file", GRPC)
def test_over_grpc(site: Site, file: str) -> None:
    model, tensors, where = GRPC[file]
    request = pb.ModelInferRequest(model_name=model)
    for each in tensors:
        request.inputs.add(**{key: value for key, value in each.items() if key != "data"})
    if model == "house":
        request.parameters["content_type"].string_param = "pd"
    with grpc.insecure_channel(site.server.grpc) as channel:
        (tensor,) = GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=60).outputs
    got = next(list(values) for field, values in tensor.contents.ListFields())
    if tensor.datatype == "BYTES":
        got = [orjson.loads(value) for value in got]
    assert same(site.answer(where), got, 1e-4), tensor


@pytest.mark.parametrize(("file", "model"), [("jay-v2-grpc", "paddle"), ("pmml_input_v2_grpc", "pmml")])
def test_over_grpc_what_is_not_served_is_refused_by_name_too(site: Site, file: str, model: str) -> None:
    request = pb.ModelInferRequest(model_name=model)
    request.inputs.add(name="input-0", shape=[1, 4], datatype="FP32").contents.fp32_contents.extend(made.IRIS[0])
    with grpc.insecure_channel(site.server.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
        GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=60)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "which this version does not serve; " in caught.value.details()


def test_embeddings_by_openais_api(site: Site) -> None:
    """text_embedding_input_openai_float and _base64."""
    vectors = []
    for kind, text in (("float", made.TEXTS["embedding"][0]), ("base64", made.TEXTS["embedding"])):
        body = {"input": text, "model": "embedding", "encoding_format": kind}
        answer = site.server.client.post("/openai/v1/embeddings", json=body)
        assert answer.status_code == 200, answer.text
        (entry,) = answer.json()["data"]
        given = entry["embedding"]
        vectors.append(np.frombuffer(base64.b64decode(given), np.float32) if kind == "base64" else np.array(given))
    assert np.allclose(vectors, site.right["embedding"], atol=1e-5)


@pytest.mark.parametrize("stream", [False, True])
def test_language_models(site: Site, stream: bool) -> None:
    """qwen_input_chat, qwen_input_cmpl and their streams."""
    messages = [{"role": "system", "content": "Answer."}, {"role": "user", "content": "2+2="}]
    for route, asked in (("chat/completions", {"messages": messages}), ("completions", {"prompt": "1+1=2\n2+2="})):
        body = {"model": "language", "temperature": 0, "max_tokens": 5, "stream": stream, **asked}
        answer = site.server.client.post(f"/openai/v1/{route}", json=body)
        assert answer.status_code == 200, answer.text
        if stream:
            events = answer.text.strip().split("\n\n")
            assert events[-1] == "data: [DONE]"
            assert all("choices" in orjson.loads(event.removeprefix("data: ")) for event in events[:-1])
        else:
            (choice,) = answer.json()["choices"]
            assert choice["finish_reason"] in ("length", "stop")


def test_t5_by_openais_api(site: Site) -> None:
    """t5_small_generate."""
    body = {"model": "t5", "prompt": made.T5_PROMPT, "temperature": 0}
    answer = site.server.client.post("/openai/v1/completions", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["text"] == site.right["t5"]
    assert "t5" in {each["id"] for each in site.server.client.get("/openai/v1/models").json()["data"]}


def test_a_reranker_by_openais_api(site: Site) -> None:
    """bge-reranker-base."""
    body = {"model": "reranker", "query": made.QUERY, "documents": made.DOCUMENTS}
    answer = site.server.client.post("/openai/v1/rerank", json=body)
    assert answer.status_code == 200, answer.text
    scores = {each["index"]: each["relevance_score"] for each in answer.json()["results"]}
    assert same(site.right["reranker"], [scores[index] for index in range(2)], 1e-5)


def test_a_batch_of_requests(site: Site) -> None:
    """iris_batch_input: what KServe's batcher would merge is sent at once, each gets its own rows."""
    bodies = [{"instances": [row]} for row in made.IRIS] * 8
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda body: site.server.predict("sklearn", body), bodies))
    assert [answer.json() for answer in answers] == [{"predictions": [label]} for label in site.right["sklearn"]] * 8


def test_a_node_of_an_inference_graph(site: Site) -> None:
    """What the tests of graphs expect of a node that fails: its status, and its own words as KServe passes them on."""
    answer = site.server.predict("node", {"instances": []})
    assert (answer.status_code, answer.json()) == (404, site.right["node"])


def test_headers_of_a_custom_answer(site: Site) -> None:
    answer = site.server.predict("image", {"instances": [{"image": {"b64": made.b64(made.PICTURE)}}]})
    assert answer.headers["prediction-time-latency"] == "1.5"


def test_several_models_of_one_server(site: Site) -> None:
    """What was KServe's multi-model serving: the index, and each under its own name."""
    assert {name for name, entry in site.server.index().items() if entry["state"] != "READY"} == {
        "paddle", "pmml", "autogluon"
    }  # fmt: skip
