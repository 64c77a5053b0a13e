"""What a transformers folder holds, read by hand: whose it is, which weights count, and what stops it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.huggingface_.bundle import (
    WEIGHTS,
    Damaged,
    check,
    check_weights,
    has_tokenizer,
    needs_sentencepiece,
    no_weights,
    read_config,
    read_json,
    weights_of,
)
from adapters.modeldir import ModelDir

CONFIG: dict[str, Any] = {"model_type": "bert", "architectures": ["BertModel"]}
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"


def safetensors(*sizes: int, extra: bytes = b"", **header: Any) -> bytes:
    """A file of tensors of so many bytes, one after the other."""
    tensors = {
        f"t{index}": {"dtype": "U8", "shape": [size], "data_offsets": [sum(sizes[:index]), sum(sizes[: index + 1])]}
        for index, size in enumerate(sizes)
    }
    text = json.dumps({**tensors, **header}).encode()
    return len(text).to_bytes(8, "little") + text + bytes(sum(sizes)) + extra


def folder(path: Path, **files: Any) -> ModelDir:
    """Files by their names, `__` for a dot; objects as JSON."""
    path.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        (path / name.replace("__", ".")).write_bytes(data)
    return ModelDir.of(path)


def whole(path: Path, **more: Any) -> ModelDir:
    parts = {"config__json": CONFIG, "model__safetensors": safetensors(4, 8), "tokenizer__json": {}}
    return folder(path, **{**parts, **more})


def problem(model_dir: ModelDir, config: Any = None) -> str:
    with pytest.raises(Damaged) as caught:
        check(model_dir, CONFIG if config is None else config)
    return str(caught.value)


def test_a_whole_folder_passes(tmp_path: Path) -> None:
    model_dir = whole(tmp_path)
    assert read_config(model_dir) == CONFIG
    check(model_dir, CONFIG)


@pytest.mark.parametrize(
    "config",
    [{"model_type": "forest"}, [1], "text", {"architectures": ["BertModel"]}, {"model_type": 3, "vocab_size": 9}],
    ids=["a-type-alone", "list", "text", "no-type", "odd-type"],
)
def test_a_config_that_other_tools_may_have_written_is_not_transformers(config: Any, tmp_path: Path) -> None:
    assert read_config(folder(tmp_path, config__json=config)) is None
    assert read_config(folder(tmp_path / "none")) is None


@pytest.mark.parametrize("key", ["architectures", "transformers_version", "hidden_size", "vocab_size", "auto_map"])
def test_a_type_counts_beside_another_sign(key: str, tmp_path: Path) -> None:
    config = {"model_type": "bert", key: 1}
    assert read_config(folder(tmp_path, config__json=config)) == config


def test_beside_weights_and_a_tokenizer_a_type_is_enough_and_damage_is_told(tmp_path: Path) -> None:
    assert read_config(whole(tmp_path / "a", config__json={"model_type": "own"})) == {"model_type": "own"}
    with pytest.raises(Damaged, match=r"does not say the model_type"):
        read_config(whole(tmp_path / "b", config__json={}))
    with pytest.raises(Damaged, match=r"^config\.json is not JSON"):
        read_config(whole(tmp_path / "c", config__json=b"{"))
    assert read_config(folder(tmp_path / "d", config__json=b"{", vocab__txt=b"a")) is None


def test_a_model_of_images_says_so(tmp_path: Path) -> None:
    config = {"architecture": "resnet50", "pretrained_cfg": {}}
    with pytest.raises(Damaged, match=r"a timm model's \(resnet50\), which is not transformers"):
        read_config(folder(tmp_path, config__json=config, model__safetensors=b""))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000], ids=["no", "cut", "bytes", "deep"])
def test_what_is_no_json_is_damage(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(Damaged, match=r"^a\.json is not JSON"):
        read_json(folder(tmp_path, a__json=content), "a.json")


def test_the_first_kind_of_weights_counts(tmp_path: Path) -> None:
    assert weights_of(folder(tmp_path)) == ""
    for name in reversed(WEIGHTS):
        (tmp_path / name).touch()
        assert weights_of(ModelDir.of(tmp_path)) == name


def test_weights_of_another_kind_are_named(tmp_path: Path) -> None:
    assert no_weights(folder(tmp_path)).endswith("or its index, is missing")
    said = no_weights(folder(tmp_path, m__gguf=b"", tf_model__H5=b"", notes__txt=b""))
    assert said.endswith("; m.gguf (GGUF (llama.cpp)), tf_model.H5 (TensorFlow) cannot be loaded in their place")


@pytest.mark.parametrize(
    ("files", "found", "sentencepiece"),
    [
        ({"tokenizer__json": {}}, True, False),
        ({"vocab__txt": b"a"}, True, False),
        ({"spiece__model": b"a"}, True, True),
        ({"spiece__model": b"a", "tokenizer__json": {}}, True, False),
        ({"tokenizer_config__json": {"tokenizer_class": "ByT5Tokenizer"}}, True, False),
        ({"tokenizer_config__json": {"tokenizer_class": "BertTokenizer"}}, False, False),
        ({"tokenizer_config__json": b"{"}, False, False),
        ({"tokenizer_config__json": [1]}, False, False),
        ({}, False, False),
    ],
    ids=["fast", "words", "pieces", "both", "bytes", "settings-alone", "cut", "list", "nothing"],
)
def test_a_tokenizer_needs_its_vocabulary(
    files: dict[str, Any], found: bool, sentencepiece: bool, tmp_path: Path
) -> None:
    model_dir = folder(tmp_path, **files)
    assert has_tokenizer(model_dir) is found
    assert needs_sentencepiece(model_dir) is sentencepiece


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (safetensors(4, 8)[:-1], "m.safetensors is truncated: it holds {size} bytes, its header tells of {more}"),
        (safetensors(4, 8, extra=b"x"), "m.safetensors is damaged: it holds {size} bytes, its header tells of {less}"),
        (b"", "it holds 0 bytes, its header would 0"),
        ((1 << 62).to_bytes(8, "little") + b"{}", "is truncated or no safetensors file"),
        ((4).to_bytes(8, "little") + b"[{}]", "has a damaged header: AttributeError"),
        ((2).to_bytes(8, "little") + b"{]", "has a damaged header: JSONDecodeError"),
        (safetensors(a={}), "has a damaged header: KeyError"),
        (safetensors(a={"data_offsets": [0]}), "has a damaged header: IndexError"),
        (LFS, "is a Git LFS pointer, not the file itself: run git lfs pull"),
    ],
    ids=["cut", "longer", "empty", "huge", "list", "no-json", "no-offsets", "one-offset", "pointer"],
)
def test_a_file_of_tensors_is_as_long_as_its_header_says(content: bytes, reason: str, tmp_path: Path) -> None:
    size = len(content)
    with pytest.raises(Damaged) as caught:
        check_weights(folder(tmp_path, m__safetensors=content), "m.safetensors")
    assert reason.format(size=size, more=size + 1, less=size - 1) in str(caught.value)


def test_sound_files_of_weights_pass(tmp_path: Path) -> None:
    model_dir = folder(
        tmp_path, a__safetensors=safetensors(4), b__safetensors=safetensors(__metadata__={"a": "b"}), c__bin=b"x"
    )
    for name in ("a.safetensors", "b.safetensors", "c.bin"):
        check_weights(model_dir, name)
    with pytest.raises(Damaged, match=r"^d\.bin is empty$"):
        check_weights(folder(tmp_path, d__bin=b""), "d.bin")


def test_every_file_of_an_index_is_looked_at(tmp_path: Path) -> None:
    index = {"weight_map": {"a": "x.safetensors", "b": "y.safetensors", "c": "x.safetensors"}}
    parts = {"model__safetensors__index__json": index, "x__safetensors": safetensors(4), "tokenizer__json": {}}
    model_dir = folder(tmp_path, **parts)
    assert problem(model_dir) == "model.safetensors.index.json names 2 files, of which 1 are missing: y.safetensors"
    check(folder(tmp_path, y__safetensors=safetensors(1)), CONFIG)
    assert "y.safetensors is truncated" in problem(folder(tmp_path, y__safetensors=safetensors(1)[:-1]))


@pytest.mark.parametrize("index", [{}, [], {"weight_map": {}}, {"weight_map": {"a": 3}}, {"weight_map": ["a"]}])
def test_an_index_without_a_map_is_damage(index: Any, tmp_path: Path) -> None:
    model_dir = folder(tmp_path, model__safetensors__index__json=index, tokenizer__json={})
    assert problem(model_dir) == "model.safetensors.index.json has no weight_map from weights to files"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"auto_map": {"AutoModel": "own.Own"}}, "config.json names code of its own (auto_map)"),
        ({"custom_pipelines": {"pairs": {"impl": "pairs.P"}}}, "config.json names a pipeline of its own (custom_pip"),
        ({"text_config": {"deep": [{"auto_map": {"AutoModel": "x"}}]}}, "config.json names code of its own"),
        ({"attn_implementation": "own/kernel"}, "asks for the attention kernel 'own/kernel', which is code"),
        ({"text_config": {"_attn_implementation": "own/kernel"}}, "asks for the attention kernel 'own/kernel'"),
        ({"transformers_weights": "../x"}, "names its weights by transformers_weights"),
    ],
    ids=["code", "pipeline", "code-inside", "kernel", "kernel-inside", "weights"],
)
def test_settings_that_reach_out_are_refused(config: dict[str, Any], reason: str, tmp_path: Path) -> None:
    assert reason in problem(whole(tmp_path), {**CONFIG, **config})


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"tokenizer_config__json": {"auto_map": {"AutoTokenizer": ["own.Own", None]}}}, "tokenizer_config.json names"),
        ({"tokenizer_config__json": []}, "tokenizer_config.json does not hold an object"),
        ({"tokenizer__json": LFS}, "tokenizer.json is a Git LFS pointer"),
        ({"adapter_config__json": {}}, "adapter_config.json"),
    ],
    ids=["code", "list", "pointer", "adapter"],
)
def test_files_that_reach_out_or_are_not_read_are_refused(files: dict[str, Any], reason: str, tmp_path: Path) -> None:
    assert reason in problem(whole(tmp_path, **files))


def test_a_folder_without_its_tokenizers_files_is_refused(tmp_path: Path) -> None:
    weights = {"model__safetensors": safetensors(4)}
    assert problem(folder(tmp_path / "a", **weights)).startswith("no tokenizer: tokenizer.json")
    assert "vocab.json has no merges.txt" in problem(folder(tmp_path / "b", vocab__json={}, **weights))
    check(folder(tmp_path / "b", merges__txt=b""), CONFIG)


def test_links_out_of_the_mount_are_named(tmp_path: Path) -> None:
    model_dir = whole(tmp_path / "m")
    (tmp_path / "elsewhere").write_bytes(b"x")
    (tmp_path / "m/pytorch_model.bin").symlink_to(tmp_path / "elsewhere")
    outside = ModelDir.of(model_dir.path)
    assert problem(outside) == "pytorch_model.bin leads out of the models directory and is not followed"
    assert "; pytorch_model.bin leads out of the models directory" in no_weights(outside)
