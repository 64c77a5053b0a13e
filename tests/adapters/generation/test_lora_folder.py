"""LoRA folders: which are claimed, where their base model is looked for, and the reasons of those that are refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from adapters import registry
from adapters.base import LoadError, ModelDir, Trust
from adapters.generation import GenerationAdapter
from adapters.generation.lora_folder import Lora, read
from tests.language_models import save_language_model
from tests.lora_models import LLAMA_LAYERS, save_lora

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory) -> Path:
    mount = tmp_path_factory.mktemp("mount")
    save_language_model(mount / "tiny")
    save_lora(mount / "lora", "someone/tiny", LLAMA_LAYERS)
    (mount / "other").mkdir()
    return mount


def problem_of(mount: Path, name: str) -> str:
    with pytest.raises(LoadError) as caught:
        registry.choose(ModelDir.of(mount / name, mount))
    return str(caught.value)


@pytest.mark.parametrize("base", ["tiny", "someone/tiny", "/home/me/models/tiny/"])
def test_a_lora_beside_its_base(mount: Path, base: str) -> None:
    save_lora(mount / "lora-by-name", base, LLAMA_LAYERS)
    choice = registry.choose(ModelDir.of(mount / "lora-by-name", mount))
    assert choice.adapter is GenerationAdapter
    assert (choice.match.file, choice.match.beside) == ("adapter_config.json", "tiny")
    assert choice.match.trust is Trust.SAFE


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"peft_type": "IA3"}, "of PEFT's adapters only LORA"),
        ({"peft_type": None}, "type None"),
        ({"task_type": "SEQ_CLS"}, "the task 'SEQ_CLS'"),
        ({"use_dora": True}, "sets use_dora"),
        ({"modules_to_save": ["lm_head"]}, "sets modules_to_save"),
        ({"alpha_pattern": {"q": 3}}, "sets alpha_pattern"),
        ({"bias": "all"}, "bias to 'all'"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights to 'pissa'"),
        ({"auto_mapping": {"parent_library": "own"}}, "code of its own"),
        ({"r": 0}, "r must be a number above 0"),
        ({"lora_alpha": "six"}, "lora_alpha must be a number"),
        ({"base_model_name_or_path": None}, "names no model"),
        ({"base_model_name_or_path": "../.."}, "names no model"),
        ({"base_model_name_or_path": "a\nb"}, "names no model"),
        ({"base_model_name_or_path": "gone"}, "names 'gone' (base_model_name_or_path), so put the model beside"),
        ({"base_model_name_or_path": "bad"}, "names 'bad'"),
        ({"base_model_name_or_path": "other"}, "'other': it is no language model"),
        ({"base_model_name_or_path": "lora"}, "'lora': it is no language model"),
    ],
)
def test_what_is_refused(mount: Path, config: dict[str, Any], told: str) -> None:
    save_lora(mount / "bad", "tiny", LLAMA_LAYERS, **config)
    assert told in problem_of(mount, "bad")


def test_a_base_that_is_damaged_or_outside(mount: Path, tmp_path: Path) -> None:
    save_language_model(mount / "torn")
    weights = mount / "torn" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    save_lora(mount / "bad", "torn", LLAMA_LAYERS)
    assert "the folder 'torn': model.safetensors is truncated" in problem_of(mount, "bad")
    save_language_model(tmp_path / "elsewhere")
    (mount / "linked").symlink_to(tmp_path / "elsewhere")
    save_lora(mount / "bad", "linked", LLAMA_LAYERS)
    assert "is not in the models directory" in problem_of(mount, "bad")


def test_files_that_are_missing_or_torn(mount: Path) -> None:
    folder = save_lora(mount / "bad", "tiny", LLAMA_LAYERS)
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "adapter_model.safetensors is truncated" in problem_of(mount, "bad")
    weights.unlink()
    assert "save the adapter as safetensors" in problem_of(mount, "bad")
    (folder / "adapter_config.json").write_text("[")
    assert "adapter_config.json is not JSON" in problem_of(mount, "bad")
    (folder / "adapter_config.json").write_text("[]")
    assert "does not hold an object" in problem_of(mount, "bad")


def test_the_scale(mount: Path) -> None:
    assert read(ModelDir.of(mount / "lora", mount)).scale(2) == 3
    assert Lora("tiny", 6, rank_stabilized=True).scale(2) == pytest.approx(6 / math.sqrt(2))
    config = json.loads((mount / "lora" / "adapter_config.json").read_text())
    assert config["lora_alpha"] / config["r"] == 3
