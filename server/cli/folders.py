"""The folder that a command line names, or what to say where it is none: newcomers' mistakes, and the way out."""

from __future__ import annotations

import re
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from server.cli.screen import plain
from server.config.near_folder import near_folder

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".7z", ".gz")
_SLASH = re.compile(r"(s3|gs|hf|https?|oci|pvc|file):/[^/]", re.IGNORECASE)
_URI = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


class Folder(click.ParamType[Path]):
    """An argument that is a folder which is there."""

    name = "folder"

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if problem := problem_of(str(value)):
            raise click.UsageError(problem)
        return Path(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        """Folders only."""
        return [CompletionItem(incomplete, type="dir")]


def problem_of(text: str) -> str:
    """Why a text names no folder that could hold models, and what to write instead; "": it does."""
    shown = plain(text)
    if not text.strip():
        return "the folder's name is empty: perhaps a variable is not set; the folder that you are in is ."
    if _SLASH.match(text):
        return f"{shown} is no folder, and an address has two slashes: {shown.replace('/', '//', 1)}"
    if _URI.match(text):
        return f"{shown} is an address, not a folder: download it first, or serve it by --model=NAME={shown}"
    path = Path(text)
    try:
        if path.is_dir():
            next(path.iterdir(), None)
            return ""
        if path.exists():
            return _of_file(path, shown)
    except (OSError, ValueError) as error:
        return f"{shown} cannot be read: {getattr(error, 'strerror', None) or error}"
    if text.startswith("~"):
        return f"there is no folder {shown}: a shell knows ~ outside of quotes alone"
    if text != text.strip():
        return f"there is no folder {text!r}: its name begins or ends with white space"
    near = near_folder(path)
    hint = f"did you mean {plain(near)}?" if near else f"you are in {plain(Path.cwd())}"
    return f"there is no folder {shown}: {hint}"


def _of_file(path: Path, shown: str) -> str:
    if path.name.lower().endswith(_ARCHIVES):
        return f"{shown} is an archive: unpack it, and name the folder that it makes"
    return f"{shown} is a file: name the folder that holds it, {plain(path.parent)}"
