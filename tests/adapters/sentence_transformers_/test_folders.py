"""Which sentence-transformers folders are claimed and refused; nothing in them is ever executed or fetched."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from adapters import registry
from adapters.base import LoadError, Match, ModelDir, Rank, Trust
from adapters.huggingface_ import HuggingFaceAdapter
from adapters.sentence_transformers_ import SentenceTransformersAdapter
from tests.adapters.huggingface_.models import save, train_wordpiece
from tests.adapters.sentence_transformers_.models import dense, static

pytestmark = pytest.mark.skipif(find_spec("sentence_transformers") is None, reason="not installed")

Edit = Callable[[Path], Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "model"
    dense(folder)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


def match(folder: Path) -> Match | None:
    return SentenceTransformersAdapter.match(ModelDir.of(folder))


def edit(name: str, **values: Any) -> Edit:
    def change(folder: Path) -> None:
        held = json.loads((folder / name).read_text()) if (folder / name).exists() else {}
        (folder / name).write_text(json.dumps({**held, **values}))

    return change


def modules(*kinds: str) -> Edit:
    def change(folder: Path) -> None:
        listed = json.loads((folder / "modules.json").read_text())[: len(kinds)]
        listed += [{"path": f"{len(listed)}_More"}] * (len(kinds) - len(listed))
        listed = [{**entry, "type": kind} for entry, kind in zip(listed, kinds, strict=True)]
        (folder / "modules.json").write_text(json.dumps(listed))

    return change


def elsewhere(path: str) -> Edit:
    def change(folder: Path) -> None:
        listed = json.loads((folder / "modules.json").read_text())
        listed[2]["path"] = path
        (folder / "modules.json").write_text(json.dumps(listed))

    return change


def linked(folder: Path) -> None:
    weights = folder / "2_Dense/model.safetensors"
    weights.rename(folder.parent / "weights")
    weights.symlink_to(folder.parent / "weights")


def cut(name: str, size: int) -> Edit:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


SETTINGS = "sentence_bert_config.json"
PROBLEMS: dict[str, tuple[Edit, str]] = {
    "router": (modules("sentence_transformers.models.Router"), "lists Router, which is not served"),
    "no modules": (lambda f: (f / "modules.json").write_text("[]"), "lists no modules"),
    "a vector a token": (edit("config_sentence_transformers.json", model_type="MultiVectorEncoder"), "calls it a"),
    "another folder": (elsewhere("../other"), "names the folder ../other/, which is missing"),
    "absolute": (elsewhere("/tmp"), "names the folder /tmp/, which is missing"),
    "a link out": (linked, "2_Dense/model.safetensors leads out of the models directory"),
    "weights cut": (cut("model.safetensors", 5000), "model.safetensors is truncated"),
    "dense cut": (cut("2_Dense/model.safetensors", 200), "model.safetensors is truncated"),
    "dense not JSON": (cut("2_Dense/config.json", 9), "config.json is not JSON"),
    "an activation": (
        edit("2_Dense/config.json", activation_function="torch.hub.load"), "which is no activation of torch.nn"),
    "pickled weights": (edit(SETTINGS, model_args={"weights_only": False}), "model_args sets weights_only"),
    "code": (edit(SETTINGS, config_args={"trust_remote_code": True}), "config_args sets trust_remote_code"),
    "a kernel": (edit(SETTINGS, model_kwargs={"attn_implementation": "own/kernel"}), "attention kernel 'own/kernel'"),
    "another tokenizer": (edit(SETTINGS, tokenizer_args={"tokenizer_file": "../x"}), "tokenizer_args sets tokenizer_f"),
    "another method": (edit(SETTINGS, modality_config={"text": {"method": "save_pretrained"}}), "another method"),
    "odd settings": (edit(SETTINGS, model_args=[1]), "model_args does not hold an object"),
    "auto_map": (edit("config.json", auto_map={"AutoModel": "own.Own"}), "names code of its own (auto_map)"),
    "adapter beside its base": (edit("adapter_config.json", peft_type="LORA"), "merge it into the model"),
    "setfit": (lambda f: (f / "model_head.pkl").write_bytes(b"x"), "a SetFit model's"),
    "adapter": (edit("adapter_config.json", base_model_name_or_path="someone/base"), "merge it into the model"),
}  # fmt: skip


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_folder_that_is_not_served_says_why(name: str, folder: Path) -> None:
    change, reason = PROBLEMS[name]
    change(folder)
    claim = match(folder)
    assert claim is not None
    assert claim.rank is Rank.BUNDLE
    assert reason in claim.problem


def test_code_of_its_own_is_refused_by_whoever_claims_it(folder: Path, tmp_path: Path) -> None:
    (folder / "own.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w').close()\nclass Own: pass\n")
    modules("own.Own", "sentence_transformers.models.Pooling")(folder)
    claims = [adapter.match(ModelDir.of(folder)) for adapter in (HuggingFaceAdapter, SentenceTransformersAdapter)]
    (claim,) = [claim for claim in claims if claim is not None]
    assert "names own.Own, code of its own" in claim.problem
    assert not (tmp_path / "mark").exists()


def test_plain_folders_belong_to_the_other_adapter(folder: Path, tmp_path: Path) -> None:
    modules(*[f"sentence_transformers.models.{name}" for name in ("Transformer", "Pooling", "Normalize")])(folder)
    claim = match(folder)
    assert claim is not None
    assert claim.rank is Rank.SUFFIX  # for those who name this adapter in polyserve.yaml
    assert registry.choose(ModelDir.of(folder)).adapter is HuggingFaceAdapter
    assert registry.choose(ModelDir.of(folder), "sentence_transformers").adapter is SentenceTransformersAdapter
    assert HuggingFaceAdapter.match(ModelDir.of(folder)) is not None
    assert (
        registry.choose(ModelDir.of(save(tmp_path / "plain", "BertModel", train_wordpiece()))).adapter.name
        == "huggingface"
    )


def test_pickled_weights_are_a_matter_of_trust_and_read_as_weights_alone(folder: Path) -> None:
    import torch
    from safetensors.torch import load_file

    class Attack:
        def __reduce__(self) -> Any:
            return (print, ("hostile",))

    held = folder / "2_Dense/model.safetensors"
    torch.save(load_file(held), folder / "2_Dense/pytorch_model.bin")
    held.unlink()
    claim = match(folder)
    assert claim is not None
    assert claim.trust is Trust.PICKLE
    SentenceTransformersAdapter.load(ModelDir.of(folder), "", {})
    torch.save({"a": Attack()}, folder / "2_Dense/pytorch_model.bin")
    with pytest.raises(LoadError, match=r"UnpicklingError|Weights only"):
        SentenceTransformersAdapter.load(ModelDir.of(folder), "", {})


def test_the_transformer_may_lie_in_a_folder_of_its_own(folder: Path) -> None:
    """As sentence-transformers wrote it before 2.0."""
    (folder / "0_Transformer").mkdir()
    for file in [path for path in folder.iterdir() if path.is_file() and path.name not in ("modules.json",)]:
        file.rename(folder / "0_Transformer" / file.name)
    listed = json.loads((folder / "modules.json").read_text())
    listed[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(listed))
    assert match(folder) == Match(Rank.BUNDLE)
    adapter = SentenceTransformersAdapter.load(ModelDir.of(folder), "", {})
    assert adapter.signature.outputs[0].shape == (-1, 8)


def test_loading_needs_no_network(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a model was looked for on the network")

    static(tmp_path / "static")
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    for path in (folder, tmp_path / "static"):
        SentenceTransformersAdapter.load(ModelDir.of(path), "", {})
