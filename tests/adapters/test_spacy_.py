"""spaCy pipelines: what they answer, what is refused, and that nothing in a folder runs or stays behind."""

from __future__ import annotations

import gc
import json
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy

from adapters.base import InvalidInput, LoadError, Match, ModelDir, Rank
from adapters.spacy_ import SpacyAdapter
from tests.adapters import spacy_pipelines

TEXTS = [
    "Apple sells in London and that is good",
    "",
    "awful shop of Siemens in Kenya",
    " \n",
    "the and of in " * 40 + "Bosch",
    "naïve 日本語 😀 Apple",
]


def save(nlp: Any, folder: Path) -> Path:
    nlp.to_disk(folder)
    return folder


def match(folder: Path) -> Match | None:
    return SpacyAdapter.match(ModelDir.of(folder))


def load(folder: Path, **options: Any) -> SpacyAdapter:
    claim = match(folder)
    assert claim == Match(Rank.BUNDLE, claim.file if claim else "")
    return SpacyAdapter.load(ModelDir.of(folder), claim.file, options)


def predict(adapter: SpacyAdapter, texts: list[str], **parameters: Any) -> dict[str, list[Any]]:
    outputs = adapter.predict({"text": np.array(texts, np.object_)}, parameters)
    specs = {spec.name: spec for spec in adapter.signature.outputs}
    for name, array in outputs.items():
        assert array.dtype == specs[name].dtype
        assert array.shape == (len(texts), *specs[name].shape[1:])
    return {name: array.tolist() for name, array in outputs.items()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(spacy_pipelines.trained(), tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def adapter(trained: Path) -> SpacyAdapter:
    return load(trained)


@pytest.fixture
def broken(trained: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(trained, tmp_path / "pipeline"))


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
    assert not adapter.thread_safe


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
    adapter = load(save(spacy_pipelines.rules(), tmp_path))
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
    adapter = load(save(spacy_pipelines.rules(), tmp_path))
    answers = [predict(adapter, [f"Apple and word{n}"], outputs="tokens")["tokens"][0][0] for n in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert (answers[0]["pos"], answers[0]["morph"]) == ("PROPN", "Number=Sing")


def test_a_parser_gives_heads_and_sentences(tmp_path: Path) -> None:
    adapter = load(save(spacy_pipelines.parsed(), tmp_path))
    tokens = predict(adapter, ["dogs chase cats"])["tokens"][0]
    assert [(token["dep"], token["head"]) for token in tokens] == [("nsubj", 1), ("ROOT", 1), ("obj", 1)]
    assert predict(adapter, ["dogs chase cats"], outputs="sents") == {"sents": [[{"text": "dogs chase cats"}]]}


def test_word_vectors_alone_answer_the_vector(tmp_path: Path) -> None:
    adapter = load(save(spacy_pipelines.with_vectors(), tmp_path))
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
    nlp = spacy_pipelines.rules()
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


def test_a_text_may_be_too_long(adapter: SpacyAdapter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter.nlp, "max_length", 100)
    assert predict(adapter, ["a" * 100])
    with pytest.raises(InvalidInput, match=r"text\[1\] has 101 characters; this pipeline takes 100: split the text"):
        predict(adapter, ["a", "a" * 101])


def test_half_a_surrogate_is_no_text(adapter: SpacyAdapter) -> None:
    with pytest.raises(InvalidInput, match=r"text\[0\] is not Unicode text: .* at character 3"):
        predict(adapter, ["abc\ud83d"])
    assert predict(adapter, ["\0 \x07 \ufeff"])["entities"] == [[]]


def test_new_words_leave_nothing_behind(adapter: SpacyAdapter) -> None:
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
    monkeypatch.setattr("adapters.spacy_._LEMMAS", 50)
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


# Which folders are spaCy's


def test_other_folders_are_not_claimed(tmp_path: Path) -> None:
    assert match(tmp_path) is None
    (tmp_path / "meta.json").write_text('{"lang": "en"}')
    assert match(tmp_path) is None
    (tmp_path / "config.cfg").write_text("[server]\nport = 1\n")
    assert match(tmp_path) is None
    (tmp_path / "meta.json").write_text("[" * 100_000)
    assert match(tmp_path) is None


def test_a_packaged_pipeline_is_found_one_level_down(trained: Path, tmp_path: Path) -> None:
    package = tmp_path / "en_news"
    shutil.copytree(trained, package / "en_news-1.0.0")
    assert match(package) == Match(Rank.BUNDLE, "en_news-1.0.0")
    mark = tmp_path / "executed"
    (package / "__init__.py").write_text(f"open({str(mark)!r}, 'w')")
    shutil.copy(trained / "meta.json", package)
    assert match(package) == Match(Rank.BUNDLE, "en_news-1.0.0")
    assert predict(load(package), ["Apple is good"])["entities"][0][0]["label"] == "ORG"
    assert not mark.exists()
    (package / "model.bin").write_bytes(b"something else")
    assert match(package).problem  # type: ignore[union-attr]


def test_a_version_folder_is_not_a_packaged_pipeline(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "1")
    assert match(tmp_path) is None


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: (path / "config.cfg").unlink(), "config.cfg is missing"),
        (lambda path: (path / "meta.json").unlink(), "meta.json is missing"),
        (lambda path: (path / "meta.json").write_text('{"lang": "en", "pipe'), "meta.json is damaged: Unterminated"),
        (lambda path: (path / "meta.json").write_text("[" * 100_000), "meta.json is damaged"),
        (lambda path: (path / "meta.json").write_text("[]"), "meta.json is not a JSON object"),
        (lambda path: (path / "meta.json").write_text('{"lang": "en"}'), "lang or pipeline is missing"),
        (lambda path: (path / "config.cfg").write_text(""), "config.cfg is missing"),
    ],
)
def test_half_a_pipeline_is_claimed_with_its_problem(broken: Path, damage: Any, reason: str) -> None:
    damage(broken)
    claim = match(broken)
    assert claim
    assert reason in claim.problem


def test_a_pipeline_of_spacy_2_is_told(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text(json.dumps({"lang": "en", "pipeline": ["ner"], "spacy_version": ">=2.3.0"}))
    assert "made by spaCy 2 (>=2.3.0)" in match(tmp_path).problem  # type: ignore[union-attr]


# Damage, and configs that reach beyond the folder


@pytest.mark.parametrize(
    "name", ["ner/model", "ner/cfg", "ner/moves", "tagger/model", "tokenizer", "vocab/strings.json"]
)
@pytest.mark.parametrize("how", ["cut", "gone"])
def test_a_damaged_part_is_a_reason(broken: Path, name: str, how: str) -> None:
    content = (broken / name).read_bytes()
    (broken / name).unlink()
    if how == "cut":
        (broken / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(LoadError, match="spaCy cannot load the pipeline") as error:
        load(broken)
    assert str(broken) not in str(error.value)
    assert gc.isenabled()


@pytest.mark.parametrize("component", ["tagger", "textcat"])
def test_lost_labels_are_noticed(broken: Path, component: str) -> None:
    (broken / component / "cfg").unlink()
    with pytest.raises(LoadError, match=f"component '{component}' lost its 2 labels: {component}/cfg is missing"):
        load(broken)


@pytest.mark.parametrize("name", ["vocab", "vocab/vectors", "vocab/key2row"])
def test_lost_vectors_are_noticed(tmp_path: Path, name: str) -> None:
    save(spacy_pipelines.with_vectors(), tmp_path)
    lost = tmp_path / name
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    with pytest.raises(LoadError, match="word vectors are missing"):
        load(tmp_path)


def test_the_version_is_named_when_the_load_fails(broken: Path) -> None:
    meta = json.loads((broken / "meta.json").read_text())
    (broken / "meta.json").write_text(json.dumps(meta | {"spacy_version": ">=3.0.0,<3.1.0"}))
    with pytest.warns(UserWarning, match="W095"):
        assert load(broken)  # it loads all the same
    (broken / "ner" / "moves").unlink()
    made_for = r"made for spaCy >=3.0.0,<3.1.0, and this is 3\.8"
    with pytest.warns(UserWarning, match="W095"), pytest.raises(LoadError, match=made_for):
        load(broken)


FACTORY, NET, HUB = 'factory = "ner"', "spacy.HashEmbedCNN.v2", "can fetch weights and code from a hub"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (FACTORY, 'factory = "evil"', "evil"),
        (FACTORY, 'source = "en_core_web_sm"', r"\[components.ner\] takes its component from another pipeline"),
        (FACTORY, 'factory = "transformer"', f"'transformer' .*{HUB}"),
        (FACTORY, 'factory = "llm_ner"', "'llm_ner' calls a language model over the network"),
        ("before_creation = null", 'before_creation = {"@callbacks":"evil.v1"}', "evil.v1"),
        ("after_creation = null", 'after_creation = {"@callbacks":"spacy.copy_from_base_model.v1"}', "loads another"),
        ("batch_size = 1000", 'batch_size = {"@readers":"srsly.read_json.v1","path":"x"}', "'srsly.read_json.v1'"),
        (NET, "evil.Model.v1", "evil.Model.v1"),
        (NET, "spacy-transformers.TransformerModel.v3", HUB),
        (NET, "${nlp.hidden}", "names architectures 'spacy-transformers.TransformerModel.v3'"),
        ("[components.ner", "[components./ner", "the name of its folder, without slashes"),
        ('lang = "xx"', 'lang = "../evil"', "cannot load"),
        ("[nlp]", "[nlp", "cannot load"),
    ],
)
def test_a_config_cannot_reach_beyond_its_folder(broken: Path, old: str, new: str, reason: str) -> None:
    mark = broken / "executed"
    (broken / "evil.py").write_text(f"open({str(mark)!r}, 'w')")
    config = (broken / "config.cfg").read_text()
    assert old in config
    config = config.replace(old, new)
    hidden = 'hidden = "spacy-transformers.TransformerModel.v3"\n'
    (broken / "config.cfg").write_text(config.replace("[nlp]\n", f"[nlp]\n{hidden}") if "hidden" in new else config)
    with pytest.raises(LoadError, match=reason):
        SpacyAdapter.load(ModelDir.of(broken), "", {})
    assert not mark.exists()


def test_links_out_of_the_mount_are_not_followed(trained: Path, tmp_path: Path) -> None:
    copy = tmp_path / "mount" / "pipeline"
    shutil.copytree(trained, copy)
    shutil.rmtree(copy / "ner")
    (copy / "ner").symlink_to(trained / "ner")
    inside = SpacyAdapter.load(ModelDir.of(copy, trained.parent.parent), "", {})
    assert predict(inside, ["Apple"])["entities"][0]
    with pytest.raises(LoadError, match="ner leads out of the models directory"):
        SpacyAdapter.load(ModelDir.of(copy, tmp_path / "mount"), "", {})
