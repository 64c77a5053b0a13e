from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from adapters.base import LoadError
from server.loading.environments.pip_settings import PipSettings
from server.loading.environments.requirements import MAX_BYTES, MAX_REQUIREMENTS, Requirements, default_index

PIP = PipSettings({"index-url": "https://mirror.example/simple/", "trusted-host": "mirror.example"})
HASH = f"--hash=sha256:{'a' * 64}"


def read(text: str, folder: Path | None = None) -> Requirements:
    return Requirements.read(text, folder, PIP)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret-1.0-py3-none-any.whl").write_bytes(b"outside")
    folder = tmp_path / "model"
    (folder / "wheels").mkdir(parents=True)
    (folder / "wheels" / "own-1.0-py3-none-any.whl").write_bytes(b"inside")
    return folder


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("# nothing\n\n   # at all", []),
        ("\ufeffSix == 1.16.0  # pinned\r\n", ["six==1.16.0"]),
        ("Foo_Bar.baz[x, y]>=1,<2", ["foo-bar-baz[x,y]<2,>=1"]),
        ("b\na\nb", ["a", "b"]),
        ("numpy \\\n  >=1.26 \\\n  ,<2\nsix", ["numpy<2,>=1.26", "six"]),
        ('six; python_version<"3.8"', ['six; python_version < "3.8"']),
        (f"six==1.16.0 \\\n  {HASH}", [f"six==1.16.0 {HASH}"]),
        ("six @ https://example.com/six-1.16.0-py2.py3-none-any.whl#sha256=00", None),
        ("https://example.com/six-1.16.0-py2.py3-none-any.whl", None),
        ("pkg @ git+https://example.com/pkg.git@main", None),
    ],
)
def test_lines_are_written_anew_in_one_way(text: str, lines: list[str] | None) -> None:
    assert read(text).lines == (lines if lines is not None else [text])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("-e .", "editable"),
        ("-e git+https://example.com/x.git#egg=x", "editable"),
        ("--index-url https://evil.example/simple", "the operator's to say: set PIP_INDEX_URL"),
        ("-ihttps://evil.example/simple", "the operator's to say"),
        ("--extra-index-url=https://evil.example/simple", "PIP_EXTRA_INDEX_URL"),
        ("--find-links https://evil.example/wheels", "PIP_FIND_LINKS"),
        ("--trusted-host evil.example", "PIP_TRUSTED_HOST"),
        ("--target /usr/lib", "--target is not taken"),
        ("--config-settings x=y", "--config-settings is not taken"),
        ("six --global-option=x", "--global-option"),
        ("six --hash=md5:00", "--hash"),
        ("-r ../other.txt", "not in the model's own folder"),
        ("-r /etc/passwd", "not in the model's own folder"),
        ("-r missing.txt", "does not exist"),
        ("-c ../other.txt", "not in the model's own folder"),
        ("--find-links ..", "not in the model's own folder"),
        ("../secret-1.0-py3-none-any.whl", "not in the model's own folder"),
        ("secret @ file:///etc/secret-1.0.zip", "not in the model's own folder"),
        ("numpy @ file:///home/conda/feedstock_root/build/work", "not in the model's own folder"),
        ("file:wheels/%2e%2e/../../secret-1.0-py3-none-any.whl", "not in the model's own folder"),
        ("secret @ file://host/share/secret-1.0.zip", "another machine"),
        ("link-1.0-py3-none-any.whl", "not in the model's own folder"),
        (".", "must be a wheel or a source archive"),
        ("./wheels", "must be a wheel or a source archive"),
        ("http://example.com/x-1.0-py3-none-any.whl", "use https"),
        ("git+ssh://git@example.com/x.git", "use https"),
        ("x @ ftp://example.com/x-1.0.zip", "use https"),
        ("six @ https://example.com/${ADMIN_TOKEN}/six.whl", "environment variable"),
        ("six==", "is no requirement"),
        ("six six", "is no requirement"),
        ("./wheels/own-1.0-py3-none-any.whl ; nonsense", "is no marker"),
        ("six\x00", "characters"),
        ("six\x1b[2J", "characters"),
    ],
)
def test_what_reconfigures_or_leaves_the_folder_is_refused(folder: Path, text: str, says: str) -> None:
    (folder / "link-1.0-py3-none-any.whl").symlink_to(folder.parent / "secret-1.0-py3-none-any.whl")
    with pytest.raises(LoadError, match=r"requirements\.txt, line 2: ") as raised:
        read(f"six\n{text}", folder)
    assert says in str(raised.value)


def test_places_that_the_operator_uses_anyway_may_be_named() -> None:
    text = f"-i {default_index()}/\n--extra-index-url=https://mirror.example/simple\n--trusted-host mirror.example\n"
    found = read(f"{text}six")
    assert (found.lines, found.options, found.links) == (["six"], [], [])


def test_harmless_options_are_passed_on() -> None:
    found = read("--pre\n--no-binary :none:\n--only-binary=numpy,scipy\n--prefer-binary\n--no-index\nsix")
    assert found.options == ["--no-binary=:none:", "--no-index", "--only-binary=numpy", "--only-binary=scipy", "--pre"]


def test_files_in_the_folder_may_be_named(folder: Path) -> None:
    (folder / "more.txt").write_text("-r base.txt\nwheel_less", encoding="utf-8")
    (folder / "base.txt").write_text("base", encoding="utf-8")
    (folder / "constraints.txt").write_text("numpy<2\n", encoding="utf-8")
    found = read("-r more.txt\n-cconstraints.txt\n./wheels/own-1.0-py3-none-any.whl\n-f wheels", folder)
    own = (folder / "wheels" / "own-1.0-py3-none-any.whl").resolve()
    assert found.lines == ["base", own.as_uri(), "wheel-less"]
    assert found.constraints == ["numpy<2"]
    assert found.links == [own.parent]
    assert len(found.digests) == 1


def test_the_key_follows_the_content_of_own_wheels(folder: Path) -> None:
    text = "own @ file:wheels/own-1.0-py3-none-any.whl"
    before = read(text, folder).key
    assert read(f"# a comment\n{text}\n", folder).key == before
    (folder / "wheels" / "own-1.0-py3-none-any.whl").write_bytes(b"changed")
    assert read(text, folder).key != before


@pytest.mark.parametrize(
    ("text", "hashed"), [("six", False), ("--require-hashes\nsix", True), (f"six=={1} {HASH}", True)]
)
def test_hash_checking_mode(text: str, hashed: bool) -> None:
    assert read(text).hashed is hashed


def test_sizes_are_bounded(folder: Path) -> None:
    with pytest.raises(LoadError, match="longer than 1 MiB"):
        read("#" * (MAX_BYTES + 1))
    with pytest.raises(LoadError, match="more than 2000 packages"):
        read("\n".join(f"p{number}" for number in range(MAX_REQUIREMENTS + 1)))
    (folder / "self.txt").write_text("-r self.txt", encoding="utf-8")
    with pytest.raises(LoadError, match="more than 5 deep"):
        read("-r self.txt", folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "six" + " " * 900_000 + "x",
        " " * 900_000 + "x",
        "six " + "- " * 400_000,
        "six; " + "(" * 400_000,
        "six[" + "a," * 400_000,
        "six" + "==1,," * 100_000,
        "--hash=sha256:" * 60_000,
        "six @ https://" + "a:" * 400_000,
    ],
    ids=["blanks", "blanks first", "options", "brackets", "extras", "versions", "hashes", "address"],
)
def test_a_line_of_a_megabyte_is_no_work(text: str) -> None:
    """It is refused, and soon: a test that does not end is one that fails."""
    with contextlib.suppress(LoadError):
        Requirements.read(text, None, PipSettings({}))


def test_a_model_without_a_folder_names_no_files() -> None:
    with pytest.raises(LoadError, match="no folder of its own"):
        read("./x-1.0-py3-none-any.whl")
