"""What a sentence-transformers model is asked, by its kind: dense or sparse embeddings of texts, scores of pairs.

Rows run through the library's own modules, but never padded: one behind the other in one row, where the model takes
that (`packed`), else those with as many tokens together. So an answer does not depend on its batch-mates, and a row has
the bits that `encode` (or `predict`) gives for it alone. `encode` pads the rows of a batch to the longest, which rounds
differently: in the seventh digit, as was measured.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from adapters.base import TOKEN_COUNTS, Array, InvalidInput, Parameter, Parameters, Tensors, TensorSpec, TooLong
from adapters.sentence_transformers_.packed import PackedModules
from adapters.shared.arrays import array_of
from adapters.shared.texts import AT_ONCE, portions, without_panics
from adapters.shared.tokenizer_growth import NONE, Growth

__all__ = ["KINDS", "OUTPUT", "Kind"]

OUTPUT = "output-0"
#: tokens in one call of the model, as in the Hugging Face adapter: on a CPU more is no faster and costs memory
_CALL_TOKENS = 1024

#: more tokens than any text has
_UNLIMITED = 1 << 30

_COMMON = (
    Parameter("truncation", bool, meaning="cut texts that are too long; refused unless set"),
    Parameter("prompt_name", str, meaning="the prompt, of those that come with the model, to write before each text"),
    Parameter("prompt", str, meaning="a text to write before each text, instead of a prompt by name"),
)


@dataclass(frozen=True)
class Kind(ABC):
    """One kind of model. Safe in several threads: a tokenizer keeps state in itself, so tokenizing takes turns."""

    model: Any
    packed: PackedModules | None = None  #: the model's modules over packed rows; None: it has to be asked otherwise
    growth: Growth = NONE  #: what the tokenizer may make of a text's characters
    _tokenizing: threading.Lock = field(default_factory=threading.Lock)

    name: ClassVar[str]  #: the library's class
    inputs: ClassVar[tuple[str, ...]] = ("text",)
    parameters: ClassVar[tuple[Parameter, ...]] = _COMMON

    @abstractmethod
    def finish(self, features: dict[str, Any], parameters: Parameters) -> Any:
        """The answers, a tensor or a list with one entry a row, from what the model's modules made."""

    @abstractmethod
    def spec(self, answer: Array) -> TensorSpec:
        """The output's spec, where `answer` is what two rows gave."""

    def meaning(self, spec: TensorSpec) -> str:
        """`Signature.task` of answers with that spec."""
        return ""

    def column(self, answers: list[Any]) -> Array:
        return np.stack(answers)

    def outputs(self, tensors: Tensors, parameters: Parameters) -> Tensors:
        """One answer a row, and where it is asked for, how many tokens the row has.

        Raises:
            InvalidInput: a parameter that the model does not have, or a text that is too long.
        """
        columns = [tensors[name].tolist() for name in self.inputs]
        rows = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
        prompt = self._prompt(parameters)
        lengths = [self._length(texts, index) for index, texts in enumerate(zip(*columns, strict=True))]
        answers: list[Any] = []
        counts: list[Array] = []
        for some in portions(lengths):
            few, features = self._answers([rows[index] for index in some], prompt, parameters)
            answers += few
            counts += [_token_counts(features)] if parameters.get(TOKEN_COUNTS.name) else []
        return {OUTPUT: self.column(answers), **({TOKEN_COUNTS.name: np.concatenate(counts)} if counts else {})}

    def _length(self, texts: Sequence[str], index: int) -> int:
        """Characters that the tokenizer makes of a row.

        Raises:
            InvalidInput: too many.
        """
        read = [self.growth.beginning(text, AT_ONCE) for text in texts]
        given, taken = sum(map(len, texts)), sum(size for size, _ in read)
        if taken < given or (length := sum(size for _, size in read)) > AT_ONCE:
            raise InvalidInput(f"text[{index}] has {given} characters, {min(taken, AT_ONCE)} are taken: shorten it")
        return length

    def _answers(self, rows: list[Any], prompt: str | None, parameters: Parameters) -> tuple[list[Any], dict[str, Any]]:
        """One answer a row, and what they were made of."""
        import torch

        answers: list[Any] = [None] * len(rows)
        with torch.inference_mode():
            with self._tokenizing, without_panics():
                cut = parameters.get("truncation", False)
                features = (self._cut if cut else self._whole)(rows, prompt)
            made = self.packed(features) if self.packed is not None else self._made(features, len(rows))
            for indices, group in made:
                for index, answer in zip(indices, self.finish(group, parameters), strict=True):
                    answers[index] = answer
        return answers, features

    def _made(self, features: dict[str, Any], rows: int) -> Iterator[tuple[list[int], dict[str, Any]]]:
        """What the model's modules make of rows with as many tokens each."""
        for indices, group in _unpadded(features, rows):
            yield indices, self.model({name: _moved(value, self.model.device) for name, value in group.items()})

    def _cut(self, rows: list[Any], prompt: str | None) -> dict[str, Any]:
        features: dict[str, Any] = self.model.preprocess(rows, prompt=prompt)
        return features

    def _whole(self, rows: list[Any], prompt: str | None) -> dict[str, Any]:
        """
        Raises:
            TooLong: a row has more tokens than the model takes.
        """
        limit = getattr(self.model, "max_seq_length", None)
        if limit is None or limit >= _UNLIMITED:
            return self._cut(rows, prompt)
        self.model.max_seq_length = _UNLIMITED
        try:
            features = self._cut(rows, prompt)
        finally:
            self.model.max_seq_length = limit
        for number, count in enumerate(_token_counts(features).tolist()):
            if count > limit:
                raise TooLong(
                    f"{self.inputs[0]}[{number}] has {count} tokens and the model takes {limit}: shorten it, or set "
                    "truncation to true to have it cut"
                )
        return features

    def examples(self) -> Iterator[Tensors]:
        """Two rows each, the longest first: a model may take texts of few tokens."""
        for texts in (("This is an example.", "And this is another one, which is longer."), ("one", "two"), ("a", "b")):
            yield {name: np.array(texts, dtype=np.object_) for name in self.inputs}

    def _prompt(self, parameters: Parameters) -> str | None:
        prompts: Mapping[str, str] = self.model.prompts
        prompt, name = parameters.get("prompt"), parameters.get("prompt_name", self.model.default_prompt_name)
        if prompt is not None or name is None:
            return prompt
        if name not in prompts:
            raise InvalidInput(f"prompt_name: the model has no prompt {name!r}; it has {', '.join(prompts) or 'none'}")
        return prompts[name]


class Dense(Kind):
    """One vector a text."""

    name = "SentenceTransformer"
    parameters = (
        *_COMMON,
        Parameter("normalize", bool, meaning="vectors of length 1, whatever the model's modules make"),
        Parameter("truncate_dim", int, meaning="the first so many numbers of each vector (Matryoshka models)"),
    )

    def finish(self, features: dict[str, Any], parameters: Parameters) -> Any:
        from torch.nn import functional

        vectors = features["sentence_embedding"]
        if (size := parameters.get("truncate_dim", self.model.truncate_dim)) is not None:
            if not 0 < size <= vectors.shape[-1]:
                raise InvalidInput(f"truncate_dim is {size}: the model's vectors have {vectors.shape[-1]} numbers")
            vectors = vectors[..., :size]
        vectors = functional.normalize(vectors, p=2, dim=1) if parameters.get("normalize") else vectors
        return vectors.float().cpu().numpy()

    def spec(self, answer: Array) -> TensorSpec:
        return TensorSpec(OUTPUT, "FP32", (-1, answer.shape[1]))

    def meaning(self, spec: TensorSpec) -> str:
        return "embedding"


class Sparse(Kind):
    """The dimensions (of the vocabulary) that a text has, and their weights."""

    name = "SparseEncoder"

    def finish(self, features: dict[str, Any], parameters: Parameters) -> Any:
        vectors = features["sentence_embedding"]
        if self.model.max_active_dims is not None:
            from sentence_transformers.util import select_max_active_dims

            vectors = select_max_active_dims(vectors, max_active_dims=self.model.max_active_dims)
        vectors = vectors.to_dense() if vectors.is_sparse else vectors
        return [_sparse(row) for row in vectors.float().cpu().numpy()]

    def spec(self, answer: Array) -> TensorSpec:
        return TensorSpec(OUTPUT, "BYTES", (-1,), json=True)

    def column(self, answers: list[Any]) -> Array:
        return array_of(answers)


class Cross(Kind):
    """A score for two texts together, or one for each class."""

    name = "CrossEncoder"
    inputs = ("text", "text_pair")
    parameters = (*_COMMON, Parameter("raw_scores", bool, meaning="scores before the model's activation function"))

    def finish(self, features: dict[str, Any], parameters: Parameters) -> Any:
        scores = features["scores"].float()
        scores = scores if parameters.get("raw_scores") else self.model.activation_fn(scores)
        scores = scores.squeeze(-1) if self.model.num_labels == 1 and scores.ndim > 1 else scores
        return scores.cpu().numpy()

    def spec(self, answer: Array) -> TensorSpec:
        return TensorSpec(OUTPUT, "FP32", (-1, *answer.shape[1:]))

    def meaning(self, spec: TensorSpec) -> str:
        return "score" if spec.shape == (-1,) else ""


KINDS: dict[str, type[Kind]] = {kind.name: kind for kind in (Dense, Sparse, Cross)}


def _sparse(row: Array) -> dict[str, list[Any]]:
    (indices,) = row.nonzero()
    return {"indices": indices.tolist(), "values": row[indices].tolist()}


def _token_counts(features: Mapping[str, Any]) -> Array:
    """How many tokens each row has: by the mask, or, of rows that were put into one, by where each begins."""
    if (mask := features.get("attention_mask")) is not None:
        counts: Array = mask.sum(1).cpu().numpy()
        return counts
    return np.diff(features["offsets"].numpy(), append=len(features["input_ids"]))


def _moved(value: Any, device: Any) -> Any:
    return value.to(device) if hasattr(value, "to") else value


def _unpadded(features: dict[str, Any], rows: int) -> Iterator[tuple[list[int], dict[str, Any]]]:
    """(indices, features) of rows with the same number of tokens each, without padding; of all where none is padded."""
    mask = features.get("attention_mask")
    if mask is None or mask.ndim != 2 or len(mask) != rows:
        yield list(range(rows)), features
        return
    by_length: dict[int, list[int]] = {}
    for index, length in enumerate(mask.sum(1).tolist()):
        by_length.setdefault(length, []).append(index)
    for length, indices in by_length.items():
        size = max(1, _CALL_TOKENS // max(1, length))
        for start in range(0, len(indices), size):
            group = indices[start : start + size]
            yield group, _picked(features, mask[group].bool(), group, mask.shape)


def _picked(features: dict[str, Any], mask: Any, group: list[int], shape: tuple[int, ...]) -> dict[str, Any]:
    """Some rows' features: what has a value a token loses the padding."""
    unpad: Callable[[Any], Any] = lambda value: value[group][mask].reshape(len(group), -1)  # noqa: E731
    return {name: unpad(value) if getattr(value, "shape", None) == shape else value for name, value in features.items()}
