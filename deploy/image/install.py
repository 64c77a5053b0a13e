"""What the Dockerfile installs: what PolyServe needs with the extras of FRAMEWORKS, for processors or for GPUs.

    python install.py FRAMEWORKS GPU        all, or some of extras.json; true or false
    python install.py build|bom             the tools of the image's build alone

Everything has the version and one of the hashes of requirements.txt (`make lock`), and nothing is built on the way.

PyPI's builds of torch and XGBoost for Linux bring gigabytes of CUDA along. Without GPU=true their CPU builds are taken:
torch's from its project's own index (which uv knows by name) or, where that is not reached, from wherever pip is
configured to look, with the hashes of torch-cpu.txt; XGBoost's library from the distribution xgboost-cpu, which is the
same package without CUDA.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
#: where the environment is made; pip is told so by PIP_PYTHON
VENV = "/venv"
#: groups of extras.json that are the build's own
TOOLS = ("build", "bom")
#: machines with CPU builds of their own; those of others have no CUDA
_WITH_CUDA = ("x86_64", "aarch64")
#: what torch's and XGBoost's CUDA builds ask for, and nothing else does
_CUDA = re.compile(r"nvidia-|cuda-|triton$")


def locked(path: Path) -> dict[str, str]:
    """The lines of a requirements file by distribution; one that differs by Python or platform has several."""
    found: dict[str, str] = {}
    for block in re.split(r"^(?=[\w.-]+==)", path.read_text(), flags=re.MULTILINE):
        if match := re.match(r"([\w.-]+)==", block):
            found[match[1]] = found.get(match[1], "") + block.rstrip() + "\n"
    return found


def wanted(needs: dict[str, list[str]], frameworks: str) -> set[str]:
    """The distributions that the server needs with these extras.

    Raises:
        SystemExit: there is no such extra.
    """
    chosen = frameworks.split(",")
    known = [extra for extra in needs if extra and extra not in (*TOOLS, "uv", "xgboost-cpu")]
    if wrong := sorted(set(chosen) - set(known)):
        raise SystemExit(f"unknown in FRAMEWORKS: {wrong}; known are {known}")
    return set(needs[""]).union(*(needs[extra] for extra in chosen))


def run(*command: str, check: bool = True) -> bool:
    return subprocess.run(command, check=check).returncode == 0


def install(requirements: Iterable[str], *argv: str, installer: tuple[str, ...] = (), check: bool = True) -> bool:
    """Install exactly this, of wheels whose hashes are known."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(requirements)
        file.flush()
        command = installer or (sys.executable, "-m", "pip", "install")
        options = ("--no-deps", "--only-binary=:all:", "--require-hashes")
        return run(*command, *options, *argv, "-r", file.name, check=check)


def install_torch(build: str) -> None:
    """The CPU build of torch.

    Raises:
        SystemExit: only a build with CUDA is to be had.
    """
    python = f"{VENV}/bin/python"
    uv = (f"{VENV}/bin/uv", "pip", "install", f"--python={python}", "--no-cache", "--torch-backend=cpu")
    if "PIP_EXTRA_INDEX_URL" in os.environ or not install([build], installer=uv, check=False):
        print("torch is taken from where pip is configured to look", flush=True)
        if not install([build], check=False):
            raise SystemExit(
                "no CPU build of torch with a hash of torch-cpu.txt was found. Name a mirror of its project's index by"
                " --build-arg PIP_EXTRA_INDEX_URL=ADDRESS, add the hash of this Python's build to torch-cpu.txt"
                " (pip hash FILE), or ask for CUDA by --build-arg GPU=true"
            )


def replace_xgboost(build: str, site: Path) -> None:
    """Put XGBoost's CPU build where its CUDA build is; its metadata stays, so it is XGBoost to whoever asks."""
    with tempfile.TemporaryDirectory() as folder:
        install([build], f"--target={folder}")
        shutil.rmtree(site / "xgboost")
        for name in ("xgboost", "xgboost_cpu.libs"):
            shutil.copytree(Path(folder) / name, site / name)


def main(frameworks: str, gpu: str = "false") -> None:
    if gpu not in ("true", "false"):
        raise SystemExit(f"GPU={gpu}: must be true or false")
    needs = json.loads((HERE / "extras.json").read_text())
    builds = locked(HERE / "requirements.txt")
    if frameworks in TOOLS:
        install(builds[name] for name in needs[frameworks])
        return
    names = wanted(needs, frameworks)
    if gpu == "true" or platform.machine() not in _WITH_CUDA:
        install(builds[name] for name in sorted(names))
        return
    names = {name for name in names if not _CUDA.match(name)}
    install(builds[name] for name in sorted(names - {"torch"}))
    if "torch" in names:
        install_torch(locked(HERE / "torch-cpu.txt")["torch"])
    if "xgboost" in names:
        (site,) = Path(VENV).glob("lib/python*/site-packages")
        replace_xgboost(builds["xgboost-cpu"], site)


if __name__ == "__main__":
    main(*sys.argv[1:])
