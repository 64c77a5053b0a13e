"""Images, sound and frames as clients send them, decoded within bounds; nothing is ever fetched from anywhere.

An element is bytes (V2's raw tensors, V1's `{"b64": ...}`), base64 text, or a `data:` URL. What a header tells is
checked before anything is unpacked: a few kilobytes can hold a picture of gigabytes.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np

from adapters.base import Array, InvalidInput
from adapters.shared.messages import brief

#: formats of pictures that are read. Others are left out on purpose: some run programs (EPS), most are nobody's.
IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
_SOUND_FORMATS = "WAV, FLAC, OGG (Vorbis, Opus), MP3 and AIFF"
_LOWEST_RATE, _HIGHEST_RATE = 1_000, 384_000  #: samples a second
_MOST_CHANNELS = 16
_BLOCK = 1 << 16  #: samples that are decoded at once
_MOST_FRAMES = 1024  #: pictures of a video
_PIECE = 1 << 16  #: bytes of a data: URL that are decoded at once
#: passes over a JPEG: some bytes ask for each, and it takes as long as the whole picture; cameras write up to 10
_JPEGS, _MOST_SCANS, _SCAN = ("JPEG", "MPO"), 500, b"\xff\xda"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one element may unpack to."""

    pixels: int = 40_000_000
    seconds: float = 1800.0
    samples: int = 1  #: of sound, at least


def bytes_of(value: Any, where: str, name: str) -> bytes:
    """What was sent, without the wrapping of its transport. `name` is the input's: an object may hold it by that name.

    Raises:
        InvalidInput: it is nothing of the kind, or an address.
    """
    if isinstance(value, dict) and len(value) == 1:
        ((key, inner),) = value.items()
        if key in (name, "b64", "url", "data") and not isinstance(inner, dict):
            return bytes_of(inner, where, name)
    if isinstance(value, bytes):
        if value[:5].lower() != b"data:":
            return value
        value = value.decode("latin-1")
    if isinstance(value, str) and "\0" in value:  # raw bytes that happened to be a text: silence, a black picture
        return value.encode()
    if not isinstance(value, str):
        raise InvalidInput(f"{where} is {type(value).__name__}: send base64 text, a data: URL, or bytes")
    if value[:5].lower() == "data:":
        return _of_data_url(value, where)
    if "://" in value[:32]:
        raise InvalidInput(f"{where} is an address, and nothing is fetched here: send the content as base64")
    return _of_base64(value, where)


def image_of(value: Any, where: str, name: str, limits: Limits) -> Any:
    """A PIL image in RGB, the right way up, as transformers' own `load_image` makes it.

    Raises:
        InvalidInput: it is no picture, a damaged one, or one with too many pixels.
    """
    from PIL import ImageOps

    image = _opened(bytes_of(value, where, name), where, limits)
    try:
        upright = ImageOps.exif_transpose(image)
        return upright.convert("RGB")
    except Exception as error:  # decoders raise whatever they like for damaged data
        raise InvalidInput(f"{where} is a damaged picture: {brief(str(error))}") from error


def frames_of(value: Any, where: str, name: str, limits: Limits) -> list[Any]:
    """The pictures of a video: a list of them, or one moving picture (GIF, WebP).

    Raises:
        InvalidInput: there are none, too many, or of different sizes; a picture is damaged.
    """
    if isinstance(value, dict) and value.keys() == {name}:
        value = value[name]
    if isinstance(value, list):
        frames: list[Any] = []
        for i, each in enumerate(value[: _MOST_FRAMES + 1]):
            frames.append(image_of(each, f"{where}[{i}]", name, limits))
            _check_frames(frames, where, limits)
    else:
        frames = list(_moving(bytes_of(value, where, name), where, limits))
    if not frames:
        raise InvalidInput(f"{where} has no pictures: send a list of them, or a moving GIF or WebP")
    if len({frame.size for frame in frames}) > 1:
        raise InvalidInput(f"{where} has pictures of different sizes: a video's are all alike")
    return frames


def sound_of(value: Any, where: str, name: str, rate: int, limits: Limits) -> Array:
    """Sound as one channel of float32 at `rate` samples a second: channels are averaged, other rates converted.

    Raises:
        InvalidInput: it is no sound, damaged, too long or empty.
    """
    import soundfile
    import soxr

    raw = bytes_of(value, where, name)
    try:
        sound = soundfile.SoundFile(BytesIO(raw))
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise InvalidInput(f"{where} is no sound that is read here: {_SOUND_FORMATS} are") from error
    with sound:
        _check_sound(sound, where)
        convert = soxr.ResampleStream(sound.samplerate, rate, 1, dtype="float32") if sound.samplerate != rate else None
        parts = []
        for block in _blocks(sound, where, limits):
            mono = block.mean(axis=1, dtype=np.float32)
            parts.append(mono if convert is None else convert.resample_chunk(mono))
        if convert is not None:
            parts.append(convert.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
    samples = np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)
    if not samples.size:
        raise InvalidInput(f"{where} holds no sound: it is 0 seconds long")
    if samples.size < limits.samples:
        raise InvalidInput(
            f"{where} is too short: it has {samples.size} samples at {rate} a second, and the model hears nothing "
            f"below {limits.samples}"
        )
    return np.nan_to_num(samples)


def _blocks(sound: Any, where: str, limits: Limits) -> Iterator[Array]:
    """[samples, channels] after each other; headers may lie about the length, so it is counted."""
    import soundfile

    most, held = int(limits.seconds * sound.samplerate), 0
    while True:
        try:
            block = sound.read(_BLOCK, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise InvalidInput(f"{where} is damaged: {brief(str(error))}") from error
        if not len(block):
            return
        held += len(block)
        if held > most:
            raise InvalidInput(
                f"{where} is longer than {limits.seconds:g} seconds, the most that is read here: "
                "send it in pieces, or raise the option max_audio_seconds"
            )
        yield block


def _check_sound(sound: Any, where: str) -> None:
    if not _LOWEST_RATE <= sound.samplerate <= _HIGHEST_RATE:
        raise InvalidInput(
            f"{where} has {sound.samplerate} samples a second; from {_LOWEST_RATE} to {_HIGHEST_RATE} are read"
        )
    if sound.channels > _MOST_CHANNELS:
        raise InvalidInput(f"{where} has {sound.channels} channels; up to {_MOST_CHANNELS} are read")


def _opened(raw: bytes, where: str, limits: Limits) -> Any:
    """The picture, of which no more than its header is read."""
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(BytesIO(raw), formats=IMAGE_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InvalidInput(_too_large(where, "more pixels", limits)) from error
    except UnidentifiedImageError as error:
        raise InvalidInput(f"{where} is no picture that is read here: {', '.join(IMAGE_FORMATS)} are") from error
    except Exception as error:
        raise InvalidInput(f"{where} is a damaged picture: {brief(str(error))}") from error
    width, height = image.size
    if width * height > limits.pixels:
        raise InvalidInput(_too_large(where, f"{width} x {height} pixels", limits))
    if image.format in _JPEGS and raw.count(_SCAN) > _MOST_SCANS:
        raise InvalidInput(f"{where} has more than {_MOST_SCANS} scans, which no camera writes: save it anew")
    if not width * height:
        raise InvalidInput(f"{where} is a picture of {width} x {height} pixels: there is nothing to see")
    return image


def _too_large(where: str, held: str, limits: Limits) -> str:
    return (
        f"{where} has {held}, and {limits.pixels} in all are the most that is read here: "
        "send it smaller, or raise the option max_pixels"
    )


def _moving(raw: bytes, where: str, limits: Limits) -> Iterator[Any]:
    from PIL import ImageSequence

    frames: list[Any] = []
    try:
        for frame in ImageSequence.Iterator(_opened(raw, where, limits)):
            frames.append(frame.convert("RGB"))
            _check_frames(frames, where, limits)
            yield frames[-1]
    except InvalidInput:
        raise
    except Exception as error:
        raise InvalidInput(f"{where} is a damaged picture: {brief(str(error))}") from error


def _check_frames(frames: list[Any], where: str, limits: Limits) -> None:
    """All pictures of a video are held at once."""
    if len(frames) > _MOST_FRAMES:
        raise InvalidInput(f"{where} has more than {_MOST_FRAMES} pictures, the most of a video that are read")
    held = sum(frame.size[0] * frame.size[1] for frame in frames)
    if held > limits.pixels:
        raise InvalidInput(_too_large(where, f"{held} pixels in {len(frames)} pictures", limits))


def _of_data_url(url: str, where: str) -> bytes:
    head, comma, body = url.partition(",")
    if not comma:
        raise InvalidInput(f"{where} is a data: URL without a comma, behind which its content would stand")
    if head.lower().endswith(";base64"):
        return _of_base64(body, where)
    return _unquoted(body)


def _unquoted(text: str) -> bytes:
    """Percent-encoded bytes, piece by piece: `unquote_to_bytes` holds an object for each escape."""
    raw, found, at = text.encode(), bytearray(), 0
    while at < len(raw):
        end = at + _PIECE
        if end < len(raw) and (begun := raw.rfind(b"%", end - 2, end)) > at:  # no escape is cut
            end = begun
        found += unquote_to_bytes(raw[at:end])
        at = end
    return bytes(found)


def _of_base64(text: str, where: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()).replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f"{where} is no base64: {error}; send base64 text, a data: URL, or bytes") from error
