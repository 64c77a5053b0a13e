"""Where no framework is installed the adapters are there all the same, and say so of the models that need one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: hides every package that pyproject.toml's own dependencies do not bring, then imports all adapters
BARE = """
import importlib.metadata as metadata, re, sys, tomllib
from importlib.abc import MetaPathFinder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

project = tomllib.load(open("pyproject.toml", "rb"))["project"]
kept, waiting = set(), list(project["dependencies"])
while waiting:
    requirement = Requirement(waiting.pop())
    name = canonicalize_name(requirement.name)
    if name in kept or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
        continue
    kept.add(name)
    try:
        waiting += metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        continue
hidden = {
    module
    for module, owners in metadata.packages_distributions().items()
    if not any(canonicalize_name(owner) in kept or owner.startswith("polyserve") for owner in owners)
}

class Hide(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, Hide())
assert {"sklearn", "torch", "transformers", "llguidance", "gguf", "soundfile"} <= hidden, sorted(hidden)
from adapters import registry
print(len(registry.adapters()), len(registry.TABLE))
"""


def test_every_adapter_is_there_without_its_framework() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BARE], cwd=ROOT, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    found, known = done.stdout.split()
    assert found == known
