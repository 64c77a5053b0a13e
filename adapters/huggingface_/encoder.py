"""A transformers model with its tokenizer: texts to rows of tokens, rows of tokens to the model's outputs.

Rows are never padded. They run one behind the other in one row, where the model takes that (`packed_rows`), else those
with the same number of tokens together; so an answer does not depend on its batch-mates. What remains is the
arithmetic: the BLAS takes another way for few tokens than for many. A row sent alone has the bits of the model called
directly.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from adapters.base import InvalidInput, TooLong
from adapters.shared.texts import AT_ONCE, check_known, portions, without_panics
from adapters.shared.tokenizer_growth import NONE, Growth

if TYPE_CHECKING:
    from adapters.huggingface_.packed_rows import Packing

#: characters for each token that counts, of which a longer text is cut before it is tokenized
_CHARACTERS_A_TOKEN = 16
#: tokens in one call of the model: on a CPU more is no faster, and it costs memory (a masked language model answers
#: every token with its whole vocabulary)
_CALL_TOKENS = {"cpu": 1024}
_CALL_TOKENS_ELSEWHERE = 8192


@dataclass(frozen=True, slots=True)
class Row:
    """One text as tokens. `words`, `spans` and `special` are empty unless they were asked for."""

    features: dict[str, list[int]]  #: the model's inputs: input_ids, attention_mask, ...
    words: list[str] = field(default_factory=list)  #: the tokens as the vocabulary spells them
    spans: list[tuple[int, int]] = field(default_factory=list)  #: where each begins and ends in the text, if known
    special: list[int] = field(default_factory=list)  #: 1 for a token that the tokenizer added
    pair: bool = False  #: it holds two texts

    @property
    def ids(self) -> list[int]:
        return self.features["input_ids"]


@dataclass(frozen=True)
class Encoder:
    """May be used from several threads at once."""

    model: Any
    tokenizer: Any
    output: str  #: which of the model's outputs counts: "logits" or "last_hidden_state"
    inputs: frozenset[str]  #: what the model takes of what the tokenizer gives
    max_length: int  #: tokens of one text, with those that the tokenizer adds
    vocabulary: int  #: tokens that the model knows; 0 where that cannot be told
    solo: bool  #: the model cannot take several rows at once
    turn: AbstractContextManager[Any]  #: held around each call of the model
    keywords: Mapping[str, Any] = field(default_factory=dict)  #: for each call of the tokenizer
    growth: Growth = NONE  #: what the tokenizer may make of a text's characters
    packing: Packing | None = None  #: how the model takes rows of any length in one call; None: it does not
    #: a tokenizer keeps the truncation of the latest call in itself, so calls take turns
    _tokenizing: threading.Lock = field(default_factory=threading.Lock)

    def rows(
        self, texts: list[str], truncation: bool = False, spans: bool = False, pairs: Sequence[str | None] = ()
    ) -> list[Row]:
        """Texts to tokens, at most `max_length` each; with `spans`, every field of a row is filled.

        `pairs` holds the second text of each row, or None where there is none.

        Raises:
            InvalidInput: a text has no tokens, or too many while `truncation` is off.
        """
        wheres = [f"text[{i}]" for i in range(len(texts))]
        paired = [i for i, pair in enumerate(pairs) if pair is not None]
        if not paired:
            return self._tokens(texts, None, wheres, truncation, spans)
        found: dict[int, Row] = {}  # a tokenizer takes texts or pairs, never both in one call
        for some in (paired, [i for i in range(len(texts)) if pairs[i] is None]):
            seconds = [str(pairs[i]) for i in some] if some is paired else None
            rows = self._tokens([texts[i] for i in some], seconds, [wheres[i] for i in some], truncation)
            found |= zip(some, rows, strict=True)
        return [found[i] for i in range(len(texts))]

    def _tokens(
        self, texts: list[str], pairs: list[str] | None, wheres: list[str], truncation: bool, spans: bool = False
    ) -> list[Row]:
        """In portions: of a text too long, all tokens are made before most are thrown away."""
        cut, lengths = _columns(self._cut(text) for text in texts)
        seconds, more = _columns(self._cut(text) for text in pairs or ())
        become = [length + (more[i] if more else 0) for i, length in enumerate(lengths)]
        rows: list[Row] = []
        for some in portions(become):
            with_pairs = [seconds[i] for i in some] if pairs is not None else None
            for i, row in zip(some, self._encoded([cut[i] for i in some], with_pairs, truncation, spans), strict=True):
                whole = len(texts[i]) + len(pairs[i] if pairs else "")
                self._check(row, wheres[i], whole, len(cut[i]) + len(seconds[i] if pairs else ""))
                rows.append(row)
        return rows

    def _cut(self, text: str) -> tuple[str, int]:
        """What of the text can count, and how many characters the tokenizer makes of it."""
        most = max(AT_ONCE, self.max_length * _CHARACTERS_A_TOKEN)
        if getattr(self.tokenizer, "truncation_side", "") == "left":
            size, length = self.growth.beginning(text[::-1], most)
            return text[len(text) - size :], length
        size, length = self.growth.beginning(text, most)
        return text[:size], length

    def _encoded(self, texts: list[str], pairs: list[str] | None, truncation: bool, spans: bool) -> list[Row]:
        with self._tokenizing, without_panics():
            encoded = self.tokenizer(
                texts,
                pairs,
                truncation=truncation,
                max_length=self.max_length if truncation else None,
                return_special_tokens_mask=spans,
                return_offsets_mapping=spans and self.tokenizer.is_fast,
                verbose=False,
                **self.keywords,
            )
            words = [self.tokenizer.convert_ids_to_tokens(ids) for ids in encoded["input_ids"] if spans]
        columns = {name: encoded[name] for name in encoded if name in self.inputs}
        features = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        if spans:
            offsets = encoded.get("offset_mapping", [[]] * len(texts))
            extras = zip(features, words, offsets, encoded["special_tokens_mask"], strict=True)
            return [Row(*extra) for extra in extras]
        return [Row(values, pair=pairs is not None) for values in features]

    def outputs(self, rows: Sequence[Row]) -> Iterator[tuple[int, Any]]:
        """(index of a row, the model's output for it), rows of one length behind each other.

        The output is a float32 tensor on the CPU: [1, classes], [1, tokens, classes] or [1, tokens, hidden].
        """
        if self.packing is not None:
            for group in self._packs(rows):
                yield from zip(group, self.packing.run([rows[i].features for i in group]), strict=True)
            return
        for group in self._groups(rows):
            batch = {name: [rows[i].features[name] for i in group] for name in rows[group[0]].features}
            yield from zip(group, self._run(batch).split(1), strict=True)

    def decode(self, ids: list[int]) -> str:
        """Tokens to text."""
        with self._tokenizing, without_panics():
            return str(self.tokenizer.decode(ids))

    def _run(self, batch: dict[str, list[list[int]]]) -> Any:
        import torch

        with torch.inference_mode(), self.turn:
            tensors = {name: torch.tensor(values, device=self.model.device) for name, values in batch.items()}
            return self.model(**tensors, return_dict=True)[self.output].float().cpu()

    @property
    def _call_tokens(self) -> int:
        return _CALL_TOKENS.get(self.model.device.type, _CALL_TOKENS_ELSEWHERE)

    def _packs(self, rows: Sequence[Row]) -> Iterator[list[int]]:
        """By length, as many as a call may hold."""
        lengths = [len(row.ids) for row in rows]
        ordered = sorted(range(len(rows)), key=lengths.__getitem__)
        for some in portions([lengths[i] for i in ordered], self._call_tokens):
            yield [ordered[place] for place in some]

    def _groups(self, rows: Sequence[Row]) -> Iterator[list[int]]:
        by_length: dict[int, list[int]] = {}
        for i, row in enumerate(rows):
            by_length.setdefault(len(row.ids), []).append(i)
        for length, group in by_length.items():
            size = 1 if self.solo else max(1, self._call_tokens // length)
            yield from (group[start : start + size] for start in range(0, len(group), size))

    def _check(self, row: Row, where: str, characters: int, counted: int) -> None:
        tokens = len(row.ids)
        if counted < characters and tokens < self.max_length:
            raise InvalidInput(
                f"{where} has {characters} characters, and {counted} of them are only {tokens} tokens: shorten it"
            )
        if not tokens:
            raise InvalidInput(f"{where} has no tokens: send a text that is not empty")
        if tokens > self.max_length:
            raise TooLong(
                f"{where} has {tokens} tokens and the model takes {self.max_length}: "
                "shorten it, or send the parameter truncation: true to have it cut"
            )
        if self.vocabulary:
            check_known(row.ids, self.vocabulary)


def _columns(cut: Iterable[tuple[str, int]]) -> tuple[list[str], list[int]]:
    pairs = list(cut)
    return [text for text, _ in pairs], [length for _, length in pairs]
