"""Formats told from real files and from hostile ones."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from adapters.formats import probe
from adapters.modeldir import ModelDir
from tests.adapters.formats.messages import message


def _dir(tmp_path: Path, **files: bytes) -> ModelDir:
    for name, content in files.items():
        (tmp_path / name.replace("__", ".")).write_bytes(content)
    return ModelDir.of(tmp_path)


def _zip(*names: str, comment: bytes = b"") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
        archive.comment = comment
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("saved_model.pb", "a TensorFlow SavedModel"),
        ("model.py", "the user's own Python code"),
        ("config.pbtxt", "a Triton model's settings"),
        ("model-settings.json", "an MLServer model's settings"),
    ],
)
def test_a_name_gives_the_layout_away(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"")
    (tmp_path / "weights.bin").write_bytes(b"")
    assert probe.recognise(ModelDir.of(tmp_path)) == f"{name} is {words}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"CBM1\x00\x00", "a CatBoost model"),
        (b"\x93NUMPY\x01", "a NumPy array"),
        (b"binf\x00\x00", "an XGBoost model in the binary format that XGBoost 3.1 removed"),
        (b"GGUF\x03\x00", "a GGUF model (llama.cpp)"),
        (b"\x1c\x00\x00\x00TFL3", "a TensorFlow Lite model"),
        (b'<?xml version="1.0"?>\n<PMML xmlns="x">', "a PMML model"),
        (struct.pack("<Q", 13) + b'{"a":{"x":1}}', "safetensors weights without a config.json"),
        (_zip("config.json", "metadata.json", "model.weights.h5"), "a Keras model"),
        (_zip("MAR-INF/MANIFEST.json", "model.pt"), "a TorchServe archive"),
        (_zip("MAR-INF/MANIFEST.json", comment=b"c" * 60000), "a TorchServe archive"),
        (_zip("schema.json", "1.npy"), "a skops archive (scikit-learn)"),
        (_zip("a.npy", "b.npy"), "a NumPy array archive"),
        (b"#include <string>\n\n/* Model data */\nstatic const struct CatboostModel {\n", "CatBoost's export to code"),
        (b"###  Model data\nclass catboost_model(object):\n", "CatBoost's export to code"),
    ],
)
def test_leading_bytes_give_the_format_away_whatever_the_name(tmp_path: Path, content: bytes, words: str) -> None:
    assert probe.recognise(_dir(tmp_path, anything=content)) == f"anything is {words}"


@pytest.mark.parametrize(
    ("name", "words", "way_out"),
    [
        ("resnet.pdmodel", "a PaddlePaddle model", "paddle2onnx exports it to ONNX"),
        ("inference.pdiparams", "a PaddlePaddle model", "paddle2onnx exports it to ONNX"),
        ("model.plan", "a TensorRT engine", "serve the ONNX file that it was built of"),
        ("resnet-symbol.json", "an MXNet model", "exports it to ONNX"),
        ("Model.MLMODEL", "a Core ML model", "serve the model that it was converted from"),
        ("last.ckpt", "a checkpoint (weights without a program)", "a model.py can build the model and load them"),
        ("model.onnx.part", "a download that is not whole", "fetch it again"),
        ("model.rds", "a model of R", "through rpy2"),
        ("model.joblib.dvc", "a DVC pointer", "dvc pull"),
        ("en_core_web_sm-3.8.0.whl", "a Python package", "unzip it"),
        ("best.pth.tar", "a checkpoint (weights without a program)", "a model.py can build the model"),
        ("model.ckpt-1.index", "a TensorFlow checkpoint (weights without a program)", "tf.saved_model.save"),
        ("model.zip", "an archive that must be unpacked first", ""),
    ],
)
def test_an_ending_gives_a_format_of_others_away_with_the_way_out(
    tmp_path: Path, name: str, words: str, way_out: str
) -> None:
    (tmp_path / name).write_bytes(b"\x0a\x9c\x01\x08")
    found = probe.recognise(ModelDir.of(tmp_path))
    assert found == f"{name} is {words}"
    assert way_out in probe.way_out(found)
    assert bool(way_out) == bool(probe.way_out(found))


@pytest.mark.parametrize(
    ("name", "text", "words", "way_out"),
    [
        ("model-settings.json", "{}", "an MLServer model's settings", "becomes a model.py with kserve.Model"),
        ("config.pbtxt", 'backend: "onnxruntime"', "a Triton model's settings", "into the folder of its version"),
        ("config.pbtxt", 'platform: "ensemble"', "an ensemble of Triton's", "serve its steps as models of their own"),
    ],
)
def test_settings_of_other_servers_have_a_way_out(
    tmp_path: Path, name: str, text: str, words: str, way_out: str
) -> None:
    (tmp_path / name).write_text(text)
    found = probe.recognise(ModelDir.of(tmp_path))
    assert found == f"{name} is {words}"
    assert way_out in probe.way_out(found)


def test_openvinos_pair_is_told_by_its_xml(tmp_path: Path) -> None:
    found = probe.recognise(_dir(tmp_path, model__bin=b"", model__xml=b'<?xml version="1.0"?>\n<net name="x">'))
    assert found == "model.xml is an OpenVINO model"
    assert probe.way_out(found) == "serve the ONNX file that it was made of"


def test_an_autogluon_predictor_is_a_folder(tmp_path: Path) -> None:
    for name in ("predictor.pkl", "learner.pkl"):
        (tmp_path / name).write_bytes(b"\x80\x04N.")
    found = probe.recognise(ModelDir.of(tmp_path))
    assert found == "it is an AutoGluon predictor"
    assert "autogluon in requirements.txt" in probe.way_out(found)


def test_torch_files(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(2, 1)
    expected = {
        "exported.pt2": "a PyTorch exported program",
        "script.pt": "a TorchScript program",
        "state.pt": "a PyTorch checkpoint (weights without a program)",
        "old.pth": "a PyTorch checkpoint (weights without a program)",
    }
    for name in expected:
        (tmp_path / name.replace(".", "_")).mkdir()
    torch.export.save(torch.export.export(module, (torch.zeros(2, 2),)), tmp_path / "exported_pt2/exported.pt2")
    torch.jit.script(module).save(str(tmp_path / "script_pt/script.pt"))
    torch.save(module.state_dict(), tmp_path / "state_pt/state.pt")
    torch.save(module.state_dict(), tmp_path / "old_pth/old.pth", _use_new_zipfile_serialization=False)
    for name, words in expected.items():
        assert probe.recognise(ModelDir.of(tmp_path / name.replace(".", "_"))) == f"{name} is {words}"


def test_a_frozen_graph_is_told_from_other_protobufs(tmp_path: Path) -> None:
    node = message(1, b"input") + message(2, b"Placeholder") + message(5, b"attributes" * 20)
    graph = message(1, node) + message(1, node)
    assert probe.recognise(_dir(tmp_path, model__pb=graph)) == "model.pb is a frozen TensorFlow graph"
    assert probe.recognise(_dir(tmp_path, model__pb=b"\x08\x07" + graph)) == ""
    assert probe.recognise(_dir(tmp_path, model__pb=b"\n")) == ""


def test_versions_settings_alone_and_nothing_known(tmp_path: Path) -> None:
    model_dir = _dir(tmp_path, polyserve__yaml=b"adapter: sklearn")
    assert probe.recognise(model_dir) == "polyserve.yaml stands alone: settings without a model"
    (tmp_path / "1").mkdir()
    (tmp_path / "12").mkdir()
    assert probe.recognise(ModelDir.of(tmp_path)) == "1/, 12/: a folder of numbered versions"
    assert probe.recognise(_dir(tmp_path / "1", notes__txt=b"hello")) == ""


@pytest.mark.parametrize("name", ["model.tar.gz", "model.zip"])
def test_packed_models(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x1f\x8b or whatever")
    assert probe.recognise(ModelDir.of(tmp_path)) == f"{name} is an archive that must be unpacked first"


def test_zip_names_agree_with_zipfile(tmp_path: Path) -> None:
    names = tuple(f"folder/naïve{index}.txt" for index in range(500))
    assert probe.zip_names(_dir(tmp_path, archive=_zip(*names, comment=b"PK")), "archive") == names


def test_zip64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)
    content = _zip("a", "b", "c", "d", "e")
    assert b"PK\x06\x06" in content
    patched = bytearray(content)
    struct.pack_into("<II", patched, content.rfind(b"PK\x05\x06") + 12, 0xFFFFFFFF, 0xFFFFFFFF)
    assert probe.zip_names(_dir(tmp_path, archive=bytes(patched)), "archive") == ("a", "b", "c", "d", "e")


def test_a_huge_zip_directory_is_read_in_part(tmp_path: Path) -> None:
    model_dir = _dir(tmp_path, archive=_zip(*(f"{index:0200}" for index in range(6000))))
    names = probe.zip_names(model_dir, "archive")
    assert 1000 < len(names) < 6000


def test_hostile_bytes_never_raise(tmp_path: Path) -> None:
    rng = random.Random(0)
    whole = [_zip("config.json", "metadata.json"), message(1, message(1, b"a") + message(2, b"b")), b"binf", b"\n" * 50]
    for _ in range(300):
        content = bytearray(rng.choice(whole))
        for _ in range(rng.randint(1, 8)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        model_dir = _dir(tmp_path, model__pb=bytes(content[: rng.randint(0, len(content))]))
        assert isinstance(probe.recognise(model_dir), str)
        assert isinstance(probe.zip_names(model_dir, "model.pb"), tuple)
        assert isinstance(probe.protobuf_fields(bytes(content)), tuple)
        assert isinstance(probe.first_json_key(bytes(content)), str)


def test_protobuf_fields_of_a_real_onnx_model() -> None:
    helper = pytest.importorskip("onnx.helper")
    model = helper.make_model(helper.make_graph([], "g", [], []), producer_name="test")
    assert probe.protobuf_fields(model.SerializeToString(), 3) == ((1, 0), (2, 2), (7, 2))
    assert probe.protobuf_fields(b"tree\nversion=v4") == ()
    assert probe.protobuf_fields(b"") == ()


def test_first_json_key() -> None:
    assert probe.first_json_key(json.dumps({"learner": 1}).encode()) == "learner"
    assert probe.first_json_key(b'\xef\xbb\xbf \r\n{ "a\\"b" :[') == 'a\\"b'
    assert probe.first_json_key(b'["learner"]') == ""
    assert probe.first_json_key(np.arange(9).tobytes()) == ""


@pytest.mark.parametrize("head", [b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\0"])
def test_a_compressed_model_is_told_to_be_unpacked(head: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.json.gz").write_bytes(head + b" or whatever")
    assert probe.recognise(ModelDir.of(tmp_path)) == "model.json.gz is a compressed file that must be unpacked first"
