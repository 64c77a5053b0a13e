"""`polyserve bench NAME`: how fast a model answers, and how often, with requests made from its signature."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from server.cli.curl import GRPC_PORT, body_of, grpc_address, server_for
from server.cli.folders import Folder
from server.cli.load_run import LoadResult, run_load
from server.cli.main import FAILED, Failure
from server.cli.model_name import ModelName
from server.cli.screen import as_json, paint, plain, progress, say, table
from server.cli.server_client import DEFAULT_URL, RunningServer
from server.cli.snippets import ModelRequest, choose_way, request_for
from server.cli.text_plot import bars, histogram, milliseconds
from server.cli.tls_files import TlsFiles, tls_options

_ROWS, _TOKENS = "ROWS/S", "TOKENS/S"
_HEAD = ("CLIENTS", "REQUESTS/S", _ROWS, "P50 MS", "P90 MS", "P99 MS", "MAX MS", "ERRORS")
_WAYS = ("v1", "v2", "grpc", "openai")


class Counts(click.ParamType[tuple[int, ...]]):
    """1,4,16"""

    name = "counts"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            counts = tuple(int(each) for each in str(value).split(","))
        except ValueError:
            counts = ()
        if not counts or not all(1 <= count <= 1024 for count in counts):
            raise click.UsageError(f"--clients={plain(value)} must be numbers from 1 to 1024, as in 1,4,16")
        return counts


@dataclass(frozen=True)
class Target:
    """What is asked, by whom."""

    server: RunningServer
    request: ModelRequest
    rows: int  #: in each request; 0: nobody knows
    grpc_address: str = ""  #: where it is asked over gRPC

    @property
    def place(self) -> str:
        return f"ModelInfer at {self.grpc_address}" if self.request.way == "grpc" else f"POST {self.request.path}"

    def check(self) -> None:
        """
        Raises:
            Failure: the model refuses the request: there is nothing to measure.
        """
        if self.request.way == "grpc":
            from server.cli.grpc_request import infer

            infer(self.grpc_address, self.request.body, self.server.headers, self._grpc_tls)
            return
        answer = self.server.post(self.request.path, self.request.text.encode())
        if answer.status >= 400:
            raise Failure(f"the server answers {answer.status}: {answer.error}")

    def ask(self, clients: int, seconds: float) -> LoadResult:
        """Let so many clients ask it for so long."""
        headers = self.server.headers
        if self.request.way == "grpc":
            from server.cli.grpc_load import run_grpc_load

            return run_grpc_load(self.grpc_address, self.request.body, headers, clients, seconds, self._grpc_tls)
        url = urlsplit(self.server.url)
        context = self.server.tls.context() if self.server.secure else None
        body = self.request.text.encode()
        return run_load(url, self.request.path, body, headers, clients, seconds, context)

    @property
    def _grpc_tls(self) -> TlsFiles | None:
        return self.server.tls if self.server.secure else None


@click.command()
@click.argument("name", type=ModelName())
@click.option("--url", metavar="URL", help=f"A server.  [default: {DEFAULT_URL}]")
@click.option("--dir", "directory", type=Folder(), metavar="DIR", help="A folder of models: one is served for this.")
@click.option(
    "--clients", type=Counts(), metavar="N,N", default="1,4,16", show_default=True, help="At once, one run each."
)
@click.option("--seconds", type=click.FloatRange(0.1, 600), metavar="N", default=3, show_default=True, help="Of a run.")
@click.option("--rows", type=click.IntRange(1, 100_000), metavar="N", help="In a request, or as the example.")
@click.option(
    "--as",
    "way",
    type=click.Choice(_WAYS, case_sensitive=False),
    help="How.  [default: v1; openai for language models]",
)
@click.option("--data", metavar="JSON|@FILE|-", help="The body, instead of the model's example.")
@click.option(
    "--grpc-port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help=f"For gRPC, {GRPC_PORT} unless set.",
)
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header; may be repeated.")
@tls_options
@click.option("--json", "json_", is_flag=True, help="Print JSON, for programs.")
def bench(
    name: str,
    url: str | None,
    directory: Path | None,
    clients: tuple[int, ...],
    seconds: float,
    rows: int | None,
    way: str | None,
    data: str | None,
    grpc_port: int | None,
    headers: Sequence[str],
    json_: bool,
    **files: Path | None,
) -> int:
    """Measure how long the model NAME takes to answer, and how many requests it answers in a second.

    Clients ask one request after another, with the model's example. Status 1: a request failed.
    """
    if url and directory:
        raise click.UsageError("--url and --dir are two ways to the model: give one of them")
    body = None if data is None else body_of(data)
    with server_for(name, url, directory, headers, TlsFiles.of(files)) as (server, port):
        metadata = server.model(name)
        way = way or choose_way(metadata, body)
        request = request_for("v2" if way == "grpc" else way, metadata, body=body)
        address = grpc_address(server.url, grpc_port or port)
        target = _with_rows(Target(server, request, _rows(request.body), address), rows)
        if way == "grpc":
            target = replace(target, request=request_for(way, metadata, body=target.request.body))
        target.check()
        results = [_run(target, count, seconds) for count in clients]
    if json_:
        say(as_json(_document(name, target, results)))
    else:
        _show(name, metadata, target, results)
    return FAILED if any(each.errors for each in results) else 0


def _run(target: Target, clients: int, seconds: float) -> LoadResult:
    with progress(f"{_clients(clients)} at work for {seconds:g} s"):
        return target.ask(clients, seconds)


def _rows(body: Any) -> int:
    """Rows of a request, as far as its body tells."""
    if not isinstance(body, Mapping):
        return 0
    if isinstance(instances := body.get("instances"), list):
        return len(instances)
    inputs = body.get("inputs")
    shape = inputs[0].get("shape") if isinstance(inputs, list) and inputs and isinstance(inputs[0], Mapping) else None
    return shape[0] if isinstance(shape, list) and shape and isinstance(shape[0], int) else 0


def _with_rows(target: Target, rows: int | None) -> Target:
    """The request with so many rows: the example's, again and again."""
    if rows is None:
        return target
    body = target.request.body
    if not isinstance(body, Mapping) or not target.rows:
        raise click.UsageError("--rows is for requests that have rows: instances (--as=v1), or tensors (--as=v2)")
    if "instances" in body:
        longer = {**body, "instances": _again(body["instances"], rows)}
    else:
        longer = {**body, "inputs": [_longer(tensor, target.rows, rows) for tensor in body["inputs"]]}
    return replace(target, request=replace(target.request, body=longer), rows=rows)


def _longer(tensor: Any, known: int, rows: int) -> Any:
    """A tensor of V2 with so many rows; its data are flat, or a list of rows. One that has no rows stays as it is."""
    shape = tensor.get("shape") if isinstance(tensor, Mapping) else None
    if not isinstance(shape, list) or shape[:1] != [known] or not isinstance(tensor.get("data"), list):
        return tensor
    others = shape[1:]
    flat = len(tensor["data"]) == math.prod(shape)
    wanted = rows * math.prod(others) if flat else rows
    return {**tensor, "shape": [rows, *others], "data": _again(tensor["data"], wanted)}


def _again(values: Sequence[Any], count: int) -> list[Any]:
    return list(itertools.islice(itertools.cycle(values), count))


def _document(name: str, target: Target, results: Sequence[LoadResult]) -> dict[str, Any]:
    runs = [
        {
            "clients": each.clients,
            "seconds": round(each.seconds, 3),
            "requests_per_second": round(each.rate, 1),
            **({"tokens_per_second": round(each.tokens / each.seconds, 1)} if each.tokens else {}),
            **{f"p{percent}_ms": round(1000 * each.quantile(percent / 100), 3) for percent in (50, 90, 99)},
            "max_ms": round(1000 * each.quantile(1.0), 3),
            "errors": dict(each.errors),
        }
        for each in results
    ]
    return {"model": name, "asked": target.place, "path": target.request.path, "rows": target.rows, "runs": runs}


def _show(name: str, metadata: Mapping[str, Any], target: Target, results: Sequence[LoadResult]) -> None:
    adapter = metadata.get("parameters", {}).get("adapter", metadata.get("platform", ""))
    rows = f", {target.rows} rows a request" if target.rows else ""
    say(f"{plain(name)} ({plain(adapter)}): {plain(target.place)}{rows}")
    say()
    head = [_TOKENS if each == _ROWS and any(result.tokens for result in results) else each for each in _HEAD]
    for line in table(head, [_row(each, target.rows) for each in results], numbers=range(len(_HEAD) - 1)):
        say(line)
    say()
    say(paint("requests a second, by clients", "bright_black"))
    for line in bars([(str(each.clients), each.rate, _number(each.rate)) for each in results]):
        say(line)
    last = results[-1]
    if not last.latencies:
        return
    say()
    say(paint(f"how long answers took, of {_clients(last.clients)}", "bright_black"))
    for line in histogram(last.latencies):
        say(line)


def _row(result: LoadResult, rows: int) -> tuple[str, ...]:
    times = [milliseconds(1000 * result.quantile(share)) for share in (0.5, 0.9, 0.99, 1.0)]
    errors = ", ".join(f"{count} {what}" for what, count in result.errors.most_common())
    per_second = _number(result.rate * rows) if rows > 1 else ""
    if result.tokens:
        per_second = _number(result.tokens / result.seconds)
    return (str(result.clients), _number(result.rate), per_second, *times, errors)


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"


def _number(value: float) -> str:
    """So many a second."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
