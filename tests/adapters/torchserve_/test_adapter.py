"""Which folders are archives, what a claim says of them, and how instances reach a handler; handlers are stand-ins."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from adapters import registry
from adapters.base import LoadError, Match, ModelDir, Rank, RefusedAs, Trust
from adapters.torchserve_ import TorchServeAdapter
from adapters.torchserve_ import adapter as adapters
from adapters.torchserve_.handler import Answer
from adapters.torchserve_.messages import Part
from tests.adapters.torchserve_.archives import forged, functions

HANDLER = {"h.py": b"def handle(data, context):\n    return data\n"}


def match(folder: Path) -> Match:
    found = TorchServeAdapter.match(ModelDir.of(folder))
    assert found is not None
    return found


def unpacked(folder: Path) -> Path:
    forged(folder / "m.zip", HANDLER)
    with zipfile.ZipFile(folder / "m.zip") as source:
        source.extractall(folder / "m")
    return folder / "m"


def test_an_archive_is_claimed_by_its_content_whatever_its_name(tmp_path: Path) -> None:
    forged(tmp_path / "net.bin", HANDLER, modelVersion="2.1")
    found = match(tmp_path)
    assert (found.rank, found.file, found.problem, found.trust) == (Rank.CONTENT, "net.bin", "", Trust.CODE)
    assert (found.requires, found.requirements, found.version) == ((), "", "2.1")


def test_archives_of_other_forms_are_claimed_too(tmp_path: Path) -> None:
    folder = unpacked(tmp_path)
    assert (match(folder).rank, match(folder).file) == (Rank.BUNDLE, "")
    (tmp_path / "tars").mkdir()
    with tarfile.open(tmp_path / "tars/m.tar.gz", "w:gz") as target:
        target.add(folder, "m")
    assert (match(tmp_path / "tars").rank, match(tmp_path / "tars").file) == (Rank.CONTENT, "m.tar.gz")


def test_kserves_model_store_is_looked_into(tmp_path: Path) -> None:
    (tmp_path / "model-store").mkdir()
    forged(tmp_path / "model-store/m.mar", HANDLER)
    assert match(tmp_path).file == "model-store/m.mar"
    forged(tmp_path / "top.mar", HANDLER)
    assert match(tmp_path).file == "top.mar"


def test_two_archives_are_one_too_many(tmp_path: Path) -> None:
    for name in ("a.mar", "b.mar"):
        forged(tmp_path / name, HANDLER)
    assert "a.mar and b.mar; keep one" in match(tmp_path).problem


def test_a_default_handler_asks_for_its_packages(tmp_path: Path) -> None:
    forged(tmp_path / "m.mar", {"net.pt": b"x"}, handler="image_classifier", serializedFile="net.pt")
    assert match(tmp_path).requires == ("torch", "PIL")
    forged(tmp_path / "m.mar", {**HANDLER, "net.pt": b"x"}, serializedFile="net.pt")
    assert match(tmp_path).requires == ("torch",)


def test_damage_is_a_problem_of_the_file(tmp_path: Path) -> None:
    assert TorchServeAdapter.match(ModelDir.of(tmp_path)) is None
    (tmp_path / "a.tar.gz").write_bytes(b"\x1f\x8bno")
    assert TorchServeAdapter.match(ModelDir.of(tmp_path)) is None
    (tmp_path / "m.mar").write_bytes(b"PK\x03\x04")
    found = match(tmp_path)
    assert (found.rank, found.file, found.trust) == (Rank.SUFFIX, "m.mar", Trust.CODE)
    assert found.problem.startswith("m.mar is no model archive, or it is cut short")


def test_requirements_that_are_no_text_are_a_problem(tmp_path: Path) -> None:
    forged(tmp_path / "m.mar", {**HANDLER, "r.txt": b"\xff"}, requirementsFile="r.txt")
    assert match(tmp_path).problem.startswith("m.mar: ")
    forged(tmp_path / "m.mar", {**HANDLER, "r.txt": b"\xef\xbb\xbfnumpy"}, requirementsFile="r.txt")
    assert match(tmp_path).requirements == "numpy"


def test_requirements_come_with_the_claim(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "requirements.txt").write_text("humanize==4.9.0\n")
    folder = functions(work, tmp_path / "models", requirements_file="requirements.txt")
    assert registry.choose(ModelDir.of(folder)).match.requirements == "humanize==4.9.0\n"


def test_matching_executes_nothing(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    forged(tmp_path / "models" / "m.mar", {"h.py": f"open({str(tmp_path / 'ran')!r}, 'w')".encode()})
    assert registry.choose(ModelDir.of(tmp_path / "models")).adapter is TorchServeAdapter
    assert not (tmp_path / "ran").exists()


class Loaded:
    """In the place of a handler: what it was made of, and whether it may be."""

    made: list[Loaded]
    refusal: Exception | None

    def __init__(self, folder: Path, manifest: Any, own: bool, name: str, batch_size: int) -> None:
        self.folder, self.own, self.name, self.batch_size = folder, own, name, batch_size or 1
        self.held = sorted(path.name for path in folder.rglob("*") if path.is_file())
        self.made.append(self)
        if self.refusal:
            raise self.refusal


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> list[Loaded]:
    monkeypatch.setattr(Loaded, "made", [], raising=False)
    monkeypatch.setattr(Loaded, "refusal", None, raising=False)
    monkeypatch.setattr(adapters, "Handler", Loaded)
    return Loaded.made


def test_an_archive_is_unpacked_into_a_folder_of_its_own_until_it_is_closed(
    handlers: list[Loaded], tmp_path: Path
) -> None:
    forged(tmp_path / "m.mar", HANDLER, modelName="inner")
    made = TorchServeAdapter.load(ModelDir.of(tmp_path), "m.mar", {"batch_size": 4})
    (handler,) = handlers
    assert (handler.own, handler.name, handler.held) == (True, "inner", ["MANIFEST.json", "h.py"])
    assert handler.folder != tmp_path
    assert made.traits.batchable
    assert made.example() == {}
    made.close()
    assert not handler.folder.exists()


def test_an_unpacked_archive_is_served_where_it_lies(handlers: list[Loaded], tmp_path: Path) -> None:
    folder = unpacked(tmp_path)
    made = TorchServeAdapter.load(ModelDir(folder, folder, name="served"), "", {})
    assert (handlers[0].folder, handlers[0].name) == (folder, "served")
    assert not made.traits.batchable
    made.close()
    assert (folder / "h.py").exists()


def test_what_cannot_be_loaded_names_the_archive_and_leaves_nothing(
    handlers: list[Loaded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged(tmp_path / "m.mar", HANDLER)
    with pytest.raises(LoadError, match=r"^m\.mar: options\.batch_size must be at least 1, not 0$"):
        TorchServeAdapter.load(ModelDir.of(tmp_path), "m.mar", {"batch_size": 0})
    for refusal in (LoadError("odd"), KeyboardInterrupt()):
        monkeypatch.setattr(Loaded, "refusal", refusal)
        with pytest.raises(type(refusal)):
            TorchServeAdapter.load(ModelDir.of(tmp_path), "m.mar", {})
        assert not handlers[-1].folder.exists()


class Answering:
    """A handler that answers each request as it is told to."""

    def __init__(self, batch_size: int = 1, answer: Any = lambda part: Answer(part.data, {})) -> None:
        self.batch_size, self.answer = batch_size, answer
        self.calls: list[int] = []

    def call(self, requests: Sequence[Part]) -> list[Answer]:
        self.calls.append(len(requests))
        return [self.answer(request) for request in requests]


def predict(handler: Answering, *instances: Any, bare: bool = False, **parameters: Any) -> list[Any]:
    made = TorchServeAdapter(SimpleNamespace(), handler, None, bare)  # type: ignore[arg-type]
    data = np.empty(len(instances), dtype=np.object_)
    data[:] = instances
    found: list[Any] = made.predict({"data": data}, parameters)["predictions"].tolist()
    return found


def test_requests_share_a_call_up_to_the_batch_size() -> None:
    handler = Answering(2)
    assert predict(handler, 1, [2], {"data": 3}) == [{"body": 1}, {"body": [2]}, {"data": 3}]
    assert handler.calls == [2, 1]


def test_an_envelope_hands_instances_on_as_they_are() -> None:
    assert predict(Answering(), 1, {"x": 2}, bare=True) == [1, {"x": 2}]


def test_whole_requests_get_whole_answers() -> None:
    handler = Answering(answer=lambda part: Answer([part.data, dict(part.headers)], {"x-a": "b"}, 418))
    found = predict(handler, {"parts": {"body": 1}, "headers": {"h": "2"}}, envelope="http")
    assert found == [{"status": 418, "headers": {"x-a": "b"}, "body": [{"body": 1}, {"h": "2"}]}]


@pytest.mark.parametrize(
    ("status", "phrase", "sent", "said"),
    [
        (422, "send numbers", 422, "send numbers"),
        (404, "", 404, "the handler refuses the request (status 404)"),
        (513, "broken", 513, "broken"),
        (700, "broken", 500, "broken"),
        (399, "", 0, ""),
    ],
)
def test_a_status_of_failure_is_an_error(status: int, phrase: str, sent: int, said: str) -> None:
    handler = Answering(answer=lambda part: Answer("body", {}, status, phrase))
    if not sent:
        assert predict(handler, 1) == ["body"]
        return
    with pytest.raises(RefusedAs) as caught:
        predict(handler, 1)
    assert (str(caught.value), caught.value.status) == (said, sent)
