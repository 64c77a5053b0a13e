"""How a pipeline is asked about one row: its inputs by name, already read, and the keywords.

Most take their first input by itself and the others as keywords (`plain`); the rest differ, each in its own way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from adapters.base import InvalidInput, TooLong
from adapters.huggingface_.pipeline_answers import mask_png
from adapters.shared.messages import brief, listed

Row = Mapping[str, Any]

#: characters of a prompt for each token that the model takes
_CHARACTERS_A_TOKEN = 16


def plain(pipe: Any, row: Row, keywords: dict[str, Any]) -> Any:
    """The first input in a list of one: pipelines answer some single inputs in a list all the same."""
    first, *others = row
    return pipe([row[first]], **{name: row[name] for name in others}, **keywords)[0]


def keyed(pipe: Any, row: Row, keywords: dict[str, Any]) -> Any:
    """All inputs as keywords."""
    return pipe(**row, **keywords)


def of_table(pipe: Any, row: Row, keywords: dict[str, Any]) -> Any:
    return pipe({"table": row["table"], "query": row["query"]}, **keywords)


def of_document(pipe: Any, row: Row, keywords: dict[str, Any]) -> Any:
    """Words and their places are the client's: nothing here reads them off the picture."""
    reads = pipe.model.config.model_type == "vision-encoder-decoder"
    if not reads and row.get("word_boxes") is None:
        raise InvalidInput("word_boxes is missing: this model reads no pictures of words, send them with their places")
    return pipe({name: value for name, value in row.items() if value is not None}, **keywords)


def of_pair(pipe: Any, row: Row, keywords: dict[str, Any]) -> Any:
    return pipe([row["image"], row["image_pair"]], **keywords)


def detect(pipe: Any, row: Row, keywords: dict[str, Any]) -> Any:
    return pipe(row["image"], candidate_labels=row["candidate_labels"], **keywords)


def of_image_and_text(pipe: Any, row: Row, keywords: dict[str, Any]) -> Any:
    """A model with a chat template is asked by a message; a text with the picture's token in it is the whole prompt."""
    text, token = row.get("text") or "", getattr(pipe.processor, "image_token", None)
    named = text.count(token) if token else 0
    if named > 1:
        raise InvalidInput(f"text names the picture {named} times, by {token}: there is one, leave the others out")
    if named or not getattr(pipe.processor, "chat_template", None):
        return pipe(row["image"], text=text, **keywords)
    return of_anything(pipe, row, keywords)


def of_anything(pipe: Any, row: Row, keywords: dict[str, Any]) -> Any:
    """One message with all that came, and the text that the model answers."""
    content = [{"type": name, name: row[name]} for name in ("image", "audio") if row.get(name) is not None]
    if text := row.get("text"):
        content.append({"type": "text", "text": text})
    with _within_bounds():
        (answer,) = pipe(text=[{"role": "user", "content": content}], return_full_text=False, **keywords)
    return [{"generated_text": answer["generated_text"]}]


def of_state(pipe: Any, row: Row, keywords: dict[str, Any]) -> Any:
    """Questions on a state, which are checked and counted before the model is asked."""
    most = int(pipe.tokenizer.model_max_length)
    if (length := len(json.dumps(dict(row)))) > most * _CHARACTERS_A_TOKEN:
        raise TooLong(f"state and questions have {length} characters, and the model takes {most} tokens: shorten them")
    try:
        with _within_bounds():
            prepared = pipe.preprocess({"state": row["state"], "questions": row["questions"]})
    except ValueError as error:
        raise InvalidInput(f"questions: {brief(str(error))}") from error
    longest = max(inputs["input_ids"].shape[-1] for inputs, _ in prepared["prompts"])
    if longest > most:
        raise TooLong(f"state has {longest} tokens with its questions, and the model takes {most}: shorten it")
    return pipe.postprocess(pipe.forward(prepared))


@contextmanager
def _within_bounds() -> Iterator[None]:
    """
    Raises:
        InvalidInput: the chat template would make too much of what was sent.
    """
    from adapters.huggingface_.template_budget import TooMuch

    try:
        yield
    except TooMuch as error:
        raise InvalidInput(str(error)) from error


def masks(pipe: Any, row: Row, keywords: dict[str, Any]) -> Any:
    found = pipe(row["image"], **keywords)
    return found | {"masks": [mask_png(np.asarray(mask)) for mask in found["masks"]]}


def single(pipe: Any, row: Row, keywords: dict[str, Any]) -> Any:
    """The first input by itself: this pipeline takes a list of one for the same."""
    return pipe(row[next(iter(row))], **keywords)


def speech(pipe: Any, row: Row, keywords: dict[str, Any]) -> Any:
    """Sound longer than Whisper's window is read window by window, which needs the times of what is said."""
    keywords = dict(keywords)
    generated = dict(keywords.pop("generate_kwargs", {}))
    if (times := keywords.get("return_timestamps")) == "segment":
        keywords["return_timestamps"] = times = True
    whisper = pipe.type == "seq2seq_whisper"
    if (language := generated.get("language")) is not None:
        _check_language(language, pipe.model.generation_config.lang_to_id)
    if (prompt := keywords.pop("prompt", None)) is not None:
        generated["prompt_ids"] = _prompt_ids(pipe, prompt)
    window = getattr(pipe.feature_extractor, "n_samples", None)
    if whisper and not times and window and len(row["audio"]) > window:
        keywords["return_timestamps"] = True
        answer = pipe(row["audio"].copy(), generate_kwargs=generated, **keywords)
        return {"text": answer["text"]}
    return pipe(row["audio"].copy(), **({"generate_kwargs": generated} if generated else {}), **keywords)


def _check_language(language: str, known: Mapping[str, int]) -> None:
    """
    Raises:
        InvalidInput: the model does not know it, by name or code.
    """
    from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

    code = TO_LANGUAGE_CODE.get(language.lower(), language.lower())
    if f"<|{code}|>" not in known:
        codes = sorted(each.strip("<|>") for each in known)
        raise InvalidInput(f"language: the model knows no {language[:40]!r}; it knows {listed(codes, 10)}")


def _prompt_ids(pipe: Any, prompt: str) -> Any:
    """
    Raises:
        InvalidInput: it is too long, or holds tokens that are no text.
    """
    most = pipe.model.config.max_target_positions // 2
    if len(prompt) > most * _CHARACTERS_A_TOKEN:  # a tokenizer takes a second for a hundred thousand
        raise InvalidInput(f"prompt has {len(prompt)} characters, and the model takes {most} tokens: send its end")
    try:
        ids = pipe.tokenizer.get_prompt_ids(prompt, return_tensors="pt")
    except ValueError as error:
        raise InvalidInput(f"prompt: {brief(str(error))}") from error
    if len(ids) > most:
        raise InvalidInput(f"prompt has {len(ids)} tokens, and the model takes {most}: send its end")
    return ids.to(pipe.device)
