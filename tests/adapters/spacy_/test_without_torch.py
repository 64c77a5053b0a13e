"""A pipeline of spaCy's own parts is served without torch, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adapters.spacy_.without_torch import OWN_PROCESS, works_without

_OWN = '[components.ner]\nfactory = "ner"\n[components.ner.model]\n@architectures = "spacy.TransitionBasedParser.v2"\n'


def test_a_pipeline_of_spacys_own_parts_works_without_torch() -> None:
    assert works_without(_OWN)


def test_a_config_of_white_space_is_no_work() -> None:
    """A test that does not end is one that fails."""
    assert works_without("\n" * 500_000 + "x" + (" " * 500_000 + "x\n"))
    assert works_without("factory =" + " " * 500_000 + '"ner"' + " " * 500_000)


@pytest.mark.parametrize(
    "line",
    [
        'factory = "curated_transformer"',
        'factory = "somebody_elses"',
        "factory = ${vars.factory}",
        '@architectures = "spacy-curated-transformers.BertTransformer.v1"',
        '@architectures = "spacy.TorchBiLSTMEncoder.v1"',
        '@layers = "PyTorchLSTM.v1"',
        '  @layers="PyTorchWrapper.v3"  ',
        "@architectures = ${vars.model}",
    ],
)
def test_whatever_else_a_config_names_may_need_torch(line: str) -> None:
    assert not works_without(f"{_OWN}{line}\n")


def served(trained: Path, environment: dict[str, str]) -> Any:
    """Load the pipeline in a new process: whether torch is there, then and when it is asked for, and its entities."""
    code = f"""
import json, sys, os
from pathlib import Path
os.environ.update({environment!r})
from adapters.base import ModelDir
from adapters.spacy_ import SpacyAdapter
adapter = SpacyAdapter.load(ModelDir.of(Path({str(trained)!r})), ".", {{}})
early = "torch" in sys.modules
answer = adapter.predict(adapter.example(), {{}})
print(json.dumps([early, {{name: array.tolist() for name, array in answer.items()}}, bool(__import__("torch"))]))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_the_answers_are_the_same_without_torch(trained: Path) -> None:
    pytest.importorskip("torch")
    without, beside = served(trained, {OWN_PROCESS: "true"}), served(trained, {})
    assert (without[0], beside[0]) == (False, True)
    assert without[1] == beside[1]
    assert without[2] is True  # who needs it later imports it
