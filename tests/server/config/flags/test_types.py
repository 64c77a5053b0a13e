"""The types of settings: what each takes, and what it says to the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from server.config.flags import types
from server.config.flags.types import Kind

GOOD: list[tuple[Kind[Any], str, Any]] = [
    (types.route_prefix(), "/openai/", "/openai"),
    (types.route_prefix(), "/llm/api", "/llm/api"),
    (types.route_prefix(), "", ""),
    (types.integer("N", 1, 9), "9", 9),
    (types.seconds(), "0.5", 0.5),
    (types.seconds(zero=True), "0", 0.0),
    (types.size(), "1.5KiB", 1536),
    (types.size(), "1MB", 1_000_000),
    (types.size(), "2Gi", 2 * 2**30),
    (types.switch(), "ON", True),
    (types.switch(), "no", False),
    (types.one_of("a", "b"), "b", "b"),
    (types.text("TEXT"), " x", " x"),
    (types.path_segment("NAME"), "iris-2", "iris-2"),
    (types.directory(), "/models", Path("/models")),
    (types.new_file(), "/tmp/server.sock", Path("/tmp/server.sock")),
    (types.new_file(), "server.sock", Path("server.sock")),
]
BAD: list[tuple[Kind[Any], str, str]] = [
    (types.route_prefix(), "openai", "must be a path"),
    (types.route_prefix(), "/a?b", "must be a path"),
    (types.integer("N", 1, 9), "10", "must be between 1 and 9"),
    (types.integer("N", 1), "one", "must be a whole number, at least 1"),
    (types.integer("N", 1, 1, reason="there is one"), "2", "must be 1: there is one"),
    (types.seconds(), "0", "must be"),
    (types.seconds(), "86401", "must be"),
    (types.size(), "1i", "must be at least 1 byte"),
    (types.size(), "much", "must be a number of bytes"),
    (types.switch(), "maybe", "must be true or false"),
    (types.one_of("a", "b", "c"), "d", "must be a, b or c"),
    (types.text("TEXT"), " ", "must not be empty"),
    (types.path_segment("NAME"), "a/b", "must be a name for an address"),
    (types.path_segment("NAME"), "..", "must be a name for an address"),
    (types.directory(), "s3://bucket", "must be a directory of this machine"),
    (types.new_file(), "", "must not be empty"),
    (types.new_file(), "/nowhere/server.sock", "must be a file in a folder that exists: there is no folder /nowhere"),
    (types.existing_file(), "/nowhere/at all", r"must be a file that can be read \(No such file"),
]


@pytest.mark.parametrize(("kind", "text", "value"), GOOD)
def test_what_is_taken(kind: Kind[Any], text: str, value: object) -> None:
    assert kind.read(text) == value
    assert kind.read(kind.show(kind.read(text))) == value


@pytest.mark.parametrize(("kind", "text", "why"), BAD)
def test_what_is_refused(kind: Kind[Any], text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}"):
        kind.read(text)


@pytest.mark.parametrize(("count", "shown"), [(2**20, "1MiB"), (3 * 2**40, "3TiB"), (1000, "1000"), (1536, "1536")])
def test_sizes_are_shown_as_they_can_be_written(count: int, shown: str) -> None:
    assert types.size().show(count) == shown
