"""What is copied out of a `Doc`: outputs by what components set, and every value of them as JSON can hold it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc, Span, Token

from adapters.base import TensorSpec
from adapters.spacy_.docs import PipelineFindings, column

EVERYTHING = frozenset(
    {"doc.ents", "doc.cats", "doc.spans", "doc._", "token.lemma", "token.tag", "token.head", "token.is_sent_start"}
)


def findings(*assigned: str, width: int = 0) -> PipelineFindings:
    return PipelineFindings(frozenset(assigned), width)


@pytest.fixture(scope="module")
def doc() -> Iterator[Doc]:
    """Two sentences, an entity, a category, a group of spans, and attributes of each kind."""
    for kind in (Doc, Span, Token):
        kind.set_extension("mine", default=None)
    words, spaces = ["Apple", "sells", ".", "Zoë", "buys"], [True, False, True, True, False]
    made = Doc(spacy.blank("xx").vocab, words, spaces, sent_starts=[True, False, False, True, False])
    made.ents = [Span(made, 0, 1, "ORG", kb_id="Q312", span_id="rule-1")]
    made.cats = {"shop": np.float32(0.25)}
    made.spans["names"] = [made[3:4], Span(made, 0, 2, "HEAD")]
    for token, lemma in zip(made, ["Apple", "sell", ".", "Zoë", "buy"], strict=True):
        token.lemma_ = lemma
    made._.mine = {"a": [1, None]}
    made[0:1]._.mine = True
    made[4]._.mine = np.arange(2)
    yield made
    for kind in (Doc, Span, Token):
        kind.remove_extension("mine")


def test_outputs_are_what_the_components_set_those_of_the_default_first() -> None:
    found = PipelineFindings(EVERYTHING, 3)
    assert list(found.outputs) == ["entities", "cats", "spans", "extensions", "tokens", "sents", "vector"]
    assert found.outputs["vector"] == TensorSpec("vector", "FP32", (-1, 3))
    assert found.outputs["cats"] == TensorSpec("cats", "BYTES", (-1,), json=True)
    assert list(findings("token.tag", "token.is_sent_start").outputs) == ["tokens", "sents"]


@pytest.mark.parametrize(
    ("assigned", "width", "default"),
    [
        (["doc.ents", "doc.cats", "token.tag"], 3, ("entities", "cats")),
        (["doc.cats", "doc.spans"], 0, ("cats",)),
        (["doc.spans", "token.tag"], 0, ("spans",)),
        (["doc._", "token.tag"], 0, ("extensions",)),
        (["token.tag", "token.is_sent_start"], 3, ("tokens",)),
        (["token.is_sent_start", "token.ent_type"], 3, ("sents",)),
        (["token.ent_type"], 3, ("vector",)),
        ([], 0, ("tokens",)),
    ],
    ids=["entities-and-cats", "cats", "spans", "extensions", "tags", "sentences", "vector", "bare"],
)
def test_the_default_is_what_the_pipeline_was_made_for(
    assigned: list[str], width: int, default: tuple[str, ...]
) -> None:
    assert findings(*assigned, width=width).default == default


def test_entities_have_ids_and_places_where_offsets_are_asked_for(doc: Doc) -> None:
    found = findings("doc.ents")
    assert found.of(doc, "entities", False) == [{"text": "Apple", "label": "ORG", "_": {"mine": True}}]
    links = {"id": "rule-1", "kb_id": "Q312"}
    wanted = {"text": "Apple", "label": "ORG", "start": 0, "end": 5, **links, "_": {"mine": True}}
    assert found.of(doc, "entities", True) == [wanted]


def test_spans_are_grouped_and_sentences_cut(doc: Doc) -> None:
    found = findings("doc.spans", "token.is_sent_start")
    assert found.of(doc, "spans", False) == {
        "names": [{"text": "Zoë", "label": ""}, {"text": "Apple sells", "label": "HEAD"}]
    }
    assert found.of(doc, "sents", True) == [
        {"text": "Apple sells.", "start": 0, "end": 12},
        {"text": "Zoë buys", "start": 13, "end": 21},
    ]


def test_tokens_have_the_fields_that_components_set_and_no_others(doc: Doc) -> None:
    bare = [{"text": word} for word in ("Apple", "sells", ".", "Zoë")] + [{"text": "buys", "_": {"mine": [0, 1]}}]
    assert findings().of(doc, "tokens", False) == bare
    found = findings("token.lemma", "token.is_sent_start", "doc.ents").of(doc, "tokens", True)
    assert found[3] == {"text": "Zoë", "lemma": "Zoë", "sent_start": True, "start": 13, "end": 16}
    assert found[1] == {"text": "sells", "lemma": "sell", "sent_start": False, "start": 6, "end": 11}


def test_all_of_it_is_json(doc: Doc) -> None:
    found = PipelineFindings(EVERYTHING, 0)
    for name in found.outputs:
        value = found.of(doc, name, True)
        assert json.loads(json.dumps(value)) == value
    assert found.of(doc, "cats", False) == {"shop": 0.25}
    assert found.of(doc, "extensions", False) == {"mine": {"a": [1, None]}}


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("text", True),
        ({"a": (1, 2.5)}, True),
        (np.float32(1.5), True),
        (_deep(32), True),
        (_deep(33), False),
        ({1: 2}, False),
        ({"a"}, False),
        (b"bytes", False),
        (object(), False),
        ([object()], False),
    ],
    ids=["text", "object", "number", "deep", "too-deep", "no-key", "set", "bytes", "any", "any-inside"],
)
def test_an_extension_attribute_that_is_no_json_is_left_out(value: Any, told: bool) -> None:
    text = spacy.blank("xx").make_doc("one")
    text.user_data["._.", "x", None, None] = value
    text.user_data["other"] = 1
    plain = value.tolist() if isinstance(value, np.generic) else value
    assert findings("doc._").of(text, "extensions", False) == ({"x": plain} if told else {})


def test_vectors_are_the_documents_and_zeros_of_no_text() -> None:
    nlp = spacy.blank("xx")
    nlp.vocab.set_vector("one", np.array([1, 2], np.float32))
    nlp.vocab.set_vector("two", np.array([3, 0], np.float32))
    found = findings(width=2)
    rows = [found.of(nlp.make_doc(text), "vector", False) for text in ("one two", "")]
    vectors = column(rows, found.outputs["vector"])
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[2.0, 1.0], [0.0, 0.0]]


def test_rows_of_json_stay_objects_however_alike() -> None:
    array = column(([1, 2] for _ in range(2)), findings("doc.ents").outputs["entities"])
    assert array.dtype == object
    assert array.shape == (2,)
    assert array.tolist() == [[1, 2], [1, 2]]
