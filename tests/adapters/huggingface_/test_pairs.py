"""Two texts in one row: rerankers, entailment and paraphrases, as the libraries answer them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from adapters import registry
from adapters.base import InvalidInput, LoadError, ModelDir
from server.codec import v1, v2
from tests.adapters.huggingface_.models import direct, save, train_wordpiece

PAIRS = [("hello world", "my dog is cute"), ("paris", "the capital of france"), ("hello", "hello")]
AUTO = "AutoModelForSequenceClassification"


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reranker")
    return save(folder, "BertForSequenceClassification", train_wordpiece(), num_labels=1)


@pytest.fixture(scope="module")
def entailment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("entailment")
    return save(folder, "BertForSequenceClassification", train_wordpiece(), num_labels=3)


def load(folder: Path, only: str | None = None) -> Any:
    choice = registry.choose(ModelDir.of(folder), only)
    assert choice.adapter.name == (only or choice.adapter.name)
    return choice.adapter.load(ModelDir.of(folder), choice.match.file, {})


def ask(adapter: Any, instances: list[Any], **parameters: Any) -> Any:
    call = v1.decode(orjson.dumps({"instances": instances, "parameters": parameters}), adapter.signature)
    return adapter.predict(call.inputs, call.parameters)["output-0"].tolist()


def scores(folder: Path, **settings: Any) -> list[float]:
    """By the library, each pair alone: it pads the rows of a batch, which rounds differently."""
    library = pytest.importorskip("sentence_transformers")
    model = library.CrossEncoder(str(folder), device="cpu", local_files_only=True, **settings)
    return [float(model.predict([pair])[0]) for pair in PAIRS]


@pytest.mark.parametrize("only", [None, "sentence_transformers"])
def test_a_reranker_without_any_mark_scores_pairs_as_the_library(only: str | None, reranker: Path) -> None:
    adapter, wanted = load(reranker, only), scores(reranker)
    assert len(set(wanted)) == 3
    assert ask(adapter, [list(pair) for pair in PAIRS]) == pytest.approx(wanted, abs=1e-6)
    assert ask(adapter, [{"text": a, "text_pair": b} for a, b in PAIRS]) == pytest.approx(wanted, abs=1e-6)


def test_one_output_is_a_score_and_classes_are_none(reranker: Path, entailment: Path) -> None:
    adapter = load(reranker)
    assert (adapter.signature.task, load(entailment).signature.task) == ("score", "")
    firsts, seconds = (np.array(texts, dtype=np.object_) for texts in zip(*PAIRS, strict=True))
    counts = adapter.predict({"text": firsts, "text_pair": seconds}, {"token_counts": True})["token_counts"].tolist()
    assert counts == [len(direct(reranker, AUTO, a, text_pair=b)[0]["input_ids"][0]) for a, b in PAIRS]


def _marked(folder: Path, mark: dict[str, Any]) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **mark}))


@pytest.mark.parametrize(
    "mark",
    [
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "4.1.0"}},
        {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
    ],
)
def test_the_librarys_own_marks_in_the_configuration_are_honoured(
    mark: dict[str, Any], reranker: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(reranker, tmp_path / "model"))
    _marked(folder, mark)
    adapter, wanted = load(folder, "sentence_transformers"), scores(folder)
    assert wanted != pytest.approx(scores(reranker), abs=1e-3)
    assert registry.choose(ModelDir.of(folder)).adapter.name == "sentence_transformers"
    assert ask(adapter, [list(pair) for pair in PAIRS]) == pytest.approx(wanted, abs=1e-6)
    with pytest.raises(InvalidInput, match="text_pair"):
        ask(adapter, [{"text": "paris"}])


def test_a_mark_beside_the_configuration_is_enough(entailment: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(entailment, tmp_path / "model"))
    (folder / "config_sentence_transformers.json").write_text('{"model_type": "CrossEncoder"}')
    assert registry.choose(ModelDir.of(folder)).adapter.name == "sentence_transformers"
    assert np.array(ask(load(folder), [list(pair) for pair in PAIRS])).shape == (3, 3)


def test_an_activation_by_the_older_name_is_not_imported_either(reranker: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(reranker, tmp_path / "model"))
    _marked(folder, {"sbert_ce_default_activation_function": "torch.hub.load"})
    with pytest.raises(LoadError, match=r"is no activation of torch\.nn; it was not"):
        registry.choose(ModelDir.of(folder))


def test_classes_of_pairs_and_of_texts_in_one_request(entailment: Path) -> None:
    adapter = load(entailment)
    paired = [direct(entailment, AUTO, a, text_pair=b)[1].logits[0] for a, b in PAIRS]
    alone = direct(entailment, AUTO, "paris")[1].logits[0]
    logits = ask(adapter, [{"text": a, "text_pair": b} for a, b in PAIRS], return_raw_logits=True)
    for row, wanted in zip(logits, paired, strict=True):
        assert list(row.values()) == pytest.approx(wanted.tolist(), abs=1e-5)
    mixed = ask(adapter, [{"text": "paris", "text_pair": None}, {"text": PAIRS[0][0], "text_pair": PAIRS[0][1]}])
    assert mixed == [int(alone.argmax()), int(paired[0].argmax())]
    assert ask(adapter, ["paris"]) == ask(adapter, [{"text": "paris"}]) == mixed[:1]


def test_pairs_that_are_too_long_are_cut_as_the_library_does(reranker: Path) -> None:
    long = "the quick brown fox " * 20
    cut = direct(reranker, AUTO, long, text_pair="hello " * 30, truncation=True, max_length=40)[1].logits.sigmoid()
    assert ask(load(reranker), [[long, "hello " * 30]], truncation=True) == pytest.approx([float(cut)], abs=1e-6)


@pytest.mark.parametrize("row", [["paris"], ["paris", "a", "b"], ["paris", 3], {"text_pair": "paris"}])
def test_what_is_no_pair_is_refused(row: Any, reranker: Path) -> None:
    with pytest.raises(InvalidInput):
        ask(load(reranker), [row])


def test_v2_takes_one_tensor_of_any_name_or_both_by_name(entailment: Path) -> None:
    adapter = load(entailment)

    def send(**columns: list[str]) -> Any:
        tensors = [{"name": n, "shape": [len(c)], "datatype": "BYTES", "data": c} for n, c in columns.items()]
        call = v2.decode(orjson.dumps({"inputs": tensors}), None, adapter.signature)
        return adapter.predict(call.inputs, call.parameters)["output-0"].tolist()

    firsts, seconds = [list(column) for column in zip(*PAIRS, strict=True)]
    assert send(anything=firsts) == ask(adapter, firsts)
    assert send(text=firsts, text_pair=seconds) == ask(adapter, [list(pair) for pair in PAIRS])
    with pytest.raises(InvalidInput, match="'pair' is unknown"):
        send(text=firsts, pair=seconds)
    with pytest.raises(InvalidInput, match="'text' is missing"):
        send(text_pair=seconds)
