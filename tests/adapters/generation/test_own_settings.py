"""What a model's generation_config.json says where a request says nothing."""

from __future__ import annotations

import pytest
from transformers import GenerationConfig

from adapters.base import LoadError
from adapters.generation.own_settings import chat_tokens, sampling_defaults


def test_what_is_set_counts_and_nothing_else() -> None:
    assert sampling_defaults(GenerationConfig()) == {}
    config = GenerationConfig(temperature=0.6, top_k=20, top_p=0.95, repetition_penalty=1.1, max_new_tokens=9)
    assert sampling_defaults(config) == {"temperature": 0.6, "top_k": 20, "top_p": 0.95, "repetition_penalty": 1.1}
    assert (chat_tokens(config), chat_tokens(GenerationConfig())) == (9, None)


def test_what_is_out_of_range_is_said() -> None:
    config = GenerationConfig()
    config.temperature = 9.0
    with pytest.raises(LoadError, match=r"generation_config.json: temperature must be"):
        sampling_defaults(config)
