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
Extensions: TypeAlias = dict[tuple[int | None, int | None], dict[str, JSON]]

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
_DEEPEST = 32  #: nested values in an extension attribute
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

        Entities and categories; if it finds neither, the first of spans, the text's extension attributes, tags,
        sentences, the vector, bare tokens.
        """
        if made_for := [name for name in self._available if name in ("entities", "cats")]:
            return tuple(made_for)
        order = ("spans", "extensions", "tokens" if _TAGS & self.assigned else "", "sents", "vector", "tokens")
        return (next(name for name in order if name in self._available),)

    @property
    def _available(self) -> list[str]:
        found = {
            "entities": "doc.ents" in self.assigned,
            "cats": "doc.cats" in self.assigned,
            "spans": "doc.spans" in self.assigned,
            "extensions": "doc._" in self.assigned,
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
        """One output of one text. `offsets` adds character offsets, and the ids of rules and of a knowledge base.

        What components set as extension attributes (`span._.negex`) is in each object's "_", as in `Doc.to_json`.
        """
        own = _extensions(doc)
        match name:
            case "entities":
                return [_span(entity, offsets, own) for entity in doc.ents]
            case "extensions":
                return own.get((None, None), {})
            case "cats":
                return {label: float(score) for label, score in doc.cats.items()}
            case "spans":
                return {key: [_span(span, offsets, own) for span in group] for key, group in doc.spans.items()}
            case "sents":
                return [{"text": sent.text, **_where(sent, offsets)} for sent in doc.sents]
            case "vector":
                return doc.vector if len(doc) else np.zeros(self.width, np.float32)
        fields = [_TOKEN_FIELDS[attribute] for attribute in _TOKEN_FIELDS if attribute in self.assigned]
        return [_token(token, fields, offsets, own) for token in doc]


def column(rows: Iterable[JSON | Array], spec: TensorSpec) -> Array:
    """An output's rows as one array: an object array of JSON values, or a float32 matrix of vectors."""
    values = list(rows)
    if spec.datatype == "FP32":
        return np.stack(values).astype(np.float32, copy=False)
    return array_of(values)


def _span(span: Any, offsets: bool, own: Extensions) -> JSON:
    links = {"id": span.id_, "kb_id": span.kb_id_} if offsets else {}
    found = {key: value for key, value in links.items() if value}
    extra = _underscore(own, (span.start_char, span.end_char))
    return {"text": span.text, "label": span.label_, **_where(span, offsets), **found, **extra}


def _where(span: Any, offsets: bool) -> JSON:
    return {"start": span.start_char, "end": span.end_char} if offsets else {}


def _token(token: Any, fields: list[tuple[str, Callable[[Any], JSON]]], offsets: bool, own: Extensions) -> JSON:
    where = {"start": token.idx, "end": token.idx + len(token.text)} if offsets else {}
    values = {key: value(token) for key, value in fields}
    return {"text": token.text, **values, **where, **_underscore(own, (token.idx, None))}


def _underscore(own: Extensions, where: tuple[int | None, int | None]) -> JSON:
    return {"_": own[where]} if where in own else {}


def _extensions(doc: Any) -> Extensions:
    """The extension attributes that components have set, by where spaCy keeps them: with the text, by characters.

    A span has start and end, a token its start, the text neither. What is no JSON value is left out.
    """
    held: Extensions = {}
    for key, value in doc.user_data.items():
        if isinstance(key, tuple) and len(key) >= 4 and key[0] == "._.":
            plain = value.tolist() if callable(getattr(value, "tolist", None)) else value
            if _is_json(plain):
                held.setdefault((key[2], key[3]), {})[str(key[1])] = plain
    return held


def _is_json(value: Any, depth: int = 0) -> bool:
    if depth > _DEEPEST:
        return False
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(item, depth + 1) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(_is_json(item, depth + 1) for item in value)
    return value is None or isinstance(value, str | bool | int | float)
