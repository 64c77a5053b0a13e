"""KServe's FastAPI application, to which a `model.py` may add: what can be honoured, and the rest by name, for the log.

A worker answers requests to the model, not to the application: a lifespan and middleware are run around the model;
routes and exception handlers of the file's own have nobody who calls them here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from adapters.base import LoadError
from adapters.custom_.middleware import Stack

__all__ = ["Application", "event_loop"]


class Application:
    """The application as it was before the file ran, and what has become of it."""

    def __init__(self) -> None:
        from kserve import model_server

        self._app = getattr(model_server, "app", None)  # some of KServe's releases have none
        self._routes = self._held("routes")
        self._middleware = self._held("user_middleware")
        self._handlers = set(getattr(self._app, "exception_handlers", ()))
        self._lifespan = self._lifespan_now()
        self._stop = asyncio.Event()
        self._life: asyncio.Task[None] | None = None

    def dropped(self) -> list[str]:
        """What the file added that is not served, in words."""
        added = self._added("routes", self._routes)
        found = [("the route", str(getattr(route, "path", route))) for route in added]
        handlers = set(getattr(self._app, "exception_handlers", ())) - self._handlers
        found += [("the exception handler for", getattr(each, "__name__", str(each))) for each in handlers]
        return [f"{what} {name} of model.py is not used: only requests to the model come here" for what, name in found]

    def layers(self, model: str) -> Stack | None:
        """The middleware that the file added, around a model; None where it added none."""
        added = list(self._added("user_middleware", self._middleware))
        return Stack(self._app, added, model) if added else None

    def start(self) -> None:
        """Enter the lifespan, on the loop that will answer requests, where the file gave one.

        Raises:
            LoadError: it fails.
        """
        router = getattr(self._app, "router", None)
        handlers = [*getattr(router, "on_startup", ()), *getattr(router, "on_shutdown", ())]
        if router is None or (self._lifespan_now() is self._lifespan and not handlers):
            return
        loop = event_loop()
        try:
            loop.run_until_complete(self._begin())
        except Exception as error:
            raise LoadError(f"the lifespan of model.py's application fails: {type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Leave the lifespan."""
        life = self._life
        if life is None or life.done():
            return
        loop = life.get_loop()
        if loop.is_running():
            loop.call_soon_threadsafe(self._stop.set)
        else:
            self._stop.set()
            loop.run_until_complete(asyncio.wait([life]))

    async def _begin(self) -> None:
        entered = asyncio.Event()
        # One task for both ends: what a lifespan opens (a task group, for one) belongs to the task that entered it.
        self._life = asyncio.create_task(self._live(entered))
        waiting = asyncio.create_task(entered.wait())
        await asyncio.wait([self._life, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._life.done():
            self._life.result()

    async def _live(self, entered: asyncio.Event) -> None:
        app: Any = self._app
        async with app.router.lifespan_context(app):
            entered.set()
            await self._stop.wait()

    def _lifespan_now(self) -> Any:
        return getattr(getattr(self._app, "router", None), "lifespan_context", None)

    def _held(self, name: str) -> list[Any]:
        return list(getattr(self._app, name, ()))

    def _added(self, name: str, before: list[Any]) -> Iterator[Any]:
        known = {id(each) for each in before}
        return (each for each in self._held(name) if id(each) not in known)


def event_loop() -> asyncio.AbstractEventLoop:
    """This thread's event loop, made when there is none."""
    policy = asyncio.get_event_loop_policy()
    try:
        return policy.get_event_loop()
    except RuntimeError:
        policy.set_event_loop(loop := policy.new_event_loop())
        return loop
