"""The console's routes. The page asks the same server for everything, and its headers let it ask nobody else.

GET /console                     the page
GET /console/assets/{file}       its modules and style
GET /console/overview            all models (`overview`)
GET /console/models/{name}       one (`details`)
GET /console/models/{name}/log   the last lines of the log about it, for who may load it (`api.access`)
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from server.api.console.details import details
from server.api.console.overview import overview
from server.api.lookup import Refresh
from server.api.openapi.request_examples import ModelExamples
from server.errors import NotFound
from server.inference.model import ServedModel
from server.repository.repository import Repository

#: nothing from elsewhere, no script that is not a file of ours, and no page of others around this one
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
        "media-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
_TYPES = {"html": "text/html; charset=utf-8", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class Examples(Protocol):
    """Requests that models answer."""

    def of(self, model: ServedModel) -> ModelExamples:
        """Those of one model."""


def add_console(
    app: FastAPI,
    repository: Repository,
    examples: Examples,
    about: Mapping[str, Any],
    refresh: Refresh,
    log_of: Callable[[str], list[str]] = lambda name: [],
) -> None:
    """Add the routes. `about` is what the page says of the server; `refresh` is awaited before counters are read;
    `log_of` gives the last lines about a model."""
    assets = _assets()

    @app.get("/console", include_in_schema=False)
    async def page(request: Request) -> Response:
        if request.scope.get("raw_path", b"").endswith(b"/"):  # what the page asks for is relative
            return RedirectResponse("../console")
        return assets["index.html"]

    @app.get("/console/assets/{name}", include_in_schema=False)
    async def asset(name: str) -> Response:
        if name not in assets:
            raise NotFound(f"the console has no file {name!r}")
        return assets[name]

    @app.get("/console/overview", include_in_schema=False)
    async def all_models() -> Response:
        await refresh()
        return _json(await overview(repository, about))

    @app.get("/console/models/{name}", include_in_schema=False)
    async def one_model(name: str) -> Response:
        model = await repository.ready(name)
        return _json(details(model, examples.of(model), about.get("grpc_port"), keyed=bool(about.get("keyed"))))

    @app.get("/console/models/{name}/log", include_in_schema=False)
    async def log_of_model(name: str) -> Response:
        repository.check_known(name)
        return _json({"name": name, "lines": log_of(name)})


def _assets() -> dict[str, Response]:
    """Every file of the page, as it is sent; they are small."""
    folder = importlib.resources.files("server.api.console") / "assets"
    return {
        each.name: Response(each.read_bytes(), headers=HEADERS, media_type=_TYPES[each.name.rpartition(".")[2]])
        for each in folder.iterdir()
        if each.is_file()
    }


def _json(document: Mapping[str, Any]) -> Response:
    return Response(orjson.dumps(document), headers=HEADERS, media_type="application/json")
