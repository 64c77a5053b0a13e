"""Which versions of a model are served, and which wait for their turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.base import LoadError, ModelDir
from server.config.version_policy import VersionPolicy, numbered, read_labels, read_policy

PRESENT = {1: "1", 2: "002", 10: "10"}


@pytest.mark.parametrize(
    ("policy", "chosen", "spare"),
    [
        (VersionPolicy(), ["10"], ["2", "1"]),
        (VersionPolicy(2), ["2", "10"], ["1"]),
        (VersionPolicy(9), ["1", "2", "10"], []),
        (VersionPolicy(None), ["1", "2", "10"], []),
        (VersionPolicy(None, (10, 1)), ["1", "10"], []),
    ],
)
def test_what_is_chosen_and_what_is_spare(policy: VersionPolicy, chosen: list[str], spare: list[str]) -> None:
    assert list(policy.choose(PRESENT)) == chosen
    assert list(policy.spare(PRESENT)) == spare


def test_the_folder_of_a_version_keeps_its_name() -> None:
    assert VersionPolicy(2).choose(PRESENT) == {"2": "002", "10": "10"}


def test_a_number_that_is_not_there() -> None:
    with pytest.raises(LoadError, match=r"^polyserve\.yaml: versions: 3 is not there; the folder holds 1, 2, 10$"):
        VersionPolicy(None, (1, 3)).choose(PRESENT)


def test_folders_are_versions_by_their_numbers(tmp_path: Path) -> None:
    for name in ("1", "007", "7", "v2", "٣", "9" * 21):
        (tmp_path / name).mkdir()
    (tmp_path / "5").touch()
    assert numbered(ModelDir.of(tmp_path)) == {1: "1", 7: "007"}


@pytest.mark.parametrize(
    ("value", "policy"),
    [
        (None, VersionPolicy()),
        ("latest", VersionPolicy()),
        ("all", VersionPolicy(None)),
        ({"latest": 3}, VersionPolicy(3)),
        ({"specific": [2, 1, 2]}, VersionPolicy(None, (2, 1))),
        ([0], VersionPolicy(None, (0,))),
    ],
)
def test_policies_as_they_are_written(value: Any, policy: VersionPolicy) -> None:
    assert read_policy(value) == policy


@pytest.mark.parametrize(
    "value", ["newest", 3, {"latest": 0}, {"latest": True}, {"latest": 1, "all": 1}, [], ["1"], [-1]]
)
def test_what_is_no_policy(value: Any) -> None:
    with pytest.raises(LoadError, match=r"^polyserve\.yaml: versions: "):
        read_policy(value)


def test_labels() -> None:
    assert read_labels(None) == {}
    assert read_labels({"stable": 1, "canary": 10}) == {"stable": "1", "canary": "10"}


@pytest.mark.parametrize("value", ["stable", {"1": 1}, {"": 1}, {"a/b": 1}, {3: 1}, {"a": "1"}, {"a": -1}, {"a": True}])
def test_what_are_no_labels(value: Any) -> None:
    with pytest.raises(LoadError, match=r"^polyserve\.yaml: labels: "):
        read_labels(value)
