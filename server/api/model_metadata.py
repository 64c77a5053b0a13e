"""What a server and a model say of themselves: the Open Inference Protocol's metadata."""

from __future__ import annotations

from typing import Any

from server import __version__
from server.repository.repository import Repository

#: Triton's names for what is served beside the protocol; what is not there is not named
EXTENSIONS = [
    *("model_repository", "model_repository(unload_dependents)", "model_configuration", "statistics"),
    *("classification", "binary_tensor_data", "parameters"),
]


def server_metadata() -> dict[str, Any]:
    """Name, version and extensions."""
    return {"name": "polyserve", "version": __version__, "extensions": list(EXTENSIONS)}


async def model_metadata(repository: Repository, name: str, version: str | None) -> dict[str, Any]:
    """Name, versions that are ready, platform, inputs and outputs of a model; one that is not in memory is brought.

    Raises:
        NotFound, NotReady.
    """
    model = await repository.ready(name, version)
    return {
        "name": name,
        "versions": repository.versions(name),
        "platform": model.adapter.platform,
        "inputs": model.get_input_types(),
        "outputs": model.get_output_types(),
    }
