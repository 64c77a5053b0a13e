"""A text to the probabilities of its classes."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from ..handler_utils.text_utils import ngrams_iterator
from ..utils.util import map_class_to_label
from .text_handler import TextHandler


class TextClassifier(TextHandler):
    """One text a call: its words and pairs of words, numbered by the vocabulary, go to an embedding bag."""

    ngrams = 2

    def preprocess(self, data: list[Any]) -> tuple[torch.Tensor, list[str]]:
        row = data[0]
        sent: Any = (row.get("data") or row.get("body")) if isinstance(row, dict) else row
        text = sent.decode("utf-8") if isinstance(sent, bytes | bytearray) else str(sent)
        text = self._expand_contractions(self._remove_html_tags(text).lower())
        words = self._tokenize(self._remove_punctuation(self._remove_accented_characters(text)))
        numbers = [self._number(token) for token in ngrams_iterator(words, self.ngrams)]
        return torch.as_tensor(numbers, device=self.device), words

    def _number(self, token: str) -> int:
        """A word's number; of an unknown word that of `<unk>`, where the vocabulary has one, else 0."""
        if token in self.source_vocab:
            return int(self.source_vocab[token])
        return int(self.source_vocab["<unk>"]) if "<unk>" in self.source_vocab else 0

    def inference(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        numbers, _ = data
        return super().inference(numbers, torch.as_tensor([0], device=self.device))

    def postprocess(self, data: Any) -> list[Any]:
        return map_class_to_label(F.softmax(data, dim=1).tolist(), self.mapping)
