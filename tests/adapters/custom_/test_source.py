"""What a `model.py` says of itself, read and not run."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.custom_ import source
from adapters.custom_.source import _MAX_MODULES, SourceFolder, UnreadableSource, parse


def models(folder: Path, text: str, **modules: str) -> tuple[str, ...]:
    for name, content in modules.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    return SourceFolder(folder, folder).models(parse(text.encode()))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from kserve import Model\nclass A(Model): ...", ("A",)),
        ("import kserve as k\nclass A(k.Model): ...", ("A",)),
        ("import kserve.model\nclass A(kserve.model.Model): ...", ("A",)),
        ("from kserve import *\nclass A(Model): ...", ("A",)),
        ("import kserve\nBase = kserve.Model\nclass A(Base): ...", ("A",)),
        ("from kserve import Model\nclass A(Model): ...\nclass B(A): ...", ("B",)),
        ("from kserve import Model\ntry:\n  class A(Model): ...\nexcept ImportError: pass", ("A",)),
        ("from kserve import Model\nclass A(Model[int]): ...", ("A",)),
        ("class Model: ...\nclass A(Model): ...", ()),
        ("class A(B): ...\nclass B(A): ...", ()),
        ("from kserve import Model", ()),
        ("", ()),
    ],
)
def test_which_classes_are_models(tmp_path: Path, text: str, found: tuple[str, ...]) -> None:
    assert models(tmp_path, text) == found


def test_bases_and_models_of_other_modules_of_the_folder(tmp_path: Path) -> None:
    base = "from kserve import Model\nclass Base(Model): ..."
    assert models(tmp_path, "from base import Base\nclass A(Base): ...", base=base) == ("A",)
    assert models(tmp_path, "from base import Base") == ("Base",)
    assert models(tmp_path, "from pack.base import Base as B\nclass A(B): ...", pack__base=base) == ("A",)
    relative = "from .base import Base\nclass Middle(Base): ..."
    assert models(tmp_path, "from pack.middle import Middle\nclass A(Middle): ...", pack__middle=relative) == ("A",)


def test_modules_outside_the_mount_or_damaged_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text("from kserve import Model\nclass Base(Model): ...")
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "base.py").symlink_to("../outside.py")
    text = "from base import Base\nclass A(Base): ..."
    assert models(folder, text) == ()
    assert models(folder, text.replace("base", "bad"), bad="class (") == ()


def test_a_chain_of_modules_is_followed_so_far(tmp_path: Path) -> None:
    for number in range(_MAX_MODULES + 5):
        (tmp_path / f"m{number}.py").write_text(f"from m{number + 1} import A\nclass B(A): ...")
    assert models(tmp_path, "from m0 import B\nclass C(B): ...") == ()


@pytest.mark.parametrize(
    ("text", "main", "server"),
    [
        ("from kserve import ModelServer\nif __name__ == '__main__':\n  ModelServer().start([])", True, True),
        ("import kserve\nclass S(kserve.ModelServer): ...\nif '__main__' == __name__: S()", True, True),
        ("from server import ModelServer\nModelServer()", False, False),
        ("if __name__ != 'x': pass", False, False),
    ],
)
def test_whether_it_starts_a_server(text: str, main: bool, server: bool) -> None:
    module = parse(text.encode())
    assert (module.main_block is not None, module.calls_server) == (main, server)


def test_what_a_script_uses() -> None:
    module = parse(b"class A: ...\nclass B: ...\ndef f(): B()\nx = [A()]\n")
    assert module.used({"A", "B", "C"}) == {"A"}


@pytest.mark.parametrize(
    ("text", "why"), [(b"x = (\n", "line 1"), (b"\0", ": "), (b"(" * 100_000, "nested"), (b"# coding: none\n", ": ")]
)
def test_what_python_cannot_compile(text: bytes, why: str) -> None:
    with pytest.raises(UnreadableSource, match=why):
        parse(text)


@pytest.mark.parametrize("word", [b"a\n", b"a;", b"a,", b"-a+", "é\n".encode()])
def test_a_source_file_of_far_too_many_words_is_not_parsed(monkeypatch: pytest.MonkeyPatch, word: bytes) -> None:
    """Of two bytes Python makes two kilobytes, in the server's own process."""
    monkeypatch.setattr(source, "MOST_WORDS", 50)
    parse(b"# " + b"words" * 100 + b"\n" + b"a\n" * 40)
    with pytest.raises(UnreadableSource, match=r"^ holds more than 50 words and marks: put data into files of its own"):
        parse(b"x = 1\n" + word * 60)


def test_the_other_modules_of_a_folder_are_counted_together(tmp_path: Path) -> None:
    base = "from kserve import Model\nclass B(Model): ...\n"
    text = "from one import B\nfrom two import B as C\nclass A(C): ..."
    assert models(tmp_path, text, one=base, two=base + "a\n" * 100) == ("A",)
    folder = SourceFolder(tmp_path, tmp_path, _left=50)
    assert folder.models(parse(text.encode())) == ()
