"""How long texts may be for a pipeline: counted before it is asked, since pipelines cut in silence, or fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from adapters.base import InvalidInput, LoadError, TooLong
from adapters.huggingface_.loading import check_tokenizer, model_limit
from adapters.huggingface_.pipeline_tasks import PipelineTask
from adapters.shared.texts import AT_ONCE
from adapters.shared.tokenizer_growth import NONE, Growth

#: what is not one text alone: texts with hypotheses, windows, words with places, tables of rows
_HYPOTHESIS = "This example is {}."
#: characters for each token that counts, of a model that takes many
_CHARACTERS_A_TOKEN = 16


@dataclass(frozen=True)
class TextLimit:
    """The tokens that a model takes of one text, the tokenizer's own among them."""

    tokenizer: Any
    tokens: int
    task: str
    can_cut: bool
    growth: Growth = NONE

    @classmethod
    def of(cls, pipe: Any, task: PipelineTask, wanted: int | None) -> TextLimit | None:
        """None for a model whose texts this does not bound: words with places, that are read in windows.

        Raises:
            LoadError: the option max_length is more than the model takes; the tokenizer has no vocabulary.
        """
        growth = check_tokenizer(pipe.tokenizer)
        if task.name in ("document-question-answering", "automatic-speech-recognition"):
            return None
        config = pipe.model.config
        limit = int(getattr(config, "max_source_positions", 0) or 0) or model_limit(pipe.model, pipe.tokenizer)
        tables = task.name == "table-question-answering"  # whose tokenizer takes nothing else
        least = 1 if tables else pipe.tokenizer.num_special_tokens_to_add() + 1
        if wanted is not None and not least <= wanted <= limit:
            raise LoadError(f"max_length is {wanted}, but this model takes from {least} to {limit} tokens")
        tokens = wanted or limit
        pipe.tokenizer.model_max_length = tokens  # some pipelines cut there, whatever they are told
        return cls(pipe.tokenizer, tokens, task.name, task.cut is not None, growth)

    def check_characters(self, row: Mapping[str, Any], index: int) -> None:
        """Before anything is made of a text: its tokens take two hundred bytes for each character.

        Raises:
            TooLong: a text has more characters than a tokenizer is given at once.
        """
        most = max(AT_ONCE, self.tokens * _CHARACTERS_A_TOKEN)
        for name, value in row.items():
            for text in value if isinstance(value, list | tuple) else (value,):
                if isinstance(text, str) and (taken := self.growth.beginning(text, most)[0]) < len(text):
                    raise TooLong(f"{name}[{index}] has {len(text)} characters, {taken} are taken: shorten it")

    def check(self, row: Mapping[str, Any], index: int, settings: Mapping[str, Any]) -> None:
        """
        Raises:
            InvalidInput: a text is too long, with the numbers and the way out.
        """
        for name, texts in self._counted(row, settings):
            try:
                encoded = self.tokenizer(*texts, truncation=False, verbose=False)
            except ValueError as error:  # a table of more rows or columns than TAPAS has
                raise InvalidInput(f"{name}[{index}]: {error}") from error
            if (count := len(encoded["input_ids"])) > self.tokens:
                cut = ", or send the parameter truncation: true to have it cut" if self.can_cut else ""
                raise TooLong(f"{name}[{index}] has {count} tokens and the model takes {self.tokens}: shorten it{cut}")

    def _counted(self, row: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """The texts, or pairs of them, that go to the model at once."""
        labels = row.get("candidate_labels", ())
        template = settings.get("hypothesis_template", _HYPOTHESIS)
        if self.task == "zero-shot-classification":
            longest = max(labels, key=len)
            yield "text", (row["text"], template.replace("{}", longest))
        elif labels:
            yield "candidate_labels", (template.replace("{}", max(labels, key=len)),)
        elif self.task == "question-answering":
            yield "question", (row["question"],)
        elif self.task == "table-question-answering":
            yield "table", (row["table"], row["query"])
        elif isinstance(row.get("text"), str):
            yield "text", (row["text"],)
