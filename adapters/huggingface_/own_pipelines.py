"""Pipelines of our own, called as those of transformers are, with the parts that those have.

Questions on a text and texts made of texts are what transformers 5 dropped; the shapes are those of transformers 4. Its
pipeline of videos opens files and addresses; ours takes pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.base import Array, InvalidInput

_MOST_NEW = 256  #: tokens of a text, where neither the request nor the model says
_OUTPUT = {"summarization": "summary_text", "translation": "translation_text", "text2text-generation": "generated_text"}


@dataclass
class OwnPipeline:
    """A model and its tokenizer, under the names that transformers' pipelines give them."""

    model: Any
    task: str
    tokenizer: Any = None
    image_processor: Any = None
    feature_extractor: Any = None
    processor: Any = None

    @property
    def device(self) -> Any:
        return self.model.device


class TextToText(OwnPipeline):
    """Summaries, translations, and whatever else an encoder-decoder writes."""

    def __call__(
        self,
        texts: list[str],
        generate_kwargs: dict[str, Any] | None = None,
        truncation: bool = False,
        max_length: int | None = None,
        text_counts: bool = False,
    ) -> list[dict[str, Any]]:
        """One text each; no padding, so an answer does not depend on the others."""
        import torch

        answers = []
        bounded = _bounded(self.model.generation_config, generate_kwargs or {})
        for text in texts:
            tokens = self.tokenizer(
                self._prefix(text), return_tensors="pt", truncation=truncation, max_length=max_length
            )
            tokens.pop("token_type_ids", None)
            with torch.inference_mode():
                made = self.model.generate(**tokens.to(self.device), **bounded)
            written = self.tokenizer.decode(made[0], skip_special_tokens=True, clean_up_tokenization_spaces=False)
            counts = self._counts(tokens["input_ids"][0], made[0]) if text_counts else {}
            answers.append({_OUTPUT[self.task]: written, **counts})
        return answers

    def _counts(self, read: Any, made: Any) -> dict[str, Any]:
        """What was written begins behind the decoder's first token, and has its end where it came to one."""
        ends = self.model.generation_config.eos_token_id
        ended = int(made[-1]) in (ends if isinstance(ends, list) else [ends])
        return {
            "tokens_read": len(read),
            "tokens_written": len(made) - 1,
            "finish_reason": "stop" if ended else "length",
        }

    def _prefix(self, text: str) -> str:
        """T5's configuration says which words stand before a text of each task."""
        specific = getattr(self.model.config, "task_specific_params", None) or {}
        prefix = (specific.get(self.task) or {}).get("prefix", "")
        return text if text.startswith(prefix) else prefix + text


def _bounded(config: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """A model that says nothing of how long its texts are would stop after 20 tokens, transformers' default."""
    silent = config.max_new_tokens is None and config.max_length in (None, 20)
    return {"max_new_tokens": _MOST_NEW, **asked} if silent else asked


class QuestionAnswering(OwnPipeline):
    """The words of a text that answer a question. A long text is read in windows that overlap."""

    def __call__(
        self,
        question: str,
        context: str,
        top_k: int = 1,
        max_answer_len: int = 15,
        handle_impossible_answer: bool = False,
        doc_stride: int = 128,
    ) -> Any:
        """`{"score", "start", "end", "answer"}`, or a list of them where more than one is asked for."""
        found: list[dict[str, Any]] = []
        least_null = 1.0
        for starts, ends, offsets, in_context in self._windows(question, context, doc_stride):
            null = float(starts[0] * ends[0])
            least_null = min(least_null, null)
            found += _spans(starts, ends, offsets, in_context, max_answer_len, top_k, context)
        if handle_impossible_answer:
            found.append({"score": least_null, "start": 0, "end": 0, "answer": ""})
        best = _distinct(sorted(found, key=lambda span: -span["score"]))[:top_k]
        if not best:
            raise InvalidInput("context has no words that could be an answer: send a longer text")
        return best[0] if top_k == 1 else best

    def _windows(self, question: str, context: str, doc_stride: int) -> list[tuple[Array, Array, Any, Array]]:
        """(starts, ends, offsets, which tokens are the context's), probabilities over the tokens of each window."""
        import torch

        most = int(self.tokenizer.model_max_length)
        room = most - len(self.tokenizer(question, "")["input_ids"])
        if room < 1:
            raise InvalidInput(f"question has so many tokens that no room is left for the context, of {most} in all")
        encoded = self.tokenizer(
            *(question, context),
            truncation="only_second",
            max_length=most,
            stride=min(doc_stride, room // 2),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        names = [name for name in self.tokenizer.model_input_names if name in encoded]
        windows = []
        for i, offsets in enumerate(encoded["offset_mapping"]):
            tensors = {name: torch.tensor([encoded[name][i]], device=self.device) for name in names}
            with torch.inference_mode():
                output = self.model(**tensors)
            of_context = np.array([sequence == 1 for sequence in encoded.sequence_ids(i)])
            allowed = of_context.copy()
            allowed[0] = True  # where "no answer" is told
            logits = (output.start_logits[0].float().cpu().numpy(), output.end_logits[0].float().cpu().numpy())
            starts, ends = (_softmax(np.where(allowed, each, -10_000.0)) for each in logits)
            windows.append((starts, ends, offsets, of_context))
        return windows


def _applied(function: str, logits: Any) -> Any:
    """Scores of a torch tensor's numbers."""
    if function == "none":
        return logits
    return logits.sigmoid() if function == "sigmoid" else logits.softmax(-1)


def _softmax(logits: Array) -> Array:
    raised = np.exp(logits - logits.max())
    made: Array = raised / raised.sum()
    return made


def _spans(
    starts: Array, ends: Array, offsets: Any, in_context: Array, longest: int, count: int, context: str
) -> list[dict[str, Any]]:
    """The likeliest spans of at most `longest` tokens, within the context."""
    starts, ends = np.where(in_context, starts, 0.0), np.where(in_context, ends, 0.0)
    scores = np.tril(np.triu(np.outer(starts, ends)), longest - 1)
    best = np.argsort(-scores, axis=None, kind="stable")[: count * 4]
    spans = []
    for first, last in zip(*np.unravel_index(best, scores.shape), strict=True):
        if scores[first, last] > 0:
            start, end = offsets[first][0], offsets[last][1]
            spans.append(
                {"score": float(scores[first, last]), "start": start, "end": end, "answer": context[start:end]}
            )
    return spans


def _distinct(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first of those that name the same place: windows overlap."""
    seen: dict[tuple[int, int], dict[str, Any]] = {}
    for span in spans:
        seen.setdefault((span["start"], span["end"]), span)
    return list(seen.values())


class VideoClassification(OwnPipeline):
    """What a video shows: as many of its pictures as the model takes, evenly spread."""

    def __call__(
        self, videos: list[list[Any]], top_k: int = 5, function_to_apply: str | None = None
    ) -> list[list[dict[str, Any]]]:
        import torch

        config, answers = self.model.config, []
        for frames in videos:
            if len(frames) < config.num_frames:
                raise InvalidInput(f"video has {len(frames)} pictures, and this model takes {config.num_frames}")
            places = np.linspace(0, len(frames) - 1, num=config.num_frames, dtype=np.int64)
            inputs = self.image_processor([np.asarray(frames[i]) for i in places], return_tensors="pt")
            with torch.inference_mode():
                logits = self.model(**inputs.to(self.device, self.model.dtype)).logits[0].float().cpu()
            usual = {"regression": "none", "multi_label_classification": "sigmoid"}.get(config.problem_type, "softmax")
            applied = function_to_apply or usual
            values, ids = _applied(applied, logits).topk(min(top_k, config.num_labels))
            found = zip(values.tolist(), ids.tolist(), strict=True)
            answers.append([{"score": score, "label": config.id2label[i]} for score, i in found])
        return answers
