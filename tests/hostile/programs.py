"""Models that are programs: graphs that write files, Keras files that name Python, handlers, a model.py."""

from __future__ import annotations

import functools
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.cases import sklearn_logistic
from tests.hostile.kit import Hostile, payload, zipped

_MAKE = Callable[[Path, Path], object]


def corpus() -> Iterator[tuple[str, Hostile]]:
    """What is refused where code is: it is refused or kept from acting under every level."""
    own = r"is built of the custom (class|function)"
    for name, change, why in (
        ("a Lambda", {"class_name": "Lambda", "module": "keras.layers", "config": {}}, "holds a Lambda layer"),
        ("a function of Python's", _function("os", "system"), own),
        ("a class of Python's", {"class_name": "Popen", "module": "subprocess", "config": {"args": "id"}}, own),
        ("a function that lifts safety", _function("keras.config", "enable_unsafe_deserialization"), "."),
        ("a function that unpickles", _function("keras.src.utils.python_utils", "func_load"), "."),
    ):
        yield f"a Keras file with {name}", Hostile(_keras(change), why)
    yield "a Keras file with assets that climb", Hostile(_keras_assets, "")
    yield "an archive with a header of gibibytes", Hostile(_tar_header, "must be unpacked first")
    yield "an archive in a tar that climbs", Hostile(_tar_climbing, "must be unpacked first")


def code() -> Iterator[tuple[str, _MAKE]]:
    """Models that bring code: it writes the number of its process into the mark, where it runs at all."""
    yield "model.py", _model_py
    yield "model.py beside a sound model", _model_py_beside
    yield "a handler in an archive", _handler
    yield "a handler in a tar", _handler_in_tar
    yield "a graph that writes a file", _graph


def _code(mark: Path) -> str:
    return f"import os\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\n"


def _model_py(folder: Path, mark: Path) -> None:
    text = _code(mark) + "import kserve\n\n\nclass Evil(kserve.Model):\n    pass\n"
    (folder / "model.py").write_text(text)


def _model_py_beside(folder: Path, mark: Path) -> None:
    sklearn_logistic(folder)
    _model_py(folder, mark)


# archives of TorchServe


def _archive(mark: Path) -> Mapping[str, str]:
    manifest = {"runtime": "python", "model": {"modelName": "m", "modelVersion": "1.0", "handler": "evil.py"}}
    handler = _code(mark) + "\n\ndef handle(data, context):\n    return data\n"
    return {"MAR-INF/MANIFEST.json": json.dumps(manifest), "evil.py": handler}


def _handler(folder: Path, mark: Path) -> None:
    (folder / "model.mar").write_bytes(zipped(_archive(mark)))


def _tar(entries: Mapping[str, bytes], first: tarfile.TarInfo | None = None, size: int = 0) -> bytes:
    """A tar.gz, which may begin with an entry of zeros."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        if first is not None:
            first.size = size
            archive.addfile(first, _Zeros())  # type: ignore[arg-type]
        for name, content in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


class _Zeros:
    def read(self, size: int) -> bytes:
        return bytes(size)


def _handler_in_tar(folder: Path, mark: Path) -> None:
    entries = {f"m/{name}": content.encode() for name, content in _archive(mark).items()}
    (folder / "model.tar.gz").write_bytes(_tar(entries))


def _tar_header(folder: Path, mark: Path) -> None:
    entries = {f"m/{name}": content.encode() for name, content in _archive(mark).items()}
    bomb = tarfile.TarInfo("attributes")
    bomb.type = tarfile.XHDTYPE
    (folder / "model.tar.gz").write_bytes(_tar(entries, bomb, 2**30))


def _tar_climbing(folder: Path, mark: Path) -> None:
    entries = {f"m/{name}": content.encode() for name, content in _archive(mark).items()}
    climbing = {f"m/{'../' * 40}{str(mark).lstrip('/')}": b"climbed"}
    (folder / "model.tar.gz").write_bytes(_tar({**climbing, **entries}))


# Keras


def _function(module: str, name: str) -> dict[str, Any]:
    return {"class_name": "function", "module": module, "config": name, "registered_name": "function"}


@functools.cache
def _keras_entries() -> Mapping[str, bytes]:
    """A real file, with a layer that has assets."""
    import tempfile

    import keras

    text = keras.layers.TextVectorization(vocabulary=["a", "b"], output_sequence_length=2)
    model = keras.Sequential([keras.Input((1,), dtype="string"), text])
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model.keras")
        with zipfile.ZipFile(f"{folder}/model.keras") as archive:
            return {name: archive.read(name) for name in archive.namelist()}


def _keras(layer: dict[str, Any]) -> _MAKE:
    def make(folder: Path, mark: Path) -> None:
        entries = dict(_keras_entries())
        config = json.loads(entries["config.json"])
        config["config"]["layers"].append({"registered_name": None, "build_config": {}, **layer})
        entries["config.json"] = json.dumps(config).encode()
        (folder / "model.keras").write_bytes(zipped(entries))

    return make


def _keras_assets(folder: Path, mark: Path) -> None:
    entries = dict(_keras_entries())
    up = "../" * 40 + str(mark).lstrip("/")
    climbing = {f"assets/{up}": b"climbed", up: b"climbed", str(mark): b"climbed", "assets/x": payload(mark)}
    (folder / "model.keras").write_bytes(zipped({**entries, **climbing}))


# TensorFlow


def _graph(folder: Path, mark: Path) -> None:
    """A graph that leaves the mark when it is called."""
    import tensorflow as tf

    class Evil(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def __call__(self, x: Any) -> Any:
            tf.io.write_file(str(mark), "0")
            return x * 2.0

    model = Evil()
    tf.saved_model.save(model, str(folder), signatures=model.__call__)
    assert not mark.exists()
