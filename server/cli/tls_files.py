"""The certificates of a connection: whom to trust beside the system's authorities, and by which to be known.

They are named as curl names them, so that what is printed for curl is what was given here.
"""

from __future__ import annotations

import shlex
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from server.cli.screen import plain

T = TypeVar("T", bound=Callable[..., Any])


@dataclass(frozen=True)
class TlsFiles:
    """PEM files; None: the system's authorities, and no certificate of one's own."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @classmethod
    def of(cls, given: dict[str, Any]) -> TlsFiles:
        """Those of the options `tls_options`, tried.

        Raises:
            click.UsageError: a file is none of certificates.
        """
        files = cls(given["cacert"], given["cert"], given["key"])
        if files.key and not files.cert:
            raise click.UsageError("--key belongs to a certificate: name it by --cert")
        files.context()
        return files

    def context(self) -> ssl.SSLContext:
        """
        Raises:
            click.UsageError: a file is none of certificates.
        """
        option = f"--cacert={plain(self.ca)}"
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.cert:
                option = f"--cert={plain(self.cert)}"
                context.load_cert_chain(self.cert, self.key)
        except OSError as error:  # ssl.SSLError is one
            raise click.UsageError(f"{option} is no file of certificates, or its key is missing: {error}") from error
        return context

    def words(self, dashes: str) -> list[str]:
        """The same for curl (two dashes) and grpcurl (one)."""
        named = {"cacert": self.ca, "cert": self.cert, "key": self.key}
        return [f"{dashes}{name} {shlex.quote(str(path))}" for name, path in named.items() if path]

    def program(self) -> list[str]:
        """The lines of a Python program that make a `context` of them; none where the system's will do."""
        if not self.ca and not self.cert:
            return []
        trusted = f"cafile={str(self.ca)!r}" if self.ca else ""
        lines = [f"context = ssl.create_default_context({trusted})"]
        if self.cert:
            named = ", ".join(repr(str(path)) for path in (self.cert, self.key) if path)
            lines.append(f"context.load_cert_chain({named})")
        return lines


def tls_options(command: T) -> T:
    """`--cacert`, `--cert` and `--key`."""
    file = click.Path(exists=True, dir_okay=False, path_type=Path)
    told = {
        "key": "The key of --cert.",
        "cert": "Yours (PEM), where the server asks for one.",
        "cacert": "Whom to trust over https:// (PEM).",
    }
    for name, meaning in told.items():
        command = click.option(f"--{name}", type=file, metavar="FILE", help=meaning)(command)
    return command
