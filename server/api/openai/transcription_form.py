"""The forms that speech is sent in: `audio/transcriptions` and `audio/translations`, field by field.

A field that is not served is refused by its name. The form is read in memory, in one pass; how large it may be is the
server's limit on bodies.

Source: OpenAI's API reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from server.api.openai.error_object import FieldRefused
from server.codec.error_text import nearest, quoted

FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
GRANULARITIES = ("segment", "word")
_MOST_PARTS = 100
_MOST_TEXT = 1 << 20  #: bytes of a field that is no file
_KNOWN = ("file", "model", "language", "prompt", "response_format", "temperature", "timestamp_granularities")
#: OpenAI's fields that are not served, unless they say what is done anyway
_NOT_SERVED = {"stream": ("false",), "chunking_strategy": (), "include": (), "known_speaker_names": (),
               "known_speaker_references": (), "hotwords": (), "user": None}  # fmt: skip
_AS_FORM = "send multipart/form-data with the fields file and model, as curl -F file=@speech.wav -F model=NAME does"


@dataclass(frozen=True)
class TranscriptionRequest:
    """One file, and what is asked of it."""

    model: str
    file: bytes
    translates: bool
    language: str | None = None
    prompt: str | None = None
    response_format: str = "json"
    temperature: float | None = None
    granularities: tuple[str, ...] = ()

    @property
    def wants_words(self) -> bool:
        return "word" in self.granularities

    @property
    def wants_times(self) -> bool:
        """Whether the answer tells when something was said."""
        return self.response_format in ("srt", "vtt", "verbose_json")


def read_transcription(content_type: str, body: bytes, translates: bool) -> TranscriptionRequest:
    """The form as the request that it is.

    Raises:
        FieldRefused: naming the field, and what is allowed.
    """
    parts = read_form(content_type, body)
    for name in parts:
        _check_known(name, parts[name], translates)
    texts = {name: _text(name, parts[name]) for name in _KNOWN if name in parts and name != "file"}
    for name in ("file", "model"):
        if not (parts.get("file") if name == "file" else texts.get("model")):
            raise FieldRefused(f"{name} is missing: {_AS_FORM}", name, "missing_required_parameter")
    if len(parts["file"]) > 1:
        raise FieldRefused(f"file is sent {len(parts['file'])} times: send one file a request", "file")
    if not parts["file"][0]:
        raise FieldRefused("file is empty", "file")
    request = TranscriptionRequest(
        model=texts["model"],
        file=parts["file"][0],
        translates=translates,
        language=texts.get("language") or None,
        prompt=texts.get("prompt") or None,
        response_format=_one_of("response_format", texts.get("response_format") or "json", FORMATS),
        temperature=_temperature(texts.get("temperature")),
        granularities=_granularities(parts.get("timestamp_granularities", ())),
    )
    if request.granularities and request.response_format != "verbose_json":
        raise FieldRefused(
            "timestamp_granularities needs response_format verbose_json: ask for that, or leave it out",
            "timestamp_granularities",
        )
    return request


def _check_known(name: str, values: Sequence[bytes], translates: bool) -> None:
    if translates and name in ("language", "timestamp_granularities"):
        raise FieldRefused(f"{name} is not served for translations: leave it out", name, "unsupported_parameter")
    if name in _KNOWN:
        return
    if name not in _NOT_SERVED:
        raise FieldRefused(
            f"there is no field {quoted(name)}; {nearest(name, _KNOWN)}", name[:100], "unknown_parameter"
        )
    harmless = _NOT_SERVED[name]
    if harmless is not None and any(value.decode("latin-1").lower() not in harmless for value in values):
        raise FieldRefused(f"{name} is not served here: leave it out", name, "unsupported_parameter")


def _text(name: str, values: Sequence[bytes]) -> str:
    if len(values) > 1 and name != "timestamp_granularities":
        raise FieldRefused(f"{name} is sent {len(values)} times", name)
    if len(values[0]) > _MOST_TEXT:
        raise FieldRefused(f"{name} is longer than {_MOST_TEXT} bytes", name)
    try:
        return values[0].decode()
    except UnicodeDecodeError as error:
        raise FieldRefused(f"{name} is not UTF-8 text", name) from error


def _one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise FieldRefused(f"{name} is {quoted(value)}: it must be one of {', '.join(allowed)}", name)
    return value


def _temperature(text: str | None) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise FieldRefused(f"temperature is {quoted(text)}: it must be a number from 0 to 1", "temperature")
    return value


def _granularities(values: Sequence[bytes]) -> tuple[str, ...]:
    texts = [value.decode("latin-1") for value in values]
    return tuple(dict.fromkeys(_one_of("timestamp_granularities", text, GRANULARITIES) for text in texts))


@dataclass
class _Parts:
    """Collects what the parser finds; `a[]` is a list by the name of `a`."""

    body: dict[str, list[bytes]] = field(default_factory=dict)
    _headers: dict[str, bytes] = field(default_factory=dict)
    _name: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _data: bytearray = field(default_factory=bytearray)
    _count: int = 0

    def callbacks(self) -> Mapping[str, Callable[..., None]]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_part_data": lambda data, start, end: self._data.extend(data[start:end]),
            "on_part_end": self._end,
        }

    def _begin(self) -> None:
        self._count += 1
        if self._count > _MOST_PARTS:
            raise FieldRefused(f"the form has more than {_MOST_PARTS} parts", None)
        self._headers = {}
        self._data = bytearray()

    def _header(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _end(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace").removesuffix("[]")
        self.body.setdefault(name, []).append(bytes(self._data))


def read_form(content_type: str, body: bytes) -> dict[str, list[bytes]]:
    """The values of a multipart form by their names.

    Raises:
        FieldRefused: it is none, or a damaged one.
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if kind.lower() != b"multipart/form-data" or not boundary:
        shown = quoted(content_type) if content_type else "not given"
        raise FieldRefused(f"the content type is {shown}: {_AS_FORM}", None)
    parts = _Parts()
    ended: list[bool] = []
    callbacks: Any = {**parts.callbacks(), "on_end": lambda: ended.append(True)}
    try:
        parser = MultipartParser(boundary, callbacks)
        parser.write(body)
        parser.finalize()
    except FormParserError as error:  # a boundary too long for it, too
        raise FieldRefused(f"the form is damaged: {error}", None) from error
    if not ended:
        raise FieldRefused("the form is cut off: its last boundary is missing", None)
    return parts.body
