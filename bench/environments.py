"""Environments of the systems' own: each made once by pip, in `.bench/`, with the frameworks that made the models."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from bench import places


@dataclass(frozen=True)
class Environment:
    """A folder with a Python and these packages, as pip takes them ("mosec==0.9.8")."""

    name: str
    packages: tuple[str, ...]
    frameworks: tuple[str, ...]  #: beside them, what reads the models, at the versions that made them
    bare: tuple[str, ...] = ()  #: of which only files are used: without what they depend on

    @property
    def folder(self) -> Path:
        return places.CACHE / f"{self.name}-venv"

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        return self.folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"

    def ensure(self) -> None:
        """Make it, which takes minutes, where it is missing or made of other packages.

        Raises:
            subprocess.CalledProcessError: pip failed; its output says why.
        """
        wanted = [*self.packages, *(f"{name}=={_release(name)}" for name in self.frameworks)]
        made_of = "\n".join((*wanted, *self.bare))
        stamp = self.folder / ".installed"
        if stamp.is_file() and stamp.read_text() == made_of:
            return
        print(f"installing {' '.join((*self.packages, *self.bare))} into {self.folder}", file=sys.stderr, flush=True)
        venv.create(self.folder, clear=True, with_pip=True)
        install = [str(self.python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, *wanted], check=True)
        if self.bare:
            subprocess.run([*install, "--no-deps", *self.bare], check=True)
        stamp.write_text(made_of)

    def versions(self) -> dict[str, str]:
        """The version of each distribution in it."""
        command = [str(self.python), "-m", "pip", "list", "--format=json"]
        listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return {each["name"].lower(): each["version"] for each in json.loads(listed)}


def _release(name: str) -> str:
    """The version that is installed here, in whichever build (torch's 2.13.0+cpu): pip takes the one that it finds."""
    return importlib.metadata.version(name).partition("+")[0]
