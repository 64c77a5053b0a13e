"""How pipelines are asked, shown by one that says what it was asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from adapters.base import InvalidInput
from adapters.huggingface_ import pipeline_calls as calls


class Ids(list[int]):
    """Token ids on a device."""

    def to(self, device: str) -> Ids:
        return self


def prompt_ids(prompt: str, return_tensors: str) -> Ids:
    if "<|" in prompt:
        raise ValueError("text that is a token")
    return Ids(range(len(prompt)))


class Asked:
    """Answers its arguments, in a list where it was given one."""

    def __init__(self, kind: str = "seq2seq_whisper", model_type: str = "layoutlm") -> None:
        self.type = kind
        config = SimpleNamespace(model_type=model_type, max_target_positions=8)
        known = SimpleNamespace(lang_to_id={"<|de|>": 1, "<|en|>": 2})
        self.model = SimpleNamespace(config=config, generation_config=known)
        self.tokenizer = SimpleNamespace(get_prompt_ids=prompt_ids)
        self.device = "cpu"
        self.feature_extractor = SimpleNamespace(n_samples=10)
        self.processor: Any = None

    def __call__(self, *given: Any, **keywords: Any) -> Any:
        said = {"given": given, "keywords": keywords, "text": "said", "masks": [np.array([[True]])]}
        return [said] if given and isinstance(given[0], list) else said


def test_the_first_input_goes_by_itself_and_the_rest_by_name() -> None:
    row = {"image": "I", "candidate_labels": ["a"]}
    answer = calls.plain(Asked(), row, {"top_k": 2})
    assert answer["given"] == (["I"],)
    assert answer["keywords"] == {"candidate_labels": ["a"], "top_k": 2}
    assert calls.single(Asked(), row, {})["given"] == ("I",)
    assert calls.keyed(Asked(), row, {})["keywords"] == row
    assert calls.detect(Asked(), row, {})["given"] == ("I",)


def test_pairs_tables_and_texts_of_pictures() -> None:
    assert calls.of_pair(Asked(), {"image": 1, "image_pair": 2}, {})[0]["given"] == ([1, 2],)
    assert calls.of_table(Asked(), {"table": 1, "query": 2}, {})["given"] == ({"table": 1, "query": 2},)
    assert calls.of_image_and_text(Asked(), {"image": 1}, {})["keywords"] == {"text": ""}
    assert isinstance(calls.masks(Asked(), {"image": 1}, {})["masks"][0], str)


def test_a_chat_template_is_given_a_message_with_what_came() -> None:
    class Chatting(Asked):
        def __call__(self, *given: Any, **keywords: Any) -> Any:
            return [{"generated_text": super().__call__(*given, **keywords)}]

    pipe = Chatting()
    pipe.processor = SimpleNamespace(chat_template="{{ messages }}", image_token="<image>")
    (answer,) = calls.of_image_and_text(pipe, {"image": 1}, {"generate_kwargs": {}})
    content: list[dict[str, Any]] = [{"type": "image", "image": 1}]
    chat = [{"role": "user", "content": content}]
    expected = {"text": chat, "return_full_text": False, "generate_kwargs": {}}
    assert answer["generated_text"]["keywords"] == expected
    (answer,) = calls.of_anything(pipe, {"text": "t", "audio": 2}, {})
    content[:] = [{"type": "audio", "audio": 2}, {"type": "text", "text": "t"}]
    assert answer["generated_text"]["keywords"]["text"] == chat
    (answer,) = calls.of_image_and_text(pipe, {"image": 1, "text": "<image>t"}, {})
    assert answer["generated_text"]["given"] == (1,)


def test_words_of_documents_are_the_clients() -> None:
    row = {"image": 1, "question": "q", "word_boxes": None}
    with pytest.raises(InvalidInput, match="word_boxes is missing"):
        calls.of_document(Asked(), row, {})
    donut = Asked(model_type="vision-encoder-decoder")
    assert calls.of_document(donut, row, {})["given"] == ({"image": 1, "question": "q"},)


def test_long_speech_is_read_in_windows_with_times_that_are_not_told() -> None:
    audio = np.zeros(11, dtype=np.float32)
    assert calls.speech(Asked(), {"audio": audio}, {}) == {"text": "said"}
    short = calls.speech(Asked(), {"audio": audio[:10]}, {"generate_kwargs": {"language": "de"}})
    assert short["keywords"] == {"generate_kwargs": {"language": "de"}}
    timed = calls.speech(Asked(), {"audio": audio}, {"return_timestamps": "segment"})
    assert timed["keywords"] == {"return_timestamps": True}
    assert calls.speech(Asked("ctc"), {"audio": audio}, {"return_timestamps": "word"})["keywords"] == {
        "return_timestamps": "word"
    }


def test_languages_and_prompts_of_speech_are_checked_before_the_model_is_asked() -> None:
    row = {"audio": np.zeros(5, dtype=np.float32)}
    for language in ("de", "German", "DE"):
        assert calls.speech(Asked(), row, {"generate_kwargs": {"language": language}})
    with pytest.raises(InvalidInput, match="language: the model knows no 'klingon'; it knows de, en"):
        calls.speech(Asked(), row, {"generate_kwargs": {"language": "klingon"}})
    prompted = calls.speech(Asked(), row, {"prompt": "abc"})["keywords"]
    assert prompted == {"generate_kwargs": {"prompt_ids": [0, 1, 2]}}
    with pytest.raises(InvalidInput, match="prompt has 5 tokens, and the model takes 4"):
        calls.speech(Asked(), row, {"prompt": "abcde"})
    with pytest.raises(InvalidInput, match="prompt has 65 characters, and the model takes 4 tokens: send its end"):
        calls.speech(Asked(), row, {"prompt": "a" * 65})
    with pytest.raises(InvalidInput, match="prompt: text that is a token"):
        calls.speech(Asked(), row, {"prompt": "<|en|>"})


def test_what_a_chat_template_makes_too_much_of_is_the_requests_fault() -> None:
    from adapters.huggingface_.template_environment import compiled

    class Rendering(Asked):
        def __call__(self, *given: Any, **keywords: Any) -> Any:
            return compiled("{{ 'a' * 10 ** 9 }}").render(messages=keywords["text"])

        preprocess = __call__

    with pytest.raises(InvalidInput, match="the model's chat template makes more than"):
        calls.of_anything(Rendering(), {"text": "a"}, {})
