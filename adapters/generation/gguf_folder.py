"""A folder with a `.gguf` file and no other weights: which file it is, and what would stop it from being served."""

from __future__ import annotations

import re
from typing import Any

from adapters.base import Match, ModelDir, Rank
from adapters.formats import gguf

#: what transformers reads one with
NEEDS = ("gguf", "accelerate")

#: files beside a model that are none themselves: the projector of images
_BESIDE = re.compile(r"mmproj", re.IGNORECASE)
_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)
_LFS = b"version https://git-lfs"
#: architectures that embed, encode or see: others are transformers' to know
_NO_DECODERS = {
    "bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2", "jina-bert-v3", "t5encoder",
    "t5", "clip", "whisper", "eurobert", "gemma-embedding", "wavtokenizer-dec",
}  # fmt: skip
#: what the header says of sizes, behind the architecture: none is larger than the largest tensor's
_WIDTHS = ("embedding_length", "feed_forward_length", "vocab_size", "expert_count", "expert_feed_forward_length")
_MOST_HEADS = 1 << 14
_LONGEST_CONTEXT = 1 << 26
_BLOCK = re.compile(r"(?:blk|enc\.blk|dec\.blk)\.(\d+)\.")


def match(model_dir: ModelDir) -> Match | None:
    """The claim on the folder, with a problem where its file cannot be served; None where there is no such file."""
    names = model_dir.named(".gguf")
    models = [name for name in names if not _BESIDE.search(name)] or list(names)
    if not models:
        return None
    heads = {name: model_dir.head(name, len(_LFS)) for name in models}
    sound = [name for name in models if heads[name].startswith(gguf.MAGIC)]
    if not sound:
        name = models[0]
        if heads[name] == _LFS:
            problem = f"{name} is a Git LFS pointer, not the file itself: run git lfs pull where it was cloned"
        else:
            problem = f"{name} is no GGUF file, or its beginning is damaged: it does not begin with GGUF"
        return Match(Rank.SUFFIX, name, problem=problem)
    name = sound[0]
    return Match(Rank.CONTENT, name, requires=NEEDS, problem=_problem(model_dir, sound))


def _problem(model_dir: ModelDir, names: list[str]) -> str:
    name = names[0]
    if part := _PART.search(name):
        return f"{name} is one of {int(part[2])} parts: join them (llama-gguf-split --merge) and serve the whole file"
    if len(names) > 1:
        shown = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
        return f"{len(names)} GGUF files are here ({shown}): leave the one that is to be served"
    try:
        with model_dir.file(name).open("rb") as stream:
            return unserved(name, gguf.read_header(stream))
    except (gguf.MalformedGguf, OSError) as error:
        return f"{name} is damaged: {error}"


def unserved(name: str, header: gguf.GgufHeader) -> str:
    """Why a model of that header is not served, or ""."""
    architecture = header.text("general.architecture")
    if not architecture:
        return f"{name} does not say its architecture (general.architecture)"
    if architecture in _NO_DECODERS:
        return f"{name} is a model of the architecture {architecture!r}, and only those that write texts are served"
    if isinstance(parts := header.values.get("split.count"), int) and parts > 1:
        return f"{name} is one of {parts} parts: join them (llama-gguf-split --merge) and serve the whole file"
    if not header.length("tokenizer.ggml.tokens"):
        return f"{name} has no vocabulary (tokenizer.ggml.tokens)"
    if not header.tensors:
        return f"{name} holds no tensors: it is a vocabulary alone"
    if problem := _oversized(header, architecture):
        return f"{name} is damaged: {problem}"
    return ""


def begins_texts(header: gguf.GgufHeader) -> bool:
    """Whether texts begin with a token of their own; where nothing is said, llama.cpp takes it of SentencePiece's."""
    said = header.values.get("tokenizer.ggml.add_bos_token")
    return said if isinstance(said, bool) else header.text("tokenizer.ggml.model") == "llama"


def _oversized(header: gguf.GgufHeader, architecture: str) -> str:
    """A size that its tensors do not bear out: memory would be taken for it before they are looked at."""
    blocks = {found[1] for name in header.tensors if (found := _BLOCK.match(name))}
    largest = max(max(sizes) for sizes in header.tensors.values())
    limits = {"block_count": len(blocks), **dict.fromkeys(_WIDTHS, largest)}
    limits |= {"attention.head_count": _MOST_HEADS, "attention.head_count_kv": _MOST_HEADS}
    limits |= {"attention.key_length": largest, "attention.value_length": largest, "context_length": _LONGEST_CONTEXT}
    for name, limit in limits.items():
        value: Any = header.values.get(f"{architecture}.{name}")
        if isinstance(value, bool | str | float) or (isinstance(value, int) and not 0 <= value <= limit):
            return f"{architecture}.{name} is {value!r:.40}, and its tensors allow {limit} at most"
    if not header.values.get(f"{architecture}.block_count"):
        return f"{architecture}.block_count is missing"
    return ""
