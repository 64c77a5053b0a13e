"""Archives that climb out of where they are unpacked, explode, or hold what their kind may not hold."""

from __future__ import annotations

import copy
import functools
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.hostile.kit import Hostile, linked, payload, zipped

_MANIFEST = json.dumps(
    {"runtime": "python", "model": {"modelName": "m", "handler": "handler.py", "serializedFile": "weights.pt"}}
)
_KERAS = {"class_name": "Sequential", "module": "keras", "config": {"name": "m", "layers": []}, "registered_name": None}
_SKOPS = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": [], "__id__": 1}

#: ending -> what an archive of its kind holds at least
_FRAMES: Mapping[str, Mapping[str, str]] = {
    ".skops": {"schema.json": json.dumps({**_SKOPS, "protocol": 2})},
    ".keras": {"config.json": json.dumps(_KERAS), "metadata.json": json.dumps({"keras_version": "3.15.1"})},
    ".mar": {"MAR-INF/MANIFEST.json": _MANIFEST},
    ".pt2": {"m/archive_format": "pt2", "m/archive_version": "0", "m/version": "3", "m/byteorder": "little"},
    ".pt": {"m/constants.pkl": "\x80\x02N.", "m/code/__torch__.py": "", "m/version": "3"},
    ".npz": {},
    ".zip": {},
}
_GIB = 2**30


def corpus() -> Iterator[tuple[str, Hostile]]:
    for ending in _FRAMES:
        for way in ("../", "/", "\\..\\", "./x/../../"):
            yield f"{ending} that climbs by {way}", Hostile(_climbing(ending, way), ".")
        yield f"{ending} with a link", Hostile(_with_link(ending), ".")
        for kind, bomb in (("one entry", _bomb), ("entries that overlap", _overlapping)):
            yield f"{ending} that explodes in {kind}", Hostile(_exploding(ending, bomb), ".")
        yield f"{ending} that is a tar", Hostile(_tar(ending), ".")
    yield "an exported program with hostile samples", Hostile(_exported("sample_inputs"), "holds a pickle")
    yield "an exported program with hostile weights", Hostile(_exported("weights"), "pickle")
    yield "an exported program with native code", Hostile(_with_native_code, r"holds native code \(data/aotinductor/")
    yield "a TorchScript program with a hostile state", Hostile(_script, "cannot be loaded: Unknown type name")


def _climbing(ending: str, way: str) -> Callable[[Path, Path], object]:
    def make(folder: Path, mark: Path) -> None:
        up = "../" * 40 + str(mark).lstrip("/")
        name = {"../": up, "/": str(mark), "\\..\\": up.replace("/", "\\"), "./x/../../": f"x/../{up}"}[way]
        (folder / f"model{ending}").write_bytes(zipped({**_FRAMES[ending], name: "climbed", f"m/{name}": "climbed"}))

    return make


def _with_link(ending: str) -> Callable[[Path, Path], object]:
    """A link to the folder of the mark, and an entry below it."""

    def make(folder: Path, mark: Path) -> None:
        buffer = io.BytesIO(linked("link", str(mark.parent)))
        with zipfile.ZipFile(buffer, "a") as archive:
            for name, content in {**_FRAMES[ending], f"link/{mark.name}": "climbed"}.items():
                archive.writestr(name, content)
        (folder / f"model{ending}").write_bytes(buffer.getvalue())

    return make


@functools.cache
def _bomb(name: str) -> bytes:
    """An archive of one entry of a gibibyte, in a megabyte."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(info, "w", force_zip64=True) as entry:
            for _ in range(_GIB // 2**24):
                entry.write(bytes(2**24))
    return buffer.getvalue()


@functools.cache
def _overlapping(name: str) -> bytes:
    """Twenty thousand names for one entry of 16 MiB: 312 GiB in 2 MB."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, bytes(2**24))
        first = archive.filelist[0]
        for number in range(20_000):
            again = copy.copy(first)
            again.filename = f"{number}-{name}"
            archive.filelist.append(again)
    return buffer.getvalue()


def _exploding(ending: str, bomb: Callable[[str], bytes]) -> Callable[[Path, Path], object]:
    def make(folder: Path, mark: Path) -> None:
        buffer = io.BytesIO(bomb("m/data"))
        with zipfile.ZipFile(buffer, "a") as archive:
            for name, content in _FRAMES[ending].items():
                archive.writestr(name, content)
        (folder / f"model{ending}").write_bytes(buffer.getvalue())

    return make


def _tar(ending: str) -> Callable[[Path, Path], object]:
    def make(folder: Path, mark: Path) -> None:
        with tarfile.open(folder / f"model{ending}", "w:gz") as archive:
            for name in (str(mark), "../" * 40 + str(mark).lstrip("/")):
                entry = tarfile.TarInfo(name)
                entry.size = 1
                archive.addfile(entry, io.BytesIO(b"x"))

    return make


# torch's archives, real but for one record


@functools.cache
def _records() -> Mapping[str, bytes]:
    import torch

    buffer = io.BytesIO()
    program = torch.export.export(torch.nn.Linear(2, 1).eval(), (torch.zeros(1, 2),))
    torch.export.save(program, buffer)
    with zipfile.ZipFile(buffer) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _checkpoint(mark: Path) -> bytes:
    return zipped({"a/data.pkl": payload(mark), "a/version": "3\n", "a/byteorder": "little"}, zipfile.ZIP_STORED)


def _exported(part: str) -> Callable[[Path, Path], object]:
    def make(folder: Path, mark: Path) -> None:
        records = dict(_records())
        for name in list(records):
            if part == "sample_inputs" and "data/sample_inputs/" in name:
                records[name] = _checkpoint(mark)
            elif part == "weights" and name.endswith("weights_config.json"):
                records[name] = records[name].replace(b'"use_pickle": false', b'"use_pickle": true')
                assert b'"use_pickle": true' in records[name]
            elif part == "weights" and "/data/weights/weight_" in name:
                records[name] = _checkpoint(mark)
        (folder / "model.pt2").write_bytes(zipped(records, zipfile.ZIP_STORED))

    return make


def _with_native_code(folder: Path, mark: Path) -> None:
    """Behind so many names that a bounded look at the archive's directory does not see it."""
    records = dict(_records())
    top = next(iter(records)).partition("/")[0]
    records |= {f"{top}/extra/{number:060}": b"" for number in range(12_000)}
    records[f"{top}/data/aotinductor/model/evil.wrapper.so"] = b"\x7fELF"
    (folder / "model.pt2").write_bytes(zipped(records, zipfile.ZIP_STORED))


def _script(folder: Path, mark: Path) -> None:
    import torch

    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 1), torch.zeros(1, 2)), buffer)
    with zipfile.ZipFile(buffer) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    state = next(name for name in records if name.endswith("/data.pkl"))
    records[state] = payload(mark)
    (folder / "model.pt").write_bytes(zipped(records, zipfile.ZIP_STORED))
