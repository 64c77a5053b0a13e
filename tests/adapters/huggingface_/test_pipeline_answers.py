"""What pipelines answer, as JSON."""

from __future__ import annotations

import base64
import json
import math
import wave
from io import BytesIO
from typing import Any

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")

from adapters.huggingface_.pipeline_answers import as_json, mask_png, sound_document  # noqa: E402


def opened(text: str) -> Any:
    return Image.open(BytesIO(base64.b64decode(text)))


def test_values_become_json() -> None:
    value = {"a": [np.float32(0.5), (1, True, None)], 2: np.arange(3), "c": math.nan, "d": np.array([[math.inf, 1.0]])}
    made = as_json(value)
    assert made == {"a": [0.5, [1, True, None]], "2": [0, 1, 2], "c": None, "d": [[None, 1.0]]}
    assert json.loads(json.dumps(made)) == made


def test_tensors_become_lists() -> None:
    torch = pytest.importorskip("torch")
    assert as_json(torch.tensor([[0.5], [1.5]], dtype=torch.bfloat16)) == [[0.5], [1.5]]


def test_pictures_become_png() -> None:
    image = Image.new("L", (3, 2), 7)
    assert np.asarray(opened(as_json({"mask": image})["mask"])).tolist() == [[7, 7, 7]] * 2
    assert np.asarray(opened(mask_png(np.array([[True, False]])))).tolist() == [[255, 0]]


@pytest.mark.parametrize("shape", [(100,), (1, 100), (1, 1, 100), (2, 100)])
def test_sound_becomes_wav(shape: tuple[int, ...]) -> None:
    document = as_json({"audio": np.full(shape, 0.5, dtype=np.float32), "sampling_rate": 8_000})
    assert document["sampling_rate"] == 8_000
    with wave.open(BytesIO(base64.b64decode(document["audio"]))) as file:
        assert (file.getnframes(), file.getframerate()) == (100, 8_000)
        assert file.getnchannels() == (2 if shape[0] == 2 else 1)
        assert np.frombuffer(file.readframes(1), dtype="<i2")[0] == 16383


def test_sound_that_is_too_loud_is_cut() -> None:
    with wave.open(BytesIO(base64.b64decode(sound_document(np.array([3.0, -3.0]), 8_000)["audio"]))) as file:
        assert np.frombuffer(file.readframes(2), dtype="<i2").tolist() == [32767, -32767]


def test_what_has_no_form_is_said() -> None:
    with pytest.raises(TypeError, match="answers object"):
        as_json(object())
