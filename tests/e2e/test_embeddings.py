"""Models of texts behind a whole server: embeddings, rerank and score say what sentence-transformers itself says."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from tests.adapters.huggingface_.models import save, train_wordpiece
from tests.adapters.sentence_transformers_.models import TEXTS, cross, dense, static
from tests.e2e.process import Server
from tests.language_models import save_language_model
from tests.patience import wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(find_spec("sentence_transformers") is None, reason="not installed"),
]

EMBEDDINGS, RERANK, SCORE = "/openai/v1/embeddings", "/openai/v1/rerank", "/openai/v1/score"
QUERY, DOCUMENTS = "my dog is cute", ["paris is the capital of france", "the lazy dog", "hello world", "my dog"]
EMBED, PAIRED = ["bert", "dense", "static"], ["cross", "reranker"]


@dataclass(frozen=True)
class Texts:
    """A server, and the library's own models of the folders that it serves."""

    server: Server
    library: dict[str, Any]

    def post(self, path: str, model: str, **fields: Any) -> Any:
        answer = self.server.client.post(path, json={"model": model, **fields})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def vectors(self, model: str, texts: Any, **fields: Any) -> np.ndarray:
        data = self.post(EMBEDDINGS, model, input=texts, **fields)["data"]
        assert [each["index"] for each in data] == list(range(len(data)))
        return np.array([each["embedding"] for each in data])

    def refused(self, path: str, **fields: Any) -> tuple[int, dict[str, Any]]:
        answer = self.server.client.post(path, json=fields)
        error = answer.json()["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        return answer.status_code, error


@pytest.fixture(scope="module", params=["--workers=1", "--workers=2"])
def texts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Texts]:
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    mount = tmp_path_factory.mktemp("models")
    sources = {name: tmp_path_factory.mktemp(name) for name in ("bert", "dense", "cross", "mask")}
    source = save(sources["bert"], "BertModel", train_wordpiece())
    bert = SentenceTransformer(modules=[modules.Transformer(str(source)), modules.Pooling(32, "mean")], device="cpu")
    bert.save_pretrained(str(mount / "bert"))
    library = {"bert": bert.eval(), "static": static(mount / "static")}
    for name, make in {"dense": dense, "cross": cross}.items():
        library[name] = make(sources[name] / name)
        (sources[name] / name).rename(mount / name)
    save(mount / "reranker", "BertForSequenceClassification", train_wordpiece(), num_labels=1)
    library["reranker"] = CrossEncoder(str(mount / "reranker"), device="cpu", local_files_only=True)
    save(mount / "cutting", "BertModel", train_wordpiece())
    (mount / "cutting" / "polyserve.yaml").write_text("options: {truncation: true}")
    save_language_model(mount / "tiny")
    (mount / "line").mkdir()
    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]), mount / "line" / "model.joblib")
    server = Server(mount, tmp_path_factory.mktemp("log") / "server.log", request.param).wait_ready()
    yield Texts(server, library)
    server.stop()


@pytest.mark.parametrize("model", EMBED)
def test_embeddings_are_those_of_the_library(texts: Texts, model: str) -> None:
    wanted = texts.library[model].encode(TEXTS)
    np.testing.assert_allclose(texts.vectors(model, TEXTS), wanted, atol=1e-5)
    np.testing.assert_allclose(texts.vectors(model, TEXTS[0]), wanted[:1], atol=1e-5)
    same = texts.server.client.post("/v1/embeddings", json={"model": model, "input": TEXTS[0]}).json()
    np.testing.assert_allclose([same["data"][0]["embedding"]], wanted[:1], atol=1e-5)


@pytest.mark.parametrize("model", EMBED)
def test_base64_holds_the_very_same_values(texts: Texts, model: str) -> None:
    floats = texts.vectors(model, TEXTS)
    document = texts.post(EMBEDDINGS, model, input=TEXTS, encoding_format="base64")
    read = [np.frombuffer(base64.b64decode(each["embedding"]), "<f4").tolist() for each in document["data"]]
    assert read == floats.tolist()


@pytest.mark.parametrize("model", EMBED)
def test_dimensions(texts: Texts, model: str) -> None:
    wanted = texts.library[model].encode(TEXTS, truncate_dim=5, normalize_embeddings=True)
    np.testing.assert_allclose(texts.vectors(model, TEXTS, dimensions=5), wanted, atol=1e-5)
    size = texts.vectors(model, "hello").shape[1]
    status, error = texts.refused(EMBEDDINGS, model=model, input="hello", dimensions=size + 1)
    assert (status, error["param"]) == (400, "dimensions")
    assert str(size) in error["message"]


@pytest.mark.parametrize("model", EMBED)
def test_the_usage_is_what_the_model_read(texts: Texts, model: str) -> None:
    tokenizer = texts.library[model].tokenizer
    if model == "static":
        tokens = sum(len(each.ids) for each in tokenizer.encode_batch(TEXTS, add_special_tokens=False))
    else:
        tokens = sum(map(len, tokenizer(TEXTS)["input_ids"]))
    usage = texts.post(EMBEDDINGS, model, input=TEXTS)["usage"]
    assert usage == {"prompt_tokens": tokens, "total_tokens": tokens}


def test_texts_that_are_too_long_are_refused_with_the_number_or_cut_if_that_is_asked_for(texts: Texts) -> None:
    long = "hello " * 100
    cut = texts.post(EMBEDDINGS, "bert", input=long, truncation=True)
    assert cut["usage"]["prompt_tokens"] == 40
    assert texts.post(EMBEDDINGS, "bert", input=long, truncate_prompt_tokens=-1) == cut
    asked = {"model": "cutting", "input": ["hello", long], "truncation": False}
    for fields in (asked, {"model": "bert", "input": ["hello", long]}):
        status, error = texts.refused(EMBEDDINGS, **fields)
        assert status == 400
        assert re.match(r"text\[1\] has \d+ tokens and the model takes 40: shorten it", error["message"])
        assert (error["code"], error["param"]) == ("context_length_exceeded", "input")
    for path, fields in ((EMBEDDINGS, {"model": "dense", "input": long}), (RERANK, {"model": "cross", "query": QUERY})):
        fields = fields if path == EMBEDDINGS else {**fields, "documents": ["hello", long]}
        status, error = texts.refused(path, **fields)
        assert status == 400
        assert re.search(r" has \d+ tokens and the model takes 40: shorten it", error["message"])
        assert error["code"] == "context_length_exceeded"
        assert texts.post(path, fields.pop("model"), **fields, truncation=True)["usage"]


@pytest.mark.parametrize("model", PAIRED)
def test_rerank_by_a_model_of_pairs(texts: Texts, model: str) -> None:
    library = texts.library[model]
    wanted = [float(library.predict([(QUERY, each)])[0]) for each in DOCUMENTS]
    answer = texts.post(RERANK, model, query=QUERY, documents=[*DOCUMENTS[:3], {"text": DOCUMENTS[3]}])
    best = [each["index"] for each in answer["results"]]
    assert [each["document"]["text"] for each in answer["results"]] == [DOCUMENTS[index] for index in best]
    scores = [each["relevance_score"] for each in answer["results"]]
    assert scores == sorted(scores, reverse=True)
    assert scores == pytest.approx([wanted[index] for index in best], abs=1e-5)
    tokens = sum(map(len, library.tokenizer([QUERY] * 4, DOCUMENTS)["input_ids"]))
    assert answer["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    few = texts.post(RERANK, model, query=QUERY, documents=DOCUMENTS, top_n=2, return_documents=False)
    assert [each["index"] for each in few["results"]] == best[:2]
    assert few["results"][0].keys() == {"index", "relevance_score"}


@pytest.mark.parametrize("model", EMBED)
def test_rerank_by_cosine(texts: Texts, model: str) -> None:
    library = texts.library[model]
    wanted = library.similarity(library.encode([QUERY]), library.encode(DOCUMENTS))[0].tolist()
    answer = texts.post(RERANK, model, query=QUERY, documents=DOCUMENTS)
    scores = {each["index"]: each["relevance_score"] for each in answer["results"]}
    assert [scores[index] for index in range(4)] == pytest.approx(wanted, abs=1e-5)
    assert list(scores.values()) == sorted(scores.values(), reverse=True)


def test_scores_of_pairs(texts: Texts) -> None:
    pairs = list(zip(TEXTS[:4], DOCUMENTS, strict=True))
    wanted = [float(texts.library["cross"].predict([pair])[0]) for pair in pairs]
    answer = texts.post(SCORE, "cross", text_1=TEXTS[:4], text_2=DOCUMENTS)
    assert [each["score"] for each in answer["data"]] == pytest.approx(wanted, abs=1e-5)
    one = texts.post("/v1/score", "cross", text_1=TEXTS[0], text_2=DOCUMENTS)
    assert one["data"][0]["score"] == pytest.approx(wanted[0], abs=1e-5)
    similar = texts.post(SCORE, "bert", text_1=TEXTS[0], text_2=TEXTS[0])
    assert similar["data"][0]["score"] == pytest.approx(1, abs=1e-5)


def test_many_at_once_get_their_own(texts: Texts) -> None:
    wanted = texts.library["bert"].encode(TEXTS)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda text: texts.vectors("bert", text)[0], TEXTS * 6))
    np.testing.assert_allclose(found, np.tile(wanted, (6, 1)), atol=1e-5)


def test_what_is_refused(texts: Texts) -> None:
    for path, fields, status, param in (
        (EMBEDDINGS, {"model": "nobody", "input": "a"}, 404, "model"),
        (EMBEDDINGS, {"model": "line", "input": "a"}, 400, "model"),
        (EMBEDDINGS, {"model": "tiny", "input": "a"}, 400, "model"),
        (EMBEDDINGS, {"model": "cross", "input": "a"}, 400, "model"),
        (RERANK, {"model": "line", "query": "a", "documents": ["b"]}, 400, "model"),
        (EMBEDDINGS, {"model": "bert", "input": [1, 2, 3]}, 400, "input"),
        (EMBEDDINGS, {"model": "bert", "input": "a", "dimension": 3}, 400, "dimension"),
        (EMBEDDINGS, {"input": "a"}, 400, "model"),
    ):
        found, error = texts.refused(path, **fields)
        assert (found, error["param"]) == (status, param), error
    status, error = texts.refused(EMBEDDINGS, model="cross", input="a", truncation=True)
    assert "rerank" in error["message"]


def test_they_are_listed_and_described(texts: Texts) -> None:
    client = texts.server.client
    listed = {each["id"] for each in client.get("/openai/v1/models").json()["data"]}
    assert listed == {*EMBED, *PAIRED, "cutting", "tiny"}
    assert client.get("/openai/v1/models/bert").json()["id"] == "bert"
    assert "/v1/embeddings" in client.get("/openapi.json").json()["paths"]


def test_v1_and_v2_tell_tokens_where_they_are_asked_to(texts: Texts) -> None:
    body = {"instances": ["hello"], "parameters": {"token_counts": True}}
    (answer,) = texts.server.client.post("/v1/models/bert:predict", json=body).json()["predictions"]
    assert answer["token_counts"] == len(texts.library["bert"].tokenizer("hello")["input_ids"])
    del body["parameters"]
    (vector,) = texts.server.client.post("/v1/models/bert:predict", json=body).json()["predictions"]
    assert vector == answer["output-0"]


def test_they_are_counted(texts: Texts) -> None:
    texts.vectors("dense", "hello")
    counted = 'polyserve_requests_total{model="dense",protocol="openai",status="200"'
    wait_for(lambda: counted in texts.server.client.get("/metrics").text, "the count of whichever process")
