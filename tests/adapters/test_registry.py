"""Whose claim on a folder counts, and what is said where nobody's does."""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters import registry
from adapters.base import Adapter, LoadError, Match, ModelDir, Origin, Rank
from adapters.registry import Ambiguous, NotInstalled, Outdated, Unsupported

Claims = Callable[..., None]


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> Claims:
    """claims(name=its match, ...): the adapters that there are."""

    def claims(**matches: Match | None) -> None:
        def make(name: str, match: Match | None) -> type[Adapter]:
            body = {"name": name, "match": classmethod(lambda cls, model_dir: match)}
            return type(name, (Adapter,), body)

        known = {name: make(name, match) for name, match in matches.items()}
        monkeypatch.setattr(registry, "TABLE", {})
        monkeypatch.setattr(registry, "adapters", lambda: known)

    return claims


@pytest.fixture
def folder(tmp_path: Path) -> ModelDir:
    (tmp_path / "m.bin").write_bytes(b"\0")
    return ModelDir.of(tmp_path)


def chosen(folder: ModelDir, **more: Any) -> str:
    return registry.choose(folder, **more).adapter.name


def test_the_surest_claim_wins(claims: Claims, folder: ModelDir) -> None:
    claims(low=Match(Rank.SUFFIX, problem="damaged"), high=Match(Rank.BUNDLE), none=None)
    assert chosen(folder) == "high"


def test_two_that_are_as_sure_are_an_error_that_names_both(claims: Claims, folder: ModelDir) -> None:
    claims(one=Match(Rank.CONTENT, "a"), two=Match(Rank.CONTENT, "b"))
    with pytest.raises(Ambiguous, match=r"a \(one\).*b \(two\).*polyserve\.yaml"):
        registry.choose(folder)
    assert chosen(folder, only="two") == "two"


def test_of_two_that_are_as_sure_the_sound_one_wins(claims: Claims, folder: ModelDir) -> None:
    claims(one=Match(Rank.CONTENT, "a", problem="a is damaged"), two=Match(Rank.CONTENT, "b"))
    assert chosen(folder) == "two"
    claims(one=Match(Rank.CONTENT, "a", problem="a is damaged"), two=Match(Rank.CONTENT, "b", problem="b is cut"))
    with pytest.raises(LoadError, match=r"^a is damaged; b is cut$"):
        registry.choose(folder)


def test_a_problem_is_the_reason(claims: Claims, folder: ModelDir) -> None:
    claims(one=Match(Rank.CONTENT, problem="m.bin is damaged"))
    with pytest.raises(LoadError, match=r"^m\.bin is damaged$"):
        registry.choose(folder)


def test_what_has_to_be_installed_is_named_as_pip_knows_it(claims: Claims, folder: ModelDir) -> None:
    claims(one=Match(Rank.CONTENT, requires=("no_such_module", "json", "no_such_module")))
    with pytest.raises(LoadError, match=r"^no_such_module is not installed: pip install no_such_module$"):
        registry.choose(folder)


def test_with_requirements_what_is_installed_here_does_not_matter(claims: Claims, folder: ModelDir) -> None:
    claims(one=Match(Rank.CONTENT, requires=("no_such_module",)))
    (folder.path / "requirements.txt").write_text("no-such-module==1\n")
    fresh = ModelDir.of(folder.path)
    assert "no-such-module==1" in registry.choose(fresh).match.requirements


@pytest.mark.parametrize("refit", [False, True])
def test_a_file_of_other_versions_is_served_where_an_environment_is_made_for_it(
    claims: Claims, folder: ModelDir, refit: bool
) -> None:
    origin = Origin("framework 1", "2", requirements="framework==1")
    claims(one=Match(Rank.CONTENT, problem="too old", origin=origin))
    if refit:
        assert chosen(folder, refit=True) == "one"
        return
    with pytest.raises(Outdated, match="too old") as failure:
        registry.choose(folder)
    assert failure.value.origin is origin


def test_a_description_leads_to_who_serves_what_it_describes(claims: Claims, folder: ModelDir) -> None:
    (folder.path / "inner").mkdir()
    claims(outer=Match(Rank.BUNDLE, delegate=("inner", "inner")), inner=Match(Rank.SUFFIX, "x"))
    choice = registry.choose(ModelDir.of(folder.path))
    assert choice.adapter.name == "inner"
    assert choice.directory is not None
    assert choice.directory.path == folder.path / "inner"
    claims(outer=Match(Rank.BUNDLE, delegate=("inner", "inner")), inner=None)
    with pytest.raises(LoadError, match="inner holds nothing for inner"):
        registry.choose(ModelDir.of(folder.path))


def test_where_nobody_claims_it_the_folder_is_described(claims: Claims, folder: ModelDir, tmp_path: Path) -> None:
    claims(one=None)
    with pytest.raises(Unsupported, match=r"no known model format among m\.bin"):
        registry.choose(folder)
    with pytest.raises(Unsupported, match="names the adapter 'one', which finds nothing"):
        registry.choose(folder, only="one")
    (tmp_path / "empty").mkdir()
    with pytest.raises(Unsupported, match="is empty"):
        registry.choose(ModelDir.of(tmp_path / "empty"))
    (tmp_path / "empty" / "link").symlink_to("/etc/passwd")
    with pytest.raises(Unsupported, match="link leads out of the models directory"):
        registry.choose(ModelDir.of(tmp_path / "empty"))


def test_an_empty_version_is_what_tritons_settings_above_it_say(tmp_path: Path) -> None:
    version = tmp_path / "steps" / "1"
    version.mkdir(parents=True)
    with pytest.raises(Unsupported, match="the directory is empty"):
        registry.choose(ModelDir.of(version, tmp_path))
    (tmp_path / "steps/config.pbtxt").write_text('name: "steps"\nplatform: "ensemble"\n')
    with pytest.raises(Unsupported, match=r"config\.pbtxt is an ensemble of Triton's, .* serve its steps as models of"):
        registry.choose(ModelDir.of(version, tmp_path))


def test_an_adapter_that_nobody_knows() -> None:
    with pytest.raises(LoadError, match="adapter 'sklaern' is unknown: did you mean 'sklearn'"):
        registry.get("sklaern")
    with pytest.raises(LoadError, match="known are sklearn"):
        registry.get("?")


@pytest.fixture
def fresh() -> Iterator[None]:
    registry.adapters.cache_clear()
    yield
    registry.adapters.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_a_broken_package_of_others_takes_nobody_down(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = importlib.metadata.EntryPoint("broken", "no_such_module:Adapter", registry.ENTRY_POINTS)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [broken])
    with caplog.at_level(logging.WARNING):
        assert list(registry.adapters()) == list(registry.TABLE)
    assert "adapter broken (no_such_module:Adapter) does not import" in caplog.text


def test_what_is_not_installed_is_named_as_pip_calls_it() -> None:
    error = NotInstalled(["PIL", "no_such_module"])
    assert error.packages == ("pillow", "no_such_module")
    assert str(error) == "pillow and no_such_module are not installed: pip install pillow no_such_module"


def test_claims_are_told_with_their_problems(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("tree\nversion=v4\n")
    (claim,) = registry.claims_on(ModelDir.of(tmp_path))
    assert claim.adapter.name == "lightgbm"
    assert claim.match.problem == "two candidate models: a.txt and b.txt; keep one"
    assert registry.claims_on(ModelDir.of(tmp_path), "xgboost") == []
