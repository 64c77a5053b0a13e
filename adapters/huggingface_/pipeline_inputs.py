"""What pipelines take: each kind of input, how it is read from a row, and an example of it that is answered."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np

from adapters.base import InvalidInput, TensorSpec
from adapters.huggingface_.media import Limits, frames_of, image_of, sound_of
from adapters.huggingface_.pipeline_answers import png, sound_document

TEXT, IMAGE, SOUND, FRAMES = "text", "image", "sound", "frames"
LABELS, TABLE, BOXES = "labels", "table", "boxes"
STATE, QUESTIONS = "state", "questions"
_MOST_LABELS = 1000
_MOST_CELLS = 100_000
_MOST_BOXES = 20_000
_MOST_QUESTIONS = 100


@dataclass(frozen=True)
class InputField:
    """One input of a task."""

    name: str
    kind: str
    optional: bool = False

    def spec(self) -> TensorSpec:
        """Texts are texts; anything else is a JSON value, or bytes."""
        json_kind = self.kind != TEXT
        return TensorSpec(
            self.name, "BYTES", (-1,), optional=self.optional, nullable=self.optional and not json_kind, json=json_kind
        )


@dataclass(frozen=True)
class Reading:
    """What reading depends on, of the model and the options."""

    limits: Limits = field(default_factory=Limits)
    rate: int = 16_000  #: samples of sound a second that the model takes

    def read(self, field: InputField, value: Any, where: str) -> Any:
        """One row's value as the pipeline takes it.

        Raises:
            InvalidInput: it is not what the input takes.
        """
        return _READERS[field.kind](value, where, field.name, self)


def _text(value: Any, where: str, name: str, reading: Reading) -> str:
    if not str(value).strip():
        raise InvalidInput(f"{where} is empty: send a text")
    return str(value)


def _labels(value: Any, where: str, name: str, reading: Reading) -> list[str]:
    """A list of texts, or one text with commas between the labels, as transformers takes them."""
    if isinstance(value, dict) and value.keys() == {name}:
        value = value[name]
    labels = value.split(",") if isinstance(value, str) else value
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise InvalidInput(f'{where} must be a list of texts, such as ["sports", "politics"]')
    labels = [label.strip() for label in labels if label.strip()]
    if not labels:
        raise InvalidInput(f"{where} names no labels: send at least one")
    if len(labels) > _MOST_LABELS:
        raise InvalidInput(f"{where} names {len(labels)} labels; {_MOST_LABELS} are the most at once")
    return labels


def _table(value: Any, where: str, name: str, reading: Reading) -> Any:
    """A data frame of texts from columns by name, or from rows by column."""
    import pandas as pd

    rows = isinstance(value, list) and value and all(isinstance(row, dict) for row in value)
    columns = isinstance(value, dict) and value and all(isinstance(each, list) for each in value.values())
    if not rows and not columns:
        raise InvalidInput(f'{where} must be an object of columns, such as {{"city": ["Rome"], "people": ["2.8"]}}')
    cells = sum(len(each) for each in (value if rows else value.values()))
    if not cells or cells > _MOST_CELLS:
        raise InvalidInput(f"{where} has {cells} cells; from 1 to {_MOST_CELLS} are read")
    try:
        frame = pd.DataFrame(value)
    except ValueError as error:
        raise InvalidInput(f"{where} is no table: {error}") from error
    if not frame.map(lambda cell: isinstance(cell, str | int | float) or cell is None).all(axis=None):
        raise InvalidInput(f"{where} has cells that are neither texts nor numbers")
    return frame.astype(object).where(frame.notna(), "").astype(str)


def _boxes(value: Any, where: str, name: str, reading: Reading) -> list[tuple[str, list[float]]]:
    """[word, [left, top, right, bottom]], the numbers from 0 to 1000."""
    if not isinstance(value, list) or not value or len(value) > _MOST_BOXES:
        raise InvalidInput(f'{where} must be a list of words with their places, such as [["Total", [10, 20, 60, 35]]]')
    for i, each in enumerate(value):
        pair = isinstance(each, list) and len(each) == 2 and isinstance(each[0], str) and isinstance(each[1], list)
        if not pair or len(each[1]) != 4 or not all(_is_place(number) for number in each[1]):
            raise InvalidInput(f"{where}[{i}] must be a word and four numbers from 0 to 1000: left, top, right, bottom")
    return [(word, box) for word, box in value]


def _is_place(number: Any) -> bool:
    return type(number) in (int, float) and math.isfinite(number) and 0 <= number <= 1000


def _state(value: Any, where: str, name: str, reading: Reading) -> Any:
    """Whatever JSON has a form for."""
    return value


def _questions(value: Any, where: str, name: str, reading: Reading) -> dict[str, Any]:
    """Questions by their names, as transformers' decisions have them; what is wrong with one, its pipeline says."""
    if not isinstance(value, dict) or not value or len(value) > _MOST_QUESTIONS:
        raise InvalidInput(
            f"{where} must be an object of 1 to {_MOST_QUESTIONS} questions by their names, such as "
            '{"refund": {"type": "noul", "instructions": "Is a refund asked for?"}}'
        )
    return value


def _image(value: Any, where: str, name: str, reading: Reading) -> Any:
    return image_of(value, where, name, reading.limits)


def _frames(value: Any, where: str, name: str, reading: Reading) -> Any:
    return frames_of(value, where, name, reading.limits)


def _sound(value: Any, where: str, name: str, reading: Reading) -> Any:
    return sound_of(value, where, name, reading.rate, reading.limits)


_READERS: Mapping[str, Callable[[Any, str, str, Reading], Any]] = {
    TEXT: _text, IMAGE: _image, SOUND: _sound, FRAMES: _frames,
    LABELS: _labels, TABLE: _table, BOXES: _boxes, STATE: _state, QUESTIONS: _questions,
}  # fmt: skip


def example_image(shade: int = 0) -> str:
    """A small picture with something in it, as base64."""
    from PIL import Image

    across, down = np.meshgrid(np.arange(32), np.arange(32))
    pixels = np.stack([across * 8, down * 8, (across + down + shade) * 4 % 256], axis=-1).astype(np.uint8)
    return png(Image.fromarray(pixels, mode="RGB"))


def example_video() -> str:
    """A small moving picture, as base64."""
    from PIL import Image

    frames = [Image.open(BytesIO(base64.b64decode(example_image(8 * i)))).convert("RGB") for i in range(16)]
    held = BytesIO()
    frames[0].save(held, format="GIF", save_all=True, append_images=frames[1:])
    return base64.b64encode(held.getvalue()).decode()


def example_sound() -> str:
    """A third of a second of a low tone, as base64."""
    samples = 0.3 * np.sin(np.arange(5_600) * 2 * np.pi * 220 / 16_000)
    return str(sound_document(samples, 16_000)["audio"])


def example_of(field: InputField, text: str) -> Any:
    """One value of the input, as a client sends it; `text` is a text that this very model answers."""
    made: Mapping[str, Callable[[], Any]] = {
        TEXT: lambda: text,
        IMAGE: partial(example_image, 16 if field.name.endswith("_pair") else 0),
        SOUND: example_sound,
        FRAMES: example_video,
        LABELS: lambda: ["sports", "politics"],
        TABLE: lambda: {"city": ["Rome", "Oslo"], "people": ["2.8", "0.7"]},
        BOXES: lambda: [["Total", [10, 20, 60, 35]], ["100", [70, 20, 90, 35]]],
        STATE: lambda: {"message": text},
        QUESTIONS: lambda: {"example": {"type": "noul", "instructions": "Is this an example?"}},
    }
    return made[field.kind]()
