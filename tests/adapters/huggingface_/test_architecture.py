"""The task of a configuration, and why one is not served; asked before a tokenizer is missed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.base import LoadError, ModelDir
from adapters.huggingface_ import HuggingFaceAdapter
from adapters.huggingface_.architecture import (
    TASK_NAMES,
    TASKS,
    architecture,
    reads_texts,
    task_named,
    task_of,
    unserved,
    writes_texts,
)
from adapters.huggingface_.pipeline_tasks import ALIASES, PIPELINES
from adapters.huggingface_.sentence import Sentence


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("BertForSequenceClassification", "sequence_classification"),
        ("BertForTokenClassification", "token_classification"),
        ("BertForMaskedLM", "fill_mask"),
        ("BertModel", "text_embedding"),
        ("T5EncoderModel", "text_embedding"),
    ],
)
def test_the_architecture_tells_the_task(name: str, task: str) -> None:
    assert task_of({"architectures": [name]}, None).name == task


@pytest.mark.parametrize(
    ("config", "task"),
    [
        ({"architectures": ["T5ForConditionalGeneration"]}, "text2text-generation"),
        ({"architectures": ["MarianMTModel"]}, "translation"),
        ({"architectures": ["WhisperForConditionalGeneration"]}, "automatic-speech-recognition"),
        ({"architectures": ["ViTModel"], "image_size": 8}, "image-feature-extraction"),
        ({"architectures": ["HubertForSequenceClassification"], "conv_dim": [2]}, "audio-classification"),
        ({"architectures": ["CLIPModel"], "vision_config": {}}, "zero-shot-image-classification"),
        ({"architectures": ["LlavaForConditionalGeneration"], "vision_config": {}}, "image-text-to-text"),
        ({"architectures": ["LayoutLMv3ForQuestionAnswering"]}, "document-question-answering"),
        ({"architectures": ["BertForQuestionAnswering"]}, "question-answering"),
        ({"architectures": ["Owlv2ForObjectDetection"]}, "zero-shot-object-detection"),
    ],
)
def test_the_architecture_tells_the_pipeline(config: dict[str, Any], task: str) -> None:
    assert task_of(config, None).name == task


def test_a_task_is_named_in_kserves_words_or_in_transformers() -> None:
    assert task_named("fill_mask").name == "fill_mask"
    assert task_named("fill-mask").name == "fill-mask"
    assert task_named("ner").name == "token-classification"
    assert task_named("question_answering").name == "question-answering"
    served = {"question_answering", "table_question_answering", "text2text_generation"}
    for name in set(TASK_NAMES) - {*TASKS}:
        if name in PIPELINES or name in ALIASES or name in served:
            assert task_named(name).name in PIPELINES
        else:
            with pytest.raises(LoadError, match=f"^the task {name} is not served: "):
                task_named(name)


def test_some_models_need_no_tokenizer_and_some_write() -> None:
    assert not reads_texts({"architectures": ["ViTForImageClassification"]}, None)
    assert reads_texts({"architectures": ["WhisperForConditionalGeneration"]}, None)
    assert reads_texts({"architectures": ["BertModel"]}, None)
    assert writes_texts({"architectures": ["BartForConditionalGeneration"]})
    assert not writes_texts({"architectures": ["BertModel"]})


def test_modules_of_sentence_transformers_make_embeddings() -> None:
    assert task_of({"architectures": ["Odd"]}, Sentence()).name == "text_embedding"
    assert architecture({"architectures": None}) == ""


UNSERVED: dict[str, tuple[dict[str, Any], str]] = {
    "masked vision": ({"architectures": ["ViTForMaskedImageModeling"], "model_type": "vit"}, "has a task that is not"),
    "speech base": ({"architectures": ["HubertModel"], "model_type": "hubert", "conv_dim": [2]}, "takes sound"),
    "llava": ({"architectures": ["LlavaModel"], "model_type": "llava", "vision_config": {}}, "LlavaModel takes images"),
    "timm": ({"architecture": "resnet18", "num_classes": 3, "pretrained_cfg": {}}, "a timm model's (resnet18)"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSERVED)
def test_a_folder_without_a_tokenizer_says_the_true_cause(name: str, tmp_path: Path) -> None:
    config, reason = UNSERVED[name]
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"x")
    claim = HuggingFaceAdapter.match(ModelDir.of(tmp_path))
    assert claim is not None
    assert reason in claim.problem
    assert "no tokenizer" not in claim.problem


def test_a_model_of_bytes_that_knows_of_images_is_served() -> None:
    """Perceiver's configuration names the sizes of all that some Perceiver takes."""
    config = {"architectures": ["PerceiverForMaskedLM"], "image_size": 56, "vocab_size": 262}
    assert unserved(config, None) == ""


def test_the_reason_is_the_same_with_a_tokenizer() -> None:
    config, reason = UNSERVED["llava"]
    assert reason in unserved(config, None)
    with pytest.raises(LoadError, match=reason):
        task_of(config, None)
