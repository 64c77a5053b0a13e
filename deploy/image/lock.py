"""Resolve what the image installs, with hashes: `make lock`, in a checkout with `uv`.

It writes two files beside itself:

requirements.txt
    every distribution that any extra needs, on any platform and Python that pyproject.toml allows, with the hashes of
    all its files. The versions are those of constraints.txt; what that does not pin is the newest that fits.
extras.json
    which of these each extra needs. "" is what the server needs without any, "build" makes our wheel, "bom" the bill of
    materials.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
#: what the image's build needs beside the extras, in the versions of constraints.txt
TOOLS = {"build": ["setuptools"], "bom": ["cyclonedx-bom"], "uv": ["uv"], "xgboost-cpu": ["xgboost-cpu"]}


def resolve(*argv: str, constraint: Path, tools: list[str]) -> str:
    """A requirements file, as `uv pip compile` makes it."""
    with tempfile.NamedTemporaryFile("w", suffix=".in") as wanted:
        wanted.write("\n".join(tools))
        wanted.flush()
        command = ["uv", "pip", "compile", *argv, f"--constraint={constraint}", "--universal", "--python-version=3.11"]
        command += ["--no-header", "--no-annotate", "--quiet", *([wanted.name] if tools else [])]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def names(requirements: str) -> list[str]:
    return sorted(set(re.findall(r"^([\w.-]+)==", requirements, re.MULTILINE)))


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    everything = [tool for group in TOOLS.values() for tool in group]
    locked = resolve(
        "pyproject.toml", "--extra=all", "--generate-hashes", constraint=ROOT / "constraints.txt", tools=everything
    )
    header = "# Made by `make lock` of pyproject.toml and constraints.txt; extras.json says which extra needs what.\n"
    (HERE / "requirements.txt").write_text(header + locked)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraint:
        constraint.write("\n".join(re.findall(r"^[\w.-]+==[^\\\n]+", locked, re.MULTILINE)))
        constraint.flush()
        at = Path(constraint.name)
        needs = {"": names(resolve("pyproject.toml", constraint=at, tools=[]))}
        for extra in sorted(set(project["optional-dependencies"]) - {"test"}):
            needs[extra] = names(resolve("pyproject.toml", f"--extra={extra}", constraint=at, tools=[]))
        needs |= {group: names(resolve(constraint=at, tools=tools)) for group, tools in TOOLS.items()}
    (HERE / "extras.json").write_text(json.dumps(needs, indent=1) + "\n")
    print(f"{len(names(locked))} distributions, {locked.count('--hash')} hashes", file=sys.stderr)


if __name__ == "__main__":
    main()
