"""GGUF files made on the spot: the tiny Llama of `language_models` in llama.cpp's format, and headers by hand."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from tests.language_models import TEMPLATE, save_language_model


def save_gguf(file: Path, source: Path | None = None, **values: Any) -> Path:
    """A language model's folder (one is made unless given) as a GGUF file; `values` are texts or numbers to add."""
    import gguf
    from safetensors.numpy import load_file

    source = source or save_language_model(file.parent / "source")
    config = json.loads((source / "config.json").read_text())
    tokenizer = json.loads((source / "tokenizer.json").read_text())
    file.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_name("tiny")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    _add_tokenizer(writer, tokenizer, config)
    for name, value in values.items():
        add = writer.add_string if isinstance(value, str) else writer.add_uint32
        add(name.replace("__", "."), value)
    for name, weights in load_file(source / "model.safetensors").items():
        heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
        turned = next((count for part, count in heads.items() if part in name), 0)
        writer.add_tensor(_name(name), _permuted(weights, turned) if turned else weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _add_tokenizer(writer: Any, tokenizer: Any, config: Any) -> None:
    vocabulary = tokenizer["model"]["vocab"] | {each["content"]: each["id"] for each in tokenizer["added_tokens"]}
    tokens = sorted(vocabulary, key=vocabulary.get)
    control, user_defined = 3, 4
    added = {each["content"]: control if each["special"] else user_defined for each in tokenizer["added_tokens"]}
    merges = [each if isinstance(each, str) else " ".join(each) for each in tokenizer["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([added.get(token, 1) for token in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_add_bos_token(True)
    writer.add_chat_template(TEMPLATE)


def _name(name: str) -> str:
    """llama.cpp's name of a weight."""
    plain = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    plain["lm_head.weight"] = "output.weight"
    if name in plain:
        return plain[name]
    _, _, layer, *rest, _ = name.split(".")
    inner = {
        "q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output", "gate_proj": "ffn_gate",
        "up_proj": "ffn_up", "down_proj": "ffn_down", "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    return f"blk.{layer}.{inner[rest[-1]]}.weight"


def _permuted(weights: Any, heads: int) -> Any:
    """llama.cpp has the two halves of a rotation beside each other."""
    rows, columns = weights.shape
    return weights.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns).copy()


# headers by hand


def text(value: str | bytes) -> bytes:
    """A text as the format has it."""
    encoded = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(encoded)) + encoded


def value(name: str, kind: int, encoded: bytes) -> bytes:
    """A value of the header."""
    return text(name) + struct.pack("<I", kind) + encoded


def texts(name: str, *elements: str) -> bytes:
    """An array of texts."""
    return value(name, 9, struct.pack("<IQ", 8, len(elements)) + b"".join(map(text, elements)))


def number(name: str, given: int) -> bytes:
    """A number of 32 bits."""
    return value(name, 4, struct.pack("<I", given))


def tensor(name: str, sizes: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    """What the header says of a tensor."""
    return text(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, kind, offset)


def header(*values: bytes, tensors: tuple[bytes, ...] = (), data: bytes = b"", version: int = 3) -> bytes:
    """A whole file."""
    start = struct.pack("<4sIQQ", b"GGUF", version, len(tensors), len(values)) + b"".join((*values, *tensors))
    return start + bytes(-len(start) % 32) + data
