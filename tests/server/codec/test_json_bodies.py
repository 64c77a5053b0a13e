"""Bodies that are JSON objects, and what is said of those that are none."""

from __future__ import annotations

import math
import tracemalloc

import pytest

from adapters.shared.arrays import array_of
from server.codec import json_bodies, json_values, v1, v2
from server.codec.fast.json_rows import v1_decoder, v2_decoder
from server.codec.json_bodies import check_size, not_finite, parse_object, parse_small_object
from server.errors import InvalidInput, TooLarge
from tests.server.codec.signatures import SIGNATURES, one

BODIES = [
    (b"", "the body is empty"),
    (b" \n", "the body is empty"),
    (b"[1]", "must be a JSON object"),
    (b"null", "must be a JSON object"),
    (b"{", "not JSON"),
    (b'{"a": NaN}', "a is NaN, which is not JSON: send null for a missing value"),
    (b'{"a": [[1, "NaN", 2], [3, NaN, -Infinity]]}', r"a\[1\]\[1\] is NaN, which is not JSON"),
    (b'{"a": {"b": [1, -Infinity]}}', r"a\.b\[1\] is -Infinity, which is not JSON: the model takes finite numbers"),
    (b"NaN", "the body is NaN, which is not JSON"),
    (b'{"a": NaN, "b": 1e999}', "not JSON"),
    (b'{"a": NaN', "not JSON"),
    (b'{"a": "NaN", }', "not JSON"),
    (b'{"a": "NaN \\ud800"}', "not JSON"),
    (b"[" * 100_000 + b"NaN" + b"]" * 100_000, "not JSON"),
    (
        b"5.1,3.5,1.4,0.2",
        "not JSON, it begins with '5.1,3.5,1.4,0.2': send a JSON object with \"instances\", with Content-Type",
    ),
    (b"age=3&city=Rome", "not JSON but a form: send a JSON object"),
    (
        b'--b1\r\nContent-Disposition: form-data; name="data"\r\n\r\n1\r\n--b1--',
        "not JSON but a multipart form: send a JSON object",
    ),
    (b"\x89PNG\r\n\x1a\n", "not JSON, it begins with"),
    (b'{"a": 1e999}', "not JSON"),
    (b'{"a": [1, nan]}', "it holds nan at character 10: send null for a missing value"),
    (b'{"a": -NaN}', "it holds -NaN at character 6: send null for a missing value"),
    ('{"\u00e9": [inf]}'.encode(), "it holds inf at character 7: the model takes finite numbers"),
    (b'{"a": -infinity, "b": "nan"}', "it holds -infinity at character 6: the model takes finite numbers"),
    (b'{"a": nancy}', "not JSON: invalid literal"),
    (b'{"a": "\\ud800"}', "not JSON"),
    (
        b"\x1f\x8b\x08\x00",
        "the body is gzip where its headers say that it is JSON: send JSON as it is, or compressed once",
    ),
    (b"\xff\xfe{}", "not JSON in UTF-8, but UTF-16 or UTF-32: send UTF-8, or with Content-Type"),
    ('{"a": 1}'.encode("utf-16-be"), "not JSON in UTF-8, but UTF-16"),
    (2 * b"\xef\xbb\xbf" + b"{}", "not JSON"),
    (b'\xef\xbb\xbf{"a": NaN}', "a is NaN, which is not JSON"),
    (b"\xef\xbb\xbf", "not JSON"),
    (b"{" * 100_000, "not JSON"),
    (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not JSON"),
    (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "not JSON"),
]


@pytest.mark.parametrize(("raw", "says"), BODIES, ids=lambda item: repr(item)[:30])
def test_bodies_that_are_no_json_object(raw: bytes, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        parse_object(raw, '"instances"')


def test_a_byte_order_mark_is_left_out() -> None:
    assert parse_object(b'\xef\xbb\xbf{"a": 1}', "") == {"a": 1}
    assert str(parse_object(b'\xef\xbb\xbf{"a": NaN}', "", ("NaN",))["a"]) == "nan"


def test_numbers_beyond_json_are_taken_where_the_model_takes_them() -> None:
    body = parse_object(b'{"a": [NaN, -Infinity, Infinity, 1.5]}', "", ("NaN", "Infinity", "-Infinity"))
    assert str(body["a"]) == "[nan, -inf, inf, 1.5]"
    mask = one("FP32", -1, 2)
    assert v1.decode(b'{"instances": [[0, -Infinity]]}', mask).inputs["x"].tolist() == [[0.0, -math.inf]]
    raw = b'{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0, -Infinity]}]}'
    assert v2.decode(raw, None, mask).inputs["x"].tolist() == [[0.0, -math.inf]]


def test_null_stands_for_a_missing_value_and_nan_for_none() -> None:
    takes = one("FP32", -1, 2, nullable=True)
    with pytest.raises(InvalidInput, match=r"instances\[0\]\[1\] is NaN, which is not JSON: send null"):
        v1.decode(b'{"instances": [[0, NaN]]}', takes)
    assert math.isnan(v1.decode(b'{"instances": [[0, null]]}', takes).inputs["x"][0, 1])


def test_which_numbers_beyond_json_a_model_takes() -> None:
    assert not_finite(SIGNATURES["matrix"]) == ()
    assert not_finite(one("INT64", -1)) == ()
    assert not_finite(one("BYTES", -1)) == ()
    assert set(not_finite(one("FP16", -1))) == {"Infinity", "-Infinity"}


def test_a_number_beyond_json_behind_a_long_name_takes_no_memory_for_every_element() -> None:
    raw = b'{"' + 100_000 * b"k" + b'": [' + b"[]," * 5000 + b"NaN]}"
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput, match=r"k…\[5000\] is NaN, which is not JSON") as error:
            parse_object(raw, '"instances"')
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * len(raw)
    assert len(str(error.value)) < 300


def test_where_a_number_beyond_json_stands_is_told_in_short() -> None:
    raw = b'{"a": ' + b"[" * 20 + b"Infinity" + b"]" * 20 + b"}"
    with pytest.raises(InvalidInput, match=r"^a(\[0\]){7}… is Infinity"):
        parse_object(raw, "")


def test_a_body_of_lists_alone_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """However it comes: each of them would take eighty bytes, and an object two hundred."""
    monkeypatch.setattr(json_bodies, "_LARGE", 1000)
    monkeypatch.setattr(json_bodies, "_MOST_LISTS", 500)
    monkeypatch.setattr(json_bodies, "_MOST_VALUES", 4000)
    lists, objects = b'{"instances": [' + b"[]," * 500 + b"[]]}", b'{"instances": [' + b"{}," * 500 + b"{}]}"
    decoders = (v1_decoder(SIGNATURES["matrix"]), v1_decoder(SIGNATURES["table"]), lambda raw: parse_object(raw, "x"))
    for read in decoders:
        for body in (lists, objects):
            with pytest.raises(TooLarge, match="more than 500 lists and objects; send fewer rows a request"):
                read(body)
    with pytest.raises(TooLarge):
        v2_decoder(SIGNATURES["matrix"])(lists.replace(b"instances", b"inputs"), None)
    with pytest.raises(TooLarge):
        json_values.from_tensor(array_of([lists.decode()]))
    check_size(lists[:1000])
    assert parse_object(b'{"a": [' + b"1," * 3000 + b"1]}", "x")["a"] == [1] * 3001
    values, keys = b'{"instances": [' + b"1," * 4000 + b"1]}", b'{"instances": [{' + b'"":1,' * 2000 + b'"":1}]}'
    for read in decoders:
        for body in (values, keys):
            with pytest.raises(TooLarge, match="more than 4000 values; send fewer rows a request, or raw tensors"):
                read(body)
    monkeypatch.setattr(json_bodies, "_MOST_TEXTS", 700)
    with pytest.raises(TooLarge, match="more than 700 texts; send fewer rows a request, or raw tensors"):
        parse_object(b'{"instances": [' + b'"",' * 700 + b'""]}', "x")
    assert len(parse_object(b'{"instances": [' + b'"",' * 698 + b'""]}', "x")["instances"]) == 699


def test_settings_are_small() -> None:
    assert parse_small_object(b'{"a": 1}', "x") == {"a": 1}
    with pytest.raises(TooLarge, match="the body holds 1048600 bytes: the settings takes 1048576 at most"):
        parse_small_object(b" " * 1048600, "the settings")
