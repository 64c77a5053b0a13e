"""A folder to an encoder: what is checked of it once transformers has read it."""

from __future__ import annotations

import base64
import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from adapters.base import LoadError  # noqa: E402
from adapters.huggingface_.loading import (  # noqa: E402
    _is_solo,
    _keeps_state,
    check_loaded,
    check_tokenizer,
    from_folder,
    load_encoder,
    model_limit,
    reason_of,
)
from tests.adapters.huggingface_.models import save, train_wordpiece  # noqa: E402

SOUND: dict[str, Any] = {"mismatched_keys": [], "missing_keys": [], "error_msgs": []}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of three classes that takes 40 tokens."""
    return save(tmp_path_factory.mktemp("bert"), "BertForSequenceClassification", train_wordpiece(), num_labels=3)


def load(folder: Path, auto_class: str = "AutoModelForSequenceClassification", **settings: Any) -> Any:
    return load_encoder(folder, auto_class, "logits", **{"safetensors": True, "device": "cpu", **settings})


def test_an_encoder_knows_its_model(folder: Path) -> None:
    made = load(folder)
    assert {"input_ids", "attention_mask", "token_type_ids"} <= made.inputs
    assert (made.max_length, made.vocabulary, made.solo) == (40, len(made.tokenizer), False)
    assert not made.model.training
    assert isinstance(made.turn, nullcontext)
    assert next(made.model.parameters()).dtype is torch.float32
    ((index, logits),) = made.outputs(made.rows(["hello world"]))
    assert (index, tuple(logits.shape)) == (0, (1, 3))


@pytest.mark.parametrize(
    ("settings", "length"),
    [({"max_length": 5}, 5), ({"cut_at": 9}, 9), ({"cut_at": 900}, 40), ({"cut_at": 1}, 3), ({"max_length": 40}, 40)],
    ids=["wanted", "cut", "cut-beyond", "cut-below", "most"],
)
def test_texts_are_cut_where_it_is_wanted_within_the_models_limits(
    settings: dict[str, int], length: int, folder: Path
) -> None:
    assert load(folder, **settings).max_length == length


@pytest.mark.parametrize("length", [2, 41])
def test_a_length_beyond_the_models_limits_is_refused(length: int, folder: Path) -> None:
    with pytest.raises(LoadError, match=f"max_length is {length}, but this model takes from 3 to 40 tokens"):
        load(folder, max_length=length)


def test_a_head_that_was_not_saved_is_not_made_up(folder: Path) -> None:
    with pytest.raises(LoadError, match=r"the weights lack .*, which would be made up at random"):
        load(folder, "AutoModelForMaskedLM", unused="bert.")


def test_weights_in_another_precision_are_loaded_as_asked_for(folder: Path) -> None:
    assert next(load(folder, dtype="bfloat16").model.parameters()).dtype is torch.bfloat16


def test_a_folder_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"^transformers cannot load it: \w+: ") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        ({"mismatched_keys": [("w", (2, 3), (3, 3))]}, r"do not fit config\.json: w \(\[2, 3\], not \[3, 3\]\)"),
        ({"missing_keys": {"b", "a"}}, r"the weights lack a, b, which would be made up at random"),
        ({"error_msgs": ["size 3"]}, r"the weights do not load: size 3"),
    ],
    ids=["mismatched", "missing", "errors"],
)
def test_a_report_of_weights_that_are_not_whole_is_an_error(report: dict[str, Any], reason: str) -> None:
    check_loaded(SOUND)
    with pytest.raises(LoadError, match=reason):
        check_loaded({**SOUND, **report})


def test_weights_that_the_output_does_not_need_may_be_missing() -> None:
    report = {**SOUND, "missing_keys": {"pooler.dense.weight"}}
    check_loaded(report, "pooler.")
    with pytest.raises(LoadError, match="the weights lack head"):
        check_loaded({**SOUND, "missing_keys": {"pooler.dense.weight", "head"}}, "pooler.")
    with pytest.raises(LoadError, match=r"the weights lack pooler\.dense"):
        check_loaded(report)


class Tokenizer:
    def __init__(self, size: int, special: list[int]) -> None:
        self.size, self.all_special_ids = size, special

    def __len__(self) -> int:
        return self.size


def test_a_vocabulary_of_special_tokens_alone_is_none() -> None:
    check_tokenizer(Tokenizer(3, [0, 1, 1, 0]))
    with pytest.raises(LoadError, match=r"^Tokenizer found no vocabulary: it knows its 2 special tokens only"):
        check_tokenizer(Tokenizer(2, [0, 1, 1]))


def model(padding: int | None = None, **config: Any) -> Any:
    text = SimpleNamespace(**config)
    embeddings = SimpleNamespace(position_embeddings=SimpleNamespace(padding_idx=padding))
    return SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: text), modules=lambda: [text, embeddings])


@pytest.mark.parametrize(
    ("made", "tokenizer", "limit"),
    [
        (model(max_position_embeddings=512), 10**30, 512),
        (model(max_position_embeddings=514, padding=1), 10**30, 512),
        (model(n_positions=1024, seq_length=256), 10**30, 256),
        (model(max_position_embeddings=512), 128, 128),
        (model(max_position_embeddings=-1, n_positions=None), 10**30, 2048),
        (model(), 64, 64),
    ],
    ids=["table", "offset", "smallest", "tokenizer", "none", "tokenizer-alone"],
)
def test_the_least_of_all_limits_counts(made: Any, tokenizer: int, limit: int) -> None:
    assert model_limit(made, SimpleNamespace(model_max_length=tokenizer)) == limit


def test_a_pickle_that_names_more_than_weights_is_told_by_the_name() -> None:
    error = RuntimeError("Weights only load failed. Unsupported global: GLOBAL os.system. was not an allowed global")
    assert reason_of(error).startswith("the pickled weights name os.system, which no weights need; nothing of it was")
    assert reason_of(OSError("no file\nmore")) == "transformers cannot load it: OSError: no file"


@pytest.mark.parametrize(("kind", "turns"), [("dynamic", True), ("longrope", True), ("default", False), (None, False)])
def test_models_that_keep_state_take_turns(kind: str | None, turns: bool) -> None:
    assert _keeps_state(SimpleNamespace(modules=lambda: [object(), SimpleNamespace(rope_type=kind)])) is turns


@pytest.mark.parametrize(
    ("config", "solo"),
    [
        ({"pad_token_id": 0}, False),
        ({"pad_token_id": None}, True),
        ({}, True),
        ({"pad_token_id": 0, "is_encoder_decoder": True}, True),
    ],
    ids=["padding", "none", "missing", "decoder"],
)
def test_a_head_that_finds_its_token_by_the_padding_takes_one_row_without_it(config: Any, solo: bool) -> None:
    assert _is_solo(model(**config)) is solo


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": {"type": "WordPiece", "vocab": {"a": -1}, "unk_token": "a"}}, "invalid value: integer `-1`"),
        (
            {"normalizer": {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(b"abc").decode()}},
            "Cannot parse precompiled_charsmap",
        ),
        ({"added_tokens": [{"id": 0, "content": {}}]}, "dict"),
    ],
    ids=["ids", "panic", "types"],
)
def test_a_tokenizer_that_cannot_be_read_is_told_with_its_files(
    changes: dict[str, Any], told: str, tmp_path: Path
) -> None:
    train_wordpiece().save_pretrained(tmp_path)
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(LoadError, match=r"^tokenizer\.json, tokenizer_config\.json: ") as raised:
        from_folder("AutoTokenizer", tmp_path)
    assert told in str(raised.value)


def test_what_is_wrong_with_the_map_of_special_tokens_is_told_with_the_file(tmp_path: Path) -> None:
    train_wordpiece().save_pretrained(tmp_path)
    (tmp_path / "special_tokens_map.json").write_text('{"unk_token": [1]}')
    with pytest.raises(LoadError, match=r"special_tokens_map\.json"):
        from_folder("AutoTokenizer", tmp_path)


def test_what_else_cannot_be_read_is_raised_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Unrecognized model"):
        from_folder("AutoConfig", tmp_path)


@pytest.mark.parametrize("longest", [[None], None, True, "x", float("nan"), {}], ids=repr)
def test_a_longest_text_that_is_no_number_is_told_with_its_file(longest: Any) -> None:
    tokenizer = train_wordpiece()
    tokenizer.model_max_length = longest
    with pytest.raises(LoadError, match=r"^tokenizer_config\.json: model_max_length is "):
        check_tokenizer(tokenizer)


def test_a_text_without_an_end_is_as_long_as_the_model_takes(folder: Path) -> None:
    made = load(folder)
    made.tokenizer.model_max_length = float("inf")
    check_tokenizer(made.tokenizer)
    assert model_limit(made.model, made.tokenizer) == 40


def test_an_unknown_token_that_is_unknown_is_told_with_its_files() -> None:
    tokenizer = train_wordpiece()
    tokenizer.unk_token, tokenizer.cls_token = "", "nowhere"
    with pytest.raises(LoadError, match=r"unknown token is '', which is not in its vocabulary: tokenizer_config\.json"):
        check_tokenizer(tokenizer)
