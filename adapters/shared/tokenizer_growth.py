"""How much longer a tokenizer may make a text, and the text of a token: bounded, for memory and time follow it.

Its parts multiply: of one "é" twelve ByteLevel normalizers make 4,096 characters, a template repeats a text or adds
thousands of tokens to it, a decoder writes megabytes for each token. What is far beyond any tokenizer that people use
is refused as the model is loaded; what is within is measured where a text is long.
Source: the tokenizers package, version 0.23.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from adapters.base import LoadError
from adapters.shared.patterns import is_quick

#: times that normalizers may make a text as long; ALBERT's come to 972, which no text reaches
_MOST_NORMALIZED = 2048
_MOST_SPLIT = 16  #: ... pre-tokenizers
_MOST_REPEATED = 4  #: ... templates
_MOST_DECODED = 64  #: ... decoders
_MOST_ADDED = 1024  #: tokens that are added to a text
_LONGEST_TOKEN = 1 << 16  #: characters that a token may be decoded to; the longest that are known have 128
#: characters that one may become in these parts; in others it stays one, or goes
_NORMALIZERS = {"BertNormalizer": 3, "ByteLevel": 4, "Lowercase": 3, "NFC": 3, "NFD": 4, "NFKC": 18, "NFKD": 18}
_PRE_TOKENIZERS = {"ByteLevel": 5, "Metaspace": 2}
_DECODERS = {"BPEDecoder": 2, "CTC": 2, "WordPiece": 2}
_KEYS = {
    "normalizer": "normalizers",
    "pre_tokenizer": "pretokenizers",
    "post_processor": "processors",
    "decoder": "decoders",
}
#: of a regular expression, what may let it find "" between any two characters
_MAY_BE_EMPTY = re.compile(r"[*?|(^$]|\{[0,]|\\[bBAGzZKX]")
_SLICE = 4096  #: characters that are measured at once


@dataclass(frozen=True)
class Growth:
    """What one tokenizer of transformers may make of texts."""

    normalizer: Any = None  #: of the tokenizers package
    times: int = 1  #: that it may make a text as long

    @classmethod
    def of(cls, tokenizer: Any) -> Growth:
        """`tokenizer`: also one of the tokenizers package itself.

        Raises:
            LoadError: it is far more than any tokenizer needs.
        """
        backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
        if not type(backend).__module__.startswith("tokenizers"):
            return cls()  # of transformers' own: code that is known
        try:
            times = check_growth({name: _written(getattr(backend, name)) for name in _KEYS}, _longest(backend))
        except Unbounded as error:
            raise LoadError(
                f"its tokenizer may take all memory or time for a short text: {error}. Give the folder the "
                "tokenizer that the model was trained with"
            ) from error
        return cls(backend.normalizer, times)

    def beginning(self, text: str, most: int) -> tuple[int, int]:
        """Characters of a text's beginning that become `most` at most, or few more; and how many they become."""
        if self.normalizer is None or len(text) * self.times <= most:
            return (size := min(len(text), most)), size
        length = 0
        for start in range(0, len(text), _SLICE):
            if length >= most:
                return start, length
            length += len(self.normalizer.normalize_str(text[start : start + _SLICE]))
        return len(text), length


#: of a tokenizer that makes no text longer
NONE = Growth()


class Unbounded(Exception):
    """The message says which part takes or makes too much, and what is taken."""


def check_growth(tokenizer: Mapping[str, Any], longest: int = 0) -> int:
    """How many times as long normalizers may make a text, of what stands in a tokenizer.json.

    `longest`: characters of the longest token. What no tokenizer can be made of counts for nothing.

    Raises:
        Unbounded
    """
    parts = {name: list(_parts(tokenizer.get(name), key)) for name, key in _KEYS.items()}
    times = prod(map(_normalized, parts["normalizer"]))
    _bounded(times, _MOST_NORMALIZED, "its normalizers make a text up to {} times as long")
    split = prod(_PRE_TOKENIZERS.get(_kind(part), 1) for part in parts["pre_tokenizer"])
    _bounded(split, _MOST_SPLIT, "its pre-tokenizers make a text up to {} times as long")
    repeated, added = 1, 0
    for part in parts["post_processor"]:
        again, more = _template(part)
        repeated, added = repeated * again, added * again + more
    _bounded(repeated, _MOST_REPEATED, "its post-processors repeat a text {} times")
    _bounded(added, _MOST_ADDED, "its post-processors add {} tokens to a text")
    for part in parts["decoder"]:
        _check_pattern(part)  # tokens are decoded where every answer of the model is written
    decoded = prod(_decoded(part) for part in parts["decoder"])
    _bounded(decoded, _MOST_DECODED, "its decoders make the text of a token up to {} times as long")
    _bounded(longest * decoded, _LONGEST_TOKEN, "the text of a token has up to {} characters")
    return times


def _bounded(found: int, most: int, told: str) -> None:
    if found > most:
        raise Unbounded(f"{told.format(found if found < 10**9 else 'billions of')}, and {most} are taken")


def _parts(part: Any, key: str) -> Iterator[dict[str, Any]]:
    """The parts of a sequence in their order, at any depth; nothing for none."""
    waiting = [part]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict) and isinstance(inner := here.get(key), list):
            waiting += reversed(inner)
        elif isinstance(here, dict):
            yield here


def _kind(part: dict[str, Any]) -> str:
    return str(part.get("type"))


def _normalized(part: dict[str, Any]) -> int:
    kind = _kind(part)
    if kind == "Replace":
        return _replaced(part)
    if kind == "Prepend":
        return 1 + len(str(part.get("prepend")))
    if kind == "Precompiled":
        return _longest_replacement(part.get("precompiled_charsmap"))
    return _NORMALIZERS.get(kind, 1)


def _decoded(part: dict[str, Any]) -> int:
    return _replaced(part) if _kind(part) == "Replace" else _DECODERS.get(_kind(part), 1)


def _replaced(part: dict[str, Any]) -> int:
    """A text of what is found becomes so many times as long."""
    content, pattern = len(str(part.get("content"))), part.get("pattern")
    found = pattern if isinstance(pattern, dict) else {}
    if "String" in found:
        least = len(str(found["String"]))
    else:
        least = 0 if _MAY_BE_EMPTY.search(str(found.get("Regex"))) else 1
    return max(1, -(-content // least)) if least else 1 + content


def _check_pattern(part: dict[str, Any]) -> None:
    pattern = part.get("pattern")
    regex = pattern.get("Regex") if isinstance(pattern, dict) else None
    if regex is not None and not is_quick(regex):
        raise Unbounded(f"a decoder searches by the pattern {ascii(regex)[:60]}, which may take long in each token")


def _longest_replacement(encoded: Any) -> int:
    """SentencePiece's table of replacements: a trie of so many bytes, then texts that end with zeros."""
    try:
        content = base64.b64decode(encoded if isinstance(encoded, str) else "")
    except ValueError:
        return 1
    texts = content[4 + int.from_bytes(content[:4], "little") :].split(b"\0")
    return max(1, *(len(text.decode(errors="replace")) for text in texts))


def _template(part: dict[str, Any]) -> tuple[int, int]:
    """How often a template has the text, and how many tokens it adds to it or to two."""
    if _kind(part) != "TemplateProcessing":
        return 1, 4  # RoBERTa's, between two texts
    special = part.get("special_tokens")
    ids = {name: len(each.get("ids", ())) for name, each in (special if isinstance(special, dict) else {}).items()}
    repeated, added = 1, 0
    for name in ("single", "pair"):
        pieces = [piece for piece in part.get(name) or () if isinstance(piece, dict)]
        texts = [str(piece["Sequence"].get("id")) for piece in pieces if "Sequence" in piece]
        repeated = max(repeated, *(texts.count(each) for each in "AB"))
        special_ids = [piece["SpecialToken"].get("id") for piece in pieces if "SpecialToken" in piece]
        added = max(added, sum(ids.get(each, 1) for each in special_ids))
    return repeated, added


def _written(part: Any) -> Any:
    """A part of the tokenizers package as it stands in a tokenizer.json."""
    return None if part is None else json.loads(part.__getstate__())


def _longest(backend: Any) -> int:
    return max(map(len, backend.get_vocab(with_added_tokens=True)), default=0)
