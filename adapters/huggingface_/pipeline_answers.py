"""What transformers' pipelines answer, as JSON: pictures as PNG and sound as WAV, both in base64."""

from __future__ import annotations

import base64
import math
import wave
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np

from adapters.base import Array


def as_json(value: Any) -> Any:
    """Objects, lists, texts, numbers and None; a number that JSON has no word for is None."""
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        if isinstance(value.get("audio"), np.ndarray) and "sampling_rate" in value:
            return sound_document(value["audio"], int(value["sampling_rate"]))
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if hasattr(value, "detach"):
        value = value.detach().float().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        return as_json(value.tolist())
    if hasattr(value, "save") and hasattr(value, "size"):
        return png(value)
    raise TypeError(f"the pipeline answers {type(value).__name__}, which has no form in JSON")


def png(image: Any) -> str:
    """A PIL image as PNG, in base64."""
    held = BytesIO()
    image.save(held, format="PNG")
    return base64.b64encode(held.getvalue()).decode()


def mask_png(mask: Array) -> str:
    """What of a picture belongs to something: [height, width] of booleans as PNG, 255 for true."""
    from PIL import Image

    return png(Image.fromarray(np.asarray(mask).astype(np.uint8) * 255, mode="L"))


def sound_document(samples: Array, rate: int) -> dict[str, Any]:
    """Sound of any number of channels ([samples] or [channels, samples], from -1 to 1) as a WAV file of 16 bits."""
    flat = np.atleast_2d(np.squeeze(samples)).astype(np.float64)
    channels = flat if flat.shape[0] <= flat.shape[1] else flat.T
    held = BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(channels.shape[0])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(np.nan_to_num(channels.T), -1, 1) * 32767).astype("<i2").tobytes())
    return {"audio": base64.b64encode(held.getvalue()).decode(), "sampling_rate": rate}
