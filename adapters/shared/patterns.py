"""Which regular expressions cannot take long: of a file's patterns, those that are known, and those of a simple form.

A pattern and a text that fit each other badly take a backtracking matcher quadratic or exponential time: for `a+b` in
20,000 letters a tokenizers takes 1.7 s, for `(a+)+$` in 40 Python takes for ever, and lets nobody else run meanwhile.
What this module does not know may still be harmless; whoever asks has such a model served by a worker.
"""

from __future__ import annotations

import re

_MOST = 2000  #: characters of a pattern of a simple form
_BOUND = 64  #: repetitions in all that go before the part that may be repeated without end

#: of tokenizers that many models share, and of scikit-learn; each was tried on long texts of what it looks for
KNOWN = frozenset(
    {
        # GPT-2, RoBERTa
        r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        # GPT-4, Llama 3, Qwen 2
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+",
        # CLIP
        r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
        r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
        # BLOOM
        r" ?[^(\s|[.,!?…。，、।۔،])]+",
        # scikit-learn's vectorizers
        r"(?u)\b\w\w+\b",
        r"(?u)\b\w+\b",
    }
)

_ESCAPED = r"\\(?:[pP]\{\^?\w+\}|[wWsSdDnrtfv]|[^A-Za-z0-9])"  #: a class, or a character that is one by itself
_CLASS = rf"\[\^?(?:{_ESCAPED}|[^][\\&~|-]|(?<=\w)-(?=\w)|-(?=\]))+\]"
_OFTEN = r"(?P<often>[*+?]|\{(?P<least>\d{1,4})(?P<open>,(?P<most>\d{1,4})?)?\})?"
_ATOM = re.compile(rf"(?:{_ESCAPED}|{_CLASS}|[^][\\(){{}}|^$.*+?]|\.){_OFTEN}")


def is_quick(pattern: object) -> bool:
    """Whether the pattern takes time in proportion to the text, whatever that is.

    That is so where a pattern is known, or where each of its alternatives is a sequence of characters and classes of
    which only the last is repeated without end: then nothing that was found is ever tried in another way.
    """
    if type(pattern) is not str:
        return False
    return pattern in KNOWN or (len(pattern) <= _MOST and all(map(_is_simple, _alternatives(pattern))))


def _alternatives(pattern: str) -> list[str]:
    """What stands between the bars that are neither escaped nor in a class (`_ATOM` knows no bars in a class)."""
    return re.split(r"(?<!\\)\|", pattern.removeprefix("(?u)"))


def _is_simple(alternative: str) -> bool:
    at = steps = 0
    while at < len(alternative):
        atom = _ATOM.match(alternative, at)
        if atom is None or (steps := steps + _repeated(atom)) > _BOUND:
            return False
        at = atom.end()
        if _is_endless(atom):
            return at == len(alternative)
    return bool(alternative)


def _repeated(atom: re.Match[str]) -> int:
    """How often at most, where there is an end."""
    return int(atom["most"] or atom["least"] or 1)


def _is_endless(atom: re.Match[str]) -> bool:
    return atom["often"] in ("*", "+") or (atom["open"] is not None and atom["most"] is None)
