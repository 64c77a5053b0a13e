"""The locked requirements of the image agree with the project, its constraints and each other."""

from __future__ import annotations

import importlib.metadata
import json
import re
import tomllib

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.manifests import DEPLOY, ROOT

IMAGE = DEPLOY / "image"
LOCK = (IMAGE / "requirements.txt").read_text()
NEEDS: dict[str, list[str]] = json.loads((IMAGE / "extras.json").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {name: texts for name, texts in PROJECT["optional-dependencies"].items() if name != "test"}
STALE = "run `make lock`"


def blocks() -> list[tuple[str, str, str, int]]:
    """Name, version, marker and how many hashes."""
    found = []
    for block in re.split(r"^(?=[\w.-]+==)", LOCK, flags=re.MULTILINE)[1:]:
        head = block.splitlines()[0].removesuffix("\\").strip()
        wanted, _, marker = head.partition(" ; ")
        name, _, version = wanted.partition("==")
        found.append((name, version, marker, len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", block))))
    return found


VERSIONS = {
    name: version for name, version, marker, _ in blocks() if not marker or Marker(marker).evaluate()
}  # on this machine's Python


def test_everything_has_hashes_and_nothing_names_a_place() -> None:
    assert len(blocks()) > 200
    assert [name for name, *_, hashes in blocks() if not hashes] == []
    assert "://" not in LOCK
    assert "@ " not in LOCK


@pytest.mark.parametrize("extra", ["", *sorted(EXTRAS)])
def test_every_requirement_is_locked_within_its_range(extra: str) -> None:
    texts = EXTRAS[extra] if extra else PROJECT["dependencies"]
    for requirement in map(Requirement, texts):
        name = canonicalize_name(requirement.name)
        if name == PROJECT["name"] or (requirement.marker and not requirement.marker.evaluate()):
            continue
        assert name in NEEDS[extra], f"{name} is not in extras.json: {STALE}"
        assert requirement.specifier.contains(VERSIONS[name]), f"{name}: {VERSIONS[name]}: {STALE}"


def test_every_constraint_holds_for_the_lock() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    differing = {name: (pin, VERSIONS[name]) for name, pin in pins.items() if VERSIONS.get(name, pin) != pin}
    assert differing == {}, STALE
    assert VERSIONS["setuptools"] == pins["setuptools"]


def test_extras_name_only_what_is_locked() -> None:
    named = {name for names in NEEDS.values() for name in names}
    assert named == {name for name, *_ in blocks()}, STALE
    assert set(NEEDS) == {"", *EXTRAS, "build", "bom", "uv", "xgboost-cpu"}, STALE
    assert set(NEEDS["all"]) == set().union(*(NEEDS[extra] for extra in EXTRAS))


def test_torchs_cpu_build_is_the_locked_version() -> None:
    text = (IMAGE / "torch-cpu.txt").read_text()
    assert f"torch=={VERSIONS['torch']}+cpu " in text
    assert text.count("--hash=sha256:") == 6  # three Pythons on two machines
    assert VERSIONS["xgboost-cpu"] == VERSIONS["xgboost"]


@pytest.mark.parametrize("extra", ["sklearn", "onnx", "lightgbm", "spacy", "huggingface", "tensorflow", "storage"])
def test_what_the_installed_distributions_require_is_there(extra: str) -> None:
    names = set(NEEDS[""]) | set(NEEDS[extra])
    missing = set()
    for name in names:
        try:
            required = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:  # CUDA's, or of another platform
            continue
        for requirement in map(Requirement, required):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                child = canonicalize_name(requirement.name)
                missing |= {child} - names
    assert missing == set(), STALE
