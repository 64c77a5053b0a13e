"""What a transformers folder holds, read by hand: is it one, and what would stop it from being served?

Standard library only; nothing from the folder is executed, and no weights are read beyond a safetensors header.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adapters.formats import companions, json_text
from adapters.modeldir import ModelDir
from adapters.shared.messages import listed

#: weights that transformers loads, the first that exists; the `.bin` kind are pickles, read with `weights_only`
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")

#: files that hold a vocabulary, any of them enough for some tokenizer
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "bpe.codes", "tekken.json")
#: vocabularies in SentencePiece's own format, which its package reads
SENTENCEPIECE = ("spiece.model", "sentencepiece.bpe.model", "spm.model", "tokenizer.model")
#: tokenizers that work on characters or bytes and have no vocabulary file
_WITHOUT_VOCABULARY = ("ByT5Tokenizer", "CanineTokenizer", "PerceiverTokenizer")
#: tokenizers of single letters or sounds, whose whole vocabulary is vocab.json
_OF_LETTERS = ("Wav2Vec2CTCTokenizer", "Wav2Vec2PhonemeCTCTokenizer", "VitsTokenizer", "ParakeetTokenizer")

#: weights in forms that transformers does not load from a local folder: ending -> what it is
_FOREIGN_WEIGHTS = {
    ".gguf": "GGUF (llama.cpp)",
    ".h5": "TensorFlow",
    ".msgpack": "Flax",
    ".onnx": "ONNX",
    ".safetensors": "safetensors under another name",
    ".bin": "PyTorch under another name",
}
#: keys of a config.json that transformers wrote, beside `model_type`
_CONFIG_KEYS = {"architectures", "transformers_version", "hidden_size", "vocab_size", "auto_map"}

_OWN_ONLY = "only models in transformers' own format are served: export it to ONNX or TorchScript"
_JSON_LIMIT = 1 << 26  # bytes: the indexes of the largest models take a few million
_HEADER_LIMIT = 100_000_000  # bytes, the limit of the safetensors format itself
_LFS = b"version https://git-lfs"


class Damaged(ValueError):
    """The folder is a transformers model that cannot be served; the message is the reason."""


def read_json(model_dir: ModelDir, name: str) -> Any:
    """A JSON file's value.

    Raises:
        Damaged: it is not JSON.
    """
    try:
        return json_text.loads(model_dir.head(name, _JSON_LIMIT))
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{name} is not JSON: {error}") from error


def read_config(model_dir: ModelDir) -> dict[str, Any] | None:
    """`config.json`, or None when the folder is not transformers'.

    Other tools write a `config.json` too, so a `model_type` counts only beside other signs of transformers.

    Raises:
        Damaged: the rest of the folder is a transformers model's, but `config.json` is damaged.
    """
    if not model_dir.has("config.json"):
        return None
    complete = bool(weights_of(model_dir)) and has_tokenizer(model_dir)
    try:
        config = read_json(model_dir, "config.json")
    except Damaged:
        if complete:
            raise
        return None
    if isinstance(config, dict) and isinstance(config.get("model_type"), str):
        return config if complete or config.keys() & _CONFIG_KEYS else None
    if isinstance(config, dict) and "pretrained_cfg" in config and weights_of(model_dir):
        name = str(config.get("architecture"))[:60]
        raise Damaged(f"config.json is a timm model's ({name}), which is not transformers' own; {_OWN_ONLY}")
    if complete:
        raise Damaged("config.json does not say the model_type, so transformers cannot know the architecture")
    return None


def check(model_dir: ModelDir, config: dict[str, Any], reads_texts: bool = True) -> None:
    """Look for all that would stop a folder with weights from being served, or that would give another model's answers.

    `reads_texts` says that it cannot do without a tokenizer.

    Raises:
        Damaged: with the first reason found.
    """
    if model_dir.outside:
        raise Damaged(f"{', '.join(model_dir.outside)} leads out of the models directory and is not followed")
    _check_code(model_dir, config)
    if problem := companions.unread(model_dir):
        raise Damaged(problem)
    for name in _weight_files(model_dir):
        check_weights(model_dir, name)
    if reads_texts or has_tokenizer(model_dir):
        _check_tokenizer(model_dir)


def weights_of(model_dir: ModelDir) -> str:
    """The weights (or their index) that transformers loads, or ""."""
    return next((name for name in WEIGHTS if model_dir.has(name)), "")


def no_weights(model_dir: ModelDir) -> str:
    """Why there are no weights to load, in words."""
    found = [
        f"{name} ({kind})"
        for name in model_dir.files
        if (kind := _FOREIGN_WEIGHTS.get("." + name.lower().rpartition(".")[2]))
    ]
    shown = f"; {', '.join(found[:5])} cannot be loaded in their place" if found else ""
    if model_dir.outside:
        shown += f"; {', '.join(model_dir.outside[:5])} leads out of the models directory and is not followed"
    return f"no weights beside config.json: model.safetensors or pytorch_model.bin, or its index, is missing{shown}"


def holds_export(model_dir: ModelDir) -> bool:
    """Whether the model lies below, as Optimum and the hub's repositories keep it: onnx/model.onnx."""
    return "onnx" in model_dir.dirs and bool(model_dir.folder("onnx").named(".onnx"))


def needs_sentencepiece(model_dir: ModelDir) -> bool:
    """Whether the vocabulary can be read by the sentencepiece package only."""
    return not model_dir.has("tokenizer.json") and any(model_dir.has(name) for name in SENTENCEPIECE)


def _check_code(model_dir: ModelDir, config: dict[str, Any]) -> None:
    """Refuse what makes transformers run code that is not its own."""
    settings = {"config.json": config}
    if model_dir.has("tokenizer_config.json"):
        settings["tokenizer_config.json"] = read_json(model_dir, "tokenizer_config.json")
    for name, values in settings.items():
        if not isinstance(values, dict):
            raise Damaged(f"{name} does not hold an object")
        if any(each.get("auto_map") for each in _objects(values)):
            raise Damaged(
                f"{name} names code of its own (auto_map), which transformers would run with trust_remote_code; "
                "code that comes with a model is never run here: serve it as a custom model with a model.py"
            )
    if config.get("custom_pipelines"):
        raise Damaged(
            "config.json names a pipeline of its own (custom_pipelines), whose code makes the answers and is never run "
            "here: serve it as a custom model with a model.py, or take the entry out for the plain task's answers"
        )
    for part in _objects(config):
        attention = next((part[key] for key in ("attn_implementation", "_attn_implementation") if part.get(key)), "")
        if "/" in str(attention):
            raise Damaged(f"config.json asks for the attention kernel {attention!r}, which is code from the hub")
    if config.get("transformers_weights"):
        raise Damaged("config.json names its weights by transformers_weights: rename the file to model.safetensors")


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """The object, and every object within it: a model of several parts has a configuration for each."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
        waiting += item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()


def _weight_files(model_dir: ModelDir) -> list[str]:
    """The files that the weights lie in: one, or all that the index names."""
    name = weights_of(model_dir)
    if not name.endswith(".index.json"):
        return [name]
    index = read_json(model_dir, name)
    shards = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(shards, dict) or not shards or not all(isinstance(shard, str) for shard in shards.values()):
        raise Damaged(f"{name} has no weight_map from weights to files")
    files = sorted(set(shards.values()))
    missing = [shard for shard in files if not model_dir.has(shard)]
    if missing:
        raise Damaged(f"{name} names {len(files)} files, of which {len(missing)} are missing: {listed(missing)}")
    return files


def check_weights(model_dir: ModelDir, name: str) -> None:
    """Look whether a file of weights is whole, as far as its header tells.

    Raises:
        Damaged: it is not.
    """
    _check_pointer(model_dir, name)
    if name.endswith(".safetensors"):
        _check_safetensors(model_dir, name)
    elif not model_dir.file(name).stat().st_size:
        raise Damaged(f"{name} is empty")


def _check_safetensors(model_dir: ModelDir, name: str) -> None:
    """The file is exactly as long as its header says: 8 bytes of header length, the header, the tensors."""
    size = model_dir.file(name).stat().st_size
    length = int.from_bytes(model_dir.head(name, 8), "little")
    if not 2 <= length <= min(size - 8, _HEADER_LIMIT):
        raise Damaged(f"{name} is truncated or no safetensors file: it holds {size} bytes, its header would {length}")
    try:
        header = json_text.loads(model_dir.head(name, 8 + length)[8:])
        end = max((entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"), default=0)
        expected = 8 + length + int(end)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        raise Damaged(f"{name} has a damaged header: {type(error).__name__}: {error}") from error
    if size != expected:
        kind = "truncated" if size < expected else "damaged"
        raise Damaged(f"{name} is {kind}: it holds {size} bytes, its header tells of {expected}")


def _check_tokenizer(model_dir: ModelDir) -> None:
    if not has_tokenizer(model_dir):
        raise Damaged("no tokenizer: tokenizer.json (or the vocabulary's own file, as vocab.txt) is missing")
    for name in (*VOCABULARIES, *SENTENCEPIECE):
        if model_dir.has(name):
            _check_pointer(model_dir, name)
    if _is_half_bpe(model_dir):
        raise Damaged("vocab.json has no merges.txt beside it, which its tokenizer needs")


def _is_half_bpe(model_dir: ModelDir) -> bool:
    """Whether only half of a byte-pair vocabulary is there; tokenizers of letters or sounds have no other half."""
    if not model_dir.has("vocab.json") or model_dir.has("merges.txt") or model_dir.has("tokenizer.json"):
        return False
    return _tokenizer_class(model_dir) not in _OF_LETTERS


def _tokenizer_class(model_dir: ModelDir) -> str:
    """The class that tokenizer_config.json names, or ""."""
    if not model_dir.has("tokenizer_config.json"):
        return ""
    try:
        settings = read_json(model_dir, "tokenizer_config.json")
    except Damaged:
        return ""
    return str(settings.get("tokenizer_class")) if isinstance(settings, dict) else ""


def has_tokenizer(model_dir: ModelDir) -> bool:
    """Whether some tokenizer finds its vocabulary here."""
    if any(model_dir.has(name) for name in (*VOCABULARIES, *SENTENCEPIECE)):
        return True
    return _tokenizer_class(model_dir) in _WITHOUT_VOCABULARY


def _check_pointer(model_dir: ModelDir, name: str) -> None:
    """A clone without Git LFS leaves small text files in the place of the large ones."""
    if model_dir.head(name, len(_LFS)) == _LFS:
        raise Damaged(f"{name} is a Git LFS pointer, not the file itself: run git lfs pull where it was cloned")
