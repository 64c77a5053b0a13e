"""KServe's options of how a tokenizer is used: what it adds, whether it lower-cases, and what of it the model gets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.base import LoadError, Parameter, Parameters

OPTIONS = (
    Parameter("disable_lower_case", bool, meaning="the tokenizer leaves capital letters as they are"),
    Parameter("disable_special_tokens", bool, meaning="the tokenizer adds no tokens such as [CLS]"),
    Parameter("return_token_type_ids", bool, meaning="whether the model is given token_type_ids"),
    Parameter("tensor_input_names", str, meaning="what the model is given of the tokenizer's, with commas between"),
)
NAMES = tuple(option.name for option in OPTIONS)


@dataclass(frozen=True)
class Tokenizing:
    """The options of one model; the defaults leave everything as the folder says."""

    lower_case: bool = True
    special_tokens: bool = True
    token_type_ids: bool | None = None
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: Parameters) -> Tokenizing:
        names = [name.strip() for name in str(options.get("tensor_input_names", "")).split(",")]
        return cls(
            lower_case=not options.get("disable_lower_case", False),
            special_tokens=not options.get("disable_special_tokens", False),
            token_type_ids=options.get("return_token_type_ids"),
            names=tuple(name for name in names if name),
        )

    def prepare(self, tokenizer: Any) -> Any:
        """The tokenizer, told to leave capital letters where that is asked for.

        Raises:
            LoadError: it cannot be told.
        """
        if self.lower_case:
            return tokenizer
        if not tokenizer.is_fast:
            tokenizer.do_lower_case = False
            return tokenizer
        from tokenizers import Tokenizer

        raw = json.loads(tokenizer.backend_tokenizer.to_str())
        raw["normalizer"] = _in_capitals(raw.get("normalizer"))
        try:
            tokenizer.backend_tokenizer.normalizer = Tokenizer.from_str(json.dumps(raw)).normalizer
        except Exception as error:  # of the tokenizers library, which has no class of errors
            raise LoadError(f"disable_lower_case: this tokenizer cannot be changed so: {error}") from error
        return tokenizer

    def inputs(self, taken: frozenset[str]) -> frozenset[str]:
        """Of what the model's `forward` takes, what it is given.

        Raises:
            LoadError: a name is none that the model takes.
        """
        for name in self.names:
            if name not in taken:
                raise LoadError(f"tensor_input_names: the model takes no {name!r}")
        if self.names and "input_ids" not in self.names:
            raise LoadError("tensor_input_names must hold input_ids, the tokens themselves")
        if self.token_type_ids and "token_type_ids" not in taken:
            raise LoadError("return_token_type_ids: the model takes no token_type_ids")
        left_out = {"token_type_ids"} if self.token_type_ids is False else set()
        return (frozenset(self.names) or taken) - left_out

    def keywords(self) -> Mapping[str, Any]:
        """For each call of the tokenizer."""
        asked = {"return_token_type_ids": True} if self.token_type_ids else {}
        return asked if self.special_tokens else {**asked, "add_special_tokens": False}


AS_IT_IS = Tokenizing()


def _in_capitals(normalizer: Any) -> Any:
    """The normalizer without what lower-cases."""
    if not isinstance(normalizer, dict):
        return normalizer
    if normalizer.get("type") == "Sequence":
        kept = [_in_capitals(each) for each in normalizer.get("normalizers", [])]
        return {**normalizer, "normalizers": [each for each in kept if each is not None]}
    if normalizer.get("type") == "Lowercase":
        return None
    return {**normalizer, "lowercase": False} if "lowercase" in normalizer else normalizer
