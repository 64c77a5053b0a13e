"""What PolyServe adds to KServe's FastAPI application: error bodies, the repository index, Swagger without a CDN."""

from __future__ import annotations

import importlib.resources
from typing import Any

import fastapi_offline
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from kserve.errors import ModelNotFound
from starlette.exceptions import HTTPException

import adapters.base
from server.api.openapi.document import TITLE, document
from server.api.openapi.request_examples import KnownExamples, ModelExamples
from server.codec.error_text import described
from server.codec.json_bodies import parse_object
from server.errors import InvalidInput, NotFound, ServingError, as_serving_error, respond
from server.repository.repository import Repository

STATIC = "/docs/static"


def add_pages(app: FastAPI, repository: Repository, version: str, swagger: bool) -> None:
    """Add PolyServe's routes and error bodies. KServe's own must be there already: the later handler wins."""
    app.title, app.version = TITLE, version
    _add_errors(app)
    _add_index(app, repository)
    _describe(app, repository, version)
    if swagger:
        _add_swagger(app)


def _add_errors(app: FastAPI) -> None:
    async def known(_: Request, error: Exception) -> Response:
        return _response(as_serving_error(error))

    async def unknown_model(_: Request, error: Exception) -> Response:
        return _response(NotFound(str(error)))

    async def unfit(_: Request, error: Exception) -> Response:
        details = error.errors() if isinstance(error, RequestValidationError) else []
        where = "; ".join(f"{'.'.join(map(str, d['loc'][1:])) or 'body'}: {d['msg']}" for d in details)
        return _response(InvalidInput(where))

    async def plain(_: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        detail = error.detail if isinstance(error, HTTPException) else str(error)
        return JSONResponse({"error": detail}, status, getattr(error, "headers", None))

    app.add_exception_handler(ServingError, known)
    app.add_exception_handler(adapters.base.InvalidInput, known)
    app.add_exception_handler(ModelNotFound, unknown_model)
    app.add_exception_handler(RequestValidationError, unfit)
    app.add_exception_handler(HTTPException, plain)


def _describe(app: FastAPI, repository: Repository, version: str) -> None:
    """Say what there is to ask of the models that there are, whenever somebody would like to know."""
    known = KnownExamples()

    def examples(name: str) -> ModelExamples:
        model = repository.serving.get(name)
        if model is None:
            return ModelExamples(name)
        state = repository.states(name, model.version or None)
        return known.of(next(iter(state.values())).found, model)

    def described() -> dict[str, Any]:
        return document([examples(name) for name in repository.store.names()], version)

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's documented way


def _add_index(app: FastAPI, repository: Repository) -> None:
    @app.post("/v2/repository/index", response_model=None)
    async def index(request: Request) -> Response:
        """Every model directory with its state and reason; `{"ready": true}` lists only those that are ready."""
        raw = await request.body()  # read here, so that curl's own content type will do
        body = parse_object(raw, '"ready"') if raw.strip() else {}
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
