from __future__ import annotations

import io
import json
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters import registry
from adapters.base import LoadError, ModelDir, Rank, Trust
from adapters.torchserve_ import TorchServeAdapter, archive, manifest
from adapters.torchserve_.archive import FolderArchive, TarArchive, ZipArchive
from tests.adapters.torchserve_.archives import forged, functions

HANDLER = {"h.py": b"def handle(data, context):\n    return data\n"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model in every format of the archiver."""
    base = tmp_path_factory.mktemp("formats")
    for each in ("default", "zip-store", "tgz", "no-archive"):
        functions(base / f"work-{each}", base / each, archive_format=each)
    return base


@pytest.mark.parametrize("kind", ["default", "zip-store", "tgz", "no-archive"])
def test_every_format_of_the_archiver_is_found_and_unpacked_whole(made: Path, tmp_path: Path, kind: str) -> None:
    folder = made / kind / "scale" if kind == "no-archive" else made / kind
    model_dir = ModelDir.of(folder)
    choice = registry.choose(model_dir)
    assert choice.adapter is TorchServeAdapter
    assert choice.match.trust is Trust.CODE
    assert not choice.match.requirements
    found = {"default": ZipArchive, "zip-store": ZipArchive, "tgz": TarArchive}.get(kind)
    opened = found(folder / choice.match.file) if found else FolderArchive(folder, folder)
    assert opened.manifest().handler == "scale"
    assert opened.names == {"scale.py", "weights.json", manifest.PATH}
    opened.unpack(tmp_path)
    assert json.loads((tmp_path / "weights.json").read_text()) == {"factor": 3}
    assert (tmp_path / "scale.py").read_bytes() == (made / "work-default" / "scale.py").read_bytes()


def _zip(entries: dict[str, bytes], mode: int = 0, encrypted: bool = False) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        forged(path, HANDLER)
        with zipfile.ZipFile(path, "a") as target:
            for name, data in entries.items():
                info = zipfile.ZipInfo(name)
                info.external_attr = mode << 16
                target.writestr(info, data)

    return write


HOSTILE_ZIPS = {
    "parent": (_zip({"../evil.py": b"x"}), "leads out"),
    "deep parent": (_zip({"a/../../evil.py": b"x"}), "leads out"),
    "absolute": (_zip({"/etc/evil": b"x"}), "leads out"),
    "backslash": (_zip({"..\\evil.py": b"x"}), "leads out"),
    "drive": (_zip({"C:/evil.py": b"x"}), "leads out"),
    "dot": (_zip({"./h.py": b"x"}), "leads out"),
    "empty part": (_zip({"a//b": b"x"}), "leads out"),
    "symlink": (_zip({"link": b"/etc/passwd"}, stat.S_IFLNK | 0o777), "link or a device"),
    "device": (_zip({"pipe": b""}, stat.S_IFIFO | 0o600), "link or a device"),
    "twice": (_zip({"h.py": b"import os"}), "two entries of one name"),
    "bomb": (lambda path: forged(path, {**HANDLER, "bomb": bytes(200 << 20)}), "bomb"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", HOSTILE_ZIPS)
def test_hostile_zips_are_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    make, reason = HOSTILE_ZIPS[name]
    (tmp_path / "m").mkdir()
    (tmp_path / "out").mkdir()
    make(tmp_path / "m" / "m.mar")
    match = TorchServeAdapter.match(ModelDir.of(tmp_path / "m"))
    assert match is not None
    assert match.rank is Rank.CONTENT
    assert reason in match.problem
    with pytest.raises(LoadError, match=reason):
        ZipArchive(tmp_path / "m" / "m.mar").unpack(tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"m", "out"}


def test_too_many_entries_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forged(tmp_path / "m.mar", {**HANDLER, **{f"f{n}": b"" for n in range(20)}})
    monkeypatch.setattr(archive, "MAX_ENTRIES", 10)
    with pytest.raises(LoadError, match="more than 10 entries"):
        ZipArchive(tmp_path / "m.mar").members()


def test_an_entry_that_holds_more_than_it_says_is_cut_off(tmp_path: Path) -> None:
    member = archive.Member("f", 3, None)
    with pytest.raises(LoadError, match="holds more than it says"), (tmp_path / "f").open("wb") as target:
        archive._copy(io.BytesIO(b"four"), target, member)
    with pytest.raises(LoadError, match="is cut short"), (tmp_path / "f").open("wb") as target:
        archive._copy(io.BytesIO(b"12"), target, member)


def _tar(path: Path, **entry: object) -> Path:
    with tarfile.open(path, "w:gz") as target:
        for name, data in {**HANDLER, manifest.PATH: b'{"model": {"handler": "h.py"}}'}.items():
            info = tarfile.TarInfo(f"m/{name}")
            info.size = len(data)
            target.addfile(info, io.BytesIO(data))
        hostile = tarfile.TarInfo()
        for key, value in entry.items():
            setattr(hostile, key, value)
        target.addfile(hostile, io.BytesIO(bytes(hostile.size)))
    return path


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"name": "m/../../evil"}, "leads out"),
        ({"name": "../evil"}, "leads out"),
        ({"name": "/etc/evil"}, "leads out"),
        ({"name": "m/link", "type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "link or a device"),
        ({"name": "m/hard", "type": tarfile.LNKTYPE, "linkname": "../../x"}, "link or a device"),
        ({"name": "m/pipe", "type": tarfile.FIFOTYPE}, "link or a device"),
        ({"name": "m/bomb", "size": 200 << 20}, "bomb"),
    ],
    ids=lambda value: str(value.get("name")) if isinstance(value, dict) else "",
)
def test_hostile_tars_are_refused(tmp_path: Path, entry: dict[str, object], reason: str) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(LoadError, match=reason):
        TarArchive(_tar(tmp_path / "m.tar.gz", **entry)).unpack(tmp_path / "out")
    assert not list((tmp_path / "out").rglob("evil*"))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ({"handler": "../handler.py"}, "handler '../handler.py' leads out"),
        ({"handler": "/tmp/handler.py"}, "leads out"),
        ({"handler": "h.py:os.system"}, "neither a module nor module:function"),
        ({"handler": "a-b"}, "neither a module nor module:function"),
        ({"handler": 3}, "names no handler"),
        ({"handler": "other.py"}, "holds no other.py"),
        ({"serializedFile": "../../etc/passwd"}, "serializedFile"),
        ({"modelFile": "/model.py"}, "modelFile"),
        ({"configFile": "a\\b.yaml"}, "configFile"),
        ({"requirementsFile": ["x"]}, "requirementsFile must be"),
        ({"serializedFile": "gone.pt"}, "names gone.pt, which it does not hold"),
        ({"handler": "vllm_handler"}, "vLLM"),
        ({"handler": "dali_image_classifier"}, "NVIDIA DALI"),
    ],
)
def test_what_a_manifest_may_not_say(tmp_path: Path, model: dict[str, object], reason: str) -> None:
    forged(tmp_path / "m.mar", HANDLER, **model)
    match = TorchServeAdapter.match(ModelDir.of(tmp_path))
    assert match is not None
    assert match.problem.startswith("m.mar: ")
    assert reason in match.problem


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"{", "is not JSON"),
        (b"[]", "names no handler"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"model": {"handler": "h"}, "runtime": "LSP"}', "compiled library"),
        (b" " * (manifest.MAX_BYTES + 1), "longer than"),
    ],
)
def test_manifests_that_are_none(text: bytes, reason: str) -> None:
    with pytest.raises(LoadError, match=reason):
        manifest.parse(text)


def test_huge_manifests_and_requirements_are_not_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.mar", "w", zipfile.ZIP_STORED) as target:
        target.writestr(manifest.PATH, b" " * (2 << 20))
    with pytest.raises(LoadError, match="longer than"):
        ZipArchive(tmp_path / "m.mar").manifest()
    forged(tmp_path / "n.mar", {**HANDLER, "r.txt": b"#" * (1 << 20)}, requirementsFile="r.txt")
    with pytest.raises(LoadError, match=r"r.txt is longer than 256 KiB"):
        ZipArchive(tmp_path / "n.mar").read("r.txt", archive.MAX_SMALL)


@pytest.mark.parametrize("cut", [0, 10, 300, -30])
def test_damaged_archives_say_so(made: Path, tmp_path: Path, cut: int) -> None:
    (tmp_path / "m.mar").write_bytes((made / "default" / "scale.mar").read_bytes()[:cut])
    with pytest.raises(LoadError, match=r"m\.mar is no model archive"):
        registry.choose(ModelDir.of(tmp_path))


def test_a_changed_byte_is_noticed(made: Path, tmp_path: Path) -> None:
    data = bytearray((made / "zip-store" / "scale.mar").read_bytes())
    data[data.index(b'"factor"')] ^= 1
    (tmp_path / "m.mar").write_bytes(data)
    (tmp_path / "out").mkdir()
    with pytest.raises(LoadError, match="cannot be read"):
        ZipArchive(tmp_path / "m.mar").unpack(tmp_path / "out")


# --- a generator of evasions -----------------------------------------------------------------------------------------

EVIL_NAMES = (
    "../evil", "a/../../evil", "/evil", "//evil", "a//evil", "./evil", "a/./evil", "..", ".", "C:/evil", "..\\evil",
    "a\\..\\evil", "\\\\host\\evil", "evil\x1b[2J", "evil\n", "ev\u202eil", "a/\x7f", "~/../../evil", "evil/..",
    "a/" * 3000 + "evil", "n" * 300, "handler.py/evil",
)  # fmt: skip


def changed(rng: random.Random, content: bytes) -> bytes:
    """The archive with its two directories, or what they say, no longer agreeing."""
    data = bytearray(content)
    local = [at for at in range(len(data)) if data[at : at + 4] == b"PK\x03\x04"]
    central = [at for at in range(len(data)) if data[at : at + 4] == b"PK\x01\x02"]
    at, here = rng.choice([(rng.choice(local), 26), (rng.choice(central), 42)])
    match rng.randrange(6):
        case 0:  # an encrypted entry
            at = rng.choice(central)
            data[at + 8] |= 1
        case 1:  # another length than the other directory says
            data[at + here - 8 : at + here - 4] = rng.randrange(2**32).to_bytes(4, "little")
        case 2:  # another name
            data[at + here + 4] ^= rng.randrange(1, 256)
        case 3:  # entries that begin at the same place
            first, second = rng.choice(central), rng.choice(central)
            data[first + 42 : first + 46] = data[second + 42 : second + 46]
        case 4:  # a directory of another length
            end = data.rindex(b"PK\x05\x06")
            data[end + 12 : end + 16] = rng.choice([0, 1, 2**31, 2**32 - 1, rng.randrange(2**24)]).to_bytes(4, "little")
        case _:
            for _ in range(rng.randrange(1, 9)):
                data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("seed", range(60))
def test_whatever_a_zip_holds_stays_in_its_folder_and_within_its_limits(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    mar, out = tmp_path / "m.mar", tmp_path / "out"
    entries = {f"f{n}/g{n % 3}": rng.randbytes(rng.randrange(2000)) for n in range(rng.randrange(1, 8))}
    evil = rng.choice([*EVIL_NAMES, ""])
    forged(mar, {**HANDLER, **entries})
    if evil:
        with zipfile.ZipFile(mar, "a") as target:
            target.writestr(zipfile.ZipInfo(evil), b"evil")
    sound = not evil and rng.random() < 0.3
    if not sound and (not evil or rng.random() < 0.5):
        mar.write_bytes(changed(rng, mar.read_bytes()))
    out.mkdir()
    refusal = None
    try:
        ZipArchive(mar).unpack(out)
    except LoadError as error:
        refusal = str(error)
    assert not (sound and refusal)
    assert (refusal or "").isprintable()
    if refusal is None:
        written = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
        size = sum(path.stat().st_size for path in written.values())
        assert size <= archive.MAX_RATIO * mar.stat().st_size + (64 << 20)
        assert not any(path.is_symlink() for path in out.rglob("*"))
        assert all(name.isprintable() and "evil" not in name for name in written)
    assert {path.name for path in tmp_path.iterdir()} == {"m.mar", "out"}


def test_a_directory_of_millions_of_entries_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forged(tmp_path / "m.mar", {**HANDLER, **{f"f{n}": b"" for n in range(300)}})
    assert ZipArchive(tmp_path / "m.mar").names
    monkeypatch.setattr(archive, "MAX_DIRECTORY", 4096)
    for read in (ZipArchive(tmp_path / "m.mar").members, lambda: ZipArchive(tmp_path / "m.mar").read("f1", 10)):
        with pytest.raises(LoadError, match=r"its directory takes .* are read at most: it holds more than"):
            read()


def test_folders_within_folders_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forged(tmp_path / "m.mar", {**HANDLER, **{f"{n}/" + "d/" * 20 + "f": b"" for n in range(5)}})
    monkeypatch.setattr(archive, "MAX_ENTRIES", 50)
    (tmp_path / "out").mkdir()
    with pytest.raises(LoadError, match="more than 50 folders"):
        ZipArchive(tmp_path / "m.mar").unpack(tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
