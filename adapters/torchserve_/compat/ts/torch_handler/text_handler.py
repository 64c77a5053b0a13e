"""The base of handlers that take texts."""

from __future__ import annotations

import os
import re
import string
import unicodedata
from abc import ABC
from typing import Any

import torch

from ..handler_utils.text_utils import get_tokenizer
from ..utils.util import CLEANUP_REGEX
from .base_handler import BaseHandler
from .contractions import CONTRACTION_MAP

_CONTRACTIONS = re.compile(
    "|".join(map(re.escape, sorted(CONTRACTION_MAP, key=len, reverse=True))), re.IGNORECASE | re.DOTALL
)


class TextHandler(BaseHandler, ABC):
    """Cleans texts; the vocabulary (`source_vocab.pt`, words to numbers) comes with the archive."""

    def __init__(self) -> None:
        super().__init__()
        self.source_vocab: Any = None
        self.tokenizer = get_tokenizer("basic_english")
        self.input_text = None

    def initialize(self, context: Any) -> None:
        super().initialize(context)
        self.initialized = False
        path = self.manifest["model"].get("sourceVocab") or self.get_source_vocab_path(context)
        try:
            self.source_vocab = torch.load(path, weights_only=True)
        except Exception as error:
            raise RuntimeError(
                f"{os.path.basename(path)} is no dict of words and numbers: save one with "  # noqa: PTH119
                "torch.save(dict(vocab.get_stoi()), 'source_vocab.pt')"
            ) from error
        self.initialized = True

    def get_source_vocab_path(self, ctx: Any) -> str:
        path = os.path.join(ctx.system_properties["model_dir"], "source_vocab.pt")  # noqa: PTH118
        if not os.path.isfile(path):  # noqa: PTH113
            raise RuntimeError("Missing the source_vocab file: pack it with torch-model-archiver --extra-files")
        return path

    def _expand_contractions(self, text: str) -> str:
        def expanded(match: re.Match[str]) -> str:
            whole = match[0]
            long = CONTRACTION_MAP.get(whole) or CONTRACTION_MAP[whole.lower()]
            return whole[0] + long[1:]

        return _CONTRACTIONS.sub(expanded, text).replace("'", "")

    def _remove_accented_characters(self, text: str) -> str:
        return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("utf-8", "ignore")

    def _remove_html_tags(self, text: str) -> str:
        return CLEANUP_REGEX.sub("", text)

    def _remove_punctuation(self, text: str) -> str:
        return text.translate(str.maketrans("", "", string.punctuation))

    _remove_puncutation = _remove_punctuation  # TorchServe's older spelling

    def _tokenize(self, text: str) -> list[str]:
        return self.tokenizer(text)

    def get_word_token(self, input_tokens: list[str]) -> list[str]:
        """Words without a byte-pair tokenizer's mark for a space."""
        return [token.replace("Ġ", "") for token in input_tokens]
