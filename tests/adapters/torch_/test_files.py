"""Which of torch's formats a file is: by the names in its archive, whatever its own name."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from adapters.base import Match, ModelDir, Rank, Trust
from adapters.torch_.files import TorchFormat, kind_of, match

SCRIPT = ("constants.pkl", "code/__torch__/net.py", "data.pkl", "version")
EXPORTED = ("archive_format", "models/model.json", "data/weights/weight_0")
COMPILED = ("archive_format", "data/aotinductor/model/a.so")
CHECKPOINT = ("data.pkl", "data/0", "version")
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."


def archive(path: Path, *names: str, top: str = "anything/") -> Path:
    with zipfile.ZipFile(path, "w") as writer:
        for name in names:
            writer.writestr(top + name, b"")
    return path


def matched(folder: Path) -> Match:
    found = match(ModelDir.of(folder))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (SCRIPT, TorchFormat.SCRIPT),
        (EXPORTED, TorchFormat.EXPORTED),
        (COMPILED, TorchFormat.COMPILED),
        (CHECKPOINT, TorchFormat.CHECKPOINT),
        (("code/a.py", "version"), None),
        (("constants.pkl", "version"), None),
    ],
    ids=["script", "exported", "compiled", "checkpoint", "code-alone", "constants-alone"],
)
@pytest.mark.parametrize("name", ["model.pt", "net.bin", "noending"])
def test_the_names_inside_decide(name: str, names: tuple[str, ...], kind: TorchFormat | None, tmp_path: Path) -> None:
    archive(tmp_path / name, *names)
    assert kind_of(ModelDir.of(tmp_path), name) is kind


def test_formats_of_older_versions_are_known(tmp_path: Path) -> None:
    archive(tmp_path / "old.pt2", "serialized_exported_program.json", "version", top="")
    (tmp_path / "first.pt").write_bytes(LEGACY)
    assert kind_of(ModelDir.of(tmp_path), "old.pt2") is TorchFormat.OLD_EXPORTED
    assert kind_of(ModelDir.of(tmp_path), "first.pt") is TorchFormat.CHECKPOINT


def test_a_program_is_claimed_by_its_content_with_the_trust_that_it_takes(tmp_path: Path) -> None:
    archive(tmp_path / "net", *SCRIPT)
    found = matched(tmp_path)
    assert (found.rank, found.file, found.problem, found.trust) == (Rank.CONTENT, "net", "", Trust.SAFE)
    assert "native operators" in found.carries
    archive(tmp_path / "net", *EXPORTED)
    assert matched(tmp_path).trust is Trust.PICKLE


def test_a_checkpoint_beside_a_program_is_no_second_program(tmp_path: Path) -> None:
    archive(tmp_path / "a.pth", *CHECKPOINT)
    archive(tmp_path / "b.pt", *SCRIPT)
    found = matched(tmp_path)
    assert (found.file, found.problem) == ("b.pt", "")


def test_of_several_programs_the_one_named_model_is_served(tmp_path: Path) -> None:
    archive(tmp_path / "decoder.pt", *SCRIPT)
    archive(tmp_path / "encoder.pt2", *EXPORTED)
    found = matched(tmp_path)
    assert "decoder.pt" in found.problem
    assert "encoder.pt2" in found.problem
    assert "name the one to serve model.pt" in found.problem
    archive(tmp_path / "model.pt2", *EXPORTED)
    found = matched(tmp_path)
    assert (found.file, found.problem, found.trust) == ("model.pt2", "", Trust.PICKLE)
    archive(tmp_path / "model.pt", *SCRIPT)
    assert matched(tmp_path).problem


@pytest.mark.parametrize(
    ("names", "way_out"),
    [
        (CHECKPOINT, "is a checkpoint (weights without a program): save the program with"),
        (COMPILED, "is an AOTInductor package: native code"),
    ],
    ids=["checkpoint", "compiled"],
)
def test_what_is_no_program_says_the_way_out(names: tuple[str, ...], way_out: str, tmp_path: Path) -> None:
    archive(tmp_path / "weights.pth", *names)
    found = matched(tmp_path)
    assert (found.rank, found.file) == (Rank.CONTENT, "weights.pth")
    assert found.problem.startswith(f"weights.pth {way_out}")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04 and no end", "is an archive that is cut short, or none of torch's"),
        (b"\x80\x04K\x01.", "is a pickle, not a torch program"),
        (b"hello", "is neither a TorchScript nor an exported program"),
    ],
    ids=["empty", "cut", "pickle", "text"],
)
@pytest.mark.parametrize("ending", [".pt", ".pth", ".pt2", ".torchscript"])
def test_damage_is_claimed_by_torchs_endings_alone(ending: str, content: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(content)
    assert match(ModelDir.of(tmp_path)) is None
    (tmp_path / f"net{ending}").write_bytes(content)
    found = matched(tmp_path)
    assert (found.rank, found.file) == (Rank.SUFFIX, f"net{ending}")
    assert found.problem.startswith(f"net{ending} {problem}")


def test_another_archive_is_nobodys_program(tmp_path: Path) -> None:
    archive(tmp_path / "data.zip", "a.txt")
    assert match(ModelDir.of(tmp_path)) is None
