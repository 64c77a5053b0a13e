"""Which configs may be resolved: what reaches beyond the pipeline's folder is refused by name and place."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.base import LoadError
from adapters.spacy_.config import check


def config(**component: Any) -> dict[str, Any]:
    tagger = {"factory": "tagger", "model": {"@architectures": "spacy.Tagger.v2", "nO": None}, **component}
    return {"nlp": {"lang": "en", "tokenizer": {"@tokenizers": "spacy.Tokenizer.v1"}}, "components": {"tagger": tagger}}


def test_what_a_saved_pipeline_names_is_let_through() -> None:
    check({})
    check(config())
    check(config(factory="transformers_free", scorer={"@scorers": "spacy.tagger_scorer.v1"}))


def test_sections_for_training_are_not_looked_at() -> None:
    check({**config(), "training": {"logger": {"@loggers": "spacy.ConsoleLogger.v1"}}, "corpora": {"@readers": "x"}})


@pytest.mark.parametrize("registry", ["cli", "datasets", "llm_models", "loggers", "model_loaders", "readers"])
def test_a_registry_that_no_trained_pipeline_needs_is_refused(registry: str) -> None:
    with pytest.raises(
        LoadError, match=rf"^config\.cfg: \[components\.tagger\.a\.b\] names {registry} 'some\.v1', which"
    ):
        check(config(a={"b": {f"@{registry}": "some.v1"}}))


@pytest.mark.parametrize(
    ("function", "does"),
    [
        ("spacy.copy_from_base_model.v1", "loads another pipeline"),
        ("spacy.KBFromFile.v1", "reads a file by path"),
        ("spacy-transformers.TransformerModel.v3", "can fetch weights and code from a hub"),
    ],
)
def test_a_function_that_reaches_out_is_refused_in_whatever_registry(function: str, does: str) -> None:
    with pytest.raises(LoadError, match=f"names misc '{function}', which {does}; a pipeline saved by nlp.to_disk"):
        check(config(kb={"@misc": function}))


def test_lists_and_the_language_are_looked_through_too() -> None:
    with pytest.raises(LoadError, match=r"\[components\.tagger\.layers\] names readers"):
        check(config(layers=[[{"fine": 1}], ({"@readers": "r"},)]))
    with pytest.raises(LoadError, match=r"\[nlp\.before_creation\] names callbacks 'spacy\.copy_from_base_model\.v1'"):
        check({"nlp": {"before_creation": {"@callbacks": "spacy.copy_from_base_model.v1"}}})


@pytest.mark.parametrize("factory", ["llm", "llm_ner", "transformer", "transformer_large"])
def test_a_factory_that_reaches_out_is_refused(factory: str) -> None:
    with pytest.raises(LoadError, match=rf"^config\.cfg: \[components\.tagger\]: factory '{factory}' .*not done here$"):
        check(config(factory=factory))


def test_a_component_comes_from_no_other_pipeline() -> None:
    with pytest.raises(LoadError, match=r"takes its component from another pipeline \(source\)"):
        check(config(source="en_core_web_sm"))


@pytest.mark.parametrize("name", ["../outside", "a/b", "/etc"])
def test_a_components_name_is_no_path(name: str) -> None:
    with pytest.raises(LoadError, match="the name of its folder, without slashes"):
        check({"components": {name: {"factory": "tagger"}}})


@pytest.mark.parametrize("component", [None, "tagger", ["tagger"]])
def test_a_component_is_a_section(component: Any) -> None:
    with pytest.raises(LoadError, match=r"^config\.cfg: \[components\.tagger\] is not a section$"):
        check({"components": {"tagger": component}})
