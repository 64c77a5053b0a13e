"""The protocol's metadata: a folder without versions is version 1, and a version is one by its label, too."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from server.api.model_metadata import EXTENSIONS, model_metadata, server_metadata
from server.errors import NotFound, NotReady
from server.repository.repository import Repository


def test_of_the_server() -> None:
    known = server_metadata()
    assert known["name"] == "polyserve"
    assert known["extensions"] == EXTENSIONS
    known["extensions"].clear()
    assert EXTENSIONS, "it is the caller's own"


@pytest.mark.parametrize(("name", "version", "versions"), [("plain", None, ["1"]), ("plain", "1", ["1"])])
def test_a_folder_without_versions_is_version_1(
    models: Repository, name: str, version: str | None, versions: list[str]
) -> None:
    known = asyncio.run(model_metadata(models, name, version))
    assert (known["name"], known["versions"], known["platform"]) == (name, versions, "test_echo")
    assert [tensor["name"] for tensor in known["inputs"]] == ["a", "b"]


@pytest.mark.parametrize("version", [None, "2", "old", "01"])
def test_of_a_version(models: Repository, version: str | None) -> None:
    assert asyncio.run(model_metadata(models, "many", version))["versions"] == ["1", "2"]


def test_of_what_is_not_there(models: Repository) -> None:
    for name, version, error in [("nobody", None, NotFound), ("plain", "2", NotFound), ("bad", None, NotReady)]:
        with pytest.raises(error):
            asyncio.run(model_metadata(models, name, version))


def test_what_an_adapter_notes_of_an_input_is_told(models: Repository) -> None:
    model = models.ready_model("plain")
    assert "properties" not in asyncio.run(model_metadata(models, "plain", None))
    (spec,) = model.signature.inputs
    model.signature = replace(model.signature, inputs=(replace(spec, note="send codes"),))
    assert asyncio.run(model_metadata(models, "plain", None))["properties"] == {"note": "send codes"}
