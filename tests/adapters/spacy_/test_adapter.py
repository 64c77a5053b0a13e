"""What spaCy pipelines answer, what a request may not do, and that nothing stays behind."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy

from adapters.base import InvalidInput, LoadError
from adapters.spacy_ import SpacyAdapter
from tests.adapters.spacy_ import pipelines
from tests.adapters.spacy_.pipelines import load, predict, save

TEXTS = [
    "Apple sells in London and that is good",
    "",
    "awful shop of Siemens in Kenya",
    " \n",
    "the and of in " * 40 + "Bosch",
    "naïve 日本語 😀 Apple",
]


@pytest.fixture(scope="module")
def adapter(trained: Path) -> SpacyAdapter:
    return load(trained)


# What is answered


def test_answers_are_spacys_own_bit_for_bit(trained: Path, adapter: SpacyAdapter) -> None:
    direct = [spacy.load(trained)(text) for text in TEXTS]
    assert any(doc.ents for doc in direct)
    assert predict(adapter, TEXTS) == {
        "entities": [[{"text": ent.text, "label": ent.label_} for ent in doc.ents] for doc in direct],
        "cats": [dict(doc.cats) for doc in direct],
    }


def test_a_batch_gives_what_single_calls_give(adapter: SpacyAdapter) -> None:
    texts = [f"{text} {number} Oracle" for number in range(30) for text in TEXTS]
    asked = {"outputs": "entities,cats,tokens,vector", "offsets": True}
    batch = predict(adapter, texts, **asked)
    for row, text in enumerate(texts):
        assert predict(adapter, [text], **asked) == {name: [rows[row]] for name, rows in batch.items()}


def test_defaults_come_first_in_the_signature(adapter: SpacyAdapter) -> None:
    assert [spec.name for spec in adapter.signature.outputs] == ["entities", "cats", "tokens", "vector"]
    assert adapter.signature.outputs[-1].shape == (-1, 32)
    assert adapter.signature.keyed
    assert not adapter.traits.thread_safe


def test_offsets_count_characters(adapter: SpacyAdapter) -> None:
    answer = predict(adapter, ["naïve 😀 Apple is good"], offsets=True, outputs="entities,tokens")
    for found in [*answer["entities"][0], *answer["tokens"][0]]:
        assert "naïve 😀 Apple is good"[found["start"] : found["end"]] == found["text"]
    assert {"text": "Apple", "label": "ORG", "start": 8, "end": 13} in answer["entities"][0]


def test_tokens_hold_what_the_components_made(adapter: SpacyAdapter) -> None:
    tokens = predict(adapter, ["Apple sells"], outputs="tokens")["tokens"][0]
    assert [token.keys() for token in tokens] == [{"text", "tag", "ent_type"}] * 2
    assert [token["tag"] for token in tokens] == ["NAME", "word"]


def test_the_vector_is_the_documents(trained: Path, adapter: SpacyAdapter) -> None:
    answer = adapter.predict({"text": np.array(["Apple sells", ""], np.object_)}, {"outputs": "vector"})["vector"]
    assert np.array_equal(answer[0], spacy.load(trained)("Apple sells").vector)
    assert np.array_equal(answer[1], np.zeros(32, np.float32))


def test_rules_find_entities_spans_sentences(tmp_path: Path) -> None:
    adapter = load(save(pipelines.rules(), tmp_path))
    text = "Apple left. New York stayed."
    assert predict(adapter, [text, ""]) == {
        "entities": [[{"text": "Apple", "label": "ORG"}, {"text": "New York", "label": "GPE"}], []]
    }
    more = predict(adapter, [text, ""], outputs=" sents, spans ,entities", offsets=True)
    assert list(more) == ["sents", "spans", "entities"]
    assert more["sents"] == [
        [{"text": "Apple left.", "start": 0, "end": 11}, {"text": "New York stayed.", "start": 12, "end": 28}],
        [],
    ]
    assert more["spans"][0] == {"ruler": [{"text": "Apple", "label": "FRUIT", "start": 0, "end": 5}]}
    assert more["entities"][0][0] == {"text": "Apple", "label": "ORG", "start": 0, "end": 5, "id": "Q312"}


def test_rules_give_the_same_in_every_memory_zone(tmp_path: Path) -> None:
    adapter = load(save(pipelines.rules(), tmp_path))
    adapter.most_words = 0
    answers = [predict(adapter, [f"Apple and word{n}"], outputs="tokens")["tokens"][0][0] for n in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert (answers[0]["pos"], answers[0]["morph"]) == ("PROPN", "Number=Sing")


def test_a_parser_gives_heads_and_sentences(tmp_path: Path) -> None:
    adapter = load(save(pipelines.parsed(), tmp_path))
    tokens = predict(adapter, ["dogs chase cats"])["tokens"][0]
    assert [(token["dep"], token["head"]) for token in tokens] == [("nsubj", 1), ("ROOT", 1), ("obj", 1)]
    assert predict(adapter, ["dogs chase cats"], outputs="sents") == {"sents": [[{"text": "dogs chase cats"}]]}


def test_word_vectors_alone_answer_the_vector(tmp_path: Path) -> None:
    adapter = load(save(pipelines.with_vectors(), tmp_path))
    assert predict(adapter, ["sun rain", "", "unknown"]) == {"vector": [[0.5, 0.5, 0], [0, 0, 0], [0, 0, 0]]}


def test_a_blank_pipeline_answers_tokens(tmp_path: Path) -> None:
    adapter = load(save(spacy.blank("de"), tmp_path))
    assert predict(adapter, ["Guten Tag"]) == {"tokens": [[{"text": "Guten"}, {"text": "Tag"}]]}


@pytest.mark.filterwarnings("ignore:.*W036")  # rules without patterns
@pytest.mark.parametrize(
    ("component", "default"), [("sentencizer", "sents"), ("span_ruler", "spans"), ("merge_entities", "tokens")]
)
def test_the_default_is_what_the_pipeline_was_made_for(tmp_path: Path, component: str, default: str) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe(component)
    assert list(predict(load(save(nlp, tmp_path)), ["One. Two."])) == [default]


@pytest.mark.filterwarnings("ignore:.*W036")
def test_a_disabled_component_finds_nothing(tmp_path: Path) -> None:
    nlp = pipelines.rules()
    nlp.disable_pipe("entity_ruler")
    adapter = load(save(nlp, tmp_path))
    assert "entities" not in [spec.name for spec in adapter.signature.outputs]


def test_options_change_the_defaults(trained: Path) -> None:
    adapter = load(trained, outputs="tokens", offsets=True)
    assert predict(adapter, ["good"])["tokens"][0][0]["end"] == 4
    assert predict(adapter, ["good"], outputs="cats", offsets=False).keys() == {"cats"}
    with pytest.raises(LoadError, match=r"options.outputs: 'sents' is unknown; this pipeline answers entities, cats"):
        load(trained, outputs="sents")


def test_the_example_predicts(adapter: SpacyAdapter) -> None:
    assert len(adapter.predict(adapter.example(), {})["entities"]) == 2


# What a request may not do


def test_an_unknown_output_is_named(adapter: SpacyAdapter) -> None:
    with pytest.raises(
        InvalidInput, match="'entitys' is unknown; this pipeline answers entities, cats, tokens, vector"
    ):
        predict(adapter, ["a"], outputs="entitys")


def test_a_text_may_be_too_long(trained: Path) -> None:
    assert load(trained).nlp.max_length == 1_000_000
    adapter = load(trained, max_length=100)
    assert predict(adapter, ["a" * 100, "a", ""]).keys() == {"entities", "cats"}
    with pytest.raises(InvalidInput, match=r"text\[1\] has 101 characters; this pipeline takes 100: split the text"):
        predict(adapter, ["a", "a" * 101])


def test_no_text_at_all_is_no_limit(trained: Path) -> None:
    with pytest.raises(LoadError, match=r"options.max_length: 0 must be 1 or more"):
        load(trained, max_length=0)


def test_half_a_surrogate_is_no_text(adapter: SpacyAdapter) -> None:
    with pytest.raises(InvalidInput, match=r"text\[0\] is not Unicode text: .* at character 3"):
        predict(adapter, ["abc\ud83d"])
    assert predict(adapter, ["\0 \x07 \ufeff"])["entities"] == [[]]


def test_a_full_vocabulary_learns_nothing_more(tmp_path: Path) -> None:
    adapter = load(save(pipelines.parsed(), tmp_path))
    adapter.most_words = len(adapter.nlp.vocab.strings) + 50
    sizes = []
    for number in range(100):
        predict(adapter, [f"some{number} words{number}"])
        sizes.append(len(adapter.nlp.vocab.strings))
    assert sizes[0] < sizes[10] < sizes[-1] == sizes[-40] < adapter.most_words + 20


def test_new_words_leave_nothing_behind(adapter: SpacyAdapter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "most_words", 0)
    strings = len(adapter.nlp.vocab.strings)
    for start in range(0, 1000, 100):
        words = [f"word{number} Neu{number}wort" for number in range(start, start + 100)]
        predict(adapter, words, outputs="entities,cats,tokens,vector")
    assert len(adapter.nlp.vocab.strings) == strings
    with pytest.raises(InvalidInput):
        predict(adapter, ["a fresh failure"], outputs="nothing")
    assert not adapter.nlp.vocab.in_memory_zone


def test_a_lemmatizer_forgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spacy.lookups import Lookups

    nlp = spacy.blank("en")
    lookups = Lookups()
    for table in ("lemma_rules", "lemma_index", "lemma_exc"):
        lookups.add_table(table, {"noun": [["s", ""]]} if table == "lemma_rules" else {"noun": {}})
    nlp.add_pipe("attribute_ruler").add([[{"IS_ALPHA": True}]], {"POS": "NOUN"})
    nlp.add_pipe("lemmatizer", config={"mode": "rule"}).initialize(lookups=lookups)
    adapter = load(save(nlp, tmp_path))
    monkeypatch.setattr("adapters.spacy_.adapter._LEMMAS", 50)
    for start in range(0, 300, 30):
        tokens = predict(adapter, [f"{'abcdefghij'[n % 10] * (1 + n // 10)}s" for n in range(start, start + 30)])
        assert tokens["tokens"][0][0]["lemma"] == "a" * (1 + start // 10)
        assert len(adapter.nlp.get_pipe("lemmatizer").cache) <= 50


def test_it_predicts_from_another_thread(adapter: SpacyAdapter) -> None:
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(predict(adapter, TEXTS)))
    thread.start()
    thread.join()
    assert answers == [predict(adapter, TEXTS)]


def test_torch_runs_on_one_thread(adapter: SpacyAdapter) -> None:
    torch = sys.modules.get("torch")
    assert torch is None or torch.get_num_threads() == 1
