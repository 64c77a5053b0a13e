"""Which objects of a bucket make a model."""

from __future__ import annotations

import pytest

from server.loading.storage.errors import StorageError
from server.loading.storage.stores.base import ListedObjects, wanted

OBJECTS = [(name, name.upper()) for name in ("m/a", "m/sub/b", "m/sub/", "mm/c", "d")]


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("m", ["a", "sub/b"]),
        ("m/", ["a", "sub/b"]),
        ("m/sub", ["b"]),
        ("m/a", ["a"]),
        ("d", ["d"]),
        ("", ["m/a", "m/sub/b", "mm/c", "d"]),
        ("/", ["m/a", "m/sub/b", "mm/c", "d"]),
    ],
)
def test_one_object_of_that_name_or_those_of_the_folder(path: str, names: list[str]) -> None:
    named = ListedObjects[str](path).named(OBJECTS)
    assert [name for name, _ in named] == names
    assert all(each.lower().endswith(name) for name, each in named)


@pytest.mark.parametrize("path", ["x", "a", "m/sub/b/", "d/"])
def test_where_there_are_none_it_says_so(path: str) -> None:
    with pytest.raises(StorageError, match="nothing is stored there"):
        ListedObjects[str](path).named(OBJECTS)


def test_kserves_patterns_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wanted("a.bin")
    monkeypatch.setenv("STORAGE_IGNORE_PATTERNS", '["*.bin"]')
    assert not wanted("a.bin")
    assert wanted("a.json")
    monkeypatch.setenv("STORAGE_ALLOW_PATTERNS", '["*.txt"]')
    assert not wanted("a.json")
    assert [name for name, _ in ListedObjects[int]("m").named([("m/a.txt", 1), ("m/b.bin", 2)])] == ["a.txt"]
