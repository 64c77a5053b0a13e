"""What a program's layers tell of its inputs: the right guess comes early, and what is declared is kept."""

from __future__ import annotations

import math
import warnings
from itertools import islice
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from adapters.base import Tensors  # noqa: E402
from adapters.shared.trial_runs import Rows  # noqa: E402
from adapters.torch_.declared import DeclaredInput  # noqa: E402
from adapters.torch_.guess import candidates  # noqa: E402
from adapters.torch_.trial import MAX_ELEMENTS, ProgramFindings, Slot, examine  # noqa: E402

X = DeclaredInput("x")


def first(module: nn.Module, count: int, *ports: DeclaredInput) -> list[tuple[Slot, ...]]:
    return list(islice(candidates(torch.jit.script(module), ports or (X,)), count))


def shapes(module: nn.Module, count: int, *ports: DeclaredInput) -> list[tuple[str, tuple[int, ...]]]:
    return [(slot.datatype, slot.sizes) for (slot,) in first(module, count, *ports)]


def test_a_dense_layer_tells_its_width_first() -> None:
    assert shapes(nn.Sequential(nn.Linear(7, 3)), 2) == [("FP32", (2, 7)), ("FP32", (2, 32, 7))]
    assert ("FP32", (2, 3)) in shapes(nn.Sequential(nn.Linear(7, 3)), 33)


def test_the_first_layer_of_floats_tells_the_datatype() -> None:
    assert shapes(nn.Sequential(nn.Linear(7, 3)).double(), 1) == [("FP64", (2, 7))]


def test_a_convolution_takes_its_channels_and_the_usual_sizes() -> None:
    assert shapes(nn.Sequential(nn.Conv2d(3, 8, 5)), 4) == [("FP32", (2, 3, size, size)) for size in (32, 28, 64, 224)]
    assert shapes(nn.Sequential(nn.Conv1d(6, 8, 5)), 1) == [("FP32", (2, 6, 32))]


def test_a_convolution_of_groups_may_take_either_number_of_channels() -> None:
    grouped = nn.Sequential(nn.Conv2d(6, 6, 3, groups=6))
    found = shapes(grouped, 62)
    assert ("FP32", (2, 1, 32, 32)) in found
    assert ("FP32", (2, 6, 32, 32)) in found
    assert ("FP32", (2, 5, 32, 32)) in shapes(nn.Sequential(nn.ConvTranspose2d(5, 4, 3)), 62)


def test_an_embedding_takes_whole_numbers_in_rows_or_alone() -> None:
    found = shapes(nn.Sequential(nn.Embedding(9, 4)), 40)
    assert found[0] == ("INT64", (2, 32))
    assert ("INT64", (2,)) in found


def test_a_recurrent_layer_takes_series_of_its_width() -> None:
    class Series(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.GRU(5, 7, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)[1]

    assert shapes(Series(), 2) == [("FP32", (2, 32, 5)), ("FP32", (2, 28, 5))]


def test_a_normalisation_tells_of_columns_and_of_images() -> None:
    found = shapes(nn.Sequential(nn.BatchNorm1d(6)), 40)
    assert found[0] == ("FP32", (2, 6))
    assert found[1] == ("FP32", (2, 6, 32, 32))


def test_without_layers_tables_of_every_width_come_first() -> None:
    class Sum(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sum(1)

    assert shapes(Sum(), 3) == [("FP32", (2, 1)), ("FP32", (2, 2)), ("FP32", (2, 3))]
    everything = shapes(Sum(), 10_000)
    assert ("FP32", (2, 3, 224, 224)) in everything
    assert ("INT64", (2, 16)) in everything
    assert ("FP32", (2,)) in everything
    assert all(math.prod(sizes) <= MAX_ELEMENTS for _, sizes in everything)


def test_a_frozen_program_keeps_its_weights_as_constants() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frozen = torch.jit.freeze(torch.jit.script(nn.Sequential(nn.Linear(7, 3)).eval()))
    found = [(slot.datatype, slot.sizes) for (slot,) in islice(candidates(frozen, [X]), 200)]
    assert found[0] == ("FP32", (2, 7)) or found[0] == ("FP32", (2, 3))
    assert ("FP32", (2, 7)) in found[:40]
    assert ("INT64", (2, 32)) in found[:110]


DENSE = nn.Sequential(nn.Linear(7, 3))


def test_a_declared_shape_is_kept_and_its_free_sizes_tried() -> None:
    fixed = DeclaredInput("x", "FP32", (-1, 5))
    assert first(DENSE, 5, fixed) == [(Slot("x", "FP32", (2, 5), (True, False)),)]
    found = first(DENSE, 3, DeclaredInput("x", "INT64", (4, -1)))
    assert found == [(Slot("x", "INT64", (4, size), (False, True)),) for size in (32, 28, 64)]


def test_a_shape_without_a_datatype_is_tried_in_those_of_the_layers() -> None:
    found = [slot.datatype for (slot,) in first(DENSE, 9, DeclaredInput("x", "", (-1, 5)))]
    assert found == ["FP32", "INT64"]


@pytest.mark.parametrize(("datatype", "sizes"), [("FP64", (2, 7)), ("INT32", (2, 32)), ("BYTES", (2,))])
def test_a_declared_datatype_takes_the_hints_of_its_kind(datatype: str, sizes: tuple[int, ...]) -> None:
    assert first(DENSE, 1, DeclaredInput("x", datatype)) == [(Slot("x", datatype, sizes),)]


def test_several_inputs_are_tried_alike_then_in_every_combination() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.users = nn.Embedding(20, 4)
            self.dense = nn.Linear(3, 4)

        def forward(self, user: Tensor, row: Tensor) -> Tensor:
            return self.users(user) + self.dense(row)

    found = first(Two(), 5000, DeclaredInput("user"), DeclaredInput("row"))
    pairs = [tuple((slot.datatype, slot.sizes) for slot in each) for each in found]
    assert pairs[0][0] == pairs[0][1]
    assert (("INT64", (2,)), ("FP32", (2, 3))) in pairs
    assert [slot.name for slot in found[0]] == ["user", "row"]
    assert len(found) <= 4000


def test_no_input_is_nothing_to_try() -> None:
    made: Any = candidates(torch.jit.script(DENSE), ())
    assert list(made) == []


def _taken(module: nn.Module) -> dict[str, tuple[str, tuple[int, ...]]]:
    scripted = torch.jit.script(module.eval())
    ports = [DeclaredInput(argument.name) for argument in scripted.forward.schema.arguments[1:]]
    found = examine(lambda inputs: {"y": _run(scripted, inputs)}, candidates(scripted, ports))
    assert isinstance(found, ProgramFindings)
    assert found.rows is not Rows.NONE
    return {spec.name: (spec.datatype, spec.shape) for spec in found.inputs}


def _run(scripted: Any, inputs: Tensors) -> Any:
    with torch.inference_mode():
        return scripted(*(torch.from_numpy(value) for value in inputs.values())).numpy()


def test_without_weights_a_row_of_one_input_may_be_a_number_of_another() -> None:
    class Lengths(nn.Module):
        def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
            there = torch.arange(tokens.size(1)).unsqueeze(0) < lengths.unsqueeze(1)
            return (tokens * there).sum(1)

    class Gather(nn.Module):
        def forward(self, x: Tensor, index: Tensor) -> Tensor:
            return x.gather(1, index)

    assert _taken(Lengths()) == {"tokens": ("FP32", (-1, -1)), "lengths": ("FP32", (-1,))}
    assert _taken(Gather()) == {"x": ("FP32", (-1, -1)), "index": ("INT64", (-1, -1))}


def test_a_mask_may_be_of_truth_values() -> None:
    class Fill(nn.Module):
        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            return x.masked_fill(mask, 0.0)

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(20, 4)
            self.attention = nn.MultiheadAttention(4, 1, batch_first=True)

        def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
            x = self.embedding(ids)
            return self.attention(x, x, x, key_padding_mask=mask)[0].mean(1)

    assert _taken(Fill())["mask"] == ("BOOL", (-1, -1))
    assert _taken(Attention()) == {"ids": ("INT64", (-1, -1)), "mask": ("BOOL", (-1, -1))}
