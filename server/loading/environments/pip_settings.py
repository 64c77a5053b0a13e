"""Where the operator's pip finds packages, read as pip reads it and told to uv, which ignores pip's configuration.

pip's files (global, user, the environment's own, `PIP_CONFIG_FILE`), each the sections [global] and [install], then
the variables PIP_*; what comes later beats what came before.
"""

from __future__ import annotations

import configparser
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

log = logging.getLogger("kserve")

_SECTIONS = ("global", "install")
_FALSE = ("", "0", "false", "no", "off", "f", "n")

#: pip's options that uv takes under the same name: one value, or a list
_SINGLE = ("index-url", "keyring-provider")
_LISTS = ("extra-index-url", "find-links", "only-binary", "no-binary")
_UV_NAMES = {"trusted-host": "--allow-insecure-host", "constraint": "--constraints"}


@dataclass(frozen=True)
class PipSettings:
    """pip's options by their long names, without the dashes in front, as `pip install` would see them."""

    values: Mapping[str, str]

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """The settings of this machine; a file that cannot be read is skipped with a warning, as uv would not care."""
        values: dict[str, str] = {}
        for section in _SECTIONS:
            for path in configuration_files(environ):
                values.update(_section(path, section))
        for name, value in environ.items():
            if name.startswith("PIP_"):
                values[name.removeprefix("PIP_").lower().replace("_", "-")] = value
        return cls(values)

    def items(self, name: str) -> list[str]:
        """The value of an option as a list: pip separates by white space, and lists of packages by commas."""
        text = self.values.get(name, "")
        return (text.replace(",", " ") if name.endswith("-binary") else text).split()

    def on(self, name: str) -> bool:
        """Whether a switch is on."""
        return self.values.get(name, "").strip().lower() not in _FALSE

    @property
    def indexes(self) -> list[str]:
        """The package indexes' addresses."""
        return [*self.items("index-url"), *self.items("extra-index-url")]

    def uv_arguments(self) -> list[str]:
        """The arguments of `uv pip install` that say the same."""
        arguments = [f"--{name}={value}" for name in _SINGLE for value in self.items(name)[:1]]
        arguments += [f"--{name}={value}" for name in _LISTS for value in self.items(name)]
        arguments += [f"{flag}={value}" for name, flag in _UV_NAMES.items() for value in self.items(name)]
        if self.items("extra-index-url"):  # pip takes the best version of all indexes; uv would stop at the first
            arguments.append("--index-strategy=unsafe-best-match")
        if self.on("no-index"):
            arguments.append("--no-index")
        if self.on("pre"):
            arguments.append("--prerelease=allow")
        if self.on("require-hashes"):
            arguments.append("--require-hashes")
        return arguments

    def uv_environ(self) -> dict[str, str]:
        """The variables that tell uv of pip's certificate, proxy and time limit."""
        said = {
            "SSL_CERT_FILE": self.values.get("cert"),
            "SSL_CLIENT_CERT": self.values.get("client-cert"),
            "ALL_PROXY": self.values.get("proxy"),
            "UV_HTTP_TIMEOUT": self.values.get("timeout") or self.values.get("default-timeout"),
            "UV_HTTP_RETRIES": self.values.get("retries"),
        }
        return {name: value.strip() for name, value in said.items() if value and value.strip()}


def configuration_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """pip's configuration files, the weakest first."""
    own = environ.get("PIP_CONFIG_FILE")
    if own == os.devnull:
        return
    home = Path(environ.get("HOME") or Path.home())
    for folder in reversed((environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")):
        yield Path(folder) / "pip" / "pip.conf"
    yield Path("/etc/pip.conf")
    yield home / ".pip" / "pip.conf"
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    yield Path(sys.prefix) / "pip.conf"
    if own:
        yield Path(own)


def written_settings(environ: Mapping[str, str]) -> str:
    """pip's files as one, for somebody who may not read them; "" where they say nothing."""
    told = {name: value for name, value in environ.items() if not name.startswith("PIP_") or name == "PIP_CONFIG_FILE"}
    values = {**PipSettings.read(told).values}
    values.pop("config-file", None)
    lines = (f"{name} = {value.strip()}".replace("\n", "\n    ") for name, value in values.items())
    return "".join(f"{line}\n" for line in ("[global]", *lines)) if values else ""


def _section(path: Path, section: str) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, OSError, UnicodeDecodeError) as error:
        log.warning("pip's configuration %s cannot be read: %s", path, str(error).partition("\n")[0])
        return {}
    items = parser.items(section) if parser.has_section(section) else ()
    return {name.replace("_", "-").removeprefix("--"): value for name, value in items}
