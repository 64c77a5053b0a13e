"""`polyserve curl NAME`: a request that the model answers, to be copied, or sent here and now."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from server.cli.folders import Folder
from server.cli.main import FAILED, Failure
from server.cli.model_name import ModelName
from server.cli.screen import as_json, plain, progress, say
from server.cli.server_client import DEFAULT_URL, RunningServer
from server.cli.snippets import WAYS, ModelRequest, choose_way, request_for, shown
from server.cli.temporary_server import serving
from server.cli.tls_files import TlsFiles, tls_options

GRPC_PORT = 8081


@click.command()
@click.argument("name", type=ModelName())
@click.option("--url", metavar="URL", help=f"A server.  [default: {DEFAULT_URL}]")
@click.option("--dir", "directory", type=Folder(), metavar="DIR", help="A folder of models: one is served for this.")
@click.option(
    "--as",
    "way",
    type=click.Choice(WAYS, case_sensitive=False),
    help="How to ask.  [default: v1; openai for language models]",
)
@click.option("--data", metavar="JSON|@FILE|-", help="The body, instead of the model's example.")
@click.option("--version", "version", default="", metavar="VERSION", help="A version, or a label.")
@click.option(
    "--grpc-port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help=f"For gRPC, {GRPC_PORT} unless set.",
)
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header; may be repeated.")
@tls_options
@click.option("--send", is_flag=True, help="Send it, and print the answer.")
def curl(
    name: str,
    url: str | None,
    directory: Path | None,
    way: str | None,
    data: str | None,
    version: str,
    grpc_port: int | None,
    headers: Sequence[str],
    send: bool,
    **files: Path | None,
) -> int:
    """Print a request that the model NAME answers: the first of its examples.json, or one made from its signature.
    Status 1: the model refused it, or no server answers.
    """
    if url and directory:
        raise click.UsageError("--url and --dir are two ways to the model: give one of them")
    body = None if data is None else body_of(data)
    with server_for(name, url, directory, headers, TlsFiles.of(files)) as (server, port):
        metadata = server.model(name, version)
        request = request_for(way or choose_way(metadata, body), metadata, version, body)
        address = grpc_address(server.url, grpc_port or port)
        if send:
            return _send(request, server, address)
        home = RunningServer(DEFAULT_URL, server.headers) if directory else server
        say(shown(request, home.url, f"localhost:{GRPC_PORT}" if directory else address, home.headers, home.tls))
    return 0


@contextmanager
def server_for(
    name: str, url: str | None, directory: Path | None, headers: Sequence[str] = (), tls: TlsFiles | None = None
) -> Iterator[tuple[RunningServer, int]]:
    """The server that is to be asked, and its gRPC port: the running one, or one for this model alone."""
    asked = RunningServer.at(url or DEFAULT_URL, headers, tls)
    if directory is None:
        if "/" in name and (folder := Path(name)).is_dir():
            there = plain(folder.parent)
            raise click.UsageError(f"{plain(name)} is a folder: write {plain(folder.name)} --dir={there}")
        yield asked, GRPC_PORT
        return
    with serving(name, directory) as temporary:
        yield RunningServer(temporary.rest.url, asked.headers), temporary.grpc_port


def grpc_address(url: str, port: int) -> str:
    """Where gRPC is, beside REST at this address."""
    host = str(urlsplit(url).hostname)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def body_of(data: str) -> Any:
    """What `--data` gives: JSON itself, a file of it, or standard input.

    Raises:
        click.UsageError: it is no JSON, or there is no such file.
    """
    try:
        text = sys.stdin.read() if data == "-" else Path(data[1:]).read_text("utf-8") if data[:1] == "@" else data
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise click.UsageError(f"--data={plain(data)} cannot be read: {plain(said)}") from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        hint = "" if data[:1] in "@-{[" else "; a file is written as --data=@FILE"
        raise click.UsageError(f"--data is not JSON: {error}{hint}") from error


def _send(request: ModelRequest, server: RunningServer, grpc_address: str) -> int:
    if request.way == "python":
        return _run(shown(request, server.url, grpc_address, server.headers, server.tls))
    with progress("waiting for the answer"):
        if request.way == "grpc":
            from server.cli.grpc_request import infer

            say(as_json(infer(grpc_address, request.body, server.headers, server.tls if server.secure else None)))
            return 0
        answer = server.post(request.path, request.text.encode())
    if answer.status >= 400:
        raise Failure(f"the server answers {answer.status}: {answer.error}")
    document = answer.document
    say(answer.body.decode(errors="replace") if document is None else as_json(document))
    return 0


def _run(program: str) -> int:
    """The program itself is what was promised to work."""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    sys.stdout.write(ended.stdout)
    if ended.returncode:
        last = ended.stderr.strip().splitlines()[-1:]
        raise Failure(f"the program ended with {ended.returncode}: {plain(last[0] if last else '')}")
    return FAILED if ended.returncode else 0
