"""What a `tokenizer.json` may make of a text: how long it may take, and how much longer the text may become.

Its parts are held against what is known to take time and memory in proportion to the text. With anything else a worker
serves the model: a regular expression of the file's own may search for ever, a replacement may be as long as the file.
Source: the tokenizers package, version 0.23.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

from adapters.formats import json_text
from adapters.modeldir import ModelDir
from adapters.shared.patterns import is_quick
from adapters.shared.tokenizer_growth import Unbounded, check_growth

TOKENIZER = "tokenizer.json"
_MOST_BYTES = 128 << 20  #: the largest that are known have 34 MB
_MOST_GROWTH = 64  #: times
#: what stands between zeros: of each, one beginning is tried, however many there are
_LONG_TEXT = re.compile(rb"(?<![^\0])[^\0]{%d}" % (_MOST_GROWTH + 1))
_LONGEST_PIECE = 256  #: characters of a piece of a Unigram vocabulary; each is tried at each place of a text
_LONGEST_WORD = 1000  #: characters; WordPiece looks for all beginnings of a word
_MOST_PADDING = 1 << 17  #: tokens
_LONGEST_PROCESSOR = 1 << 16  #: elements, which are added to each text

_NORMALIZERS = {
    "BertNormalizer",
    "ByteLevel",
    "Lowercase",
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Nmt",
    "Strip",
    "StripAccents",
}
_PRE_TOKENIZERS = {
    "BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Digits", "FixedLength", "Metaspace", "Punctuation",
    "UnicodeScripts", "Whitespace", "WhitespaceSplit",
}  # fmt: skip
_PROCESSORS = {"BertProcessing", "ByteLevel", "RobertaProcessing", "TemplateProcessing"}
_DECODERS = {"BPEDecoder", "ByteFallback", "ByteLevel", "CTC", "Fuse", "Metaspace", "Strip", "WordPiece"}


class _Unknown(Exception):
    """Something of which nothing is promised; the message names it."""


def tokenizer_carries(model_dir: ModelDir, *, pickled: bool = False) -> str:
    """Why a worker has to serve the model, for `Match.carries`; "" where its tokenizer is harmless, or is none.

    `pickled`: its weights are, which is then said, too.
    """
    if not model_dir.has(TOKENIZER):
        return ""
    beginning = f"holds pickled weights, and a {TOKENIZER}" if pickled else f"has a {TOKENIZER}"
    try:
        content = model_dir.head(TOKENIZER, _MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            return f"{beginning} of more than {_MOST_BYTES >> 20} MiB"
        _check(json_text.loads(content, object_pairs_hook=_object))
    except json_text.TooMuchJson as error:
        return f"{beginning} that may take long or much memory to read ({error})"
    except _Unknown as unknown:
        return f"{beginning} that may take long or much memory for a text ({unknown})"
    except (ValueError, RecursionError, OSError):
        return ""  # `load` says that it is damaged; a child tries that first
    return ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Unknown("it names a key twice")
    return found


def _check(tokenizer: Any) -> None:
    if not isinstance(tokenizer, dict) or not isinstance(tokenizer.get("model"), dict):
        return  # it cannot be loaded
    growth = 1
    for part in _parts(tokenizer.get("normalizer"), "normalizers"):
        growth *= _growth(part)
    if growth > _MOST_GROWTH:
        raise _Unknown(f"its normalizers may make a text {growth} times as long")
    for part in _parts(tokenizer.get("pre_tokenizer"), "pretokenizers"):
        if _kind(part) == "Split":
            _pattern(part)
        elif _kind(part) not in _PRE_TOKENIZERS:
            raise _Unknown(f"pre_tokenizer {_shown(_kind(part))}")
    for part in _parts(tokenizer.get("post_processor"), "processors"):
        if _kind(part) not in _PROCESSORS or sum(1 for _ in _values(part)) > _LONGEST_PROCESSOR:
            raise _Unknown(f"post_processor {_shown(_kind(part))}")
    for part in _parts(tokenizer.get("decoder"), "decoders"):
        if _kind(part) == "Replace":
            _growth(part)
        elif _kind(part) not in _DECODERS:
            raise _Unknown(f"decoder {_shown(_kind(part))}")
    _check_model(tokenizer["model"])
    _check_padding(tokenizer.get("padding"))
    try:
        check_growth(tokenizer)
    except Unbounded as error:
        raise _Unknown(str(error)) from error
    except (TypeError, AttributeError) as error:
        raise _Unknown("a part of it has a strange form") from error


def _parts(part: Any, key: str) -> Iterator[dict[str, Any]]:
    """The parts of a sequence, at any depth; nothing for none."""
    waiting = [] if part is None else [part]
    while waiting:
        here = waiting.pop()
        if not isinstance(here, dict):
            raise _Unknown("a part is no object")
        if _kind(here) != "Sequence":
            yield here
        elif isinstance(inner := here.get(key), list):
            waiting += inner
        else:
            raise _Unknown(f"a Sequence without {key}")


def _kind(part: dict[str, Any]) -> str:
    kind = part.get("type")
    return kind if isinstance(kind, str) else ""


def _growth(part: dict[str, Any]) -> int:
    """How much longer a normalizer may make a text, in times."""
    kind = _kind(part)
    if kind == "Replace":
        found, content = _pattern(part), part.get("content")
        return max(1, -(-len(_text(content)) // max(1, found)))
    if kind == "Prepend":
        if len(_text(part.get("prepend"))) > _MOST_GROWTH:
            raise _Unknown("normalizer Prepend")
        return 1
    if kind == "Precompiled":
        return _growth_of_map(part.get("precompiled_charsmap"))
    if kind not in _NORMALIZERS:
        raise _Unknown(f"normalizer {_shown(kind)}")
    return 1  # of a text as a whole: of some characters they make up to 18


def _pattern(part: dict[str, Any]) -> int:
    """How many characters at least a pattern finds.

    Raises:
        _Unknown: it may take long to.
    """
    pattern = part.get("pattern")
    if not isinstance(pattern, dict) or len(pattern) != 1:
        raise _Unknown(f"{_kind(part)} without a pattern")
    if "String" in pattern:
        return len(_text(pattern["String"]))
    if not is_quick(pattern.get("Regex")):
        raise _Unknown(f"{_kind(part)} by the pattern {_shown(pattern.get('Regex'))}")
    return 0


def _growth_of_map(encoded: Any) -> int:
    """SentencePiece's table of replacements: a trie of so many bytes, then texts that end with zeros."""
    try:
        content = base64.b64decode(_text(encoded), validate=True)
    except ValueError as error:
        raise _Unknown("normalizer Precompiled") from error
    size = int.from_bytes(content[:4], "little")
    if _LONG_TEXT.search(content, 4 + size):
        raise _Unknown(f"normalizer Precompiled with a replacement of more than {_MOST_GROWTH} bytes")
    return 1


def _check_model(model: dict[str, Any]) -> None:
    kind, vocabulary = _kind(model), model.get("vocab")
    if not kind:  # of older files
        kind = "BPE" if "merges" in model else "Unigram" if isinstance(vocabulary, list) else "WordPiece"
    if kind == "Unigram":
        pieces = vocabulary if isinstance(vocabulary, list) else []
        if not all(isinstance(each, list) and each and len(_text(each[0])) <= _LONGEST_PIECE for each in pieces):
            raise _Unknown("its vocabulary has very long pieces")
    elif kind == "WordPiece":
        longest = model.get("max_input_chars_per_word", 100)
        if type(longest) is not int or longest > _LONGEST_WORD:
            raise _Unknown(f"words of {_shown(longest)} characters")
    elif kind not in ("BPE", "WordLevel"):
        raise _Unknown(f"model {_shown(kind)}")


def _check_padding(padding: Any) -> None:
    for value in _values(padding):
        if isinstance(value, int) and value > _MOST_PADDING:
            raise _Unknown(f"texts padded to {value} tokens")


def _values(part: Any) -> Iterator[Any]:
    waiting = [part]
    while waiting:
        here = waiting.pop()
        yield here
        waiting += here.values() if isinstance(here, dict) else here if isinstance(here, list) else ()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Unknown("a text is none")
    return value


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
