"""How a sentence-transformers folder pools, by its files alone: read, left to the library, or damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.huggingface_.bundle import Damaged
from adapters.huggingface_.sentence import (
    ABOUT,
    Foreign,
    Sentence,
    is_cross_encoder,
    is_foreign,
    read_about,
    read_modules,
    read_sentence,
)
from adapters.modeldir import ModelDir


def modules(*kinds: str) -> list[dict[str, str]]:
    paths = {"Transformer": "", "Pooling": "1_Pooling"}
    return [{"type": f"sentence_transformers.models.{kind}", "path": paths.get(kind, f"2_{kind}")} for kind in kinds]


def folder(path: Path, kinds: tuple[str, ...] = ("Transformer", "Pooling"), **files: Any) -> ModelDir:
    """A folder of these modules; `about`, `settings` and `pooling` are what its files hold."""
    (path / "1_Pooling").mkdir(parents=True)
    files = {"pooling": {"pooling_mode": "mean"}, **files}
    names = {"about": ABOUT, "settings": "sentence_bert_config.json", "pooling": "1_Pooling/config.json"}
    for name, content in files.items():
        (path / names[name]).write_text(json.dumps(content))
    (path / "modules.json").write_text(json.dumps(modules(*kinds)))
    return ModelDir.of(path)


def test_a_folder_says_how_it_makes_its_vectors(tmp_path: Path) -> None:
    assert read_sentence(folder(tmp_path / "a")) == Sentence(normalize=False)
    about = {"prompts": {"q": "query: ", "d": ""}, "default_prompt_name": "q", "truncate_dim": 16, "__version__": {}}
    full = folder(
        tmp_path / "b",
        ("Transformer", "Pooling", "Normalize"),
        about={**about, "model_type": "SentenceTransformer", "similarity_fn_name": "cosine", "extra": None},
        settings={"max_seq_length": 128, "do_lower_case": True, "module_output_name": "token_embeddings"},
        pooling={"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False, "word_embedding_dimension": 32},
    )
    assert read_sentence(full) == Sentence(
        "cls", True, {"q": "query: ", "d": ""}, prompt="query: ", lower=True, max_length=128, truncate_dim=16
    )
    assert not is_foreign(full, {})


@pytest.mark.parametrize(
    ("pooling", "mode"),
    [
        ({}, "mean"),
        ({"pooling_mode": "lasttoken"}, "lasttoken"),
        ({"pooling_mode": ["max"]}, "max"),
        ({"pooling_mode_max_tokens": True}, "max"),
        ({"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False}, "lasttoken"),
        ({"pooling_mode": "cls", "include_prompt": False}, "cls"),
    ],
    ids=["none", "name", "list", "flag", "flags", "no-prompt"],
)
def test_a_pooling_is_named_or_flagged(pooling: dict[str, Any], mode: str, tmp_path: Path) -> None:
    found = read_sentence(folder(tmp_path / "m", pooling=pooling))
    assert found is not None
    assert found.pooling == mode


@pytest.mark.parametrize("length", [0, -1, 2.5, True, "128", None])
def test_an_odd_length_is_none(length: Any, tmp_path: Path) -> None:
    found = read_sentence(folder(tmp_path / "m", settings={"max_seq_length": length, "do_lower_case": "yes"}))
    assert found == Sentence(normalize=False)


FOREIGN: dict[str, tuple[tuple[str, ...], dict[str, Any], str]] = {
    "modules": (("Transformer", "Pooling", "Dense"), {}, "modules.json lists Transformer, Pooling, Dense"),
    "none": ((), {}, "modules.json lists "),
    "kind": (("Transformer", "Pooling"), {"about": {"model_type": "SparseEncoder"}}, "calls it a SparseEncoder"),
    "cross": (("Transformer",), {"about": {"model_type": "CrossEncoder"}}, "modules.json lists Transformer"),
    "about": (("Transformer", "Pooling"), {"about": {"new": 1}}, f"{ABOUT} sets new"),
    "settings": (("Transformer", "Pooling"), {"settings": {"model_args": {"a": 1}}}, "sets model_args"),
    "task": (("Transformer", "Pooling"), {"settings": {"transformer_task": "fill-mask"}}, "asks for the task 'fill"),
    "pooling": (("Transformer", "Pooling"), {"pooling": {"pooling_mode": "weightedmean"}}, "the pooling weightedmean"),
    "two": (("Transformer", "Pooling"), {"pooling": {"pooling_mode": ["cls", "max"]}}, "the pooling"),
    "unknown": (("Transformer", "Pooling"), {"pooling": {"learned": 0.5}}, "1_Pooling/config.json sets learned"),
    "prompt": (
        ("Transformer", "Pooling"),
        {"about": {"prompts": {"q": "q: "}}, "pooling": {"include_prompt": False}},
        "leaves the prompt out of the pooling",
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_not_known_here_is_left_to_the_library(name: str, tmp_path: Path) -> None:
    kinds, files, reason = FOREIGN[name]
    model_dir = folder(tmp_path / "m", kinds, **files)
    with pytest.raises(Foreign, match=reason):
        read_sentence(model_dir)
    assert is_foreign(model_dir, {})


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"about": []}, f"{ABOUT} does not hold an object"),
        ({"about": {"prompts": ["q"]}}, "prompts does not map names to texts"),
        ({"about": {"prompts": {"q": 1}}}, "prompts does not map names to texts"),
        ({"about": {"default_prompt_name": "q"}}, "has no prompt 'q', its default_prompt_name"),
        ({"about": {"truncate_dim": 0}}, "truncate_dim is 0, not a number of dimensions"),
        ({"about": {"truncate_dim": True}}, "truncate_dim is True, not a number of dimensions"),
        ({"settings": [1]}, "sentence_bert_config.json does not hold an object"),
        ({"pooling": [1]}, "1_Pooling/config.json does not hold an object"),
    ],
    ids=["about", "prompts", "prompt", "default", "zero", "truth", "settings", "pooling"],
)
def test_damage_is_told_and_not_left_to_the_library(files: dict[str, Any], reason: str, tmp_path: Path) -> None:
    model_dir = folder(tmp_path / "m", **files)
    with pytest.raises(Damaged, match=reason) as caught:
        read_sentence(model_dir)
    assert not isinstance(caught.value, Foreign)
    assert not is_foreign(model_dir, {})


def test_a_pooling_that_is_lost_is_named(tmp_path: Path) -> None:
    model_dir = folder(tmp_path / "m")
    (tmp_path / "m/1_Pooling/config.json").unlink()
    with pytest.raises(Damaged, match=r"^1_Pooling/config\.json is missing"):
        read_sentence(model_dir)
    (tmp_path / "m/1_Pooling").rmdir()
    with pytest.raises(Damaged, match="names the folder 1_Pooling/, which is missing"):
        read_sentence(ModelDir.of(tmp_path / "m"))


def test_a_single_transformer_makes_no_embedding(tmp_path: Path) -> None:
    assert read_sentence(folder(tmp_path / "m", ("Transformer",))) is None


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        ({"a": 1}, "does not list modules with a type and a path"),
        ([{"type": "sentence_transformers.models.Pooling"}], "does not list modules with a type and a path"),
        (3, "does not list modules with a type and a path"),
        ([{"type": "own.Module", "path": ""}], "names own.Module, code of its own, which is never run here"),
        ([{"type": "sentence_transformers_own.Module", "path": ""}], "code of its own"),
    ],
    ids=["object", "no-path", "number", "own", "alike"],
)
def test_modules_are_the_librarys_own(listed: Any, reason: str, tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text(json.dumps(listed))
    with pytest.raises(Damaged, match=reason):
        read_modules(ModelDir.of(tmp_path))


def test_modules_are_classes_and_folders(tmp_path: Path) -> None:
    assert read_modules(folder(tmp_path / "m")) == [("Transformer", ""), ("Pooling", "1_Pooling")]


@pytest.mark.parametrize(
    ("name", "content"),
    [(ABOUT, {"model_type": "SentenceTransformer"}), ("sentence_roberta_config.json", {}), ("1_Pooling", None)],
)
def test_a_folder_that_lost_its_modules_is_told(name: str, content: Any, tmp_path: Path) -> None:
    if content is None:
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(Damaged, match=f"modules.json is missing, which says what {name}/? is for"):
        read_sentence(ModelDir.of(tmp_path))


def test_a_plain_folder_makes_no_sentence_embedding(tmp_path: Path) -> None:
    (tmp_path / "0_other").mkdir()
    assert read_sentence(ModelDir.of(tmp_path)) is None
    assert read_about(ModelDir.of(tmp_path)) == {}


@pytest.mark.parametrize(
    ("about", "config", "crosses"),
    [
        ({"model_type": "CrossEncoder"}, {}, True),
        (None, {"sentence_transformers": {"version": "4"}}, True),
        (None, {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, True),
        (None, {"sentence_transformers": None}, False),
        (None, {}, False),
    ],
    ids=["about", "config", "activation", "null", "nothing"],
)
def test_a_model_of_pairs_has_marks_of_its_own(about: Any, config: Any, crosses: bool, tmp_path: Path) -> None:
    if about:
        (tmp_path / ABOUT).write_text(json.dumps(about))
    assert is_cross_encoder(ModelDir.of(tmp_path), config) is crosses
    assert is_foreign(ModelDir.of(tmp_path), config) is crosses
    (tmp_path / "modules.json").write_text(json.dumps(modules("Transformer")))
    assert not is_cross_encoder(ModelDir.of(tmp_path), config)
