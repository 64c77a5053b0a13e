"""GGUF files through transformers' reader: they answer as the folder they came from does, and copies are kept."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters.base import LoadError, ModelDir
from adapters.generation import gguf_copies, loading
from adapters.huggingface_.loading import from_folder
from tests.gguf_models import save_gguf
from tests.language_models import save_language_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_language_model(tmp_path_factory.mktemp("source") / "tiny")


@pytest.fixture(scope="module")
def file(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf", source)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(gguf_copies.FOLDER, str(tmp_path / "copies"))
    return tmp_path / "copies"


def answer(model: Any) -> list[int]:
    ids = torch.tensor([[4, 5, 6]])
    found: list[int] = model.generate(ids, max_new_tokens=12, do_sample=False, pad_token_id=0)[0].tolist()
    return found


def copies(root: Path) -> list[Path]:
    return [each for each in root.iterdir() if each.is_dir()]


def test_it_is_the_model_that_it_was_made_of(source: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(gguf_copies.FOLDER, raising=False)
    found = gguf_copies.load(file, "auto", 10)
    assert answer(found.model) == answer(from_folder("AutoModelForCausalLM", source))
    assert found.model.dtype is torch.float32
    text = "the fox says \N{HUGGING FACE} 日本"
    before = from_folder("AutoTokenizer", source)
    assert found.tokenizer(text, add_special_tokens=False) == before(text, add_special_tokens=False)
    assert found.tokenizer.chat_template == before.chat_template
    assert found.model.generation_config.eos_token_id == before.eos_token_id


def test_texts_begin_as_the_file_says(source: Path, file: Path, root: Path) -> None:
    before = from_folder("AutoTokenizer", source)
    texts = "one two", "日本 <|end|>"
    for _ in range(2):  # made, and from the copy
        tokenizer = gguf_copies.load(file, "float32", 10, begins=True).tokenizer
        assert [tokenizer(each)["input_ids"] for each in texts] == [before(each)["input_ids"] for each in texts]
    assert before("one")["input_ids"][0] == before.bos_token_id
    assert len(copies(root)) == 1


def test_a_copy_is_made_once_and_used(file: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = gguf_copies.load(file, "float32", 10)
    (copy,) = copies(root)
    long_ago = time.time() - 1000
    os.utime(copy, (long_ago, long_ago))
    monkeypatch.setattr(gguf_copies, "_read", None)
    again = gguf_copies.load(file, "float32", 10)
    assert answer(again.model) == answer(first.model)
    assert again.tokenizer.chat_template == first.tokenizer.chat_template
    assert copy.stat().st_mtime > long_ago + 500


def test_another_content_or_type_has_another_copy(source: Path, file: Path, root: Path, tmp_path: Path) -> None:
    gguf_copies.load(file, "float32", 10)
    gguf_copies.load(save_gguf(tmp_path / "other.gguf", source, general__url="here"), "float32", 10)
    assert len(copies(root)) == 2
    assert gguf_copies.load(file, "bfloat16", 10).model.dtype is torch.bfloat16
    assert len(copies(root)) == 3


def test_a_broken_copy_and_old_ones_are_replaced(file: Path, root: Path) -> None:
    gguf_copies.load(file, "float32", 10)
    (copy,) = copies(root)
    (copy / "converted.ok").unlink()
    (copy / "model.safetensors").unlink()
    for name, age in ((".partial-x", 7 * 3600), (".partial-y", 3600), ("old", 31 * 86400), ("recent", 86400)):
        (root / name).mkdir()
        os.utime(root / name, (time.time() - age,) * 2)
    gguf_copies.load(file, "float32", 10)
    assert sorted(each.name for each in copies(root)) == sorted([".partial-y", copy.name, "recent"])
    assert (copy / "model.safetensors").exists()


def test_no_copy_where_others_could_write(file: Path, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    root.mkdir()
    root.chmod(0o777)
    assert answer(gguf_copies.load(file, "float32", 10).model)
    assert copies(root) == []
    assert "others may write there" in caplog.text


def test_no_copy_where_there_is_no_room(file: Path, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    too_much = shutil.disk_usage(root.parent).total
    assert answer(gguf_copies.load(file, "float32", too_much).model)
    assert copies(root) == []
    assert "are free" in caplog.text


def test_a_file_that_changes_while_it_is_read(
    file: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Path(shutil.copy(file, tmp_path / "mine.gguf"))
    reading = gguf_copies._read

    def changing(*arguments: Any, **named: Any) -> gguf_copies.LoadedFolder:
        found = reading(*arguments, **named)
        os.utime(mine, (1, 1))
        return found

    monkeypatch.setattr(gguf_copies, "_read", changing)
    with pytest.raises(LoadError, match="changed while it was read"):
        gguf_copies.load(mine, "float32", 10)
    assert copies(root) == []


def test_weights_that_are_missing(source: Path, tmp_path: Path, root: Path) -> None:
    from safetensors.numpy import load_file, save_file

    less = Path(shutil.copytree(source, tmp_path / "less"))
    weights = load_file(less / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, less / "model.safetensors")
    with pytest.raises(LoadError, match="the weights lack"):
        loading.load_generator(ModelDir.of(save_gguf(tmp_path / "m" / "m.gguf", less).parent), "m.gguf", {})
    assert copies(root) == []


def test_an_architecture_that_transformers_does_not_read(tmp_path: Path) -> None:
    from tests.adapters.generation.test_gguf_folder import content

    (tmp_path / "m.gguf").write_bytes(content("unheard"))
    with pytest.raises(LoadError, match="architecture unheard is not supported"):
        loading.load_generator(ModelDir.of(tmp_path), "m.gguf", {})


def test_what_is_wrong_with_its_tokenizer_is_told_with_the_file(source: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(source, tmp_path / "changed"))
    tokenizer = json.loads((changed / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = [["nowhere", "x"]]
    (changed / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(LoadError, match=r"^tiny\.gguf: transformers cannot load it: .*out of vocabulary"):
        gguf_copies.load(save_gguf(tmp_path / "tiny.gguf", changed), "float32", 10)
