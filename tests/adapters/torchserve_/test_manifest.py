"""What an archive says of itself, and what it may not say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.base import LoadError
from adapters.torchserve_.manifest import DEFAULTS, MAX_BYTES, Manifest, parse


def manifest(handler: Any = "my.py", runtime: str = "python", **model: Any) -> Manifest:
    return parse(json.dumps({"runtime": runtime, "model": {"handler": handler, **model}}).encode())


@pytest.mark.parametrize(
    ("handler", "module", "function"),
    [("my.py", "my", ""), ("my", "my", ""), ("sub/my.py", "my", ""), ("my.py:run", "my.py".removesuffix(".py"), "run")],
)
def test_a_handler_is_a_module_and_perhaps_a_function(handler: str, module: str, function: str) -> None:
    found = manifest(handler)
    assert (found.handler, found.function) == (module, function)


def test_its_files_have_to_be_there() -> None:
    found = manifest(serializedFile="m.pt", modelFile="", requirementsFile="r.txt", configFile=None)
    assert found.files == ("m.pt", "r.txt")
    assert found.problem(frozenset({"m.pt", "my.py"})) == "its manifest names r.txt, which it does not hold"
    assert found.problem(frozenset({"m.pt", "r.txt"})) == "its manifest names the handler my, but it holds no my.py"
    assert found.problem(frozenset({"m.pt", "r.txt", "my/__init__.py"})) == ""


def test_handlers_that_come_with_torchserve() -> None:
    assert all(manifest(name).problem(frozenset()) == "" for name in DEFAULTS)
    assert "needs TorchServe with vLLM" in manifest("vllm_handler").problem(frozenset())
    assert manifest("vllm_handler").problem(frozenset({"vllm_handler.py"})) == ""


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "names no handler"),
        (b'{"model": {}}', "names no handler"),
        (b'{"model": {"handler": 3}}', "names no handler"),
        (b" " * (MAX_BYTES + 1), "is longer than 1 MiB"),
    ],
)
def test_what_is_no_manifest(data: bytes, why: str) -> None:
    with pytest.raises(LoadError, match=why):
        parse(data)


@pytest.mark.parametrize("name", ["../m.pt", "/m.pt", "a//b", "a/./b", "..\\m.pt", "a\nb"])
def test_files_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(LoadError, match=r"serializedFile .* leads out of the archive"):
        manifest(serializedFile=name)
    with pytest.raises(LoadError, match="leads out of the archive"):
        manifest(name + "/h.py")


@pytest.mark.parametrize("handler", ["my-handler.py", "1.py", "my.py:run()", "my.py:a b", ".py"])
def test_a_handler_that_cannot_be_imported(handler: str) -> None:
    with pytest.raises(LoadError, match="neither a module nor module:function"):
        manifest(handler)


def test_compiled_handlers_and_odd_values() -> None:
    with pytest.raises(LoadError, match="runtime LSP"):
        manifest(runtime="LSP")
    with pytest.raises(LoadError, match="modelFile must be a file's name"):
        manifest(modelFile=["a"])
