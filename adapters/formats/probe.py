"""What a file is, by its name and its leading bytes. Standard library only; nothing is extracted, nothing is executed.

The helpers (`zip_names`, `protobuf_fields`, `first_json_key`) read a bounded number of bytes and never raise on
hostile content: what cannot be understood is empty. `recognise` names the formats that no adapter serves yet.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from adapters.formats.strays import stray
from adapters.modeldir import ModelDir

#: bytes of a zip's central directory that are read at most: some ten thousand names
ZIP_DIRECTORY_LIMIT = 1 << 20
#: the end-of-central-directory record (22 bytes), its longest comment, and zip64's two records before it
_ZIP_TAIL = 22 + 65535 + 20 + 56

_FIRST_KEY = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"((?:[^"\\]|\\.)*)"\s*:')


def zip_names(model_dir: ModelDir, file: str) -> tuple[str, ...]:
    """The names in a zip archive's central directory, or () when the file is not a whole zip archive."""
    if not model_dir.head(file, 4).startswith(b"PK"):
        return ()
    return tuple(_central_names(_central_directory(model_dir.file(file))))


def protobuf_fields(data: bytes, count: int = 8) -> tuple[tuple[int, int], ...]:
    """The first `count` top-level (field number, wire type) pairs of a protobuf message, as far as `data` goes.

    () means that the bytes are no protobuf message; a long field may end the list early.
    """
    found: list[tuple[int, int]] = []
    at = 0
    while at < len(data) and len(found) < count:
        tag, at = _varint(data, at)
        if at < 0:
            break
        number, wire = tag >> 3, tag & 7
        if number < 1 or wire not in (0, 1, 2, 5):
            return ()
        found.append((number, wire))
        value, after = _varint(data, at) if wire in (0, 2) else (0, at + (8 if wire == 1 else 4))
        if after < 0:
            break
        at = after + value if wire == 2 else after
    return tuple(found)


def first_json_key(data: bytes) -> str:
    """The first key of a JSON object that begins in `data`, or ""."""
    match = _FIRST_KEY.match(data)
    return match[1].decode("utf-8", "replace") if match else ""


def recognise(model_dir: ModelDir) -> str:
    """A known format in this directory that the current adapters do not serve, in words ("x is a y"), or ""."""
    if all(model_dir.has(name) for name in AUTOGLUON):
        return "it is an AutoGluon predictor"
    for name, format_ in _LAYOUTS.items():
        if model_dir.has(name):
            ensemble = name == TRITON and b"ensemble" in model_dir.head(name)
            return f"{name} is {_ENSEMBLE if ensemble else format_}"
    for name in model_dir.files:
        if format_ := _format_of(model_dir, name):
            return f"{name} is {format_}"
    if versions := [name for name in model_dir.dirs if name.isdecimal()]:
        return f"{', '.join(f'{name}/' for name in versions[:5])}: a folder of numbered versions"
    if model_dir.files == ("polyserve.yaml",) and not model_dir.dirs:
        return "polyserve.yaml stands alone: settings without a model"
    return ""


def way_out(recognised: str) -> str:
    """What can be done with what `recognise` has found, or ""."""
    return next((way for format_, way in _WAYS_OUT.items() if recognised.endswith(format_)), "")


def unknown_booster(model_dir: ModelDir, *suffixes: str) -> str:
    """Why the files with a booster's ending are none, or "" when there are no such files or their bytes are known.

    XGBoost and LightGBM share endings: both say this of bytes that neither knows, and the registry says it once.
    """
    names = [name for name in model_dir.named(*suffixes) if not _is_booster(model_dir.head(name, 20))]
    if not names or recognise(model_dir):
        return ""
    if not model_dir.head(names[0], 1):
        return f"{names[0]} is empty"
    if told := stray(model_dir.head(names[0])):
        return f"{names[0]} {told}"
    return f"{names[0]} is neither an XGBoost nor a LightGBM model, or its beginning is damaged"


def _is_booster(head: bytes) -> bool:
    return head.startswith((b"tree\n", b"tree\r\n", b'{"learner"')) or head[10:17] == b"learner"


TRITON = "config.pbtxt"  #: Triton's settings, above the folders of versions
_ENSEMBLE = "an ensemble of Triton's"
_CHECKPOINT = "a TensorFlow checkpoint (weights without a program)"
#: one file's name gives the layout of the directory away; the surest first
_LAYOUTS = {
    "model.py": "the user's own Python code",
    "model-settings.json": "an MLServer model's settings",
    TRITON: "a Triton model's settings",
    "saved_model.pb": "a TensorFlow SavedModel",
    "saved_model.pbtxt": "a TensorFlow SavedModel",
    "model_index.json": "a diffusers pipeline",
    "adapter_config.json": "a PEFT adapter without its base model",
}

#: the files of a predictor, which are pickles of AutoGluon's own classes
AUTOGLUON = ("learner.pkl", "predictor.pkl")

#: leading bytes (at an offset) -> format
_MAGIC = (
    (0, b"CBM1", "a CatBoost model"),
    (0, b"binf", "an XGBoost model in the binary format that XGBoost 3.1 removed"),
    (0, b"GGUF", "a GGUF model (llama.cpp)"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras' older format)"),
    (0, b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "a PyTorch checkpoint (weights without a program)"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"7z\xbc\xaf\x27\x1c", "an archive that must be unpacked first"),
)

#: how a file's name ends -> format of others, whose bytes tell less
_ENDINGS = {
    **dict.fromkeys((".pdmodel", ".pdiparams"), "a PaddlePaddle model"),
    ".pdparams": "PaddlePaddle weights",
    ".tl": "a Treelite checkpoint",
    **dict.fromkeys((".plan", ".engine"), "a TensorRT engine"),
    ".mlmodel": "a Core ML model",
    "-symbol.json": "an MXNet model",
    ".nemo": "a NeMo model",
    ".rds": "a model of R",
    ".mojo": "an H2O model",
    **dict.fromkeys((".ckpt", ".pth.tar"), "a checkpoint (weights without a program)"),
    ".dvc": "a DVC pointer",
    ".whl": "a Python package",
    **dict.fromkeys((".part", ".crdownload", ".download"), "a download that is not whole"),
}
#: formats of others -> the shortest way to have them served
_WAYS_OUT = {
    "a PMML model": "a model.py can ask it through pypmml or jpmml-evaluator",
    "a PaddlePaddle model": "paddle2onnx exports it to ONNX, which is served",
    "a TensorFlow Lite model": "serve the SavedModel that it was made of, or convert it by tf2onnx --tflite",
    "CatBoost's export to code": "serve what save_model('model.cbm') writes",
    "a Treelite checkpoint": "serve the XGBoost, LightGBM or scikit-learn model that it was made of",
    "a TensorRT engine": "serve the ONNX file that it was built of",
    "an MXNet model": "mxnet.onnx exports it to ONNX, which is served",
    "a Core ML model": "serve the model that it was converted from",
    "a NeMo model": "its export to ONNX is served",
    "an AutoGluon predictor": "a model.py can load it, with autogluon in requirements.txt",
    "an MLServer model's settings": "the class that its implementation names becomes a model.py with kserve.Model",
    _ENSEMBLE: "serve its steps as models of their own, and have a model.py ask them",
    "a Triton model's settings": "put the model that they describe beside them, into the folder of its version",
    "a checkpoint (weights without a program)": "a model.py can build the model and load them",
    _CHECKPOINT: "load it into the model, and export that by tf.saved_model.save(model, DIR)",
    "an HDF5 file (Keras' older format)": "keras.models.load_model(FILE).save('model.keras') writes what is served",
    "a DVC pointer": "dvc pull fetches the file itself",
    "a Python package": "unzip it, and serve the folder in it that holds the model (spaCy's has a config.cfg)",
    **dict.fromkeys(("a NumPy array", "a NumPy array archive"), "dump the fitted model itself"),
    "a model of R": "a model.py can ask it through rpy2",
    "a download that is not whole": "let it end, or fetch it again",
    "an OpenVINO model": "serve the ONNX file that it was made of",
    "safetensors weights without a config.json": "copy the config.json here that was saved with them",
    "an H2O model": "a model.py can load it, with h2o in requirements.txt",
}

#: classes that CatBoost's exports to C++ and Python define at their beginning
_CATBOOST_CODE = (b"struct CatboostModel {", b"class catboost_model(object):")
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"(\xb5/\xfd", b"\x04\x22M\x18")  #: gzip, bzip2, xz, zstd, lz4
_KERAS = {"config.json", "metadata.json"}


def _format_of(model_dir: ModelDir, name: str) -> str:
    head = model_dir.head(name)
    for at, magic, format_ in _MAGIC:
        if head.startswith(magic, at):
            return format_
    if head.startswith(b"PK") and (format_ := _format_of_zip(zip_names(model_dir, name))):
        return format_
    if b"<PMML" in head:
        return "a PMML model"
    if any(mark in head for mark in _CATBOOST_CODE):
        return "CatBoost's export to code"
    if b"<net " in head and name.lower().endswith(".xml"):
        return "an OpenVINO model"
    if _is_safetensors(head):
        return "safetensors weights without a config.json"
    if ".ckpt" in name and name.endswith((".index", ".meta")):
        return _CHECKPOINT
    for ending, format_ in _ENDINGS.items():
        if name.lower().endswith(ending):
            return format_
    if name.lower().endswith(".pb") and _is_frozen_graph(head):
        return "a frozen TensorFlow graph"
    if name.lower().endswith(_ARCHIVES):
        return "an archive that must be unpacked first"
    return "a compressed file that must be unpacked first" if head.startswith(_COMPRESSED) else ""


def _format_of_zip(names: tuple[str, ...]) -> str:
    """The inner paths of a torch archive begin with the archive's own name, which may be anything."""
    top = set(names)
    inner = {name.partition("/")[2] for name in names}
    if "MAR-INF/MANIFEST.json" in top:
        return "a TorchServe archive"
    if top >= _KERAS:
        return "a Keras model"
    if "schema.json" in top:
        return "a skops archive (scikit-learn)"
    if "archive_format" in inner:
        return "a PyTorch exported program"
    if "constants.pkl" in inner and any(name.startswith("code/") for name in inner):
        return "a TorchScript program"
    if "data.pkl" in inner:
        return "a PyTorch checkpoint (weights without a program)"
    return "a NumPy array archive" if names and all(name.endswith(".npy") for name in names) else ""


def _is_safetensors(head: bytes) -> bool:
    """A little-endian 64-bit header length, then the header: a JSON object."""
    return len(head) > 9 and int.from_bytes(head[:8], "little") < 100_000_000 and head[8:10] in (b'{"', b"{}", b"{ ")


def _is_frozen_graph(head: bytes) -> bool:
    """GraphDef's field 1 is a NodeDef, whose own fields 1 and 2 are the node's name and operation."""
    if not head.startswith(b"\n"):
        return False
    _, start = _varint(head, 1)
    return start > 0 and protobuf_fields(head[start:], 2) == ((1, 2), (2, 2))


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A protobuf varint and the offset behind it; the offset is -1 when there is none."""
    value = 0
    for index, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    return 0, -1


def _central_directory(path: Path) -> bytes:
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _ZIP_TAIL))
        tail = stream.read()
        end = tail.rfind(b"PK\x05\x06")
        if end < 0 or len(tail) - end < 22:
            return b""
        length, offset = struct.unpack_from("<II", tail, end + 12)
        end64 = tail.rfind(b"PK\x06\x06", 0, end)
        if 0xFFFFFFFF in (length, offset) and end64 >= 0:
            length, offset = struct.unpack_from("<QQ", tail, end64 + 40)
        if offset >= size:
            return b""
        stream.seek(offset)
        return stream.read(min(length, size - offset, ZIP_DIRECTORY_LIMIT))


def _central_names(directory: bytes) -> Iterator[str]:
    at = 0
    while directory.startswith(b"PK\x01\x02", at) and at + 46 <= len(directory):
        name, extra, comment = struct.unpack_from("<HHH", directory, at + 28)
        yield directory[at + 46 : at + 46 + name].decode("utf-8", "replace")
        at += 46 + name + extra + comment
