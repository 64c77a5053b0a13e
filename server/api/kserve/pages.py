"""What PolyServe adds to KServe's FastAPI application: error bodies, the repository index, Swagger without a CDN."""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable

import fastapi_offline
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from kserve.errors import ModelNotFound
from starlette.exceptions import HTTPException

from adapters import base
from server.api.console.console_pages import add_console
from server.api.lookup import Refresh, nothing_new
from server.api.openapi.document import TITLE, document
from server.api.openapi.request_examples import KnownExamples, ModelExamples
from server.codec.error_text import described, quoted
from server.codec.json_bodies import parse_small_object
from server.codec.parameters import refuse_others
from server.errors import InvalidInput, NotFound, ServingError, as_serving_error, respond
from server.inference.model import ServedModel
from server.repository.repository import Repository

STATIC = "/docs/static"
_NOWHERE = "Not Found"  #: what Starlette says of a path that no route is for
_NOT_SO = "Method Not Allowed"  #: and of one that is asked by other methods
_PATHS = "models are asked by POST /v1/models/NAME:predict and /v2/models/NAME/infer; GET /openapi.json lists all paths"


def add_pages(
    app: FastAPI,
    repository: Repository,
    version: str,
    swagger: bool,
    console: bool = False,
    grpc_port: int | None = None,
    refresh: Refresh = nothing_new,
    log_of: Callable[[str], list[str]] = lambda name: [],
    *,
    keyed: bool = False,
) -> None:
    """Add PolyServe's routes and error bodies. KServe's own must be there already: the later handler wins.

    `keyed`: the server asks for API keys. `log_of` gives the last lines of the log about a model.
    """
    app.title, app.version = TITLE, version
    _add_errors(app)
    _add_index(app, repository)
    examples = ExamplesOfModels(repository)
    # FastAPI's documented way
    app.openapi = lambda: document(examples.all(), version, keyed=keyed)  # type: ignore[method-assign]
    if swagger:
        _add_swagger(app)
    if console:
        about = {"version": version, "swagger": swagger, "grpc_port": grpc_port, "keyed": keyed}
        add_console(app, repository, examples, about, refresh, log_of)


def _add_errors(app: FastAPI) -> None:
    async def known(_: Request, error: Exception) -> Response:
        return _response(as_serving_error(error))

    async def unknown_model(_: Request, error: Exception) -> Response:
        return _response(NotFound(str(error)))

    async def unfit(_: Request, error: Exception) -> Response:
        details = error.errors() if isinstance(error, RequestValidationError) else []
        where = "; ".join(f"{'.'.join(map(str, d['loc'][1:])) or 'body'}: {d['msg']}" for d in details)
        return _response(InvalidInput(where))

    async def plain(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        detail = error.detail if isinstance(error, HTTPException) else str(error)
        if status == 404 and detail == _NOWHERE:
            return _response(NotFound(f"there is no path {quoted(request.url.path)} here; {_PATHS}"))
        headers = getattr(error, "headers", None) or {}
        if status == 405 and detail == _NOT_SO:
            detail = _asked_otherwise(request, headers.get("Allow", ""))
        return JSONResponse({"error": detail}, status, headers)

    app.add_exception_handler(ServingError, known)
    app.add_exception_handler(base.InvalidInput, known)
    app.add_exception_handler(ModelNotFound, unknown_model)
    app.add_exception_handler(RequestValidationError, unfit)
    app.add_exception_handler(HTTPException, plain)


def _asked_otherwise(request: Request, allowed: str) -> str:
    """What to say of a path that is there, but not for this method."""
    by = " or ".join(sorted({each.strip() for each in allowed.split(",")} - {"", "HEAD"})) or "another method"
    hint = f"; {_PATHS}" if ":" in request.url.path else ""
    return f"{quoted(request.url.path)} is asked by {by}, not by {request.method}{hint}"


class ExamplesOfModels:
    """Requests that the models answer which there are, made when somebody would like to see them, and kept."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._known = KnownExamples()

    def all(self) -> list[ModelExamples]:
        """Of each model, by what answers for its name."""
        names = self._repository.store.names()
        return [
            self.of(model) if (model := self._repository.serving.get(name)) else ModelExamples(name) for name in names
        ]

    def of(self, model: ServedModel) -> ModelExamples:
        """Of one that is in memory."""
        state = self._repository.states(model.name, model.version or None)
        return self._known.of(next(iter(state.values())).found, model)


def _add_index(app: FastAPI, repository: Repository) -> None:
    @app.post("/v2/repository/index", response_model=None)
    async def index(request: Request) -> Response:
        """Every model directory with its state and reason; `{"ready": true}` lists only those that are ready."""
        raw = await request.body()  # read here, so that curl's own content type will do
        body = parse_small_object(raw, '"ready"') if raw.strip() else {}
        refuse_others("the body", body, ("ready",))
        ready = body.get("ready", False)
        if not isinstance(ready, bool):
            raise InvalidInput(f'"ready" must be true or false, not {described(ready)}')
        return JSONResponse(repository.index(ready))


def _add_swagger(app: FastAPI) -> None:
    static = importlib.resources.files(fastapi_offline) / "static"
    app.mount(STATIC, StaticFiles(directory=str(static)))

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        return get_swagger_ui_html(
            openapi_url=f"{root}/openapi.json",
            title=TITLE,
            swagger_js_url=f"{root}{STATIC}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{STATIC}/swagger-ui.css",
            swagger_favicon_url=f"{root}{STATIC}/favicon.png",
        )


def _response(error: ServingError) -> Response:
    status, headers, body = respond(error)
    return Response(body, status, {str(k, "latin-1"): str(v, "latin-1") for k, v in headers})
