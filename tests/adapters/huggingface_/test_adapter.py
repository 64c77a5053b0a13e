"""What the Hugging Face adapter answers: equal to transformers called directly, whoever shares the batch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.base import InvalidInput, LoadError, ModelDir
from adapters.huggingface_.adapter import HuggingFaceAdapter
from tests.adapters.huggingface_.models import direct, save, train_bytes, train_wordpiece

TEXTS = ["hello world", "paris is the capital of france", "my dog", "it never rains", "the lazy fox jumps over it"]
LONG = "the quick brown fox " * 30
LABELS = {"id2label": {0: "O", 1: "B-PER", 2: "B-LOC"}, "label2id": {"O": 0, "B-PER": 1, "B-LOC": 2}}

#: folder's name -> (architecture, tokenizer, configuration)
FOLDERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("BertForSequenceClassification", "wordpiece", LABELS),
    "distilbert": ("DistilBertForSequenceClassification", "wordpiece", {**LABELS, "dim": 32, "n_heads": 2}),
    "roberta": ("RobertaForSequenceClassification", "bytes", LABELS),
    "gpt2": ("GPT2ForSequenceClassification", "bare bytes", {**LABELS, "pad_token_id": None}),
    "score": ("BertForSequenceClassification", "wordpiece", {"num_labels": 1}),
    "several": ("BertForSequenceClassification", "wordpiece", {**LABELS, "problem_type": "multi_label_classification"}),
    "tokens": ("BertForTokenClassification", "wordpiece", LABELS),
    "tokens-roberta": ("RobertaForTokenClassification", "bytes", LABELS),
    "mask": ("BertForMaskedLM", "wordpiece", {}),
    "mask-roberta": ("RobertaForMaskedLM", "bytes", {}),
    "base": ("BertModel", "wordpiece", {}),
    "t5": ("T5EncoderModel", "wordpiece", {"d_model": 32, "d_kv": 16, "num_layers": 1, "d_ff": 32, "num_heads": 2}),
}

Folders = Callable[[str], Path]
Load = Callable[..., HuggingFaceAdapter]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    tokenizers = {"wordpiece": train_wordpiece(), "bytes": train_bytes(), "bare bytes": train_bytes(wrap=False)}
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            architecture, tokenizer, config = FOLDERS[name]
            made[name] = save(tmp_path_factory.mktemp(name), architecture, tokenizers[tokenizer], **config)
        return made[name]

    return folder


@pytest.fixture(scope="module")
def load(folders: Folders) -> Load:
    loaded: dict[str, HuggingFaceAdapter] = {}

    def load(name: str, **options: Any) -> HuggingFaceAdapter:
        key = f"{name} {options}"
        if key not in loaded:
            directory = ModelDir.of(folders(name))
            match = HuggingFaceAdapter.match(directory)
            assert match is not None
            assert not match.problem
            loaded[key] = HuggingFaceAdapter.load(directory, match.file, options)
        return loaded[key]

    return load


def ask(adapter: HuggingFaceAdapter, texts: list[str], **parameters: Any) -> np.ndarray[Any, Any]:
    return adapter.predict({"text": np.array(texts, dtype=np.object_)}, parameters)["output-0"]


def ask_each(adapter: HuggingFaceAdapter, texts: list[str], **parameters: Any) -> list[Any]:
    return [ask(adapter, [text], **parameters)[0] for text in texts]


@pytest.mark.parametrize("name", ["bert", "distilbert", "roberta", "gpt2"])
def test_sequence_classification_is_transformers_own(name: str, folders: Folders, load: Load) -> None:
    adapter = load(name)
    logits = [direct(folders(name), "AutoModelForSequenceClassification", text)[1].logits for text in TEXTS]
    classes = ask(adapter, TEXTS)
    assert (classes.dtype, adapter.signature.outputs[0].datatype) == (np.int64, "INT64")
    assert classes.tolist() == [int(row.argmax()) for row in logits]
    raw = ask_each(adapter, TEXTS, return_raw_logits=True)
    assert raw == [dict(zip("012", row[0].tolist(), strict=True)) for row in logits]
    probable = ask(adapter, TEXTS, return_probabilities=True)
    assert list(probable) == [
        {k: float(f"{p:.4f}") for k, p in zip("012", row.softmax(-1)[0].tolist(), strict=True)} for row in logits
    ]


def test_labels_and_top_k_are_the_pipelines_answers(folders: Folders, load: Load) -> None:
    from transformers import pipeline

    for name in ("bert", "several", "score"):
        classify = pipeline("text-classification", str(folders(name)), device="cpu")
        for got, expected in zip(ask(load(name), TEXTS, labels=True), classify(TEXTS), strict=True):
            assert got == {"label": expected["label"], "score": pytest.approx(expected["score"], abs=1e-6)}
        best = ask(load(name), TEXTS[:2], top_k=2)
        assert [[entry["label"] for entry in row] for row in best] == [
            [entry["label"] for entry in row] for row in classify(TEXTS[:2], top_k=2)
        ]


def test_a_single_output_is_a_score_and_no_class(folders: Folders, load: Load) -> None:
    adapter = load("score")
    scores = ask_each(adapter, TEXTS)
    assert adapter.signature.outputs[0].datatype == "FP32"
    assert ask(adapter, TEXTS).dtype == np.float32
    assert scores == [
        direct(folders("score"), "AutoModelForSequenceClassification", text)[1].logits.item() for text in TEXTS
    ]
    assert ask(adapter, TEXTS[:1], return_raw_logits=True)[0] == {"0": scores[0]}


@pytest.mark.parametrize("name", ["tokens", "tokens-roberta"])
def test_token_classification_is_transformers_own(name: str, folders: Folders, load: Load) -> None:
    adapter = load(name)
    logits = [direct(folders(name), "AutoModelForTokenClassification", text)[1].logits for text in TEXTS]
    classes = [
        row.tolist() for row in ask(adapter, TEXTS)
    ]  # of different lengths, in one batch: no padding in any answer
    assert classes == [row.argmax(2).tolist() for row in logits]
    assert len({len(row[0]) for row in classes}) > 1
    assert ask_each(adapter, TEXTS, return_raw_logits=True) == [
        [dict(zip("012", token, strict=True)) for token in row[0].tolist()] for row in logits
    ]
    probable = ask_each(adapter, TEXTS, return_probabilities=True)
    assert [sum(token.values()) for token in probable[0]] == pytest.approx([1.0] * len(probable[0]), abs=2e-4)


@pytest.mark.parametrize("name", ["tokens", "tokens-roberta"])
def test_labelled_tokens_are_the_pipelines_answers(name: str, folders: Folders, load: Load) -> None:
    from transformers import pipeline

    expected = pipeline("token-classification", str(folders(name)), device="cpu")(TEXTS)
    assert load(name).signature.labels == tuple(LABELS["id2label"].values())
    answers = ask(load(name), TEXTS, labels=True)
    assert any(answers)
    for got, wanted in zip(answers, expected, strict=True):
        assert got == [{**token, "score": pytest.approx(token["score"], abs=1e-6)} for token in wanted]


@pytest.mark.parametrize("name", ["mask", "mask-roberta"])
def test_masks_are_filled_with_the_likeliest_tokens(name: str, folders: Folders, load: Load) -> None:
    adapter = load(name)
    mask = adapter.served.task.encoder.tokenizer.mask_token
    texts = [f"paris is the {mask} of france", f"hello {mask}", f"my {mask} is {mask}"]
    expected = []
    for text in texts:
        tokens, output = direct(folders(name), "AutoModelForMaskedLM", text)
        places = tokens.input_ids[0] == adapter.served.task.encoder.tokenizer.mask_token_id
        expected.append(output.logits[0, places])
    decode = adapter.served.task.encoder.tokenizer.decode
    assert list(ask(adapter, texts)) == [decode(logits.argmax(-1)) for logits in expected]
    raw = ask_each(adapter, texts, return_raw_logits=True)
    assert [[next(iter(entry.values())) for entry in row] for row in raw[2]] == expected[2].tolist()
    probable = ask(adapter, texts, return_probabilities=True)[1][0]
    assert probable[7] == {"7": f"{expected[1].softmax(-1)[0, 7]:.4f}"}
    (best,) = ask(adapter, texts[:1], top_k=3)[0]
    assert [entry["token"] for entry in best] == expected[0][0].topk(3).indices.tolist()
    assert best[0]["token_str"] == decode([best[0]["token"]])
    assert ask(adapter, adapter.example()["text"].tolist()).shape == (2,)


def test_a_text_without_a_mask_is_refused_and_named(load: Load) -> None:
    with pytest.raises(InvalidInput, match=r"text\[1\] has no \[MASK\] among its first 40 tokens: write \[MASK\]"):
        ask(load("mask"), ["hello [MASK]", "hello world"])
    with pytest.raises(InvalidInput, match="among its first 40 tokens"):
        ask(load("mask", truncation=True), [f"{LONG} [MASK]"])


def test_a_base_model_embeds_as_kserve_does(folders: Folders, load: Load) -> None:
    from torch.nn.functional import normalize

    def mean(text: str) -> Any:
        tokens, output = direct(folders("base"), "AutoModel", text)
        mask = tokens.attention_mask.float()
        pooled = (output.last_hidden_state * mask.unsqueeze(-1)).sum(dim=1) / mask.sum(dim=1).unsqueeze(-1)
        return normalize(pooled, p=2, dim=1)[0].numpy()

    adapter = load("base")
    assert adapter.signature.outputs[0].shape == (-1, 32)
    assert np.array_equal(np.stack(ask_each(adapter, TEXTS)), np.stack([mean(text) for text in TEXTS]))


@pytest.mark.parametrize(
    ("pooling", "pool"),
    [
        ("cls", lambda states: states[0, 0]),
        ("lasttoken", lambda states: states[0, -1]),
        ("max", lambda states: states[0].max(0).values),
    ],
)
def test_pooling_and_normalize_are_options(
    pooling: str, pool: Callable[[Any], Any], folders: Folders, load: Load
) -> None:
    expected = [pool(direct(folders("base"), "AutoModel", text)[1].last_hidden_state).numpy() for text in TEXTS]
    adapter = load("base", pooling=pooling, normalize=False)
    assert np.array_equal(np.stack(ask_each(adapter, TEXTS)), np.stack(expected))


def test_an_encoder_of_an_encoder_decoder_embeds_without_its_decoder(load: Load) -> None:
    assert ask(load("t5"), TEXTS).shape == (5, 32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("bert", {"return_raw_logits": True}),
        ("roberta", {"return_raw_logits": True}),
        ("gpt2", {"return_raw_logits": True}),
        ("tokens", {"return_raw_logits": True}),
        ("base", {}),
    ],
)
def test_an_answer_does_not_depend_on_its_batch_mates(name: str, form: Mapping[str, Any], load: Load) -> None:
    """Rows that share a call leave no trace but in the last bits; others, those of other lengths, none at all."""
    adapter = load(name, truncation=True)
    rows = adapter.served.task.encoder.rows(TEXTS, True)
    by_length = {len(row.ids): text for row, text in zip(rows, TEXTS, strict=True)}
    different = list(by_length.values())
    assert len(different) > 2
    close = 1e-5 if adapter.served.task.encoder.packing else 0
    found, wanted = _numbers(ask(adapter, different, **form)), _numbers(ask_each(adapter, different, **form))
    assert found == pytest.approx(wanted, abs=close, rel=0)
    same = TEXTS * 9 + [LONG] * 40  # several calls' worth of one length
    together, alone = _numbers(ask(adapter, same, **form)), _numbers(ask_each(adapter, same, **form))
    assert together == pytest.approx(alone, abs=1e-5)


def _numbers(answers: Any) -> list[float]:
    if isinstance(answers, dict):
        return [float(value) for value in answers.values()]
    if isinstance(answers, (list, np.ndarray)):
        return [number for answer in answers for number in _numbers(answer)]
    return [float(answers)]


@pytest.mark.parametrize(("name", "limit"), [("bert", 40), ("roberta", 38), ("gpt2", 40)])
def test_long_texts_are_cut_or_refused(name: str, limit: int, folders: Folders, load: Load) -> None:
    """RoBERTa's table of 40 positions holds 38 tokens: it begins behind the padding token's position."""
    adapter = load(name, truncation=True)
    cut = direct(folders(name), "AutoModelForSequenceClassification", LONG, truncation=True, max_length=limit)
    assert ask(adapter, [LONG], return_raw_logits=True)[0] == dict(zip("012", cut[1].logits[0].tolist(), strict=True))
    with pytest.raises(InvalidInput, match=rf"text\[1\] has \d+ tokens and the model takes {limit}: shorten it"):
        ask(adapter, ["hello", LONG], truncation=False)
    with pytest.raises(InvalidInput, match=f"the model takes {limit}"):
        ask(load(name), [LONG])
    assert len(ask(adapter, ["hello"], truncation=False)) == 1


def test_max_length_cuts_earlier_and_never_later(load: Load) -> None:
    assert len(ask(load("tokens", max_length=6), [LONG])[0][0]) == 6
    for length in (41, 2, 0, -1):
        with pytest.raises(LoadError, match=f"max_length is {length}, but this model takes from 3 to 40 tokens"):
            load("tokens", max_length=length)


def test_odd_texts(load: Load) -> None:
    odd = ["", " ", "\x00", "\U0001f680 ünïcödé", "x" * 20_000, "[PAD] [SEP]", "\n\t\u200b"]
    for name in ("bert", "tokens", "base"):
        assert len(ask(load(name), odd)) == len(odd)
    with pytest.raises(InvalidInput, match=r"text\[1\] has no tokens"):
        ask(load("gpt2"), ["hello", ""])


def test_options_are_the_requests_defaults(load: Load) -> None:
    adapter = load("bert", return_probabilities=True)
    assert adapter.signature.outputs[0].json
    assert set(ask(adapter, TEXTS[:1])[0]) == {"0", "1", "2"}
    assert ask(adapter, TEXTS[:1], return_probabilities=False).dtype == np.int64
    assert set(ask(adapter, TEXTS[:1], labels=True)[0]) == {"label", "score"}
    assert set(ask(load("bert", labels=True), TEXTS[:1], return_raw_logits=True)[0]) == {"0", "1", "2"}
    with pytest.raises(LoadError, match="the option labels means nothing to the task text_embedding"):
        load("base", labels=True)
    with pytest.raises(LoadError, match="the option pooling means nothing to the task sequence_classification"):
        load("bert", pooling="cls")
    with pytest.raises(InvalidInput, match="top_k is 0: ask for at least 1"):
        ask(load("bert"), TEXTS[:1], top_k=0)


def test_the_types_of_the_weights(load: Load) -> None:
    import torch

    assert next(load("base").served.task.encoder.model.parameters()).dtype is torch.float32
    half = load("base", dtype="bfloat16")
    assert next(half.served.task.encoder.model.parameters()).dtype is torch.bfloat16
    assert ask(half, TEXTS).dtype == np.float32
    assert ask(half, TEXTS) == pytest.approx(ask(load("base"), TEXTS), abs=0.05)


def test_the_option_task_overrides_the_architecture(load: Load) -> None:
    assert ask(load("mask", task="text_embedding"), TEXTS).shape == (5, 32)
    with pytest.raises(LoadError, match=r"the weights lack classifier.bias, classifier.weight, which would be made up"):
        load("base", task="token_classification")


def test_embeddings_are_known_as_such_and_say_how_many_tokens_they_took(load: Load) -> None:
    assert [load(name).signature.task for name in ("bert", "mask")] == ["", ""]
    adapter = load("base")
    assert adapter.signature.task == "embedding"
    inputs = {"text": np.array(TEXTS, dtype=np.object_)}
    counts = adapter.predict(inputs, {"token_counts": True})["token_counts"]
    assert counts.tolist() == [len(adapter.served.task.encoder.tokenizer(text)["input_ids"]) for text in TEXTS]


def test_threads_with_different_truncation_do_not_meet(load: Load) -> None:
    """A tokenizer keeps its truncation in itself; a call must not get another thread's."""
    adapter = load("tokens")
    short, cut = ["hello world"] * 4, [LONG] * 2
    wrong: list[Any] = []

    def cuts() -> None:
        for _ in range(40):
            wrong.extend(row for row in ask(adapter, cut, truncation=True) if len(row[0]) != 40)

    def refuses() -> None:
        for _ in range(40):
            try:
                wrong.extend(row for row in ask(adapter, [*short, LONG], truncation=False))
            except InvalidInput as error:
                wrong.extend([error] if "text[4]" not in str(error) else [])

    threads = [threading.Thread(target=work) for work in (cuts, refuses, cuts, refuses)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_signature_names_what_requests_may_ask_for(load: Load) -> None:
    signature = load("bert").signature
    assert [(spec.name, spec.datatype, spec.optional) for spec in signature.inputs] == [
        ("text", "BYTES", False),
        ("text_pair", "BYTES", True),
    ]
    assert signature.any_name
    assert {entry.name for entry in signature.parameters} == {
        "return_probabilities", "return_raw_logits", "labels", "top_k", "truncation",
    }  # fmt: skip
