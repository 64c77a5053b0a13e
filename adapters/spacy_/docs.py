"""What a spaCy pipeline finds in a text, as plain JSON values and numpy vectors.

Everything is copied out of the `Doc`: it may not outlive the memory zone that it was made in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from adapters.base import Array, TensorSpec
from adapters.shared.arrays import array_of

JSON: TypeAlias = Any

#: attribute that a component assigns -> (key, value) in a token's object
_TOKEN_FIELDS: dict[str, tuple[str, Callable[[Any], JSON]]] = {
    "token.lemma": ("lemma", lambda token: token.lemma_),
    "token.pos": ("pos", lambda token: token.pos_),
    "token.tag": ("tag", lambda token: token.tag_),
    "token.morph": ("morph", lambda token: str(token.morph)),
    "token.dep": ("dep", lambda token: token.dep_),
    "token.head": ("head", lambda token: token.head.i),
    "token.ent_type": ("ent_type", lambda token: token.ent_type_),
    "token.is_sent_start": ("sent_start", lambda token: bool(token.is_sent_start)),
}
_TAGS = frozenset(_TOKEN_FIELDS) - {"token.ent_type", "token.is_sent_start"}


@dataclass(frozen=True)
class PipelineFindings:
    """What a pipeline's components set, and how it is written.

    `assigned` holds spaCy's names for attributes (`doc.ents`, `token.tag`); `width` is the vectors' (0: no vectors).
    """

    assigned: frozenset[str]
    width: int

    @cached_property
    def outputs(self) -> dict[str, TensorSpec]:
        """Every output by name, those answered by default first."""
        names = [*self.default, *(name for name in self._available if name not in self.default)]
        return {name: self._spec(name) for name in names}

    @property
    def default(self) -> tuple[str, ...]:
        """What is answered unless a request names others: what the pipeline was made for.

        Entities and categories; if it finds neither, the first of spans, tags, sentences, the vector, bare tokens.
        """
        if made_for := [name for name in self._available if name in ("entities", "cats")]:
            return tuple(made_for)
        order = ("spans", "tokens" if _TAGS & self.assigned else "", "sents", "vector", "tokens")
        return (next(name for name in order if name in self._available),)

    @property
    def _available(self) -> list[str]:
        found = {
            "entities": "doc.ents" in self.assigned,
            "cats": "doc.cats" in self.assigned,
            "spans": "doc.spans" in self.assigned,
            "tokens": True,
            "sents": "token.is_sent_start" in self.assigned,
            "vector": self.width > 0,
        }
        return [name for name, available in found.items() if available]

    def _spec(self, name: str) -> TensorSpec:
        if name == "vector":
            return TensorSpec(name, "FP32", (-1, self.width))
        return TensorSpec(name, "BYTES", (-1,), json=True)

    def of(self, doc: Any, name: str, offsets: bool) -> JSON | Array:
        """One output of one text. `offsets` adds character offsets, and the ids of rules and of a knowledge base."""
        match name:
            case "entities":
                return [_span(entity, offsets) for entity in doc.ents]
            case "cats":
                return {label: float(score) for label, score in doc.cats.items()}
            case "spans":
                return {key: [_span(span, offsets) for span in group] for key, group in doc.spans.items()}
            case "sents":
                return [{"text": sent.text, **_where(sent, offsets)} for sent in doc.sents]
            case "vector":
                return doc.vector if len(doc) else np.zeros(self.width, np.float32)
        fields = [_TOKEN_FIELDS[attribute] for attribute in _TOKEN_FIELDS if attribute in self.assigned]
        return [_token(token, fields, offsets) for token in doc]


def column(rows: Iterable[JSON | Array], spec: TensorSpec) -> Array:
    """An output's rows as one array: an object array of JSON values, or a float32 matrix of vectors."""
    values = list(rows)
    if spec.datatype == "FP32":
        return np.stack(values).astype(np.float32, copy=False)
    return array_of(values)


def _span(span: Any, offsets: bool) -> JSON:
    links = {"id": span.id_, "kb_id": span.kb_id_} if offsets else {}
    found = {key: value for key, value in links.items() if value}
    return {"text": span.text, "label": span.label_, **_where(span, offsets), **found}


def _where(span: Any, offsets: bool) -> JSON:
    return {"start": span.start_char, "end": span.end_char} if offsets else {}


def _token(token: Any, fields: list[tuple[str, Callable[[Any], JSON]]], offsets: bool) -> JSON:
    where = {"start": token.idx, "end": token.idx + len(token.text)} if offsets else {}
    return {"text": token.text, **{key: value(token) for key, value in fields}, **where}
