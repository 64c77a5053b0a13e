"""What the Dockerfile installs: PolyServe's dependencies with the extras of FRAMEWORKS, for processors or for GPUs.

    python install.py FRAMEWORKS GPU        in a folder with pyproject.toml and constraints.txt

PyPI's builds of torch and XGBoost for x86-64 bring gigabytes of CUDA along. Without GPU=true their CPU builds are
taken: torch's from its project's own index (which uv knows by name) or, where that is not reached, from wherever pip
is configured to look; XGBoost's library from the distribution xgboost-cpu, which is the same package without CUDA.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

#: where the environment is made; pip is told so by PIP_PYTHON
VENV = "/venv"
#: a library for talk between GPUs that XGBoost's CUDA build asks for
NCCL = "nvidia-nccl-cu12"


def closure(extras: dict[str, list[str]], chosen: list[str], project: str) -> set[str]:
    """The names of the distributions that extras ask for, also by way of each other."""
    names: set[str] = set()
    waiting, seen = list(chosen), set()
    while waiting:
        extra = waiting.pop()
        if extra in seen:
            continue
        seen.add(extra)
        for requirement in extras[extra]:
            name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
            if name == project:
                waiting += re.findall(r"[\w-]+", requirement.removeprefix(name))
            else:
                names.add(name)
    return names


def pin(constraints: str, name: str) -> str:
    """`NAME==VERSION` as it was tested."""
    return next(line for line in constraints.splitlines() if line.startswith(f"{name}=="))


def run(*command: str, check: bool = True) -> bool:
    return subprocess.run(command, check=check).returncode == 0


def pip(*argv: str) -> None:
    run(sys.executable, "-m", "pip", *argv)


def install_torch(wanted: str) -> None:
    """The CPU build of torch.

    Raises:
        SystemExit: only a build with CUDA is to be had.
    """
    python = f"{VENV}/bin/python"
    uv = (f"{VENV}/bin/uv", "pip", "install", f"--python={python}", "--no-cache", "--torch-backend=cpu")
    if "PIP_EXTRA_INDEX_URL" in os.environ or not run(*uv, wanted, check=False):
        print("torch is taken from where pip is configured to look", flush=True)
        pip("install", wanted)
    look = "import torch; raise SystemExit(torch.version.cuda is not None)"
    if not run(python, "-c", look, check=False):
        raise SystemExit(
            "torch came with CUDA, since its index of CPU builds was not reached. Name a mirror of it by"
            " --build-arg PIP_EXTRA_INDEX_URL=ADDRESS, or ask for CUDA by --build-arg GPU=true"
        )


def replace_xgboost(wanted: str, site: Path) -> None:
    """Put XGBoost's CPU build where its CUDA build is; its metadata stays, so it is XGBoost to whoever asks."""
    with tempfile.TemporaryDirectory() as folder:
        pip("install", "--no-deps", f"--target={folder}", wanted.replace("xgboost==", "xgboost-cpu=="))
        shutil.rmtree(site / "xgboost")
        for name in ("xgboost", "xgboost_cpu.libs"):
            shutil.copytree(Path(folder) / name, site / name)
    pip("uninstall", "--yes", NCCL)


def main(frameworks: str, gpu: str) -> None:
    if gpu not in ("true", "false"):
        raise SystemExit(f"GPU={gpu}: must be true or false")
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    chosen, extras = frameworks.split(","), project["optional-dependencies"]
    if wrong := sorted(set(chosen) - set(extras)):
        raise SystemExit(f"unknown in FRAMEWORKS: {wrong}; known are {sorted(extras)}")
    names = closure(extras, chosen, project["name"])
    constraints = Path("constraints.txt").read_text()
    on_cpu = gpu == "false" and platform.machine() == "x86_64"
    pip("install", pin(constraints, "uv"))
    if on_cpu and "torch" in names:
        install_torch(pin(constraints, "torch"))
    pip("install", "--constraint=constraints.txt", f".[{frameworks}]")
    if on_cpu and "xgboost" in names:
        (site,) = Path(VENV).glob("lib/python*/site-packages")
        replace_xgboost(pin(constraints, "xgboost"), site)


if __name__ == "__main__":
    main(*sys.argv[1:])
