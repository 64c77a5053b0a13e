"""JSON bodies are read by the charset that their `Content-Type` names, and others are refused by its name."""

from __future__ import annotations

import codecs

import pytest

from server.api.rest.charsets import charset_of, in_utf8
from server.errors import InvalidInput, UnsupportedMediaType, respond

TEXT = '{"instances": ["é €"]}'


@pytest.mark.parametrize(
    "kind",
    [None, "", "text/plain; charset=utf-16", "application/json", "application/json; charset=UTF-8",
     "application/json;", 'application/json; charset="utf8"', "application/octet-stream; charset=klingon",
     "multipart/form-data; boundary=x"],
)  # fmt: skip
def test_nothing_is_done_with_utf8_and_with_what_is_no_json(kind: str | None) -> None:
    assert charset_of(kind) == ""


@pytest.mark.parametrize(
    ("named", "raw"),
    [
        ("utf-16", TEXT.encode("utf-16")),
        ("UTF-16LE", TEXT.encode("utf-16-le")),
        ('"utf-16be"', TEXT.encode("utf-16-be")),
        ("utf-32", TEXT.encode("utf-32")),
        ("utf-16le", codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le")),
        ("windows-1252", TEXT.encode("cp1252")),
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "Application/Vnd.x+JSON", "text/json"])
def test_another_charset_becomes_utf8(kind: str, named: str, raw: bytes) -> None:
    taken: list[int] = []
    charset = charset_of(f"{kind}; charset={named}")
    assert in_utf8(raw, charset, taken.append) == TEXT.encode()
    assert taken == [len(TEXT.encode())]


def test_a_charset_has_several_names() -> None:
    assert {charset_of(f"application/json; charset={name}") for name in ("ISO-8859-1", "latin1", "Latin-1")} == {
        "latin-1"
    }


def test_a_charset_that_is_not_known_is_refused() -> None:
    with pytest.raises(UnsupportedMediaType, match=r"the charset klingon is not known: send JSON as UTF-8") as caught:
        charset_of("application/json; charset=klingon")
    status, headers, _ = respond(caught.value)
    assert status == 415
    assert b"accept-encoding" not in dict(headers)


@pytest.mark.parametrize(("named", "raw"), [("utf-16", b"abc"), ("utf-16", b"\xff\xfe\x00\xd8")])
def test_a_body_in_another_charset_than_named_is_refused(named: str, raw: bytes) -> None:
    charset = charset_of(f"application/json; charset={named}")
    with pytest.raises(InvalidInput, match="is not in the charset that its Content-Type names"):
        in_utf8(raw, charset, lambda size: None)
