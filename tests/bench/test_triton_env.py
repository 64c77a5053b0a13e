"""What Triton is told of the models."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from bench import places, triton_env
from bench.models import MODELS
from bench.requests import Protocol, request


@pytest.mark.parametrize("name", sorted(triton_env.MODELS))
def test_each_model_has_its_tensors_and_the_way_to_its_file(name: str, tmp_path: Path) -> None:
    triton_env.write_repository(tmp_path, [name], {name: MODELS[name].file})
    config = (tmp_path / name / "config.pbtxt").read_text()
    data = MODELS[name].data()
    datatype = {"float64": "FP64", "float32": "FP32", "object": "STRING"}[data.dtype.name]
    (tensor,) = orjson.loads(request(Protocol.V2, name, data[:2]).body)["inputs"]
    assert f'input [ {{ name: "input-0" data_type: TYPE_{datatype} dims: {tensor["shape"][1:]} }} ]' in config
    assert "dynamic_batching" in config
    assert f'string_value: "{places.MODELS / name / MODELS[name].file}"' in config
    assert (tmp_path / name / "1" / "model.py").is_file()
