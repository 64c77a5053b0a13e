"""What components set is answered, whether they declare it or not, as spaCy's own pipeline finds it."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span, Token

from adapters.spacy_.writes import assigned
from tests.adapters.spacy_.pipelines import load, predict, save

TEXT = "Apple is here, Oracle is not"

PACKAGE = """
from spacy.tokens import Doc, Span, Token

def marked(doc):
    doc.set_ents([Span(doc, 0, 1, label="ORG")])
    return doc

def by_helper(doc):
    return helper(doc)

def helper(doc):
    doc.ents = [Span(doc, 0, 1, label="ORG")]
    return doc

class Grouper:
    def __init__(self, nlp, name):
        self.key = "found"
    def __call__(self, doc):
        doc.spans["found"] = [Span(doc, 0, 1, label="X")]
        return doc

def scored(doc):
    doc.cats["long"] = float(len(doc) > 3)
    return doc

def negated(doc):
    doc._.language = "en"
    for ent in doc.ents:
        ent._.negex = ent.text == "Oracle"
    doc[0]._.first = True
    return doc

def reader(doc):
    assert doc.ents is not None and doc[0].lemma_ is not None
    return doc

def lemmas(doc):
    for token in doc:
        token.lemma_ = token.text.lower()
    return doc
"""


@pytest.fixture(scope="module", autouse=True)
def package() -> Iterator[None]:
    """Components as an installed package registers them, and none says what it assigns."""
    module = types.ModuleType("components_of_a_package")
    sys.modules[module.__name__] = module
    exec(PACKAGE, vars(module))
    for name in ("marked", "by_helper", "scored", "negated", "reader", "lemmas"):
        Language.component(f"test_{name}", func=getattr(module, name))
    Language.factory("test_grouper", func=lambda nlp, name: module.Grouper(nlp, name))
    Doc.set_extension("language", default=None)
    Span.set_extension("negex", default=None)
    Token.set_extension("first", default=None)
    yield
    for of, name in ((Doc, "language"), (Span, "negex"), (Token, "first")):
        of.remove_extension(name)
    del sys.modules[module.__name__]


def answer(nlp: Any, folder: Path, **parameters: Any) -> Any:
    return predict(load(save(nlp, folder / "model")), [TEXT], **parameters)


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({"annotate_ents": True, "spans_key": None}, ["entities"]),
        ({"annotate_ents": True, "spans_key": "ruler"}, ["entities", "spans"]),
        ({"annotate_ents": False, "spans_key": "mine"}, ["spans"]),
    ],
)
def test_a_span_ruler_sets_what_it_is_configured_to(config: dict[str, Any], names: list[str], tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("span_ruler", config=config).add_patterns([{"label": "ORG", "pattern": "Apple"}])
    adapter = load(save(nlp, tmp_path / "model"))
    assert [spec.name for spec in adapter.signature.outputs][: len(names)] == names
    doc = nlp(TEXT)
    wanted = {
        "entities": [[{"text": each.text, "label": each.label_} for each in doc.ents]],
        "spans": [{k: [{"text": s.text, "label": s.label_} for s in group] for k, group in doc.spans.items()}],
    }
    assert predict(adapter, [TEXT]) == {names[0]: wanted[names[0]]}
    assert predict(adapter, [TEXT], outputs=",".join(names)) == {name: wanted[name] for name in names}


ORG = [{"text": "Apple", "label": "ORG"}]


@pytest.mark.parametrize(
    ("component", "wanted"),
    [
        ("test_marked", {"entities": [ORG]}),
        ("test_by_helper", {"entities": [ORG]}),
        ("test_grouper", {"spans": [{"found": [{"text": "Apple", "label": "X"}]}]}),
        ("test_scored", {"cats": [{"long": 1.0}]}),
    ],
)
def test_a_component_that_declares_nothing_is_answered_by_what_it_does(
    component: str, wanted: dict[str, Any], tmp_path: Path
) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe(component)
    assert answer(nlp, tmp_path) == wanted


def test_what_only_reads_sets_nothing() -> None:
    nlp = spacy.blank("en")
    for name in ("test_reader", "merge_entities", "doc_cleaner"):
        nlp.add_pipe(name)
    assert assigned(nlp) == frozenset()
    nlp.add_pipe("test_lemmas")
    assert assigned(nlp) == {"token.lemma"}


def test_extension_attributes_are_answered_where_they_were_set(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "ORG", "pattern": each} for each in ("Apple", "Oracle")])
    nlp.add_pipe("test_negated")
    doc = nlp(TEXT)
    found = answer(nlp, tmp_path, outputs="entities,tokens,extensions")
    assert [entity["_"] for entity in found["entities"][0]] == [{"negex": ent._.negex} for ent in doc.ents]
    assert [entity["_"]["negex"] for entity in found["entities"][0]] == [False, True]
    assert found["extensions"] == [{"language": "en"}]
    assert found["tokens"][0][0] == {"text": "Apple", "ent_type": "ORG", "_": {"first": True}}
    assert "_" not in found["tokens"][0][1]


def test_a_pipeline_without_extensions_shows_none(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "ORG", "pattern": "Apple"}])
    adapter = load(save(nlp, tmp_path / "model"))
    assert "extensions" not in [spec.name for spec in adapter.signature.outputs]
    assert predict(adapter, [TEXT]) == {"entities": [ORG]}
