"""The task of a configuration, and why one is not served; asked before a tokenizer is missed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.base import LoadError, ModelDir
from adapters.huggingface_ import HuggingFaceAdapter
from adapters.huggingface_.architecture import architecture, task_of, unserved
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


def test_modules_of_sentence_transformers_make_embeddings() -> None:
    assert task_of({"architectures": ["Odd"]}, Sentence()).name == "text_embedding"
    assert architecture({"architectures": None}) == ""


UNSERVED: dict[str, tuple[dict[str, Any], str]] = {
    "t5": ({"architectures": ["T5ForConditionalGeneration"], "model_type": "t5"}, "ConditionalGeneration has a task"),
    "whisper": ({"architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper"}, "has a task that is"),
    "vision": ({"architectures": ["ViTForImageClassification"], "model_type": "vit"}, "has a task that is not served"),
    "vision base": ({"architectures": ["ViTModel"], "model_type": "vit", "image_size": 8}, "ViTModel takes images"),
    "speech": (
        {"architectures": ["HubertForSequenceClassification"], "model_type": "hubert", "conv_dim": [2]}, "takes sound"),
    "clip": ({"architectures": ["CLIPModel"], "model_type": "clip", "vision_config": {}}, "CLIPModel takes images"),
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
    config, reason = UNSERVED["clip"]
    assert reason in unserved(config, None)
    with pytest.raises(LoadError, match=reason):
        task_of(config, None)
