"""Folders with GGUF files: which of them are claimed, and the reasons of those that are not served."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters import registry
from adapters.base import LoadError, ModelDir, Rank, Trust
from adapters.formats.gguf import GgufHeader
from adapters.generation import GenerationAdapter
from adapters.generation.gguf_folder import NEEDS, begins_texts, match
from tests.gguf_models import header, number, tensor, text, texts, value


def content(architecture: str = "llama", *values: bytes, blocks: int = 1) -> bytes:
    return header(
        value("general.architecture", 8, text(architecture)),
        number(f"{architecture}.block_count", blocks),
        texts("tokenizer.ggml.tokens", "a", "b"),
        *values,
        tensors=(tensor("blk.0.attn_q.weight", (4, 2)),),
        data=bytes(32),
    )


def claimed(folder: Path, **files: bytes) -> tuple[str, str, Rank]:
    for name, each in files.items():
        (folder / name.replace("__", ".")).write_bytes(each)
    found = match(ModelDir.of(folder))
    assert found is not None
    return found.file, found.problem, found.rank


def test_a_sound_file(tmp_path: Path) -> None:
    assert claimed(tmp_path, a__gguf=content()) == ("a.gguf", "", Rank.CONTENT)
    choice = registry.choose(ModelDir.of(tmp_path))
    assert choice.adapter is GenerationAdapter
    assert choice.match.trust is Trust.SAFE
    assert choice.match.requires == NEEDS


def test_no_such_file(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert match(ModelDir.of(tmp_path)) is None


def test_what_sees_images_is_beside_the_model(tmp_path: Path) -> None:
    assert claimed(tmp_path, mmproj_f16__gguf=content("clip"), z__gguf=content())[:2] == ("z.gguf", "")


PROBLEMS = {
    "several": ({"a__gguf": content(), "b__gguf": content()}, "2 GGUF files are here (a.gguf, b.gguf): leave the one"),
    "a pointer": ({"a__gguf": b"version https://git-lfs.github.com/spec/v1\n"}, "git lfs pull"),
    "other bytes": ({"a__gguf": b"nothing"}, "a.gguf is no GGUF file"),
    "cut off": ({"a__gguf": content()[:-20]}, "a.gguf is damaged: it is cut off"),
    "a part": ({"a-00001-of-00002__gguf": content()}, "one of 2 parts"),
    "a part by its header": ({"a__gguf": content("llama", value("split.count", 2, b"\3\0"))}, "one of 3 parts"),
    "an encoder": ({"a__gguf": content("bert")}, "architecture 'bert'"),
    "no architecture": ({"a__gguf": header(number("a", 1))}, "general.architecture"),
    "no vocabulary": ({"a__gguf": header(value("general.architecture", 8, text("llama")))}, "no vocabulary"),
    "a vocabulary alone": (
        {"a__gguf": header(value("general.architecture", 8, text("llama")), texts("tokenizer.ggml.tokens", "a"))},
        "a vocabulary alone",
    ),
    "too many layers": ({"a__gguf": content(blocks=2**31)}, "llama.block_count is 2147483648"),
    "no layers": ({"a__gguf": content(blocks=0)}, "block_count is missing"),
    "too wide": ({"a__gguf": content("llama", number("llama.embedding_length", 2**30))}, "llama.embedding_length is"),
    "a width in words": (
        {"a__gguf": content("llama", value("llama.embedding_length", 8, text("much")))},
        "llama.embedding_length is 'much'",
    ),
    "too long": ({"a__gguf": content("llama", number("llama.context_length", 2**31))}, "llama.context_length is"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_is_claimed_and_not_served(name: str, tmp_path: Path) -> None:
    files, told = PROBLEMS[name]
    assert told in claimed(tmp_path, **files)[1]
    with pytest.raises(LoadError):
        registry.choose(ModelDir.of(tmp_path))


def test_whether_texts_begin_with_a_token() -> None:
    def begins(**values: object) -> bool:
        return begins_texts(GgufHeader({name.replace("__", "."): each for name, each in values.items()}, {}, 0))

    assert begins(tokenizer__ggml__add_bos_token=True)
    assert begins(tokenizer__ggml__model="llama")
    assert not begins(tokenizer__ggml__model="llama", tokenizer__ggml__add_bos_token=False)
    assert not begins(tokenizer__ggml__model="gpt2", tokenizer__ggml__add_bos_token=1)


def test_weights_beside_it_come_first(tmp_path: Path) -> None:
    claimed(tmp_path, a__gguf=content())
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert GenerationAdapter.match(ModelDir.of(tmp_path)) is None
