"""TensorFlow Serving's words for states and signatures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from adapters.base import TensorSpec
from server.api.version_status import version_metadata, version_status
from server.repository.repository import Repository
from server.repository.state import State
from tests.server.stand_ins import SIGNATURE


def test_the_newest_comes_first(models: Repository) -> None:
    known = version_status(models.states("many"))
    fine = {"error_code": "OK", "error_message": ""}
    assert known == [{"version": number, "state": "AVAILABLE", "status": fine} for number in ("2", "1")]
    assert [each["version"] for each in version_status(models.states("many", "old"))] == ["1"]


def test_what_cannot_be_loaded_has_ended_and_says_why(models: Repository) -> None:
    (known,) = version_status(models.states("bad"))
    assert (known["version"], known["state"]) == ("1", "END")
    assert known["status"] == {"error_code": "UNKNOWN", "error_message": "model.echo is refused"}


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_word(models: Repository, state: State) -> None:
    changed = {"1": replace(models.states("plain")["1"], state=state, model=None)}
    assert version_status(changed)[0]["state"] in {"AVAILABLE", "LOADING", "UNLOADING", "END"}


def signatures(models: Repository, **changes: Any) -> Any:
    model = models.ready_model("plain")
    model.signature = replace(SIGNATURE, **changes)
    known = version_metadata("plain", "1", model)
    assert known["model_spec"] == {"name": "plain", "signature_name": "", "version": "1"}
    return known["metadata"]["signature_def"]["signature_def"]


def test_the_signature_is_the_one_for_serving(models: Repository) -> None:
    shape = {"dim": [{"size": "-1", "name": ""}, {"size": "2", "name": ""}], "unknown_rank": False}
    known = signatures(models)["serving_default"]
    assert known["inputs"] == {"x": {"dtype": "DT_DOUBLE", "tensor_shape": shape, "name": "x"}}
    assert known["method_name"] == "tensorflow/serving/predict"


def test_every_signature_by_its_name_and_what_knows_no_rank(models: Repository) -> None:
    texts = replace(SIGNATURE, inputs=(TensorSpec("t", "BYTES", (-1,), any_rank=True),))
    known = signatures(models, variants={"one": SIGNATURE, "two": texts})
    assert known.keys() == {"one", "two"}
    tensor = known["two"]["inputs"]["t"]
    assert tensor == {"dtype": "DT_STRING", "tensor_shape": {"dim": [], "unknown_rank": True}, "name": "t"}
