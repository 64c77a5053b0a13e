"""A small spaCy pipeline that finds companies, places, people, money and dates: trained, statistical, without rules."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from examples.news import sentences

SEED = 20
SENTENCES = 600
EPOCHS = 8
BATCH = 16
WIDTH = 48


def make(folder: Path) -> None:
    """Train the pipeline and save it in `folder`."""
    from spacy.training import Example
    from thinc.api import Adam, fix_random_seed

    fix_random_seed(SEED)
    nlp = pipeline()
    examples = [
        Example.from_dict(nlp.make_doc(text), {"entities": entities}) for text, entities in sentences(SENTENCES, SEED)
    ]
    nlp.initialize(lambda: examples)
    rng, optimizer = random.Random(SEED), Adam(0.004)
    for _ in range(EPOCHS):
        rng.shuffle(examples)
        for start in range(0, len(examples), BATCH):
            nlp.update(examples[start : start + BATCH], sgd=optimizer, drop=0.2)
        optimizer.learn_rate *= 0.7
    nlp.to_disk(folder)


def pipeline() -> Any:
    """An untrained English pipeline with an entity recognizer alone, ten times smaller than spaCy's default."""
    import spacy

    embed = {
        "@architectures": "spacy.MultiHashEmbed.v2",
        "width": WIDTH,
        "attrs": ["NORM", "PREFIX", "SUFFIX", "SHAPE"],
        "rows": [1000, 500, 500, 500],
        "include_static_vectors": False,
    }
    encode = {
        "@architectures": "spacy.MaxoutWindowEncoder.v2",
        "width": WIDTH,
        "depth": 3,
        "window_size": 1,
        "maxout_pieces": 2,
    }
    model = {
        "@architectures": "spacy.TransitionBasedParser.v2",
        "state_type": "ner",
        "extra_state_tokens": False,
        "hidden_width": WIDTH,
        "maxout_pieces": 2,
        "use_upper": True,
        "tok2vec": {"@architectures": "spacy.Tok2Vec.v2", "embed": embed, "encode": encode},
    }
    nlp = spacy.blank("en")
    nlp.meta["name"] = "news_entities"
    nlp.add_pipe("ner", config={"model": model})
    return nlp
