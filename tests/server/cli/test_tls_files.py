"""Certificates that a command is given: what is wrong with them is said before anything is asked."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import click
import pytest

from server.cli.tls_files import TlsFiles, tls_options
from tests.certificates import Authority


def given(**files: Path) -> dict[str, Any]:
    return {"cacert": None, "cert": None, "key": None, **files}


def test_files_that_are_well(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    mine = authority.sign("mine")
    files = TlsFiles.of(given(cacert=authority.file, cert=mine.chain, key=mine.key))
    context = files.context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1
    assert TlsFiles.of(given()).program() == []


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    mine = authority.sign("mine")
    text = tmp_path / "notes.txt"
    text.write_text("no certificate")
    with pytest.raises(click.UsageError, match=r"--cacert=.*notes.txt is no file of certificates"):
        TlsFiles.of(given(cacert=text))
    with pytest.raises(click.UsageError, match=r"--cert=.*mine.pem is no file of certificates, or its key is missing"):
        TlsFiles.of(given(cert=mine.chain))
    with pytest.raises(click.UsageError, match="--key belongs to a certificate: name it by --cert"):
        TlsFiles.of(given(key=mine.key))


def test_the_options_are_curls() -> None:
    @click.command()
    @tls_options
    def asked(**files: Path | None) -> None:
        """Nothing."""

    assert [option.name for option in asked.params] == ["cacert", "cert", "key"]
