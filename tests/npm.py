"""Programs and scripts that tests take from npm, each fetched once for the machine."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path


def npm_file(package: str, version: str, file: str) -> Path | None:
    """A file below `node_modules` of one version of a package, installed the first time; None without npm."""
    prefix = Path(tempfile.gettempdir()) / f"polyserve-{package}-{version}"
    found = prefix / "node_modules" / file
    if not found.exists():
        npm = shutil.which("npm")
        if npm is None:
            return None
        install = [npm, "install", "--no-audit", "--no-fund", "--loglevel=error", f"--prefix={prefix}"]
        subprocess.run([*install, f"{package}@{version}"], check=True, timeout=280)
    return found
