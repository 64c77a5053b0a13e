"""A tokenizer and what is made of it, once for all tests of texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from adapters.generation import engine_thread
from adapters.generation.vocabulary import Vocabulary
from tests.language_models import TEMPLATE, byte_level_tokenizer


@pytest.fixture(scope="package", autouse=True)
def engines_that_give_way_to_nobody() -> Iterator[None]:
    """Beside the suite's other processes they would get a twentieth of a core, and be taken for some that hang."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_thread, "give_way", lambda nice: None)
        yield


@pytest.fixture(scope="package")
def tokenizer() -> Any:
    tokenizer = byte_level_tokenizer()
    tokenizer.chat_template = TEMPLATE
    return tokenizer


@pytest.fixture(scope="package")
def vocabulary(tokenizer: Any) -> Vocabulary:
    return Vocabulary(tokenizer, len(tokenizer) + 4)
