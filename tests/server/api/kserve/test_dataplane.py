"""What KServe's own routes are told: readiness as it is, models that sleep, errors by name."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from server import __version__
from server.api.kserve.dataplane import EXTENSIONS, PolyDataPlane, metadata
from server.errors import NotFound, NotReady


class Models:
    """A repository of `awake`, and `asleep`, which a request brings back."""

    def __init__(self) -> None:
        self.why = ""
        self.brought: list[tuple[str, str | None]] = []

    def why_not_ready(self) -> str:
        return self.why

    def is_asleep(self, name: str) -> bool:
        return name == "asleep"

    def ready_model(self, name: str, version: str | None = None) -> Any:
        if name != "awake":
            raise NotFound(f"there is no model {name!r}")
        return self

    async def ready(self, name: str, version: str | None = None) -> Any:
        self.brought.append((name, version))
        if name == "nobody":
            raise NotFound(f"there is no model {name!r}")
        kinds = [{"name": "x", "datatype": "FP64", "shape": [-1]}]
        adapter = SimpleNamespace(platform="test_echo")
        return SimpleNamespace(adapter=adapter, get_input_types=lambda: kinds, get_output_types=lambda: [])

    def versions(self, name: str) -> list[str]:
        return ["1", "2"]


@pytest.fixture
def models() -> Any:
    return Models()


def test_the_server_names_itself_and_its_extensions(models: Any) -> None:
    assert PolyDataPlane(models).metadata() == {"name": "polyserve", "version": __version__, "extensions": EXTENSIONS}


def test_readiness_says_what_is_missing(models: Any) -> None:
    plane = PolyDataPlane(models)
    assert asyncio.run(plane.ready()) is True
    models.why = "model iris is loading"
    with pytest.raises(NotReady, match="model iris is loading"):
        asyncio.run(plane.ready())


def test_a_probe_does_not_wake_a_model(models: Any) -> None:
    assert asyncio.run(PolyDataPlane(models).model_ready("asleep")) is True
    assert not models.brought


def test_a_probe_of_a_model_that_is_not_there(models: Any) -> None:
    with pytest.raises(NotFound, match="nobody"):
        asyncio.run(PolyDataPlane(models).model_ready("nobody"))


@pytest.mark.parametrize(("version", "asked"), [("", None), ("2", "2")])
def test_metadata_is_the_models_own(models: Any, version: str, asked: str | None) -> None:
    told = asyncio.run(PolyDataPlane(models).model_metadata("awake", version))
    assert models.brought == [("awake", asked)]
    assert (told["name"], told["versions"], told["platform"]) == ("awake", ["1", "2"], "test_echo")
    assert told["inputs"] == [{"name": "x", "datatype": "FP64", "shape": [-1]}]
    with pytest.raises(NotFound):
        asyncio.run(metadata(models, "nobody", None))
