"""Where the protocols look models up."""

from __future__ import annotations

from typing import Protocol

from server.inference.tensor_model import TensorModel
from server.repository.state import Served


class Models(Protocol):
    """Where models are looked up: the repository, or copies of what it holds."""

    def takes_tensors(self, name: str, version: str | None) -> bool:
        """Whether a model of tensors answers for the name."""

    def tensor_model(self, name: str, version: str | None = None) -> TensorModel:
        """
        Raises:
            NotFound, NotReady, Asleep.
        """

    async def ready(self, name: str, version: str | None = None) -> Served:
        """Have a model in memory.

        Raises:
            NotFound, NotReady.
        """
