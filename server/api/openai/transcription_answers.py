"""Speech to its answer: how the model is asked, and the document, the text or the subtitles that come of it."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from adapters.base import Parameter, Signature, Tensors
from adapters.shared.arrays import array_of
from server.api.openai.error_object import FieldRefused
from server.api.openai.transcription_form import TranscriptionRequest
from server.codec.decoded_request import DecodedRequest
from server.codec.parameters import read_parameters
from server.errors import Header
from server.inference.answer import JSON_HEADERS, Answer
from server.inference.request import Codec

TASK = "transcription"  #: `Signature.task` of models that write speech down
_SECONDS = "audio_seconds"
_TEXT_HEADERS: list[Header] = [(b"content-type", b"text/plain; charset=utf-8")]
#: a piece of speech ends with one of these, or is this long
_ENDS, _LONGEST = (".", "?", "!", "。", "？", "！"), 30.0


@dataclass(frozen=True)
class Said:
    """A piece of speech, from one second to another."""

    start: float
    end: float
    text: str


def transcription_codec(request: TranscriptionRequest, signature: Signature) -> Codec:
    """How a model with that signature is asked, and its answer written.

    Raises:
        FieldRefused: the model knows nothing of what is asked for.
    """
    known = {each.name: each for each in signature.parameters}
    asked: dict[str, Any] = {_SECONDS: True}
    wanted = {"language": request.language, "prompt": request.prompt, "temperature": request.temperature or None}
    for name, value in wanted.items():
        if value is not None:
            asked[name] = _for_model(name, value, known, request.model)
    if request.translates:
        asked["task"] = _for_model("task", "translate", known, request.model)
    if request.wants_times:
        asked["return_timestamps"] = _times(request, known)
    if request.response_format == "verbose_json" and "return_language" in known and not request.language:
        asked["return_language"] = True
    inputs = {signature.inputs[0].name: array_of([request.file])}
    call = DecodedRequest(inputs, 1, read_parameters(asked, signature))

    def encode(outputs: Tensors, decoded: DecodedRequest) -> Answer:
        output = outputs[signature.outputs[0].name][0]
        return answer_to(request, output, float(outputs[_SECONDS][0]), asked.get("return_timestamps") == "word")

    return Codec(lambda waiting: call, encode)


def _for_model(name: str, value: Any, known: dict[str, Parameter], model: str) -> Any:
    if name not in known:
        what = "translations" if name == "task" else name
        raise FieldRefused(f"{what}: the model {model!r} knows nothing of that: leave it out", name)
    return value


def _times(request: TranscriptionRequest, known: dict[str, Parameter]) -> str:
    """Pieces, or words; a model that knows of words alone has its pieces made of them."""
    if (parameter := known.get("return_timestamps")) is None:
        raise FieldRefused(
            f"response_format {request.response_format} tells when something was said, and the model {request.model!r} "
            "does not know: ask for json or text",
            "response_format",
        )
    return "word" if request.wants_words or "segment" not in parameter.choices else "segment"


def answer_to(request: TranscriptionRequest, output: dict[str, Any], seconds: float, in_words: bool) -> Answer:
    """The answer in the format that was asked for; `output` is a pipeline's, whose chunks may be words."""
    text = str(output["text"]).strip()
    if request.response_format == "text":
        return Answer(200, _TEXT_HEADERS, f"{text}\n".encode())
    if request.response_format == "json":
        usage = {"type": "duration", "seconds": seconds}
        return Answer(200, JSON_HEADERS, orjson.dumps({"text": text, "usage": usage}))
    chunks = output.get("chunks", [])
    said = [_said(chunk, seconds) for chunk in chunks]
    segments = segments_of(said) if in_words else said
    if request.response_format == "srt":
        return Answer(200, _TEXT_HEADERS, srt(segments).encode())
    if request.response_format == "vtt":
        return Answer(200, _TEXT_HEADERS, vtt(segments).encode())
    heard = next((chunk["language"] for chunk in chunks if chunk.get("language")), "")
    document = {
        "task": "translate" if request.translates else "transcribe",
        "language": request.language or heard,
        "duration": seconds,
        "text": text,
    }
    if not request.granularities or "segment" in request.granularities:
        temperature = request.temperature or 0.0
        document["segments"] = [_segment(i, each, temperature) for i, each in enumerate(segments)]
    if request.wants_words:
        document["words"] = [{"word": each.text.strip(), "start": each.start, "end": each.end} for each in said]
    usage = {"type": "duration", "seconds": seconds}
    return Answer(200, JSON_HEADERS, orjson.dumps({**document, "usage": usage}))


def _said(chunk: dict[str, Any], seconds: float) -> Said:
    """The last piece of a sound that is cut off has no end of its own."""
    start, end = chunk["timestamp"]
    first = 0.0 if start is None else float(start)
    return Said(first, max(first, seconds if end is None else float(end)), str(chunk["text"]))


def segments_of(words: Sequence[Said]) -> list[Said]:
    """Words to pieces, each up to the end of a sentence, or of half a minute."""
    segments: list[Said] = []
    waiting: list[Said] = []
    for word in words:
        waiting.append(word)
        if word.text.rstrip().endswith(_ENDS) or word.end - waiting[0].start >= _LONGEST:
            segments.append(_joined(waiting))
            waiting = []
    return [*segments, *([_joined(waiting)] if waiting else [])]


def _joined(words: Sequence[Said]) -> Said:
    spaced = any(word.text.startswith(" ") for word in words)  # Whisper's words bring their spaces with them
    text = ("" if spaced else " ").join(word.text for word in words)
    return Said(words[0].start, words[-1].end, text)


def _segment(index: int, said: Said, temperature: float) -> dict[str, Any]:
    """As OpenAI writes it; what the model does not say is null."""
    packed = said.text.encode()
    return {
        "id": index,
        "seek": 0,
        "start": said.start,
        "end": said.end,
        "text": said.text,
        "tokens": [],
        "temperature": temperature,
        "avg_logprob": None,
        "compression_ratio": len(packed) / len(zlib.compress(packed)) if packed else None,
        "no_speech_prob": None,
    }


def srt(segments: Sequence[Said]) -> str:
    """SubRip: numbered pieces, commas before the milliseconds."""
    return "".join(
        f"{number}\n{_clock(each.start, ',')} --> {_clock(each.end, ',')}\n{each.text.strip()}\n\n"
        for number, each in enumerate(segments, 1)
    )


def vtt(segments: Sequence[Said]) -> str:
    """WebVTT: a head, and points before the milliseconds."""
    shown = (f"{_clock(each.start, '.')} --> {_clock(each.end, '.')}\n{_cue(each.text)}\n\n" for each in segments)
    return "WEBVTT\n\n" + "".join(shown)


def _cue(text: str) -> str:
    """An arrow would begin another piece."""
    return text.strip().replace("-->", "->")


def _clock(seconds: float, point: str) -> str:
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}{point}{whole % 1000:03}"
