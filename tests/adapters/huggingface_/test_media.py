"""Pictures, videos and sound as clients send them; hostile ones are refused before they are unpacked."""

from __future__ import annotations

import base64
import struct
import zlib
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")
soundfile = pytest.importorskip("soundfile")

from adapters.base import InvalidInput  # noqa: E402
from adapters.huggingface_ import media  # noqa: E402
from adapters.huggingface_.media import Limits, bytes_of, frames_of, image_of, sound_of  # noqa: E402

LIMITS = Limits(pixels=10_000, seconds=2.0)


def encoded(image: Any, kind: str = "PNG", **settings: Any) -> bytes:
    held = BytesIO()
    image.save(held, format=kind, **settings)
    return held.getvalue()


def picture(width: int = 8, height: int = 4) -> Any:
    return Image.new("RGB", (width, height), (200, 10, 10))


def sound(samples: Any, rate: int = 16_000, kind: str = "WAV", subtype: str | None = None) -> bytes:
    held = BytesIO()
    soundfile.write(held, samples, rate, format=kind, subtype=subtype)
    return held.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header tells of that many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "value",
    [
        b"hello", "aGVsbG8=", "aGVs\nbG8=", "data:image/png;base64,aGVsbG8=", "data:,hello", {"b64": "aGVsbG8="},
        {"image": "aGVsbG8="}, {"image": {"b64": "aGVsbG8="}}, {"url": "DATA:x;base64,aGVsbG8="},
        b"data:image/png;base64,aGVsbG8=",
    ],
)  # fmt: skip
def test_content_comes_in_many_wrappings(value: Any) -> None:
    if isinstance(value, dict) and isinstance(value.get("image"), dict):
        value = {"image": base64.b64decode(value["image"]["b64"])}  # as V1 reads it
    assert bytes_of(value, "image[0]", "image") == b"hello"


def test_url_safe_base64_is_read() -> None:
    assert bytes_of("_-8=", "image[0]", "image") == b"\xff\xef"


def test_raw_bytes_that_happen_to_be_a_text_are_bytes() -> None:
    assert bytes_of("RIFF\0\0", "audio[0]", "audio") == b"RIFF\0\0"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("http://127.0.0.1/x.png", "is an address, and nothing is fetched"),
        ("file:///etc/passwd", "is an address"),
        ("/etc/passwd", "is no base64"),
        ("a", "is no base64"),
        ("data:image/png;base64", "is a data: URL without a comma"),
        (3, "is int"),
        (None, "is NoneType"),
        ({"a": "x", "b": "y"}, "is dict"),
    ],
)
def test_what_is_no_content_is_refused(value: Any, reason: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^image\[0\] {reason}"):
        bytes_of(value, "image[0]", "image")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_pictures_are_rgb(kind: str) -> None:
    image = image_of(encoded(picture(), kind), "image[0]", "image", LIMITS)
    assert (image.mode, image.size) == ("RGB", (8, 4))


def test_a_picture_that_lies_on_its_side_is_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert image_of(encoded(picture(), "JPEG", exif=exif), "image[0]", "image", LIMITS).size == (4, 8)


def test_pictures_with_too_many_pixels_are_refused_by_their_heads() -> None:
    with pytest.raises(InvalidInput, match=r"image\[0\] has 200 x 100 pixels, and 10000 in all .* max_pixels"):
        image_of(bomb(200, 100), "image[0]", "image", LIMITS)
    for size in (10_000, 60_000):  # from where on Pillow itself warns, and refuses
        with pytest.raises(InvalidInput, match="pixels, and 10000 in all"):
            image_of(bomb(size, size), "image[0]", "image", LIMITS)


def test_what_is_no_picture_or_a_damaged_one_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"image\[0\] is no picture that is read here: PNG, JPEG"):
        image_of(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "image[0]", "image", LIMITS)
    whole = encoded(Image.effect_noise((60, 60), 90))
    with pytest.raises(InvalidInput, match=r"image\[0\] is a damaged picture"):
        image_of(whole[: len(whole) // 2], "image[0]", "image", LIMITS)


def test_a_video_is_a_list_of_pictures_or_a_moving_one() -> None:
    listed = [base64.b64encode(encoded(picture())).decode()] * 3
    assert len(frames_of(listed, "video[0]", "video", LIMITS)) == 3
    assert len(frames_of({"video": listed}, "video[0]", "video", LIMITS)) == 3
    shades = [Image.new("RGB", (8, 4), (40 * i, 0, 0)) for i in range(5)]
    moving = encoded(shades[0], "GIF", save_all=True, append_images=shades[1:])
    assert len(frames_of(moving, "video[0]", "video", LIMITS)) == 5


def test_a_video_is_bounded_as_a_whole() -> None:
    large = encoded(picture(60, 60))
    with pytest.raises(InvalidInput, match=r"video\[0\] has 10800 pixels in 3 pictures"):
        frames_of([large] * 3, "video[0]", "video", LIMITS)
    with pytest.raises(InvalidInput, match="more than 1024 pictures"):
        frames_of([encoded(picture(1, 1))] * 1025, "video[0]", "video", LIMITS)
    with pytest.raises(InvalidInput, match="pictures of different sizes"):
        frames_of([encoded(picture()), encoded(picture(4, 4))], "video[0]", "video", LIMITS)
    with pytest.raises(InvalidInput, match="has no pictures"):
        frames_of([], "video[0]", "video", LIMITS)


TONE = (0.3 * np.sin(np.arange(16_000) / 20)).astype(np.float32)


@pytest.mark.parametrize(("kind", "subtype"), [("WAV", "FLOAT"), ("WAV", None), ("FLAC", None), ("OGG", None),
                                               ("OGG", "OPUS"), ("MP3", None), ("AIFF", None)])  # fmt: skip
def test_sound_is_one_channel_at_the_models_rate(kind: str, subtype: str | None) -> None:
    samples = sound_of(sound(TONE, kind=kind, subtype=subtype), "audio[0]", "audio", 16_000, LIMITS)
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(16_000, abs=2_000)
    assert np.abs(samples).max() == pytest.approx(0.3, abs=0.05)


def test_sound_at_the_models_rate_is_left_as_it_is() -> None:
    exact = sound_of(sound(TONE, subtype="FLOAT"), "audio[0]", "audio", 16_000, LIMITS)
    assert np.array_equal(exact, TONE)


def test_channels_are_averaged_and_rates_converted() -> None:
    stereo = np.stack([TONE, np.zeros_like(TONE)], axis=1)
    halved = sound_of(sound(stereo, subtype="FLOAT"), "audio[0]", "audio", 16_000, LIMITS)
    assert halved == pytest.approx(TONE / 2, abs=1e-6)
    slower = sound_of(sound(TONE, 32_000, subtype="FLOAT"), "audio[0]", "audio", 16_000, LIMITS)
    import soxr

    assert len(slower) == pytest.approx(8_000, abs=2)
    assert slower == pytest.approx(soxr.resample(TONE, 32_000, 16_000)[: len(slower)], abs=1e-3)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"no sound at all", "is no sound that is read here: WAV, FLAC"),
        (b"", "is no sound"),
        (sound(np.zeros(0, dtype=np.float32)), "holds no sound"),
        (sound(np.zeros(48_000)), "is longer than 2 seconds, .* max_audio_seconds"),
        (sound(np.zeros(800), 400), "has 400 samples a second"),
        (sound(np.zeros((100, 17))), "has 17 channels"),
    ],
)
def test_what_is_no_sound_or_too_much_of_it_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^audio\[0\] {reason}"):
        sound_of(raw, "audio[0]", "audio", 16_000, LIMITS)


def test_a_picture_with_more_scans_than_any_camera_writes_is_refused() -> None:
    """Each scan of a few bytes has the whole picture walked through."""
    sound = encoded(picture(), "JPEG", progressive=True)
    assert image_of(sound, "image[0]", "image", LIMITS).size == (8, 4)
    with pytest.raises(InvalidInput, match=r"image\[0\] has more than 500 scans"):
        image_of(sound + b"\xff\xda" * 501, "image[0]", "image", LIMITS)
    assert image_of(encoded(picture()) + b"\xff\xda" * 501, "image[0]", "image", LIMITS).size == (8, 4), "a PNG"


@pytest.mark.parametrize("piece", [3, 4, 5, 7, 64])
def test_escapes_are_read_whole_wherever_a_piece_ends(monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(media, "_PIECE", piece)
    for text in ("a%41%42c", "%%41%4", "%41" * 50 + "%", "x%zz%%%31é", ""):
        assert bytes_of(f"data:,{text}", "image[0]", "image") == unquote_to_bytes(text)


def test_sound_that_is_too_short_for_the_model() -> None:
    least = Limits(samples=400)
    assert sound_of(sound(TONE[:400]), "audio[0]", "audio", 16_000, least).size == 400
    with pytest.raises(InvalidInput, match=r"audio\[0\] is too short: it has 399 samples .* below 400"):
        sound_of(sound(TONE[:399]), "audio[0]", "audio", 16_000, least)
