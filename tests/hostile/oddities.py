"""What is no ordinary file: pipes, devices, sockets, holes of a tebibyte, names that write to the terminal."""

from __future__ import annotations

import os
import pickle
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.cases import bert_classifier, spacy_rules
from tests.hostile.kit import Hostile, payload

#: files by which adapters know their models
_NAMES = (
    "model.joblib", "model.pkl", "model.ubj", "model.json", "model.bst", "model.txt", "model.onnx", "config.json",
    "meta.json", "config.cfg", "saved_model.pb", "model.pb", "model.keras", "model.pt", "model.pt2", "model.mar",
    "model.cbm", "model.skops", "MLmodel", "model.py", "modules.json", "polyserve.yaml", "requirements.txt",
)  # fmt: skip

#: how sparse files begin, so that somebody takes them for his
_HEADS: dict[str, bytes] = {
    "model.joblib": pickle.dumps({"a": 1})[:-1],
    "model.pkl": b"\x80\x04\x8e" + (2**39).to_bytes(8, "little"),
    "model.pickle": b"\x78\x9c",
    "model.ubj": b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner",
    "model.json": b'{"learner":{"attributes":{',
    "model.bst": b"tree\nversion=v4\n",
    "model.txt": b"tree\nversion=v4\n",
    "model.onnx": b"\x08\x09\x3a\xff\xff\xff\xff\x7f",
    "model.cbm": b"CBM1\xff\xff\xff\xff",
    "model.skops": b"PK\x03\x04",
    "model.keras": b"PK\x03\x04",
    "model.pt": b"PK\x03\x04",
    "model.mar": b"PK\x03\x04",
    "model.pb": b"\x0a\x0c\x0a\x01x\x12\x01y",
    "saved_model.pb": b"\x08\x01\x12\xff\xff\xff\xff\x7f",
    "model.safetensors": (90_000_000).to_bytes(8, "little") + b'{"',
    "config.json": b'{"model_type": "bert", "x": "',
    "MLmodel": b"flavors:\n",
    "requirements.txt": b"numpy\n",
    "model.py": b"import kserve\n",
}
_HOLE = 2**40


def corpus() -> Iterator[tuple[str, Hostile]]:
    for name in _NAMES:
        yield f"a pipe named {name}", Hostile(_pipe(name), ".")
    for name in _HEADS:
        yield f"a hole named {name}", Hostile(_hole(name), ".")
    yield "a socket", Hostile(_socket, ".")
    yield "a device", Hostile(_device, ".")
    yield "a pipe among transformers' files", Hostile(_among(bert_classifier, "added_tokens.json"), "is neither a file")
    yield "a pipe among spaCy's files", Hostile(_among(spacy_rules, "vocab/lookups.bin"), "is neither a file nor")
    yield "a link to itself", Hostile(lambda folder, mark: (folder / "model.joblib").symlink_to("model.joblib"), ".")
    yield "a folder in the place of a file", Hostile(lambda folder, mark: (folder / "model.joblib").mkdir(), ".")
    for name in ("a\nINFO all is well.pkl", "\x1b[2Jmodel.pkl", "a\r.joblib", "a\u2028b.pkl"):
        yield f"a name such as {name!r}", Hostile(_named(name), ".")


def _pipe(name: str) -> Callable[[Path, Path], object]:
    return lambda folder, mark: os.mkfifo(folder / name)


def _hole(name: str) -> Callable[[Path, Path], object]:
    def make(folder: Path, mark: Path) -> None:
        if name == "model.safetensors":
            bert_classifier(folder)
        with (folder / name).open("wb") as file:
            file.write(_HEADS[name])
            file.truncate(_HOLE)

    return make


def _socket(folder: Path, mark: Path) -> None:
    here = Path.cwd()
    os.chdir(folder)  # a socket's path is bounded
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("model.onnx")
    finally:
        os.chdir(here)


def _device(folder: Path, mark: Path) -> None:
    """An endless one, where the tests may make devices; else a link to it."""
    try:
        os.mknod(folder / "model.joblib", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except OSError:
        (folder / "model.joblib").symlink_to("/dev/zero")


def _among(make_model: Callable[[Path], object], name: str) -> Callable[[Path, Path], object]:
    def make(folder: Path, mark: Path) -> None:
        make_model(folder)
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return make


def _named(name: str) -> Callable[[Path, Path], object]:
    return lambda folder, mark: (folder / name).write_bytes(payload(mark))
