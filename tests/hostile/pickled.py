"""Pickles that leave a mark, in every wrapping that a framework unpickles: joblib, numpy, torch, transformers."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from tests.adapters.formats.pickles import attacks
from tests.adapters.formats.pickles.kit import COMPRESSIONS
from tests.cases import bert_classifier, spacy_rules
from tests.hostile.kit import Hostile, Payload, payload, zipped

_NAMED = r"names (posix|nt|os)\.system, which is not a class of a known library"


def corpus() -> Iterator[tuple[str, Hostile]]:
    for ending in ("pkl", "pickle", "joblib"):
        yield f"a pickle as .{ending}", Hostile(_bytes(f"model.{ending}", payload), _NAMED)
    for compress in COMPRESSIONS:
        name = compress[0] if isinstance(compress, tuple) else "nothing"
        yield f"joblib with {name}", Hostile(_dumped(compress), _NAMED)
    for name, pack in {"zlib": zlib, "gzip": gzip, "bz2": bz2, "lzma": lzma}.items():
        yield (
            f"a pickle in {name}",
            Hostile(_bytes("model.pkl", lambda mark, p=pack: p.compress(payload(mark))), _NAMED),
        )
        twice = _bytes("model.pkl", lambda mark, p=pack: p.compress(p.compress(payload(mark))))
        yield f"a pickle in {name} in {name}", Hostile(twice, "is no pickle, or a damaged one|is cut short")
    yield "a pickle in bytes in an array", Hostile(_in_array, "holds an array, which cannot predict")
    yield "a pickle after the model", Hostile(_after_model, "holds more after its first object")
    yield from _torch()
    yield from _numpy()
    yield "weights of spaCy", Hostile(_spacy_vectors, "spaCy cannot load the pipeline")
    yield "objects in spaCy's msgpack", Hostile(_spacy_objects, "spaCy cannot load the pipeline")


def nested() -> Iterator[tuple[str, Callable[[Path, Path], object]]]:
    """The pickles of `attacks`, as the model of a folder."""
    somewhere = Path("/nowhere")
    for name in attacks.nested(somewhere):
        yield (
            f"nested {name}",
            lambda folder, mark, n=name: joblib.dump(attacks.nested(mark)[n], folder / "model.joblib"),
        )
    for kind in (attacks.crafted, attacks.through_libraries):
        for name in kind(somewhere):
            yield f"{name}", lambda folder, mark, k=kind, n=name: (folder / "model.pkl").write_bytes(k(mark)[n])


def _bytes(file: str, content: Callable[[Path], bytes]) -> Callable[[Path, Path], object]:
    return lambda folder, mark: (folder / file).write_bytes(content(mark))


def _dumped(compress: Any) -> Callable[[Path, Path], object]:
    return lambda folder, mark: joblib.dump([Payload(mark)], folder / "model.joblib", compress)


def _in_array(folder: Path, mark: Path) -> None:
    array = np.empty(1, dtype=object)
    array[0] = payload(mark)
    (folder / "model.pkl").write_bytes(pickle.dumps(array))


def _after_model(folder: Path, mark: Path) -> None:
    from sklearn.naive_bayes import GaussianNB

    (folder / "model.pkl").write_bytes(pickle.dumps(GaussianNB()) + payload(mark))


# torch


def _torch() -> Iterator[tuple[str, Hostile]]:
    for file in ("model.pt", "model.pth", "model.bin", "pytorch_model.bin", "model.ckpt"):
        yield f"torch's zip as {file}", Hostile(_bytes(file, _torch_zip), "checkpoint|no known model format")
        yield (
            f"torch's older file as {file}",
            Hostile(_bytes(file, _torch_legacy), "checkpoint|no known model format|pickle"),
        )
        tar = "neither|no known model format|damaged|cut|checkpoint"
        yield f"torch's tar as {file}", Hostile(_bytes(file, _torch_tar), tar)
    yield "a torch zip that looks like TorchScript", Hostile(_bytes("model.pt", _torch_script), "")
    yield "a torch zip that looks like an exported program", Hostile(_bytes("model.pt2", _torch_exported), "")
    for name, weights in {"zip": _torch_zip, "older file": _torch_legacy, "tar": _torch_tar, "pickle": payload}.items():
        yield (
            f"transformers' weights as torch's {name}",
            Hostile(
                _transformers({"pytorch_model.bin": weights}), "transformers cannot load it|the pickled weights name"
            ),
        )
    yield "transformers' weights in an index", Hostile(_transformers(_INDEXED), "the pickled weights name posix.system")
    yield "a vocabulary of transformers", Hostile(_pickled_vocabulary, "")
    yield (
        "safetensors that are a pickle",
        Hostile(_transformers({"model.safetensors": payload}), "is truncated or no safetensors file"),
    )


def _torch_zip(mark: Path) -> bytes:
    return zipped({"archive/data.pkl": payload(mark), "archive/version": "3\n", "archive/byteorder": "little"}, 0)


def _torch_script(mark: Path) -> bytes:
    code = "class A(Module):\n  def forward(self, x: Tensor) -> Tensor:\n    return x\n"
    return zipped(
        {
            "m/data.pkl": payload(mark),
            "m/constants.pkl": payload(mark),
            "m/code/__torch__.py": code,
            "m/version": "3\n",
        },
        0,
    )


def _torch_exported(mark: Path) -> bytes:
    samples = _torch_zip(mark)
    config = json.dumps({"config": {"w": {"path_name": "weight_0", "is_param": True, "use_pickle": True}}})
    return zipped(
        {
            "m/archive_format": "pt2",
            "m/archive_version": "0",
            "m/byteorder": "little",
            "m/models/model.json": json.dumps({"graph_module": {}, "opset_version": {}}),
            "m/data/weights/model_weights_config.json": config,
            "m/data/weights/weight_0": samples,
            "m/data/constants/model_constants_config.json": json.dumps({"config": {}}),
            "m/data/sample_inputs/model.pt": samples,
            "m/.data/serialization_id": "1",
        },
        0,
    )


def _torch_legacy(mark: Path) -> bytes:
    numbers = (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}})
    return b"".join(pickle.dumps(number, 2) for number in numbers) + payload(mark) + pickle.dumps([], 2)


def _torch_tar(mark: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("storages", "tensors", "pickle"):
            content = payload(mark)
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _transformers(weights: Any) -> Callable[[Path, Path], object]:
    def make(folder: Path, mark: Path) -> None:
        bert_classifier(folder)
        (folder / "model.safetensors").unlink()
        for file, content in weights.items():
            (folder / file).write_bytes(content(mark))

    return make


_INDEXED = {
    "pytorch_model.bin.index.json": lambda mark: json.dumps(
        {"metadata": {}, "weight_map": {"classifier.weight": "pytorch_model-00001-of-00001.bin"}}
    ).encode(),
    "pytorch_model-00001-of-00001.bin": _torch_zip,
}


def _pickled_vocabulary(folder: Path, mark: Path) -> None:
    """Files that some tokenizers of older transformers unpickled, beside a sound model."""
    bert_classifier(folder)
    for name in ("vocab.pkl", "vocab.bin", "spiece.model", "tokenizer.pkl", "vocab.txt"):
        (folder / name).write_bytes(payload(mark))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["tokenizer_class"] = "TransfoXLTokenizer"
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").unlink()


# numpy


def _numpy() -> Iterator[tuple[str, Hostile]]:
    yield "numpy's array", Hostile(_bytes("model.npy", _npy), "is a NumPy array, which this version does not serve")
    yield "numpy's arrays", Hostile(_bytes("model.npz", _npz), "NumPy array archive")
    yield "numpy's array as a pickle", Hostile(_bytes("model.pkl", _npy), "is no pickle, or a damaged one|is cut short")
    yield "numpy's arrays as joblib's", Hostile(_bytes("model.joblib", _npz), "is a zip archive")


def _npy(mark: Path) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Payload(mark), 1], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def _npz(mark: Path) -> bytes:
    return zipped({"a.npy": _npy(mark)})


def _spacy_vectors(folder: Path, mark: Path) -> None:
    spacy_rules(folder)
    (folder / "vocab" / "vectors").write_bytes(_npy(mark))


def _spacy_objects(folder: Path, mark: Path) -> None:
    """An array of Python objects, whose addresses the file gives: numpy must not believe it."""
    import srsly

    spacy_rules(folder)
    fake = {b"nd": True, b"type": "|O", b"kind": b"", b"shape": (1,), b"data": b"\x41" * 8}
    (folder / "vocab" / "lookups.bin").write_bytes(srsly.msgpack_dumps({"a": fake}))
