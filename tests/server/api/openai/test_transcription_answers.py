"""Answers to speech: documents, texts and subtitles; and what a model is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest

from adapters.base import Parameter, Signature, TensorSpec
from server.api.openai.error_object import FieldRefused
from server.api.openai.transcription_answers import Said, answer_to, segments_of, srt, transcription_codec, vtt
from server.api.openai.transcription_form import TranscriptionRequest

REQUEST = TranscriptionRequest("m", b"sound", False)
OUTPUT = {
    "text": " Hello there. Bye",
    "chunks": [
        {"text": " Hello there.", "timestamp": (0.0, 1.25), "language": "english"},
        {"text": " Bye", "timestamp": (3661.5, None)},
    ],
}
WORDS = {
    "text": " Hello there. Bye",
    "chunks": [
        {"text": " Hello", "timestamp": (0.0, 0.5)},
        {"text": " there.", "timestamp": (0.5, 1.0)},
        {"text": " Bye", "timestamp": (2.0, 2.5)},
    ],
}


def signature(*names: str, times: tuple[str, ...] = ("segment", "word")) -> Signature:
    parameters = [Parameter("audio_seconds", bool), *(Parameter(name) for name in names)]
    if times:
        parameters.append(Parameter("return_timestamps", str, times))
    if "return_language" in names:
        parameters = [replace(each, kind=bool) if each.name == "return_language" else each for each in parameters]
    spec = TensorSpec("audio", "BYTES", (-1,), json=True)
    return Signature((spec,), (TensorSpec("output-0", "BYTES", (-1,), json=True),), parameters=tuple(parameters))


def answered(output: dict[str, Any], in_words: bool = False, **fields: Any) -> Any:
    answer = answer_to(replace(REQUEST, **fields), output, 4000.0, in_words)
    kind = dict(answer.headers)[b"content-type"]
    return orjson.loads(answer.body) if kind == b"application/json" else answer.body.decode()


def test_json_and_text() -> None:
    assert answered(OUTPUT) == {"text": "Hello there. Bye", "usage": {"type": "duration", "seconds": 4000.0}}
    assert answered(OUTPUT, response_format="text") == "Hello there. Bye\n"


def test_subtitles() -> None:
    assert answered(OUTPUT, response_format="srt") == (
        "1\n00:00:00,000 --> 00:00:01,250\nHello there.\n\n2\n01:01:01,500 --> 01:06:40,000\nBye\n\n"
    )
    assert answered(OUTPUT, response_format="vtt").startswith(
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.250\nHello there.\n\n"
    )
    assert vtt([Said(0, 1, "a --> b")]).count("-->") == 1
    assert srt([]) == ""


def test_everything() -> None:
    document = answered(OUTPUT, response_format="verbose_json")
    assert (document["task"], document["language"], document["duration"]) == ("transcribe", "english", 4000.0)
    first, second = document["segments"]
    assert (first["id"], first["start"], first["end"], first["text"]) == (0, 0.0, 1.25, " Hello there.")
    assert (second["start"], second["end"], second["avg_logprob"]) == (3661.5, 4000.0, None)
    assert "words" not in document
    assert answered(OUTPUT, response_format="verbose_json", language="de")["language"] == "de"


def test_words_and_the_pieces_that_are_made_of_them() -> None:
    asked = {"response_format": "verbose_json", "granularities": ("word",)}
    document = answered(WORDS, True, **asked)
    assert [each["word"] for each in document["words"]] == ["Hello", "there.", "Bye"]
    assert "segments" not in document
    both = answered(WORDS, True, **(asked | {"granularities": ("word", "segment")}))
    assert [(each["text"], each["start"], each["end"]) for each in both["segments"]] == [
        (" Hello there.", 0.0, 1.0), (" Bye", 2.0, 2.5)]  # fmt: skip
    assert segments_of([Said(0, 1, "A"), Said(1, 40, "B"), Said(41, 42, "C")]) == [
        Said(0, 40, "A B"),
        Said(41, 42, "C"),
    ]


def asked_of(request: TranscriptionRequest, of: Signature) -> Any:
    codec = transcription_codec(request, of)
    return codec.decode(None)  # type: ignore[arg-type]


def test_the_model_is_asked_for_what_it_knows() -> None:
    call = asked_of(REQUEST, signature())
    assert call.inputs["audio"].tolist() == [b"sound"]
    assert (call.rows, call.parameters) == (1, {"audio_seconds": True})
    whisper = signature("language", "task", "return_language")
    verbose = replace(REQUEST, response_format="verbose_json", translates=True)
    wanted = {"task": "translate", "return_timestamps": "segment", "return_language": True}
    assert asked_of(verbose, whisper).parameters == {"audio_seconds": True, **wanted}
    subtitles = replace(REQUEST, response_format="srt", language="de")
    assert asked_of(subtitles, signature("language", times=("word", "char"))).parameters["return_timestamps"] == "word"
    assert "temperature" not in asked_of(replace(REQUEST, temperature=0.0), signature()).parameters


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"language": "de"}, "language"),
        ({"prompt": "x"}, "prompt"),
        ({"temperature": 0.5}, "temperature"),
        ({"translates": True}, "task"),
        ({"response_format": "srt"}, "response_format"),
    ],
)
def test_what_the_model_knows_nothing_of_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(FieldRefused) as caught:
        transcription_codec(replace(REQUEST, **fields), signature(times=()))
    assert caught.value.param == param


def test_the_answer_is_made_of_both_outputs() -> None:
    codec = transcription_codec(replace(REQUEST, response_format="text"), signature())
    outputs = {"output-0": np.array([{"text": "hi"}], dtype=object), "audio_seconds": np.array([1.5])}
    assert codec.encode(outputs, None).body == b"hi\n"
