"""Small sentence-transformers folders for the tests, written by the library itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.adapters.huggingface_.models import save, train_wordpiece

TEXTS = ["paris is the capital of france", "hello world", "my dog is cute", "hello", "the lazy dog jumps again"]
PAIRS = [("hello world", "my dog is cute"), ("paris", "the capital of france"), ("hello", "hello")]


def _transformer(folder: Path, architecture: str = "BertModel") -> Any:
    from sentence_transformers.sentence_transformer import modules

    return modules.Transformer(str(save(folder, architecture, train_wordpiece())))


def dense(folder: Path, architecture: str = "BertModel", **settings: Any) -> Any:
    """Transformer, mean pooling, a dense layer to 8 numbers, and normalisation."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    parts = [_transformer(folder.parent / "bert", architecture), modules.Pooling(32, "mean"), modules.Dense(32, 8)]
    model = SentenceTransformer(modules=[*parts, modules.Normalize()], device="cpu", **settings)
    model.save_pretrained(str(folder))
    return model.eval()


def pooled(folder: Path) -> Any:
    """A pooling that weighs later tokens more."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    parts = [_transformer(folder.parent / "bert"), modules.Pooling(32, "weightedmean"), modules.LayerNorm(32)]
    model = SentenceTransformer(modules=parts, device="cpu")
    model.save_pretrained(str(folder))
    return model.eval()


def static(folder: Path) -> Any:
    """Vectors of tokens, without a transformer."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    torch.manual_seed(1)
    part = modules.StaticEmbedding(train_wordpiece().backend_tokenizer, embedding_dim=12)
    model = SentenceTransformer(modules=[part], device="cpu")
    model.save_pretrained(str(folder))
    return model.eval()


def sparse(folder: Path) -> Any:
    """SPLADE: weights of the vocabulary's words."""
    from sentence_transformers import SparseEncoder

    source = save(folder.parent / "mlm", "BertForMaskedLM", train_wordpiece())
    model = SparseEncoder(str(source), device="cpu", local_files_only=True)
    model.save_pretrained(str(folder))
    return model.eval()


def cross(folder: Path, labels: int = 1) -> Any:
    from sentence_transformers import CrossEncoder

    source = save(folder.parent / "seq", "BertForSequenceClassification", train_wordpiece(), num_labels=labels)
    model = CrossEncoder(str(source), device="cpu", local_files_only=True)
    model.save_pretrained(str(folder))
    return model.eval()
