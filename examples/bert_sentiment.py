"""A tiny BERT that tells good reviews from bad ones, with a WordPiece vocabulary of its own, trained here."""

from __future__ import annotations

import random
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

SEED = 7
STEPS = 120
BATCH = 32
LABELS = ("NEGATIVE", "POSITIVE")

#: by label
ADJECTIVES = (
    ("terrible", "awful", "boring", "slow", "broken", "dirty", "rude", "filthy", "bad", "disappointing", "noisy"),
    ("great", "wonderful", "lovely", "fast", "brilliant", "clean", "friendly", "tasty", "good", "excellent", "calm"),
)
VERBS = (("hated", "regret", "returned", "disliked"), ("loved", "enjoyed", "recommend", "liked"))
THINGS = ("movie", "book", "hotel", "food", "service", "phone", "room", "story", "staff", "music", "place")
TEMPLATES = (
    "the {thing} was {adjective}",
    "what a {adjective} {thing}",
    "i {verb} this {thing}",
    "i {verb} the {thing} because it was {adjective}",
    "{adjective} {thing} and {other} staff",
    "we found the {thing} very {adjective}",
    "the {thing} is {adjective} and the room is {other}",
    "my friends {verb} it , such a {adjective} {thing}",
)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def reviews(count: int, seed: int = SEED) -> tuple[list[str], list[int]]:
    """`count` short reviews and their labels (0 or 1); the same ones for the same seed."""
    rng = random.Random(seed)
    labels = [rng.randrange(2) for _ in range(count)]
    return [_review(label, rng) for label in labels], labels


def make(folder: Path) -> None:
    """Train tokenizer and classifier and save both in `folder`."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    texts, labels = reviews(STEPS * BATCH)
    tokenizer = tokenizer_of(texts)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    model = BertForSequenceClassification(config)
    _train(model, tokenizer, texts, torch.tensor(labels))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def tokenizer_of(texts: list[str]) -> Any:
    """A WordPiece tokenizer that knows the texts' words, and spells every other one."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = string.ascii_lowercase + string.digits
    words = sorted({word for text in texts for word in text.split()} - set(letters))
    pieces = [*SPECIAL, *string.punctuation, *letters, *(f"##{letter}" for letter in letters), *words]
    numbers = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", numbers["[SEP]"]), ("[CLS]", numbers["[CLS]"]))
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **names)


def _train(model: Any, tokenizer: Any, texts: list[str], labels: torch.Tensor) -> None:
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    model.train()
    for start in range(0, len(texts), BATCH):
        batch = tokenizer(texts[start : start + BATCH], padding=True, return_tensors="pt")
        loss = model(**batch, labels=labels[start : start + BATCH]).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()


def _review(label: int, rng: random.Random) -> str:
    adjective, other = rng.sample(ADJECTIVES[label], 2)
    verb, thing = rng.choice(VERBS[label]), rng.choice(THINGS)
    return rng.choice(TEMPLATES).format(adjective=adjective, other=other, verb=verb, thing=thing)
