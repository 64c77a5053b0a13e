"""Entities by rules, spans by a categorizer, and categories of the text: all that a pipeline writes, by its key."""

import warnings
from pathlib import Path
from typing import Any

import spacy

TEXT = "Apple likes Rome"


def make(folder: Path) -> dict[str, Any]:
    spacy.util.fix_random_seed(0)
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    suggester = {"@misc": "spacy.ngram_suggester.v1", "sizes": [1]}
    nlp.add_pipe("spancat", config={"threshold": 0.0, "spans_key": "mine", "suggester": suggester}).add_label("X")
    categorizer = nlp.add_pipe("textcat")
    for label in ("A", "B"):
        categorizer.add_label(label)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the ruler has no patterns yet: `initialize` would take them away
        nlp.initialize()
    ruler.add_patterns([{"label": "ORG", "pattern": "Apple"}])
    nlp.to_disk(folder)
    doc = nlp(TEXT)
    spans = [{"text": span.text, "label": span.label_} for span in doc.spans["mine"]]
    entities = [{"text": entity.text, "label": entity.label_} for entity in doc.ents]
    return {"text": [{"entities": entities, "spans": {"mine": spans}, "cats": dict(doc.cats)}]}
