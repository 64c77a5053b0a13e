"""A sentence-transformers folder read by hand: which kind it is, and what the library is not shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.huggingface_.bundle import Damaged
from adapters.modeldir import ModelDir
from adapters.sentence_transformers_.folder import ModelFolder, read_folder

ABOUT, SETTINGS = "config_sentence_transformers.json", "sentence_bert_config.json"
BERT = {"model_type": "bert", "architectures": ["BertModel"]}
EMPTY = (2).to_bytes(8, "little") + b"{}"  #: a file of no tensors


def folder(path: Path, *kinds: str, config: Any = BERT, **files: Any) -> ModelDir:
    """A transformer's files, and modules of these kinds; `files` by path, `__` for a dot, objects as JSON."""
    parts: dict[str, Any] = {"config.json": config, "tokenizer.json": {}, "model.safetensors": EMPTY}
    if kinds:
        paths = ["" if kind in ("Transformer", "StaticEmbedding") else f"{i}_{kind}" for i, kind in enumerate(kinds)]
        listed = [
            {"type": f"sentence_transformers.models.{kind}", "path": where}
            for kind, where in zip(kinds, paths, strict=True)
        ]
        parts["modules.json"] = listed
        for where in paths:
            (path / where).mkdir(parents=True, exist_ok=True)
    path.mkdir(parents=True, exist_ok=True)
    for name, content in {**parts, **{name.replace("__", "."): content for name, content in files.items()}}.items():
        (path / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return ModelDir.of(path)


def problem(model_dir: ModelDir) -> str:
    with pytest.raises(Damaged) as caught:
        read_folder(model_dir)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kinds", "about", "kind"),
    [
        (("Transformer", "Pooling", "Dense", "Normalize"), {}, "SentenceTransformer"),
        (("Transformer", "SpladePooling"), {}, "SparseEncoder"),
        (("Transformer", "Pooling", "SparseAutoEncoder"), {}, "SparseEncoder"),
        (("Transformer",), {"model_type": "CrossEncoder"}, "CrossEncoder"),
        (("Transformer", "SpladePooling"), {"model_type": "SentenceTransformer"}, "SentenceTransformer"),
    ],
    ids=["dense", "sparse", "encoder", "cross", "said"],
)
def test_the_kind_is_said_or_follows_from_the_modules(
    kinds: tuple[str, ...], about: dict[str, Any], kind: str, tmp_path: Path
) -> None:
    model_dir = folder(tmp_path / "m", *kinds, **{ABOUT: about})
    assert read_folder(model_dir) == ModelFolder(kind, safetensors=True, pickled=False, sentencepiece=False)


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({**BERT, "architectures": ["BertForSequenceClassification"]}, "CrossEncoder"),
        ({**BERT, "sentence_transformers": {"version": "5"}}, "CrossEncoder"),
        (BERT, "SentenceTransformer"),
    ],
    ids=["head", "marked", "plain"],
)
def test_a_plain_transformer_is_what_its_head_makes_it(config: Any, kind: str, tmp_path: Path) -> None:
    assert read_folder(folder(tmp_path / "m", config=config)).kind == kind


def test_weights_of_any_module_may_be_pickles(tmp_path: Path) -> None:
    model_dir = folder(tmp_path / "a", "Transformer", "Pooling", "Dense")
    (model_dir.path / "2_Dense/pytorch_model.bin").write_bytes(b"x")
    assert read_folder(model_dir) == ModelFolder("SentenceTransformer", True, pickled=True, sentencepiece=False)
    plain = folder(tmp_path / "b", "Transformer", "Pooling", pytorch_model__bin=b"x")
    (plain.path / "model.safetensors").unlink()
    assert read_folder(ModelDir.of(plain.path)) == ModelFolder("SentenceTransformer", False, True, False)
    static = folder(tmp_path / "c", "StaticEmbedding")
    assert read_folder(static) == ModelFolder("SentenceTransformer", True, False, False)


def test_a_vocabulary_of_pieces_needs_its_package(tmp_path: Path) -> None:
    model_dir = folder(tmp_path / "m", "Transformer", "Pooling", spiece__model=b"x")
    (model_dir.path / "tokenizer.json").unlink()
    assert read_folder(ModelDir.of(model_dir.path)).sentencepiece


@pytest.mark.parametrize(
    ("kinds", "reason"),
    [
        (("Transformer", "Router", "Asym"), "modules.json lists Router, Asym, which is not served; served are"),
        (("Transformer", "MultiVectorEncoder"), "modules.json lists MultiVectorEncoder"),
    ],
    ids=["two", "one"],
)
def test_modules_that_are_not_known_are_named(kinds: tuple[str, ...], reason: str, tmp_path: Path) -> None:
    assert problem(folder(tmp_path / "m", *kinds)).startswith(reason)


def test_no_modules_and_an_unknown_kind_are_refused(tmp_path: Path) -> None:
    assert problem(folder(tmp_path / "a", "Transformer", **{"modules.json": []})) == "modules.json lists no modules"
    about = {ABOUT: {"model_type": "Other"}}
    assert "calls it a Other; served are SentenceT" in problem(folder(tmp_path / "b", "Transformer", **about))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ([1], "does not hold an object"),
        ({"model_args": [1]}, "model_args does not hold an object"),
        ({"model_args": {"weights_only": False}}, "model_args sets weights_only, which is not passed on"),
        ({"config_kwargs": {"trust_remote_code": True}}, "config_kwargs sets trust_remote_code"),
        ({"tokenizer_args": {"tokenizer_file": "../x"}}, "tokenizer_args sets tokenizer_file"),
        ({"model_kwargs": {"attn_implementation": "own/kernel"}}, "the attention kernel 'own/kernel', code from"),
        ({"modality_config": {"text": {"method": "save"}}}, "another method than forward"),
        ({"modality_config": {"text": ["forward"]}}, "another method than forward"),
    ],
    ids=["list", "arguments", "pickles", "code", "tokenizer", "kernel", "method", "modality"],
)
def test_settings_that_reach_out_are_not_passed_on(settings: Any, reason: str, tmp_path: Path) -> None:
    said = problem(folder(tmp_path / "m", "Transformer", "Pooling", **{SETTINGS: settings}))
    assert said.startswith(SETTINGS)
    assert reason in said


def test_harmless_settings_are(tmp_path: Path) -> None:
    settings = {
        "max_seq_length": 128,
        "model_args": {"torch_dtype": "float16", "attn_implementation": "sdpa"},
        "tokenizer_args": {"padding_side": "left"},
        "processor_kwargs": None,
        "modality_config": {"text": {"method": "forward"}},
    }
    read_folder(folder(tmp_path / "m", "Transformer", "Pooling", **{SETTINGS: settings}))


@pytest.mark.parametrize("key", ["activation_fn", "activation_function", "sbert_ce_default_activation_function"])
@pytest.mark.parametrize("place", [ABOUT, "config.json", "2_Dense/config.json", "nested"])
def test_an_activation_is_one_of_torchs(place: str, key: str, tmp_path: Path) -> None:
    def with_activation(name: str, path: Path) -> ModelDir:
        files: dict[str, dict[str, Any]] = {"config.json": {**BERT}, ABOUT: {}, "2_Dense/config.json": {}}
        if place == "nested":
            files["config.json"]["sentence_transformers"] = {key: name}
        else:
            files[place][key] = name
        return folder(path, "Transformer", "Pooling", "Dense", **files)

    for sound in ("torch.nn.modules.activation.Tanh", "torch.nn.modules.linear.Identity", "gelu"):
        read_folder(with_activation(sound, tmp_path / sound))
    said = problem(with_activation("torch.hub.load", tmp_path / "m"))
    assert f"{key} is 'torch.hub.load', which is no activation of torch.nn; it was not imported" in said


def test_damage_inside_a_module_is_found(tmp_path: Path) -> None:
    dense = {"2_Dense/model.safetensors": EMPTY[:-1]}
    assert "model.safetensors is truncated" in problem(
        folder(tmp_path / "a", "Transformer", "Pooling", "Dense", **dense)
    )
    assert problem(folder(tmp_path / "b", "Transformer", "Pooling", **{"1_Pooling/config.json": [1]})) == (
        "1_Pooling/config.json does not hold an object"
    )
    lost = folder(tmp_path / "c", "Transformer", "Pooling")
    (lost.path / "1_Pooling").rmdir()
    assert "names the folder 1_Pooling/, which is missing" in problem(ModelDir.of(lost.path))


@pytest.mark.parametrize(
    ("name", "reason"),
    [("config.json", "config.json of the Transformer module is missing"), ("model.safetensors", "no weights beside")],
)
def test_a_transformer_needs_its_files(name: str, reason: str, tmp_path: Path) -> None:
    model_dir = folder(tmp_path / "m", "Transformer", "Pooling")
    (model_dir.path / name).unlink()
    assert problem(ModelDir.of(model_dir.path)).startswith(reason)


def test_an_adapter_without_its_base_and_a_classifier_beside_are_told(tmp_path: Path) -> None:
    assert "merge it" in problem(folder(tmp_path / "a", "Transformer", "Pooling", adapter_config__json={}))
    assert "SetFit" in problem(folder(tmp_path / "b", "Transformer", "Pooling", model_head__pkl=b"x"))


def test_links_out_of_a_modules_folder_are_not_followed(tmp_path: Path) -> None:
    model_dir = folder(tmp_path / "m", "Transformer", "Pooling", "Dense")
    (tmp_path / "weights").write_bytes(EMPTY)
    (model_dir.path / "2_Dense/model.safetensors").symlink_to(tmp_path / "weights")
    assert problem(model_dir) == "2_Dense/model.safetensors leads out of the models directory and is not followed"
