"""A model's configuration, as Triton's clients read it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from adapters.base import TensorSpec
from server.api.triton.configuration import model_config
from server.repository.repository import Repository
from tests.server.stand_ins import SIGNATURE


def config(models: Repository, **changes: Any) -> dict[str, Any]:
    model = models.ready_model("plain")
    for name, value in changes.items():
        setattr(model, name, value)
    return model_config("plain", model)


def test_of_a_model_of_rows(models: Repository) -> None:
    known = config(models, signature=replace(SIGNATURE, columns=()))
    assert known["max_batch_size"] == 256
    assert known["input"] == [{"name": "x", "data_type": "TYPE_FP64", "dims": [2]}]
    assert known["output"] == [{"name": "y", "data_type": "TYPE_FP64", "dims": [2]}]
    assert (known["platform"], known["backend"]) == ("test_echo", "echo")
    assert known["dynamic_batching"] == {}
    assert known["model_transaction_policy"] == {"decoupled": False}


def test_columns_of_one_value_a_row_keep_the_shape_that_the_metadata_tells(models: Repository) -> None:
    """Without the batch there would be no dimension left, and perf_analyzer asks by the metadata's."""
    known = config(models)
    column = {"data_type": "TYPE_FP64", "dims": [-1]}
    assert known["input"] == [{"name": "a", **column}, {"name": "b", **column}]
    assert known["max_batch_size"] == 0
    assert "dynamic_batching" not in known


def test_an_output_of_one_value_a_row_is_reshaped(models: Repository) -> None:
    outputs = (TensorSpec("y", "FP64", (-1,)),)
    known = config(models, signature=replace(SIGNATURE, columns=(), outputs=outputs))
    assert known["output"] == [{"name": "y", "data_type": "TYPE_FP64", "dims": [1], "reshape": {"shape": []}}]


def test_without_rows_the_shapes_are_whole(models: Repository) -> None:
    texts = TensorSpec("t", "BYTES", (-1, 3), optional=True)
    known = config(models, max_rows=0, merges=False, signature=replace(SIGNATURE, inputs=(texts,), columns=()))
    assert known["max_batch_size"] == 0
    assert known["input"] == [{"name": "t", "data_type": "TYPE_STRING", "dims": [-1, 3], "optional": True}]
    assert "dynamic_batching" not in known
