"""Triton's settings beside a program: its clients' names are served."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from adapters.base import ModelDir
from adapters.formats.triton_config import FILE
from adapters.torch_ import TorchAdapter
from adapters.torch_.declared import DeclaredInput
from adapters.torch_.triton import TritonTensors, by_argument, read

KSERVE = """
name: "cifar"
platform: "pytorch_libtorch"
max_batch_size: 1  # "input" [ { name: "not this" } ]
input [
  {
    name: "INPUT__0"
    data_type: TYPE_FP32
    dims: [3,32,32]
  }
]
output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [10] } ]
instance_group [ { kind: KIND_CPU input { name: "nor this" } } ]
"""


def config(folder: Path, text: str) -> TritonTensors:
    (folder / FILE).write_text(text)
    return read(ModelDir.of(folder))


def test_kserves_example(tmp_path: Path) -> None:
    wanted = DeclaredInput("INPUT__0", "FP32", (-1, 3, 32, 32))
    assert config(tmp_path, KSERVE) == TritonTensors((wanted,), ("OUTPUT__0",))


def test_the_file_stands_above_the_folder_of_a_version(tmp_path: Path) -> None:
    (tmp_path / "cifar" / "1").mkdir(parents=True)
    (tmp_path / "cifar" / FILE).write_text(KSERVE)
    version = tmp_path / "cifar" / "1"
    assert read(ModelDir.of(version, tmp_path)).outputs == ("OUTPUT__0",)
    assert read(ModelDir.of(version, tmp_path / "cifar")).outputs == ("OUTPUT__0",), "a server of this model alone"
    assert read(ModelDir.of(version)) == TritonTensors(), "nothing is read beyond the mount"
    (version / "model.sig").write_text("{}")
    assert read(ModelDir.of(version, tmp_path)) == TritonTensors(), "what is signed does not vouch for the file above"
    (tmp_path / "cifar" / "named").mkdir()
    assert read(ModelDir.of(tmp_path / "cifar" / "named", tmp_path)) == TritonTensors()


def test_the_other_spellings_of_the_text_form(tmp_path: Path) -> None:
    text = "input: { name: 'x' } " + 'input { name: "a", data_type: TYPE_INT64; dims: 2 dims: -1 }'
    assert config(tmp_path, text) == TritonTensors()  # the first has neither type nor sizes
    text = (
        'input: { name: "a", data_type: TYPE_INT64; dims: 2 dims: -1 } input [{name:"b" data_type:TYPE_BOOL dims:[4]}]'
    )
    wanted = (DeclaredInput("a", "INT64", (2, -1)), DeclaredInput("b", "BOOL", (4,)))
    assert config(tmp_path, text) == TritonTensors(wanted)
    assert config(tmp_path, f"max_batch_size: 0 {text}").inputs == wanted


@pytest.mark.parametrize(
    "text", ["", "input", "input [", "input [ { name:", "}}}]]]{{[", 'input { name: "x" dims: [0] }', "\x00\xff"]
)
def test_what_cannot_be_read_says_nothing(text: str, tmp_path: Path) -> None:
    assert config(tmp_path, text) == TritonTensors()


def test_without_the_file_nothing_is_said(tmp_path: Path) -> None:
    assert read(ModelDir.of(tmp_path)) == TritonTensors()


@pytest.mark.parametrize(
    ("names", "arguments", "wanted"),
    [
        (["INPUT__1", "INPUT__0"], ["a", "b"], ["b", "a"]),
        (["b", "a"], ["a", "b"], ["b", "a"]),
        (["x__0", "y__1"], ["a", "b"], ["a", "b"]),
        (["INPUT__0", "INPUT__0"], ["a", "b"], []),
        (["INPUT__0", "INPUT__2"], ["a", "b"], []),
        (["INPUT__0"], ["a", "b"], []),
        (["x", "y"], ["a", "b"], []),
    ],
)
def test_names_stand_for_arguments(names: list[str], arguments: list[str], wanted: list[str]) -> None:
    found = by_argument([DeclaredInput(name, "FP32", (3,)) for name in names], arguments)
    assert found == [DeclaredInput(name, "FP32", (3,)) for name in wanted]


def test_a_program_of_two_inputs_gets_each_where_it_belongs(tmp_path: Path) -> None:
    class Minus(torch.nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return a - 2 * b

    torch.jit.script(Minus()).save(tmp_path / "model.pt")
    (tmp_path / FILE).write_text(
        'max_batch_size: 4 input [ { name: "INPUT__1" data_type: TYPE_FP32 dims: [ 3 ] },'
        ' { name: "INPUT__0" data_type: TYPE_FP32 dims: [ 3 ] } ]'
    )
    adapter = TorchAdapter.load(ModelDir.of(tmp_path), "model.pt", {})
    one, two = np.ones((1, 3), np.float32), np.full((1, 3), 2, np.float32)
    (answer,) = adapter.predict({"INPUT__0": one, "INPUT__1": two}, {}).values()
    np.testing.assert_array_equal(answer, one - 2 * two)


def test_a_program_is_asked_by_tritons_names(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2).eval()
    torch.jit.script(model).save(tmp_path / "model.pt")
    (tmp_path / FILE).write_text(
        'max_batch_size: 4 input [ { name: "INPUT__0" data_type: TYPE_FP32 dims: [ 3 ] } ] '
        'output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 2 ] } ]'
    )
    adapter = TorchAdapter.load(ModelDir.of(tmp_path), "model.pt", {})
    rows = np.array([[1, 2, 3], [0.5, 1, 0]], np.float32)
    answer = adapter.predict({"INPUT__0": rows}, {})
    with torch.inference_mode():
        np.testing.assert_allclose(answer["OUTPUT__0"], model(torch.from_numpy(rows)).numpy(), rtol=1e-5)
    renamed = TorchAdapter.load(ModelDir.of(tmp_path), "model.pt", {"inputs": "input: FP32[-1, 3]", "outputs": "out"})
    assert [spec.name for spec in (*renamed.signature.inputs, *renamed.signature.outputs)] == ["input", "out"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        '"' + '\\"' * 500_000, "input { " + "dims:[" * 60_000, "input {" * 60_000, "input [" + "{" * 200_000,
        "input " * 60_000,
    ],
    ids=["texts", "sizes", "blocks", "objects", "names"],
)  # fmt: skip
def test_what_is_never_closed_is_looked_for_once(tmp_path: Path, text: str) -> None:
    assert not config(tmp_path, text).inputs


def test_a_text_ends_with_its_line(tmp_path: Path) -> None:
    closed = 'input { name: "a" data_type: TYPE_BOOL dims: 4 } output { name: "b\\"c" }'
    assert config(tmp_path, closed).outputs == ('b\\"c',)
    assert config(tmp_path, 'name: "x\n' + closed).inputs == (DeclaredInput("a", "BOOL", (4,)),)
