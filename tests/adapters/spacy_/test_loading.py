"""A pipeline from its folder: what is found in it, and what spaCy itself would not notice."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import spacy

from adapters.base import LoadError, ModelDir
from adapters.spacy_.loading import load


def meta(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "meta.json").read_text())
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Rules that find a name, in a pipeline with vectors of two numbers."""
    nlp = spacy.blank("xx")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "ORG", "pattern": "Apple"}])
    nlp.vocab.set_vector("Apple", np.array([1, 2], np.float32))
    nlp.to_disk(tmp_path / "m")
    return tmp_path / "m"


def reason(folder: Path, found: dict[str, Any] | None = None, package: Any = None) -> str:
    with pytest.raises(LoadError) as caught:
        load(ModelDir.of(folder), meta(folder) if found is None else found, package)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_pipeline_comes_with_what_it_finds(folder: Path) -> None:
    nlp, findings = load(ModelDir.of(folder), meta(folder))
    assert [(entity.text, entity.label_) for entity in nlp("An Apple").ents] == [("Apple", "ORG")]
    assert "doc.ents" in findings.assigned
    assert findings.width == 2
    assert findings.default == ("entities",)


def test_a_package_loads_itself(folder: Path) -> None:
    own = spacy.blank("xx")
    nlp, findings = load(ModelDir.of(folder), {}, SimpleNamespace(load=lambda: own))
    assert nlp is own
    assert (findings.width, findings.default) == (0, ("tokens",))


def test_a_config_is_checked_before_any_of_it_is_made(folder: Path) -> None:
    path = folder / "config.cfg"
    path.write_text(path.read_text().replace('factory = "entity_ruler"', 'factory = "llm"'))
    called: list[bool] = []
    said = reason(folder, package=SimpleNamespace(load=lambda: called.append(True)))
    assert said.startswith("config.cfg: [components.entity_ruler]: factory 'llm' calls a language model")
    assert called == []


def test_a_component_whose_code_is_elsewhere_is_named_with_the_way_out(folder: Path) -> None:
    path = folder / "config.cfg"
    path.write_text(path.read_text().replace('factory = "entity_ruler"', 'factory = "relations"'))
    said = reason(folder)
    assert said.startswith("its component 'relations' is made by code that is not in the folder: package")
    assert said.endswith("or serve it by a model.py")


@pytest.mark.parametrize("labels", [{"entity_ruler": ["A", "B"]}, {"entity_ruler": []}, {"other": ["A"]}, [1], None])
def test_labels_that_are_lost_are_noticed(labels: Any, folder: Path) -> None:
    (folder / "entity_ruler/patterns.jsonl").write_text("")
    found = {**meta(folder), "labels": labels}
    if labels == {"entity_ruler": ["A", "B"]}:
        said = reason(folder, found)
        assert said == "component 'entity_ruler' lost its 2 labels: entity_ruler/cfg is missing or damaged"
    else:
        load(ModelDir.of(folder), found)


def test_vectors_that_are_lost_are_noticed(folder: Path) -> None:
    recorded = meta(folder)
    assert recorded["vectors"]["width"] == 2
    (folder / "vocab/vectors").unlink()
    assert reason(folder, recorded).startswith("the pipeline's word vectors are missing or damaged")
    load(ModelDir.of(folder), {**recorded, "vectors": {"width": 0}})


def test_a_damaged_part_is_named_without_the_path_of_the_mount(folder: Path) -> None:
    (folder / "vocab/strings.json").write_text("[")
    said = reason(folder)
    assert said.startswith("spaCy cannot load the pipeline, of which vocab may be missing or damaged: ")
    assert str(folder) not in said
    assert "it was made for" not in said


@pytest.mark.parametrize(("file", "part"), [("patterns.jsonl", "patterns"), ("cfg", "cfg")])
def test_a_damaged_part_of_a_component_is_named_with_it(file: str, part: str, folder: Path) -> None:
    (folder / "entity_ruler" / file).write_text("null")
    assert f"of which entity_ruler/{part} may be missing or damaged: " in reason(folder)


@pytest.mark.parametrize(
    ("version", "told"),
    [(">=2.0.0,<2.1.0", True), (f">={spacy.__version__}", False), ("odd", False), (3, False), (None, False)],
    ids=["old", "now", "odd", "number", "none"],
)
def test_the_version_that_it_was_made_for_is_named_where_it_is_another(version: Any, told: bool, folder: Path) -> None:
    (folder / "tokenizer").write_bytes(b"\xc1")
    hint = f"; it was made for spaCy {version}, and this is {spacy.__version__}"
    assert reason(folder, {"spacy_version": version}).endswith(hint) is told


def test_collections_go_on_after_a_damaged_file(folder: Path) -> None:
    assert gc.isenabled()
    (folder / "vocab/lookups.bin").write_bytes(b"\xc1")
    (folder / "tokenizer").write_bytes(b"\xc1")
    reason(folder)
    assert gc.isenabled()


def test_links_lead_nowhere_beyond_the_mount(folder: Path, tmp_path: Path) -> None:
    strings = folder / "vocab/strings.json"
    strings.rename(tmp_path / "elsewhere")
    strings.symlink_to(tmp_path / "elsewhere")
    assert reason(folder) == "vocab/strings.json leads out of the models directory and is not followed"
    nlp, _ = load(ModelDir.of(folder, tmp_path), meta(folder))
    assert nlp.pipe_names == ["entity_ruler"]
