"""What Triton is told of the models."""

from __future__ import annotations

from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from bench import triton_env
from bench.models import MODELS


def test_each_model_has_its_tensors_and_the_way_to_its_file(tmp_path: Path) -> None:
    names = sorted(triton_env.MODELS)
    triton_env.write_repository(tmp_path, names, {name: MODELS[name].file for name in names})
    for name in names:
        text = (tmp_path / name / "config.pbtxt").read_text()
        config = text_format.Parse(text, model_config_pb2.ModelConfig())
        assert config.name == name
        assert config.HasField("dynamic_batching")
        assert config.input[0].name == "input-0"
        assert list(config.input[0].dims) == [len(MODELS[name].data()[0])]
        assert config.parameters["file"].string_value.endswith(f"{name}/{MODELS[name].file}")
        assert (tmp_path / name / "1" / "model.py").is_file()
