"""How a pipeline is asked about one row: its inputs by name, already read, and the keywords.

Most take their first input by itself and the others as keywords (`plain`); the rest differ, each in its own way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from adapters.base import InvalidInput
from adapters.huggingface_.pipeline_answers import mask_png

Row = Mapping[str, Any]


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
    return pipe(row["image"], text=row.get("text") or "", **keywords)


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
    if (prompt := keywords.pop("prompt", None)) is not None:
        generated["prompt_ids"] = pipe.tokenizer.get_prompt_ids(prompt, return_tensors="pt").to(pipe.device)
    window = getattr(pipe.feature_extractor, "n_samples", None)
    if whisper and not times and window and len(row["audio"]) > window:
        keywords["return_timestamps"] = True
        answer = pipe(row["audio"].copy(), generate_kwargs=generated, **keywords)
        return {"text": answer["text"]}
    return pipe(row["audio"].copy(), **({"generate_kwargs": generated} if generated else {}), **keywords)
