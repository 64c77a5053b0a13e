"""The public workflows ask for what the project has: its make targets, its Pythons, and actions by their commits."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from server import __version__
from tests.deploy.manifests import ROOT

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
PYTHONS = SpecifierSet(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"])


def workflow(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())
    return loaded


def steps(of: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in of["jobs"].values() for step in job["steps"]]


def test_there_are_both() -> None:
    assert [file.name for file in FILES] == ["ci.yml", "release.yml"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_is_made_can_be_made(file: Any) -> None:
    made = re.findall(r"\bmake ([a-z-]+)", "\n".join(step.get("run", "") for step in steps(workflow(file.name))))
    assert made
    assert set(made) <= TARGETS


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_actions_are_pinned_and_rights_are_few(file: Any) -> None:
    loaded = workflow(file.name)
    uses = [step["uses"] for step in steps(loaded) if "uses" in step]
    assert uses
    assert [use for use in uses if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", use)] == []
    assert loaded["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job for job in loaded["jobs"].values())


def test_every_python_that_is_allowed_is_tested() -> None:
    tested = workflow("ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert tested == [f"3.{minor}" for minor in range(8, 30) if PYTHONS.contains(f"3.{minor}.0")]
    (promised,) = re.findall(r"^\| Python \| ([^|]+) \|", (ROOT / "docs" / "support.md").read_text(), re.MULTILINE)
    assert re.findall(r"3\.\d+", promised) == tested


def run_release(step: str, folder: Path, tag: str) -> int:
    """The exit status of a step of the release's workflow, run in a folder as for a tag."""
    (script,) = {each["run"] for each in steps(workflow("release.yml")) if each.get("name") == step}
    line = ["bash", "-e", "-o", "pipefail", "-c", script]
    environ = {**os.environ, "GITHUB_REF_NAME": tag}
    return subprocess.run(line, cwd=folder, env=environ, capture_output=True).returncode


def test_a_release_tells_what_its_own_part_of_the_changelog_does(tmp_path: Path) -> None:
    newest, oldest = "## [1.2.0] - 2026-12-01\n\n### Added\n\n- A [link].\n\n", "## [1.1.0]\n\n- Old.\n"
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## [Unreleased]\n\n{newest}{oldest}")
    for tag, told in (("v1.2.0", "\n### Added\n\n- A [link].\n\n"), ("v1.1.0", "\n- Old.\n")):
        assert run_release("The changelog has it", tmp_path, tag) == 0
        assert run_release("What has changed", tmp_path, tag) == 0
        assert (tmp_path / "notes.md").read_text() == told
    assert run_release("The changelog has it", tmp_path, "v1.3.0") != 0
    assert run_release("What has changed", tmp_path, "v1.3.0") != 0


def test_nothing_is_released_by_a_tag_that_is_not_the_version() -> None:
    assert run_release("The tag is the version", ROOT, f"v{__version__}") == 0
    assert run_release("The tag is the version", ROOT, "v0.0.0") != 0
    jobs = workflow("release.yml")["jobs"]
    assert {name for name, job in jobs.items() if job.get("needs") != "audit"} == {"audit"}
