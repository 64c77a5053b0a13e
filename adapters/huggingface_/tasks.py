"""What a transformers model is asked: one class a task, from the model's output for one text to the answer.

The shapes are those of KServe's Hugging Face server. Beyond them, `labels` and `top_k` answer as transformers'
pipelines do. An answer holds its own text's tokens only, never padding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from adapters.base import InvalidInput, LoadError, Parameter, TensorSpec
from adapters.huggingface_.encoder import Encoder, Row
from adapters.huggingface_.sentence import Sentence
from adapters.shared.arrays import array_of

OUTPUT = "output-0"
_MOST_LABELS = 1000
PAIR = "text_pair"  #: the input with the second text of each row, for tasks that take pairs

TRUNCATION = Parameter("truncation", bool, meaning="cut texts that are too long, instead of refusing them")
_PROBABILITIES = Parameter("return_probabilities", bool, meaning="the probability of every class, to 4 decimals")
_LOGITS = Parameter("return_raw_logits", bool, meaning="the raw logit of every class")
_LABELS = Parameter("labels", bool, meaning="the classes' names with their scores, as transformers' pipelines give")
OFFSETS = Parameter("return_offsets_mapping", bool, meaning="a second output: where each token is in the text")
OFFSET_MAPPING = "offset_mapping"  #: the name of that output, as in KServe
_TOP_K = Parameter("top_k", int, meaning="the best so many answers with their scores, best first")

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Task(ABC):
    """One kind of question. The parameters apply first to last: the first that is set decides on the answer."""

    encoder: Encoder
    sentence: Sentence

    name: ClassVar[str]
    auto_class: ClassVar[str]  #: transformers' class that puts the task's head on the model
    output: ClassVar[str] = "logits"  #: the output of that class that counts
    unused: ClassVar[str] = ""  #: weights that this output does not depend on begin with this
    pairs: ClassVar[bool] = False  #: a row may be two texts
    spans: ClassVar[bool] = False  #: answers may tell where in the text they are
    ragged: ClassVar[bool] = False  #: answers that are arrays have as many values as their text has tokens
    parameters: ClassVar[tuple[Parameter, ...]] = ()
    #: what may be asked for beside these: outputs that come on top
    beside: ClassVar[tuple[Parameter, ...]] = ()

    def __post_init__(self) -> None:
        """Raise LoadError where the model cannot do this; here, so that the constructor calls what a task overrides."""

    @abstractmethod
    def spec(self, settings: Settings) -> TensorSpec:
        """The output's spec when nothing but `settings` is asked for."""

    @abstractmethod
    def answer(self, row: Row, output: Any, settings: Settings) -> Any:
        """The answer on one row, from the model's output [1, ...] for it."""

    def meaning(self, spec: TensorSpec) -> str:
        """`Signature.task` of answers with that spec."""
        return ""

    @property
    def labels(self) -> tuple[str, ...]:
        """`Signature.labels`."""
        return ()

    def prepare(self, text: str, settings: Settings) -> str:
        """The text as the tokenizer gets it."""
        return text

    def check(self, row: Row, where: str) -> None:
        """Raise InvalidInput where a row cannot be answered."""

    def example(self) -> list[str]:
        return ["This is an example.", "And this is another one."]

    def short_example(self) -> list[str]:
        """One for models that take hardly a word."""
        return ["a", "b"]


class SequenceClassification(Task):
    """The class of a text, or of two texts together (does one follow from the other?).

    A model with a single output has no classes to choose from. It gives that score itself for a text; for a pair the
    score between 0 and 1 that rerankers give, in sentence-transformers and in transformers' pipeline alike. One that
    was trained for regression (its `problem_type`) gives its numbers, of which the largest means nothing.
    """

    name = "sequence_classification"
    auto_class = "AutoModelForSequenceClassification"
    pairs = True
    parameters = (_TOP_K, _LABELS, _LOGITS, _PROBABILITIES)

    def spec(self, settings: Settings) -> TensorSpec:
        if any(settings.get(parameter.name) for parameter in self.parameters):
            return TensorSpec(OUTPUT, "BYTES", (-1,), json=True)
        config = self.encoder.model.config
        if config.num_labels > 1 and config.problem_type == "regression":
            return TensorSpec(OUTPUT, "FP32", (-1, config.num_labels))
        return TensorSpec(OUTPUT, "INT64" if config.num_labels > 1 else "FP32", (-1,))

    def meaning(self, spec: TensorSpec) -> str:
        return "score" if spec.datatype == "FP32" and len(spec.shape) == 1 else ""

    @property
    def labels(self) -> tuple[str, ...]:
        return _labels(self.encoder)

    def answer(self, row: Row, output: Any, settings: Settings) -> Any:
        if (count := _count(settings)) is not None:
            return self._best(output, count)
        if settings.get("labels"):
            return self._best(output, 1)[0]
        if settings.get("return_raw_logits"):
            return _by_index(output[0].tolist())
        if settings.get("return_probabilities"):
            return _by_index(_rounded(self._scores(output)))
        if output.shape[-1] > 1:
            regression = self.encoder.model.config.problem_type == "regression"
            return output[0].float().numpy() if regression else int(output.argmax())
        return np.float32(self._scores(output)[0] if row.pair else output[0, 0])

    def _scores(self, output: Any) -> list[float]:
        """As transformers' pipelines: labels that do not exclude each other have a probability each."""
        kind = self.encoder.model.config.problem_type
        if kind == "regression":
            scores = output[0]
        elif kind == "multi_label_classification" or output.shape[-1] == 1:
            scores = output.sigmoid()[0]
        else:
            scores = output.softmax(-1)[0]
        return list(scores.tolist())

    def _best(self, output: Any, count: int) -> list[dict[str, Any]]:
        names = self.encoder.model.config.id2label
        scored = [{"label": names[i], "score": score} for i, score in enumerate(self._scores(output))]
        return sorted(scored, key=lambda entry: -entry["score"])[:count]


def _labels(encoder: Encoder) -> tuple[str, ...]:
    """What the classes are called, where there are several, in the order of the logits."""
    config = encoder.model.config
    count = config.num_labels
    if not 1 < count <= _MOST_LABELS:
        return ()
    return tuple(str(config.id2label.get(index, index)) for index in range(count))


class TokenClassification(Task):
    """The class of every token, those that the tokenizer adds ([CLS], [SEP]) among them: [[0, 3, 0, ...]].

    As in KServe, V2 carries them as INT64 [rows, 1, tokens]. KServe pads shorter rows with classes of the padding; here
    rows of different lengths are a JSON text each.
    """

    name = "token_classification"
    auto_class = "AutoModelForTokenClassification"
    spans = True
    ragged = True
    parameters = (_LABELS, _LOGITS, _PROBABILITIES)
    beside = (OFFSETS,)

    def spec(self, settings: Settings) -> TensorSpec:
        if any(settings.get(parameter.name) for parameter in self.parameters):
            return TensorSpec(OUTPUT, "BYTES", (-1,), json=True)
        return TensorSpec(OUTPUT, "INT64", (-1, 1, -1))

    @property
    def labels(self) -> tuple[str, ...]:
        return _labels(self.encoder)

    def answer(self, row: Row, output: Any, settings: Settings) -> Any:
        if settings.get("labels"):
            return self._entities(row, output)
        if settings.get("return_raw_logits"):
            return [_by_index(logits) for logits in output[0].tolist()]
        if settings.get("return_probabilities"):
            return [_by_index(_rounded(scores)) for scores in output.softmax(-1)[0].tolist()]
        return output.argmax(2).numpy()

    def _entities(self, row: Row, output: Any) -> list[dict[str, Any]]:
        """The tokens of the text itself whose class is not "O" (outside)."""
        names = self.encoder.model.config.id2label
        entities = []
        for i, scores in enumerate(output.softmax(-1)[0]):
            best = int(scores.argmax())
            if row.special[i] or names[best] == "O":
                continue
            start, end = row.spans[i] if row.spans else (None, None)
            entity = {"entity": names[best], "score": float(scores[best]), "index": i, "word": row.words[i]}
            entities.append({**entity, "start": start, "end": end})
        return entities


class FillMask(Task):
    """The likeliest token in the mask's place; several masks give their tokens in one text."""

    name = "fill_mask"
    auto_class = "AutoModelForMaskedLM"
    parameters = (_TOP_K, _LOGITS, _PROBABILITIES)

    def __post_init__(self) -> None:
        if self.encoder.tokenizer.mask_token is None:
            raise LoadError("the tokenizer has no mask token, so there is nothing to fill in")

    def spec(self, settings: Settings) -> TensorSpec:
        return TensorSpec(OUTPUT, "BYTES", (-1,), json=any(settings.get(entry.name) for entry in self.parameters))

    def check(self, row: Row, where: str) -> None:
        if not self._masks(row):
            mask = self.encoder.tokenizer.mask_token
            raise InvalidInput(
                f"{where} has no {mask} among its first {self.encoder.max_length} tokens: "
                f"write {mask} where a word is to be filled in"
            )

    def answer(self, row: Row, output: Any, settings: Settings) -> Any:
        masked = output[0, self._masks(row)]
        if (count := _count(settings)) is not None:
            return [self._best(scores, count) for scores in masked.softmax(-1)]
        if settings.get("return_raw_logits"):
            return [[{str(token): value} for token, value in enumerate(logits)] for logits in masked.tolist()]
        if settings.get("return_probabilities"):  # KServe gives these as text
            listed = masked.softmax(-1).tolist()
            return [[{str(token): f"{value:.4f}"} for token, value in enumerate(scores)] for scores in listed]
        return self.encoder.decode(masked.argmax(-1).tolist())

    def example(self) -> list[str]:
        mask = self.encoder.tokenizer.mask_token
        return [f"The capital of France is {mask}.", f"The {mask} shines."]

    def short_example(self) -> list[str]:
        return [self.encoder.tokenizer.mask_token] * 2

    def _masks(self, row: Row) -> list[int]:
        return [i for i, token in enumerate(row.ids) if token == self.encoder.tokenizer.mask_token_id]

    def _best(self, scores: Any, count: int) -> list[dict[str, Any]]:
        values, tokens = scores.topk(min(count, len(scores)))
        return [
            {"score": score, "token": token, "token_str": self.encoder.decode([token])}
            for score, token in zip(values.tolist(), tokens.tolist(), strict=True)
        ]


def column(answers: list[Any], ragged: bool = False) -> np.ndarray[Any, np.dtype[Any]]:
    """Answers on every row to the output tensor; those of a task that is `ragged` stay arrays of their own."""
    kind = type(answers[0])
    if kind is int:
        return np.array(answers, dtype=np.int64)
    if kind is np.float32 or (kind is np.ndarray and not ragged):
        return np.stack(answers)
    return array_of(answers)


def offsets_of(rows: list[Row]) -> np.ndarray[Any, np.dtype[Any]]:
    """Where each row's tokens begin and end: an array INT64 [tokens, 2] a row.

    Raises:
        InvalidInput: the tokenizer does not know.
    """
    if not all(row.spans for row in rows):
        raise InvalidInput("return_offsets_mapping: the model's tokenizer does not know where its tokens are")
    return array_of([np.array(row.spans, dtype=np.int64) for row in rows])


def _by_index(values: list[float]) -> dict[str, float]:
    """JSON's keys are texts."""
    return {str(i): value for i, value in enumerate(values)}


def _rounded(values: list[float]) -> list[float]:
    return [float(f"{value:.4f}") for value in values]


def _count(settings: Settings) -> int | None:
    count = settings.get("top_k")
    if count is not None and count < 1:
        raise InvalidInput(f"top_k is {count}: ask for at least 1")
    return count
