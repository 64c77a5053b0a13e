"""sentence-transformers: answers are those of `encode` and `predict` themselves, for each text and in any company."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from adapters import registry
from adapters.base import InvalidInput, LoadError, ModelDir, Trust
from adapters.sentence_transformers_ import SentenceTransformersAdapter
from server.codec import v1
from tests.adapters.sentence_transformers_.models import PAIRS, TEXTS, cross, dense, pooled, sparse, static

pytestmark = pytest.mark.skipif(find_spec("sentence_transformers") is None, reason="not installed")


def load(folder: Path, **options: Any) -> SentenceTransformersAdapter:
    directory = ModelDir.of(folder)
    choice = registry.choose(directory)
    assert choice.adapter is SentenceTransformersAdapter
    assert choice.match.trust is Trust.SAFE
    return SentenceTransformersAdapter.load(directory, choice.match.file, options)


def ask(adapter: SentenceTransformersAdapter, texts: list[Any], **parameters: Any) -> Any:
    call = v1.decode(orjson.dumps({"instances": texts}), adapter.signature)
    return adapter.predict(call.inputs, parameters)["output-0"]


Made = tuple[Path, Any]


def made(make: Callable[..., Any]) -> Any:
    @pytest.fixture(scope="module")
    def fixture(tmp_path_factory: pytest.TempPathFactory) -> Made:
        folder = tmp_path_factory.mktemp(make.__name__) / "model"
        return folder, make(folder)

    return fixture


dense_model = made(lambda folder: dense(folder, prompts={"query": "paris is "}))
static_model = made(static)
pooled_model = made(pooled)
sparse_model = made(sparse)
cross_model = made(cross)


@pytest.mark.parametrize("name", ["dense_model", "static_model", "pooled_model"])
def test_each_text_has_the_bits_of_encode_alone_and_in_company(name: str, request: pytest.FixtureRequest) -> None:
    folder, model = request.getfixturevalue(name)
    adapter = load(folder)
    alone = np.concatenate([model.encode([text]) for text in TEXTS])
    np.testing.assert_array_equal(np.concatenate([ask(adapter, [text]) for text in TEXTS]), alone)
    together = ask(adapter, TEXTS)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(together, model.encode(TEXTS), atol=1e-6)
    assert adapter.signature.outputs[0].shape == (-1, alone.shape[1])


def test_prompts_lengths_and_dimensions(dense_model: Made) -> None:
    folder, model = dense_model
    adapter = load(folder)
    wanted = model.encode(["cute"], prompt_name="query")
    np.testing.assert_array_equal(ask(adapter, ["cute"], prompt_name="query"), wanted)
    np.testing.assert_array_equal(ask(adapter, ["cute"], prompt="paris is "), wanted)
    np.testing.assert_array_equal(ask(load(folder, prompt_name="query"), ["cute"]), wanted)
    assert not np.array_equal(ask(adapter, ["cute"]), wanted)
    short = model.encode(["cute"], truncate_dim=3, normalize_embeddings=True)
    np.testing.assert_array_equal(ask(adapter, ["cute"], truncate_dim=3, normalize=True), short)
    assert load(folder, truncate_dim=3).signature.outputs[0].shape == (-1, 3)
    for name, value in {"prompt_name": "title", "truncate_dim": 9}.items():
        with pytest.raises(InvalidInput, match=name):
            ask(adapter, ["cute"], **{name: value})
    with pytest.raises(InvalidInput, match=r"text\[0\] has \d+ tokens and the model takes 6: shorten it, or set"):
        ask(load(folder, max_length=6), TEXTS)
    shortest = load(folder, max_length=3)  # one token of a text's own
    assert len(shortest.predict(shortest.example(), {})["output-0"]) == 2
    cutting = load(folder, max_length=4, truncation=True)
    assert np.array_equal(ask(cutting, [TEXTS[0]]), ask(cutting, ["paris is"]))
    assert np.array_equal(ask(load(folder, max_length=4), [TEXTS[0]], truncation=True), ask(cutting, ["paris is"]))
    with pytest.raises(LoadError, match="max_length is 1000, but this model takes from 3 to 40 tokens"):
        load(folder, max_length=1000)


def test_a_sparse_encoder_gives_dimensions_and_weights(sparse_model: Made) -> None:
    folder, model = sparse_model
    adapter = load(folder)
    for text, answer in zip(TEXTS, ask(adapter, TEXTS).tolist(), strict=True):
        (wanted,) = model.encode([text], convert_to_sparse_tensor=False)
        assert answer["indices"] == wanted.nonzero()[:, 0].tolist()
        np.testing.assert_allclose(answer["values"], wanted[wanted != 0].numpy(), atol=1e-5)


def test_a_cross_encoder_scores_pairs(cross_model: Made) -> None:
    folder, model = cross_model
    adapter = load(folder)
    alone = np.array([model.predict([pair])[0] for pair in PAIRS])
    named = [{"text_pair": b, "text": a} for a, b in PAIRS]
    assert ask(adapter, [list(PAIRS[0])]).tolist() == [alone[0]]
    np.testing.assert_allclose(ask(adapter, [list(pair) for pair in PAIRS]), alone, atol=1e-6)
    np.testing.assert_allclose(ask(adapter, named), alone, atol=1e-6)
    raw = ask(adapter, named, raw_scores=True)
    np.testing.assert_allclose(1 / (1 + np.exp(-raw)), alone, atol=1e-6)
    with pytest.raises(InvalidInput, match="lacks 'text_pair'"):
        ask(adapter, [{"text": "hello"}])


def test_a_cross_encoder_of_three_classes(tmp_path: Path) -> None:
    model = cross(tmp_path / "model", labels=3)
    adapter = load(tmp_path / "model")
    assert adapter.signature.outputs[0].shape == (-1, 3)
    assert adapter.signature.task == ""
    np.testing.assert_allclose(ask(adapter, [list(pair) for pair in PAIRS]), model.predict(PAIRS), atol=1e-6)


def test_what_answers_mean_and_how_many_tokens_they_took(
    dense_model: Made, static_model: Made, sparse_model: Made, cross_model: Made
) -> None:
    adapter = load(dense_model[0])
    inputs = {"text": np.array(TEXTS, dtype=np.object_)}
    outputs = adapter.predict(inputs, {"token_counts": True})
    tokenizer = dense_model[1].tokenizer
    assert outputs["token_counts"].tolist() == [len(tokenizer(text)["input_ids"]) for text in TEXTS]
    assert adapter.predict(inputs, {}).keys() == {"output-0"}
    static = load(static_model[0])
    counts = static.predict(inputs, {"token_counts": True})["token_counts"].tolist()
    encoded = static_model[1].tokenizer.encode_batch(TEXTS, add_special_tokens=False)
    assert counts == [len(each.ids) for each in encoded]
    tasks = [load(folder).signature.task for folder, _ in (static_model, sparse_model, cross_model)]
    assert [adapter.signature.task, *tasks] == ["embedding", "embedding", "", "score"]
    assert "token_counts" not in [each.name for each in load(sparse_model[0]).signature.parameters]


def test_an_option_of_another_kind_is_refused(cross_model: Made) -> None:
    with pytest.raises(LoadError, match="the option normalize means nothing to a CrossEncoder"):
        load(cross_model[0], normalize=True)


def test_threads_do_not_disturb_each_other(dense_model: Made) -> None:
    adapter = load(dense_model[0])
    wanted = {text: ask(adapter, [text]).tolist() for text in TEXTS}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda text: ask(adapter, [text]).tolist(), TEXTS * 8))
    assert answers == [wanted[text] for text in TEXTS * 8]
