"""Small transformers folders for the tests: random weights, and a tokenizer trained on a few sentences."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

SENTENCES = [
    "the quick brown fox jumps over the lazy dog",
    "paris is the capital of france",
    "hello world my dog is cute",
    "it never rains in southern california but here it pours",
]
_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def train_wordpiece() -> Any:
    """A BERT tokenizer: [CLS] text [SEP]."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    raw = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    raw.normalizer, raw.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    raw.train_from_iterator(SENTENCES, trainers.WordPieceTrainer(vocab_size=120, special_tokens=special))
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=raw, mask_token="[MASK]", **names)


def train_bytes(wrap: bool = True) -> Any:
    """Byte-level BPE: RoBERTa's tokenizer with <s> text </s>, or GPT-2's, which adds no tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=special, initial_alphabet=alphabet)
    raw.train_from_iterator(SENTENCES, trainer)
    if wrap:
        raw.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, cls_token="<s>", sep_token="</s>", mask_token="<mask>", **names
    )


def save(path: Path, architecture: str, tokenizer: Any, shard_size: str = "1GB", **config: Any) -> Path:
    """A folder as `save_pretrained` writes it, of a randomly initialised model of that architecture."""
    import torch
    import transformers

    torch.manual_seed(7)
    model_class = getattr(transformers, architecture)
    sizes = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id, "max_position_embeddings": 40}
    model = model_class(model_class.config_class(**{**_SIZES, **sizes, **config})).eval()
    for parameter in model.parameters():  # as initialised, every text would get nearly the same answer
        parameter.data += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(path, max_shard_size=shard_size)
    tokenizer.save_pretrained(path)
    return path


def direct(path: Path, auto_class: str, text: str, **tokenizing: Any) -> tuple[Any, Any]:
    """(the tokens, the model's output) by transformers itself, for one text."""
    import torch

    tokenizer, model = _loaded(path, auto_class)
    tokens = tokenizer(text, return_tensors="pt", **tokenizing)
    with torch.inference_mode():
        return tokens, model(**tokens)


@cache
def _loaded(path: Path, auto_class: str) -> tuple[Any, Any]:
    import torch
    import transformers

    model = getattr(transformers, auto_class).from_pretrained(path, dtype=torch.float32).eval()
    return transformers.AutoTokenizer.from_pretrained(path), model
