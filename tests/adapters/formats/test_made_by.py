"""What files say of who wrote them; whatever is damaged says nothing, and hostile files cost little."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.base import ModelDir
from adapters.formats.made_by import made_by


def field(number: int, content: bytes) -> bytes:
    """A field of protobuf that holds bytes, of fewer than 128."""
    return bytes([number << 3 | 2, len(content)]) + content


def zipped(path: Path, name: str, document: object) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, json.dumps(document))


def onnx(folder: Path) -> None:
    (folder / "m.onnx").write_bytes(b"\x08\x08" + field(2, b"skl2onnx") + field(3, b"1.20.0") + field(7, b""))


def saved_model(folder: Path) -> None:
    meta = field(1, field(5, b"2.21.0"))
    (folder / "saved_model.pb").write_bytes(b"\x08\x01" + field(2, meta))


def spacy_package(folder: Path) -> None:
    (folder / "en_core-3.8").mkdir()
    (folder / "en_core-3.8" / "meta.json").write_text('{"spacy_version": ">=3.8,<3.9"}')


UBJ = b"}L\0\0\0\0\0\0\0\x07version[#L\0\0\0\0\0\0\0\x03i\x03i\x02i\x00}"
CASES: dict[str, tuple[str, str, Callable[[Path], object], str]] = {
    "XGBoost's UBJ": ("xgboost", "m.ubj", lambda f: (f / "m.ubj").write_bytes(b"x" * 9000 + UBJ), "XGBoost 3.2.0"),
    "XGBoost's JSON": (
        *("xgboost", "m.json"),
        lambda f: (f / "m.json").write_text('{"learner":{},"version":[2, 1, 4]}'),
        "XGBoost 2.1.4",
    ),
    "LightGBM": (
        *("lightgbm", "m.txt"),
        lambda f: (f / "m.txt").write_text("tree\nversion=v4\nnum_class=1\n"),
        "LightGBM, format v4",
    ),
    "ONNX": ("onnx", "m.onnx", onnx, "skl2onnx 1.20.0"),
    "transformers": (
        *("generation", ""),
        lambda f: (f / "config.json").write_text('{"transformers_version": "5.1.0"}'),
        "transformers 5.1.0",
    ),
    "sentence-transformers": (
        *("sentence_transformers", ""),
        lambda f: (f / "config_sentence_transformers.json").write_text(
            '{"__version__": {"sentence_transformers": "6.0.0"}}'
        ),
        "sentence-transformers 6.0.0",
    ),
    "spaCy": ("spacy", "", lambda f: (f / "meta.json").write_text('{"spacy_version": ">=3.8"}'), "spaCy >=3.8"),
    "spaCy's package": ("spacy", "", spacy_package, "spaCy >=3.8,<3.9"),
    "Keras": (
        *("tensorflow", "m.keras"),
        lambda f: zipped(f / "m.keras", "metadata.json", {"keras_version": "3.9.0"}),
        "Keras 3.9.0",
    ),
    "SavedModel": ("tensorflow", "", saved_model, "TensorFlow 2.21.0"),
    "MLflow": (
        *("mlflow", ""),
        lambda f: (f / "MLmodel").write_text("flavors: {}\nmlflow_version: 3.1.0\n"),
        "MLflow 3.1.0",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_who_wrote_it(tmp_path: Path, case: str) -> None:
    adapter, file, write, expected = CASES[case]
    write(tmp_path)
    assert made_by(adapter, ModelDir.of(tmp_path), file) == expected


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("content", [b"", b"\xff" * 5000, b"[" * 5000, b"{}", b"\x12\xff\xff\xff\xff\xff\xff\x01"])
def test_whatever_is_damaged_says_nothing(tmp_path: Path, case: str, content: bytes) -> None:
    adapter, file, write, _ = CASES[case]
    write(tmp_path)
    for path in tmp_path.rglob("*.*"):
        if path.is_file():
            path.write_bytes(content)
    (tmp_path / "MLmodel").write_bytes(content)
    assert made_by(adapter, ModelDir.of(tmp_path), file) == ""


@pytest.mark.parametrize("version", ["x" * 1000, "1\n2", 3, None, ["1"], {"a": 1}])
def test_only_a_short_text_is_a_version(tmp_path: Path, version: object) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"transformers_version": version}))
    assert made_by("huggingface", ModelDir.of(tmp_path), "") == ""


def test_of_others_nobody_knows(tmp_path: Path) -> None:
    assert made_by("custom", ModelDir.of(tmp_path), "model.py") == ""
    assert made_by("xgboost", ModelDir.of(tmp_path), "absent.ubj") == ""
