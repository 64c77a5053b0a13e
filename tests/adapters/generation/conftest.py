"""A tokenizer and what is made of it, once for all tests of texts."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.generation.vocabulary import Vocabulary
from tests.language_models import TEMPLATE, byte_level_tokenizer


@pytest.fixture(scope="package")
def tokenizer() -> Any:
    tokenizer = byte_level_tokenizer()
    tokenizer.chat_template = TEMPLATE
    return tokenizer


@pytest.fixture(scope="package")
def vocabulary(tokenizer: Any) -> Vocabulary:
    return Vocabulary(tokenizer, len(tokenizer) + 4)
