"""The requirements that came with a model, read line by line before an installer sees them.

A line may name packages (versions, extras, markers, hashes), archives at https addresses, and archives inside the
model's own folder. It may not reconfigure the installer: where packages come from is the operator's to say. What is
left is written out anew for the installer, so that it reads what was checked and nothing else.
"""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement

from adapters.base import LoadError
from adapters.modeldir import inside
from adapters.real_path import real_path
from server.loading.environments.pip_settings import PipSettings

MAX_BYTES = 1 << 20  #: of all files together
MAX_REQUIREMENTS = 2000
MAX_DEPTH = 5  #: of files that name files

_ARCHIVES = (".whl", ".tar.gz", ".zip")
_COMMENT = re.compile(r"(^|\s)#.*$")
_VARIABLE = re.compile(r"\$\{?\w")
_SCHEME = re.compile(r"(git\+)?[a-z][a-z0-9.-]*:", re.IGNORECASE)
_HASH = re.compile(r"--hash[=\s]+((?:sha256|sha384|sha512):[0-9a-f]{64,128})(?=\s|$)")
_OPTION = re.compile(r"(--?[a-z][a-z-]*)(?:\s*=\s*|\s+|$)(.*)", re.IGNORECASE)
_PACKAGES = re.compile(r"[\w.,: -]+")

_LONG = {"-i": "--index-url", "-f": "--find-links", "-r": "--requirement", "-c": "--constraint", "-e": "--editable"}
#: options that narrow what is installed, and mean the same to uv and pip
_SWITCHES = ("--pre", "--require-hashes", "--no-index", "--prefer-binary")
_CHOICES = ("--only-binary", "--no-binary")


@dataclass
class Requirements:
    """What to install: lines for the installer, in the order of their names, and what it has to be told beside them."""

    lines: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)  #: of `_SWITCHES` and `_CHOICES`
    links: list[Path] = field(default_factory=list)  #: directories of archives in the model's own folder
    digests: list[str] = field(default_factory=list)  #: of archives in the model's own folder

    @classmethod
    def read(cls, text: str, folder: Path | None, pip: PipSettings) -> Self:
        """Check the text of a requirements file; `folder` is the model's, within which it may name files.

        Raises:
            LoadError: a line asks for what a model may not ask for, with the line and the way out.
        """
        found = cls()
        _Reader(found, folder, pip).read(text, "requirements.txt", found.lines, 0)
        found.lines, found.constraints = sorted(set(found.lines)), sorted(set(found.constraints))
        found.options, found.digests = sorted(set(found.options)), sorted(set(found.digests))
        return found

    @property
    def hashed(self) -> bool:
        """Whether every package has to be the very file that a hash names (pip: one hash is enough to say so)."""
        return "--require-hashes" in self.options or any("--hash=" in line for line in self.lines)

    @property
    def key(self) -> list[list[str]]:
        """All that decides what gets installed."""
        return [self.lines, self.constraints, self.options, self.digests]


class _Reader:
    def __init__(self, found: Requirements, folder: Path | None, pip: PipSettings) -> None:
        self._found = found
        self._folder = folder
        self._pip = pip
        self._size = 0

    def read(self, text: str, source: str, into: list[str], depth: int) -> None:
        self._size += len(text.encode(errors="replace"))
        if self._size > MAX_BYTES:
            raise LoadError(f"{source} is longer than {MAX_BYTES >> 20} MiB")
        for number, line in _logical_lines(text):
            try:
                self._line(line, into, depth)
            except ValueError as error:
                raise LoadError(f"{source}, line {number}: {error}") from error
            except RecursionError as error:
                raise LoadError(f"{source}, line {number}: it is nested too deeply") from error
            if len(self._found.lines) + len(self._found.constraints) > MAX_REQUIREMENTS:
                raise LoadError(f"{source} names more than {MAX_REQUIREMENTS} packages")

    def _line(self, line: str, into: list[str], depth: int) -> None:
        if not line.isprintable():
            raise ValueError("it holds characters that no requirement has")
        if _VARIABLE.search(line):
            raise ValueError("it asks for an environment variable, and a model's requirements may not read those")
        if line.startswith("-"):
            self._option(line, into, depth)
        else:
            into.append(self._requirement(line))

    def _requirement(self, line: str) -> str:
        hashes = sorted(set(_HASH.findall(line)))
        line = _HASH.sub("", line).strip()
        if option := re.search(r"\s(--?[a-z][\w-]*)", line):
            raise ValueError(f"the option {option[1]} is not taken; of a requirement's options only --hash is")
        text = self._unnamed(line) if _is_place(line) else self._named(line)
        return " ".join([text, *(f"--hash={value}" for value in hashes)])

    def _unnamed(self, line: str) -> str:
        """An archive by its place alone, perhaps with a marker."""
        place, semicolon, marker = line.partition(" ;")
        if semicolon:
            try:
                marker = f" ; {Marker(marker.strip())}"
            except InvalidMarker as error:
                raise ValueError(f"{marker.strip()[:100]!r} is no marker") from error
        return f"{self._place(place.strip())}{marker}"

    def _named(self, line: str) -> str:
        try:
            requirement = Requirement(line)
        except InvalidRequirement as error:
            first = str(error).partition("\n")[0]
            raise ValueError(f"{line[:100]!r} is no requirement: {first}") from error
        requirement.name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if requirement.url:
            requirement.url = self._place(requirement.url)
        return str(requirement)

    def _place(self, place: str) -> str:
        """The address of an archive, as a URL."""
        scheme = place.partition(":")[0].lower() if _SCHEME.match(place) else "file"
        if scheme in ("https", "git+https"):
            if any(character.isspace() for character in place):
                raise ValueError("an address has no spaces")
            return place
        if scheme != "file":
            raise ValueError(f"{scheme}: addresses are not taken; use https or git+https, or a wheel beside the model")
        path = self._own(_path_of(place))
        if not path.is_file() or not path.name.endswith(_ARCHIVES):
            raise ValueError(f"{path.name} must be a wheel or a source archive: {', '.join(_ARCHIVES)}")
        self._found.digests.append(_digest(path))
        return path.as_uri()

    def _own(self, path: str) -> Path:
        """A path in the model's own folder, which its links do not leave."""
        if self._folder is None:
            raise ValueError(f"it names the file {path}, and this model has no folder of its own: name a version")
        found = self._folder / path
        if not inside(found, self._folder):
            raise ValueError(f"{path} is not in the model's own folder: put it there, or name a version instead")
        if not found.exists():
            raise ValueError(f"{path} does not exist in the model's folder")
        return real_path(found)

    def _option(self, line: str, into: list[str], depth: int) -> None:
        if (parts := _OPTION.fullmatch(_spaced(line))) is None:
            raise ValueError(f"{line[:100]!r} is no option that is known here")
        option, value = _LONG.get(parts[1], parts[1]), parts[2].strip().strip("\"'")
        if option in _SWITCHES and not value:
            if option != "--prefer-binary":  # what uv and pip do anyway, mostly
                self._found.options.append(option)
        elif option in _CHOICES and _PACKAGES.fullmatch(value):
            self._found.options += [f"{option}={name}" for name in value.replace(",", " ").split()]
        elif option in ("--requirement", "--constraint"):
            self._nested(value, self._found.constraints if option == "--constraint" else into, depth)
        elif option == "--find-links" and not _SCHEME.match(value):
            self._links(self._own(value))
        elif option in ("--index-url", "--extra-index-url", "--find-links", "--trusted-host"):
            self._check_allowed(option, value)
        elif option == "--editable":
            raise ValueError("editable installs (-e) are not taken: build a wheel and put it beside the model")
        else:
            raise ValueError(f"the option {option} is not taken here")

    def _nested(self, name: str, into: list[str], depth: int) -> None:
        path = self._own(name)
        if depth >= MAX_DEPTH:
            raise ValueError(f"files name files more than {MAX_DEPTH} deep")
        if not path.is_file():
            raise ValueError(f"{name} is not a file")
        with path.open("rb") as stream:
            text = stream.read(MAX_BYTES + 1).decode("utf-8", "replace")
        self.read(text, path.name, into, depth + 1)

    def _links(self, directory: Path) -> None:
        if not directory.is_dir():
            raise ValueError(f"{directory.name} is not a directory of wheels")
        archives = [path for path in sorted(directory.iterdir()) if path.name.endswith(_ARCHIVES) and path.is_file()]
        self._found.links.append(directory)
        self._found.digests += [_digest(path) for path in archives if inside(path, directory)]

    def _check_allowed(self, option: str, value: str) -> None:
        """A place that the operator's pip uses anyway may be named, and changes nothing."""
        allowed = {
            default_index(),
            *self._pip.indexes,
            *self._pip.items("find-links"),
            *self._pip.items("trusted-host"),
        }
        if value.rstrip("/") not in {place.rstrip("/") for place in allowed}:
            variable = f"PIP_{option[2:].upper().replace('-', '_')}"
            raise ValueError(
                f"{option} names {value[:100]}; where packages come from is the operator's to say: "
                f"set {variable} (or pip's configuration file) for the server, or remove the line"
            )


def default_index() -> str:
    """The index that pip uses when nobody names one, which a file may name, too; "" where pip does not tell."""
    try:
        from pip._internal.models.index import PyPI
    except ImportError:
        return ""
    return str(PyPI.simple_url)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers: continued ones joined, comments and empty ones left out, as pip reads them."""
    start, gathered = 0, ""
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        start = start if gathered else number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            gathered += line[:-1] + " "
            continue
        if stripped := _COMMENT.sub("", gathered + line).strip():
            yield start, stripped
        gathered = ""
    if stripped := _COMMENT.sub("", gathered).strip():
        yield start, stripped


def _spaced(line: str) -> str:
    """`-rfile` as `-r file`, which pip takes too."""
    return f"{line[:2]} {line[2:]}" if line[:2] in _LONG and not line.startswith("--") else line


def _is_place(line: str) -> bool:
    """Whether the line is an address or a path, rather than a package's name."""
    first = line.split(" ")[0]
    name = re.split(r"[\[@<>=!~;]", first, maxsplit=1)[0]
    return bool(_SCHEME.match(first)) or "/" in name or name in (".", "..") or first.endswith(_ARCHIVES)


def _path_of(place: str) -> str:
    if not _SCHEME.match(place):
        return place
    parts = urllib.parse.urlsplit(place)
    if parts.netloc not in ("", "localhost"):
        raise ValueError(f"{place[:100]} is on another machine")
    return urllib.parse.unquote(parts.path)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return f"{path.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}"
