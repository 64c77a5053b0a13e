"""Files that stand in a model's place: what a browser, a store or a careful colleague has left there."""

from __future__ import annotations

_PAGE = "is a web page, not the file itself: fetch it by its download address"
_POINTER = "is a Git LFS pointer, not the file itself: fetch it with git lfs pull"
_XML = "is an XML document, not the file itself: perhaps a store's error, saved in its place"
_BASE64 = "is base64 of a pickle: decode it (base64 -d)"
#: how they begin, in lower case, and what they are
_BEGINNINGS = (
    (b"version https://git-lfs.", _POINTER),
    (b"<!doctype html", _PAGE),
    (b"<html", _PAGE),
    (b"<?xml", _XML),
    (b"<error>", _XML),
    *((mark, _BASE64) for mark in (b"gaw", b"gasv", b"gan", b"gaj")),  # of protocols 5 to 2
)
HEAD = 32  #: bytes that tell it


def stray(head: bytes) -> str:
    """What a file is that begins so, in words that follow its name; "": it may be a model."""
    start = head[:HEAD].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    return next((said for beginning, said in _BEGINNINGS if start.startswith(beginning)), "")
