"""What a store may list, and when two listings are one version."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.loading.storage.errors import StorageError
from server.loading.storage.listing import Listing, RemoteFile, is_inside


def listing(*names: str, tag: str = "t", size: int = 1, revision: str = "") -> Listing:
    return Listing(tuple(RemoteFile(name, size, tag) for name in names), revision)


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../x", "a/../../x", "a/..", ".", "a//b", "a/./b", "a\0b", "a\\..\\b", "a/"]
)
def test_names_that_lead_out_are_refused(name: str) -> None:
    with pytest.raises(StorageError, match=r"leads out of the model's folder"):
        listing("model.ubj", name)


@given(st.lists(st.sampled_from(["..", ".", "a", "b", "", "..."]), max_size=6))
def test_what_is_inside_stays_inside(parts: Sequence[str]) -> None:
    name = "/".join(parts)
    if is_inside(name):
        depth = 0
        for part in PurePosixPath(name).parts:
            depth += -1 if part == ".." else 1
            assert depth > 0


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(StorageError, match=r"'a' twice"):
        listing("a", "b", "a")


def test_a_file_that_is_a_folder_too_is_refused() -> None:
    with pytest.raises(StorageError, match=r"'a/b' as a file, and files in it"):
        listing("a/b", "a/bc", "a/b/c/d")


def test_versions_change_with_whatever_changes() -> None:
    versions = {
        listing("a").version,
        listing("b").version,
        listing("a", "b").version,
        listing("a", tag="u").version,
        listing("a", size=2).version,
        listing("a", revision="r").version,
    }
    assert len(versions) == 6
    assert listing("a", "b").version == listing("a", "b").version


def test_without_tags_every_listing_is_a_version_of_its_own() -> None:
    assert not listing("a", tag="").lasting
    assert listing("a", tag="").version != listing("a", tag="").version
    assert listing("a", tag="", revision="r").version == listing("a", tag="", revision="r").version


def test_totals() -> None:
    assert listing("a", "b", size=5).total == 10
    assert listing("a", size=-1).total == 0
