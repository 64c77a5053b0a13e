"""Folders that the Hugging Face adapter serves by itself give what the library gives, with every setting of theirs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters import registry
from adapters.base import InvalidInput, LoadError, ModelDir
from tests.adapters.huggingface_.models import save, train_wordpiece

TEXTS = ["Paris is the capital of france", "hello world", "my dog is cute"]

pytest.importorskip("sentence_transformers")


def plain(folder: Path, normalize: bool = False, **settings: Any) -> Any:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    parts = [
        modules.Transformer(str(save(folder.parent / "bert", "BertModel", train_wordpiece()))),
        modules.Pooling(32),
    ]
    parts += [modules.Normalize()] if normalize else []
    model = SentenceTransformer(modules=parts, device="cpu", **settings)
    model.save_pretrained(str(folder))
    return model.eval()


def load(folder: Path, **options: Any) -> Any:
    choice = registry.choose(ModelDir.of(folder))
    return choice.adapter.load(ModelDir.of(folder), choice.match.file, options)


def ask(adapter: Any, **parameters: Any) -> Any:
    return adapter.predict({"text": np.array(TEXTS, dtype=np.object_)}, parameters)["output-0"]


@pytest.mark.parametrize("normalize", [False, True])
def test_vectors_are_cut_as_the_folder_says(normalize: bool, tmp_path: Path) -> None:
    model = plain(tmp_path / "model", normalize, truncate_dim=8)
    adapter = load(tmp_path / "model")
    assert adapter.name == "huggingface"
    assert adapter.signature.outputs[0].shape == (-1, 8)
    np.testing.assert_allclose(ask(adapter), model.encode(TEXTS), atol=1e-6)
    np.testing.assert_allclose(ask(adapter, truncate_dim=5), model.encode(TEXTS, truncate_dim=5), atol=1e-6)
    again = model.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(ask(adapter, normalize=True), again, atol=1e-6)
    assert not np.allclose(again, model.encode(TEXTS), atol=1e-3)
    assert load(tmp_path / "model", truncate_dim=4).signature.outputs[0].shape == (-1, 4)
    with pytest.raises(InvalidInput, match="truncate_dim is 33: the model's vectors have 32 numbers"):
        ask(adapter, truncate_dim=33)


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_setting_that_is_not_known_here_is_the_librarys(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    plain(folder)
    settings: dict[str, dict[str, Any]] = {
        "config_sentence_transformers.json": {"a_later_setting": 3},
        "sentence_bert_config.json": {"processing_kwargs": {"text": {"padding_side": "left"}}},
        "1_Pooling/config.json": {"a_later_setting": True},
    }
    for name, setting in settings.items():
        held = (folder / name).read_text()
        edit(folder / name, **setting)
        assert registry.choose(ModelDir.of(folder)).adapter.name == "sentence_transformers", name
        (folder / name).write_text(held)
    assert registry.choose(ModelDir.of(folder)).adapter.name == "huggingface"


@pytest.mark.parametrize("size", [0, -1, "8", True, 2.5])
def test_a_damaged_number_of_dimensions_is_a_reason(size: Any, tmp_path: Path) -> None:
    plain(tmp_path / "model")
    edit(tmp_path / "model/config_sentence_transformers.json", truncate_dim=size)
    with pytest.raises(LoadError, match="truncate_dim is"):
        registry.choose(ModelDir.of(tmp_path / "model"))
