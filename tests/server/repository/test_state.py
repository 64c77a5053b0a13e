"""Which version of a model answers whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from server.repository.state import ModelState, ModelVersions, State
from tests.server.repository.kit import found, ready


def versions_of(*states: ModelState) -> ModelVersions:
    versions = ModelVersions()
    for state in states:
        versions.put(state)
    return versions


def test_versions_are_in_the_order_of_their_numbers() -> None:
    versions = versions_of(*(ready(version=version) for version in ("10", "9", "2")))
    assert list(versions.states) == ["2", "9", "10"]
    assert versions.newest.found.version == "10"
    versions.drop({"9"})
    assert list(versions.states) == ["2", "10"]


def test_the_newest_that_serves_answers_and_an_evicted_one_counts() -> None:
    failed = ModelState(found(version="3"), State.UNAVAILABLE, failed=True)
    versions = versions_of(ready(version="1"), failed)
    assert versions.newest.found.version == "1"
    versions.put(ModelState(found(version="2"), State.EVICTED))
    assert versions.newest.found.version == "2"
    assert versions_of(failed).newest is failed


@pytest.mark.parametrize(("asked", "version"), [("1", "1"), ("001", "1"), ("stable", "1"), ("2", None), ("", None)])
def test_a_version_by_number_or_label(asked: str, version: str | None) -> None:
    versions = versions_of(ready(version="1"))
    versions.labels = {"stable": "1", "canary": "2"}
    state = versions.of(asked)
    assert (state.found.version if state else None) == version


def test_an_older_version_is_needed_where_the_newest_failed_and_none_serves_or_comes() -> None:
    failed = ModelState(found(version="2"), State.UNAVAILABLE, failed=True)
    assert versions_of(failed).need_fallback
    assert not versions_of(replace(failed, failed=False)).need_fallback
    assert not versions_of(failed, ready(version="1")).need_fallback
    assert not versions_of(failed, ModelState(found(version="1"), loading=True)).need_fallback
    assert versions_of(failed).next_older() is None  # its folder has no versions


@pytest.mark.parametrize(
    ("asked", "there"), [("1", True), ("01", True), ("1.0", True), ("2", False), ("1.1", False), ("", False)]
)
def test_a_folder_without_versions_is_version_1_while_it_is_alone(asked: str, there: bool) -> None:
    versions = versions_of(ready(version=""))
    assert (versions.of(asked) is not None) is there
    assert list(versions.numbers()) == ["1"]
    versions.put(ready(version="2"))
    assert list(versions.numbers()) == ["2"]
    assert versions.of("1") is None


@pytest.mark.parametrize(("asked", "there"), [("2.5", True), ("3.0", True), ("3", True), ("1", True), ("2", False)])
def test_what_the_files_call_their_version_is_a_label_of_a_folder_without_any(asked: str, there: bool) -> None:
    versions = versions_of(ready(version=""))
    versions.labels = {"2.5": "", "3.0": "", "3": ""}
    assert (versions.of(asked) is not None) is there
