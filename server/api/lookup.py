"""Where the protocols look models up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from server.inference.model import ServedModel

#: to be awaited before what is counted is read: asks the other processes
Refresh: TypeAlias = Callable[[], Awaitable[None]]


async def nothing_new() -> None:
    """There is no other process."""


class Models(Protocol):
    """The repository, or copies of what it holds."""

    def answers_whole(self, name: str, version: str | None) -> bool:
        """Whether what answers for the name now answers whole, never in parts; not for a model that is elsewhere."""

    def ready_model(self, name: str, version: str | None = None) -> ServedModel:
        """The model, ready to predict; `version` is a number or a label, None asks for the newest that is ready.

        Raises:
            NotFound, NotReady
            NotLoaded: it can be brought back (`ready`).
        """

    async def ready(self, name: str, version: str | None = None) -> ServedModel:
        """As `ready_model`, but a model that is not in memory is brought back.

        Raises:
            NotFound, NotReady.
        """
