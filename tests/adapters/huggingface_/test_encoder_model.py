"""KServe's tasks over a loaded model: options, outputs on top, and long texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from adapters.base import InvalidInput, LoadError, ModelDir
from adapters.huggingface_ import HuggingFaceAdapter
from tests.adapters.huggingface_.models import save, train_wordpiece

Load = Callable[..., HuggingFaceAdapter]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    root = tmp_path_factory.mktemp("encoders")
    made: dict[str, Path] = {}

    def get(head: str, **options: Any) -> HuggingFaceAdapter:
        path = made.setdefault(head, root / head)
        if not path.exists():
            save(path, head, train_wordpiece())
        return HuggingFaceAdapter.load(ModelDir.of(path), "", options)

    return get


def ask(adapter: HuggingFaceAdapter, *texts: str, **parameters: Any) -> dict[str, Any]:
    return adapter.predict({"text": np.array(texts, dtype=np.object_)}, parameters)


def test_offsets_come_as_kserves_second_output(load: Load) -> None:
    adapter = load("BertForTokenClassification")
    outputs = ask(adapter, "my dog", "my dog", return_offsets_mapping=True)
    spans = outputs["offset_mapping"]
    assert [(row.dtype, row.shape[1]) for row in spans] == [(np.int64, 2)] * 2
    known = train_wordpiece()("my dog", return_offsets_mapping=True).offset_mapping
    assert spans[0].tolist() == [list(span) for span in known]
    assert len(outputs["output-0"][0][0]) == len(spans[0])
    different = ask(adapter, "my dog", "my dog is cute", return_offsets_mapping=True)["offset_mapping"]
    tokens = ask(adapter, "my dog", "my dog is cute")["output-0"]
    assert [len(row) for row in different] == [len(row[0]) for row in tokens]
    assert "offset_mapping" in ask(load("BertForTokenClassification", return_offsets_mapping=True), "my dog")


def test_options_of_the_tokenizer_change_what_the_model_reads(load: Load) -> None:
    plain = ask(load("BertForTokenClassification"), "MY dog")["output-0"][0][0]
    bare = ask(load("BertForTokenClassification", disable_special_tokens=True), "MY dog")["output-0"][0][0]
    assert len(bare) == len(plain) - 2
    scores = "return_raw_logits"
    lower = ask(load("BertForSequenceClassification"), "MY dog", **{scores: True})["output-0"][0]
    kept = ask(load("BertForSequenceClassification", disable_lower_case=True), "MY dog", **{scores: True})
    assert kept["output-0"][0] != lower
    alone = load("BertForSequenceClassification", tensor_input_names="input_ids,attention_mask")
    assert ask(alone, "MY dog", **{scores: True})["output-0"][0] == pytest.approx(lower)  # whose types are all 0


@pytest.mark.parametrize("head", ["BertForSequenceClassification", "BertForTokenClassification", "BertModel"])
def test_long_texts_are_refused_unless_they_may_be_cut(head: str, load: Load) -> None:
    long = "hello " * 60
    with pytest.raises(InvalidInput, match=r"text\[1\] has \d+ tokens and the model takes 40: .* truncation: true"):
        ask(load(head), "hello", long)
    assert len(ask(load(head), long, truncation=True)["output-0"]) == 1
    assert len(ask(load(head, max_length=10), long)["output-0"]) == 1
    with pytest.raises(InvalidInput, match="the model takes 10"):
        ask(load(head, max_length=10), long, truncation=False)


def test_an_option_of_another_task_is_refused(load: Load) -> None:
    with pytest.raises(LoadError, match="return_offsets_mapping means nothing to the task sequence_classification"):
        load("BertForSequenceClassification", return_offsets_mapping=True)
