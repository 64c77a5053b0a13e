"""English contractions, in full."""

from __future__ import annotations

_VERBS = {"'m": " am", "'re": " are", "'ve": " have", "'ll": " will", "'d": " would", "'s": " is"}
_PRONOUNS = {
    "i": ("'m", "'ve", "'ll", "'d"),
    "you": ("'re", "'ve", "'ll", "'d"),
    "he": ("'ll", "'d", "'s"),
    "she": ("'ll", "'d", "'s"),
    "it": ("'ll", "'d", "'s"),
    "we": ("'re", "'ve", "'ll", "'d"),
    "they": ("'re", "'ve", "'ll", "'d"),
    "that": ("'d", "'s"),
    "there": ("'d", "'s"),
    "here": ("'s",),
    "what": ("'re", "'ve", "'ll", "'s"),
    "who": ("'ve", "'ll", "'s"),
    "where": ("'ve", "'d", "'s"),
    "when": ("'ve", "'s"),
    "how": ("'ll", "'d", "'s"),
    "why": ("'ve", "'s"),
    "so": ("'ve", "'s"),
    "to": ("'ve",),
}
_NEGATED = ("are", "could", "did", "does", "do", "had", "has", "have", "is", "might", "must", "need", "should", "was",
            "were", "would", "ought", "may")  # fmt: skip

CONTRACTION_MAP = {
    **{word + short: word + _VERBS[short] for word, shorts in _PRONOUNS.items() for short in shorts},
    **{f"{verb}n't": f"{verb} not" for verb in _NEGATED},
    **{f"{verb}n't've": f"{verb} not have" for verb in ("could", "might", "must", "need", "should", "would", "ought")},
    **{f"{verb}'ve": f"{verb} have" for verb in ("could", "might", "must", "should", "would", "will")},
    "can't": "cannot",
    "can't've": "cannot have",
    "won't": "will not",
    "won't've": "will not have",
    "shan't": "shall not",
    "ain't": "is not",
    "let's": "let us",
    "ma'am": "madam",
    "o'clock": "of the clock",
    "y'all": "you all",
    "'cause": "because",
    "how'd'y": "how do you",
}
