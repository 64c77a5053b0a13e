"""Small spaCy pipelines, trained or assembled in a second, and how the tests save, load and ask them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from spacy.training import Example
from thinc.api import fix_random_seed

from adapters.base import Match, ModelDir, Rank
from adapters.spacy_ import SpacyAdapter
from adapters.spacy_.adapter import HOLDS

ORGS = ("Apple", "Siemens", "Bosch", "Oracle")
PLACES = ("London", "Berlin", "Chile", "Kenya")
MOODS = {"good": 1.0, "great": 1.0, "bad": 0.0, "awful": 0.0}
FILL = ("the", "shop", "in", "sells", "of", "and")


def trained() -> Any:
    """Entities, categories and tags on one shared tok2vec of width 32."""
    random.seed(0)
    fix_random_seed(0)
    nlp = spacy.blank("xx")  # without the exceptions of a language it loads four times faster
    tok2vec = {"@architectures": "spacy.HashEmbedCNN.v2", "width": 32, "depth": 1, "embed_size": 200, "window_size": 1}
    tok2vec |= {"maxout_pieces": 2, "subword_features": True, "pretrained_vectors": None}
    nlp.add_pipe("tok2vec", config={"model": tok2vec})
    listen = {"@architectures": "spacy.Tok2VecListener.v1", "width": 32, "upstream": "*"}
    nlp.add_pipe("ner", config={"model": {"tok2vec": listen, "hidden_width": 16}})
    reduce = {"@architectures": "spacy.TextCatReduce.v1", "exclusive_classes": True, "use_reduce_mean": True}
    reduce |= {"use_reduce_first": False, "use_reduce_last": False, "use_reduce_max": False, "tok2vec": listen}
    nlp.add_pipe("textcat", config={"model": reduce})
    nlp.add_pipe("tagger", config={"model": {"tok2vec": listen}})
    examples = [_example(nlp) for _ in range(120)]
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.01
    for _ in range(3):
        for start in range(0, len(examples), 20):
            nlp.update(examples[start : start + 20], sgd=optimizer)
    return nlp


def _example(nlp: Any) -> Example:
    mood = random.choice(list(MOODS))
    words = [random.choice(random.choice([ORGS, PLACES, FILL, FILL])) for _ in range(random.randint(3, 12))] + [mood]
    labels = ["U-ORG" if word in ORGS else "U-GPE" if word in PLACES else "O" for word in words]
    cats = {"happy": MOODS[mood], "sad": 1 - MOODS[mood]}
    tags = ["NAME" if word[0].isupper() else "word" for word in words]
    return Example.from_dict(nlp.make_doc(" ".join(words)), {"entities": labels, "cats": cats, "tags": tags})


def rules() -> Any:
    """Entities by rules, one of them with an id; sentences; parts of speech by tag-like rules; spans."""
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    patterns = [
        {"label": "ORG", "pattern": "Apple", "id": "Q312"},
        {"label": "GPE", "pattern": [{"LOWER": "new"}, {"LOWER": "york"}]},
    ]
    nlp.add_pipe("entity_ruler").add_patterns(patterns)
    nlp.add_pipe("attribute_ruler").add([[{"LOWER": "apple"}]], {"POS": "PROPN", "MORPH": "Number=Sing"})
    nlp.add_pipe("span_ruler").add_patterns([{"label": "FRUIT", "pattern": [{"LOWER": "apple"}]}])
    return nlp


def with_vectors() -> Any:
    """Nothing but word vectors of width 3."""
    nlp = spacy.blank("en")
    for word, vector in {"sun": [1, 0, 0], "rain": [0, 1, 0], "wind": [0, 0, 2]}.items():
        nlp.vocab.set_vector(word, np.array(vector, np.float32))
    return nlp


def parsed() -> Any:
    """A dependency parser trained on two sentences."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("parser", config={"model": {"hidden_width": 8, "tok2vec": _tiny()}, "min_action_freq": 1})
    annotation = {"heads": [1, 1, 1], "deps": ["nsubj", "ROOT", "obj"]}
    texts = ("dogs chase cats", "cats chase mice")
    examples = [Example.from_dict(nlp.make_doc(text), annotation) for text in texts]
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.01
    for _ in range(30):
        nlp.update(examples, sgd=optimizer)
    return nlp


def with_torch() -> Any:
    """A tagger on a bidirectional LSTM of torch's."""
    embed = {"@architectures": "spacy.MultiHashEmbed.v2", "width": 16, "attrs": ["NORM"], "rows": [50]}
    embed |= {"include_static_vectors": False}
    encode = {"@architectures": "spacy.TorchBiLSTMEncoder.v1", "width": 16, "depth": 1, "dropout": 0.0}
    nlp = spacy.blank("xx")
    tok2vec = {"@architectures": "spacy.Tok2Vec.v2", "embed": embed, "encode": encode}
    nlp.add_pipe("tagger", config={"model": {"tok2vec": tok2vec}})
    doc = nlp.make_doc("dogs chase")
    nlp.initialize(lambda: [Example.from_dict(doc, {"tags": ["N", "V"]})])
    return nlp


def _tiny() -> dict[str, Any]:
    return {
        "@architectures": "spacy.HashEmbedCNN.v2", "width": 16, "depth": 1, "embed_size": 50, "window_size": 1,
        "maxout_pieces": 2, "subword_features": True, "pretrained_vectors": None,
    }  # fmt: skip


def save(nlp: Any, folder: Path) -> Path:
    nlp.to_disk(folder)
    return folder


def match(folder: Path) -> Match | None:
    return SpacyAdapter.match(ModelDir.of(folder))


def load(folder: Path, **options: Any) -> SpacyAdapter:
    claim = match(folder)
    assert claim == Match(Rank.BUNDLE, claim.file if claim else "", carries=HOLDS)
    return SpacyAdapter.load(ModelDir.of(folder), claim.file, options)


def predict(adapter: SpacyAdapter, texts: list[str], **parameters: Any) -> dict[str, list[Any]]:
    outputs = adapter.predict({"text": np.array(texts, np.object_)}, parameters)
    specs = {spec.name: spec for spec in adapter.signature.outputs}
    for name, array in outputs.items():
        assert array.dtype == specs[name].dtype
        assert array.shape == (len(texts), *specs[name].shape[1:])
    return {name: array.tolist() for name, array in outputs.items()}
