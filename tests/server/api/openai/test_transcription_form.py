"""The forms that speech is sent in, as httpx (and so OpenAI's client) and curl write them; and others."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from server.api.openai.error_object import FieldRefused
from server.api.openai.transcription_form import TranscriptionRequest, read_form, read_transcription

SOUND = b"RIFF\r\n--\x00\xff\r\n"


def form(*, file: bytes | None = SOUND, **fields: Any) -> tuple[str, bytes]:
    files = {"file": ("a.wav", file, "audio/wav")} if file is not None else {"other": b"x"}
    data = {name.replace("__", "[]"): value for name, value in fields.items()}
    request = httpx.Request("POST", "http://x/", data=data, files=files)
    return request.headers["content-type"], request.read()


def read(translates: bool = False, **fields: Any) -> TranscriptionRequest:
    return read_transcription(*form(**{"model": "m", **fields}), translates)


def test_a_form_is_read() -> None:
    assert read() == TranscriptionRequest("m", SOUND, False)
    made = read(
        language="de", prompt="Über", response_format="verbose_json", temperature="0.5",
        timestamp_granularities__=["word", "segment", "word"],
    )  # fmt: skip
    assert (made.language, made.prompt, made.temperature) == ("de", "Über", 0.5)
    assert made.granularities == ("word", "segment")
    assert made.wants_words
    assert made.wants_times


def test_what_asks_for_nothing_is_taken() -> None:
    assert read(stream="false", user="me", language="", temperature="") == TranscriptionRequest("m", SOUND, False)


@pytest.mark.parametrize(
    ("fields", "param", "reason"),
    [
        ({"file": None}, "other", "there is no field 'other'"),
        ({"file": b""}, "file", "file is empty"),
        ({"model": ""}, "model", "model is missing: send multipart/form-data"),
        ({"model": ["a", "b"]}, "model", "model is sent 2 times"),
        ({"response_format": "xml"}, "response_format", "must be one of json, text, srt, verbose_json, vtt"),
        ({"temperature": "hot"}, "temperature", "must be a number from 0 to 1"),
        ({"temperature": "nan"}, "temperature", "must be a number from 0 to 1"),
        ({"temperature": "1.5"}, "temperature", "must be a number from 0 to 1"),
        ({"timestamp_granularities__": "word"}, "timestamp_granularities", "needs response_format verbose_json"),
        (
            {"timestamp_granularities__": "minute", "response_format": "verbose_json"},
            "timestamp_granularities",
            "one of",
        ),
        ({"stream": "true"}, "stream", "stream is not served here"),
        ({"include__": "logprobs"}, "include", "include is not served here"),
        ({"chunking_strategy": "auto"}, "chunking_strategy", "is not served here"),
        ({"langage": "de"}, "langage", "there is no field 'langage'; did you mean 'language'"),
        ({"prompt": "x" * (2**20 + 1)}, "prompt", "is longer than"),
    ],
)
def test_a_field_that_does_not_fit_is_named(fields: dict[str, Any], param: str, reason: str) -> None:
    with pytest.raises(FieldRefused, match=reason) as caught:
        read(**fields)
    assert caught.value.param == param


def test_translations_take_no_language() -> None:
    assert read(translates=True).translates
    with pytest.raises(FieldRefused, match="language is not served for translations"):
        read(translates=True, language="de")


@pytest.mark.parametrize(
    ("content_type", "reason"),
    [
        ("", "the content type is not given: send multipart/form-data"),
        ("application/json", "the content type is 'application/json': send multipart/form-data"),
        ("multipart/form-data", "send multipart/form-data"),
        ("multipart/form-data; boundary=other", "the form is"),
        (f"multipart/form-data; boundary={'a' * 300}", "the form is damaged: Boundary length 300 exceeds"),
    ],
)
def test_what_is_no_form_is_refused(content_type: str, reason: str) -> None:
    with pytest.raises(FieldRefused, match=reason):
        read_transcription(content_type, form(model="m")[1], False)


def test_a_form_that_is_cut_off_is_refused_wherever_it_is_cut() -> None:
    content_type, body = form(model="m")
    for length in range(0, len(body) - 4, 7):
        with pytest.raises(FieldRefused):
            read_transcription(content_type, body[:length], False)


def test_a_form_of_very_many_parts_is_refused() -> None:
    with pytest.raises(FieldRefused, match="more than 100 parts"):
        read_form(*form(model=["m"] * 200))


def test_bytes_that_are_no_text_are_refused() -> None:
    request = httpx.Request("POST", "http://x/", files={"file": b"x", "model": (None, b"\xff\xfe")})
    with pytest.raises(FieldRefused, match="model is not UTF-8 text"):
        read_transcription(request.headers["content-type"], request.read(), False)
