"""What a mount holds: one model or a folder of models, as Kubernetes, people and file systems leave them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import server.loading.catalog
from adapters.base import Match, ModelDir, Rank
from adapters.registry import choose
from server.loading import files
from server.loading.catalog import Catalog, NoModelDir, scan
from tests.server.stand_ins import EchoAdapter

pytestmark = pytest.mark.usefixtures("echo")

NOBODY = 65534

OUT = "the link leads out of the models directory and is not followed"


def fill(root: Path, *names: str) -> Path:
    """Files by their paths; a name that ends with a slash is an empty folder."""
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = root / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_text("echo")
    return root


def names(catalog: Catalog) -> list[str]:
    return [found.name for found in catalog.found]


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    return fill(tmp_path / "mount")


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder, and a user whom permissions bind (root may read everything)."""
    folder = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0
    if root:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        for path in (folder, *folder.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(folder)


# one model


@pytest.mark.parametrize(
    "files",
    [
        ["model.echo"],
        ["model.echo", "README.md"],
        ["model.echo", "notes/README.md", "lost+found/"],
        ["bundle.txt", "weights/part.echo", "vocabulary/words.txt"],
        ["README.md"],
        ["weights.bin", "lost+found/", ".cache/x.echo"],
        ["stumble.txt"],
    ],
    ids=lambda files: " ".join(files),
)
def test_one_model_fills_the_mount(mount: Path, files: list[str]) -> None:
    catalog = scan(fill(mount, *files), "iris")
    assert catalog.single
    assert names(catalog) == ["iris"]
    assert catalog.found[0].directory.path == mount
    assert not catalog.notes


def test_one_model_without_a_name_has_kserves_default(mount: Path) -> None:
    assert names(scan(fill(mount, "model.echo"))) == ["model"]


def test_a_damaged_file_in_the_mount_is_one_model_that_fails(mount: Path) -> None:
    (mount / "model.echo").write_text("broken")
    catalog = scan(mount)
    assert catalog.single
    with pytest.raises(Exception, match=r"model\.echo is damaged"):
        choose(catalog.found[0].directory)


# a folder of models


def test_each_folder_is_a_model(mount: Path) -> None:
    catalog = scan(fill(mount, "b/model.echo", "a/model.echo", "c/broken.txt", "empty/", "d e/ü.echo", "模型/x.echo"))
    assert not catalog.single
    assert names(catalog) == ["a", "b", "c", "d e", "empty", "模型"]
    assert [found.problem for found in catalog.found] == [""] * 6
    assert {found.directory.root for found in catalog.found} == {mount}


@pytest.mark.parametrize("stray", ["README.md", "model.echo", "stumble.txt"])
def test_a_stray_file_beside_folders_of_models_is_told(mount: Path, stray: str) -> None:
    catalog = scan(fill(mount, stray, "a/model.echo", "b/model.echo"), "iris")
    assert names(catalog) == ["a", "b"]
    assert catalog.notes == (
        f"files beside the models' folders are not served: {stray}",
        f"--model_name=iris is not used: {mount} holds a folder for each model",
    )


@pytest.mark.parametrize("beside", ["a/model.echo", "a/stumble.txt", "a/1/model.echo"])
def test_a_folder_named_by_a_number_is_a_model_beside_others(mount: Path, beside: str) -> None:
    catalog = scan(fill(mount, "1/model.echo", "02/model.echo", beside), signed=False)
    assert not catalog.single
    assert names(catalog) == ["02", "1", "a"]
    assert [found.version for found in catalog.found] == ["", "", "1" if "/1/" in beside else ""]


@pytest.mark.parametrize(
    "beside",
    [
        "README.md",
        "model.echo",
        "stumble.txt",
        "lost+found/x",
        ".git/config",
        "__pycache__/x.pyc",
        "notes/README.md",
        "empty/",
        "..2024/1/model.echo",
    ],
)
def test_one_models_versions_fill_the_mount(mount: Path, beside: str) -> None:
    fill(mount, "1/model.echo", "2/model.echo", beside)
    (mount / "polyserve.yaml").write_text("versions: all")
    catalog = scan(mount, "iris")
    assert catalog.single
    assert [found.key for found in catalog.found] == [("iris", "1"), ("iris", "2")]
    assert not catalog.notes


def test_two_stray_files_do_not_make_a_mount_one_model(mount: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two candidate files are a claim without a file, but no bundle that owns the folders."""
    match = EchoAdapter.match
    several = Match(Rank.CONTENT, problem="two candidate models: keep one")
    either = lambda cls, directory: several if len(directory.named(".echo")) > 1 else match(directory)  # noqa: E731
    monkeypatch.setattr(EchoAdapter, "match", classmethod(either))
    assert scan(fill(mount, "one.echo", "two.echo")).single
    assert names(scan(fill(mount, "a/model.echo", "b/model.echo"))) == ["a", "b"]


def test_what_comes_beside_a_mounts_models_takes_none_away(mount: Path) -> None:
    before = scan(fill(mount, "a/model.echo", "b/model.echo")).mounted
    catalog = scan(fill(mount, "1/model.echo", "bundle.txt"), before=before)
    assert names(catalog) == ["1", "a", "b"]
    shutil.rmtree(mount / "a")
    shutil.rmtree(mount / "b")
    assert scan(mount, before=before).single  # nothing is left of what it was


def test_what_comes_beside_a_models_versions_takes_none_away(mount: Path) -> None:
    before = scan(fill(mount, "1/model.echo")).mounted
    catalog = scan(fill(mount, "a/model.echo", "notes/README.md"), before=before)
    assert [(found.key, bool(found.problem)) for found in catalog.found] == [(("model", "1"), False), (("a", ""), True)]
    assert "the models directory is one model with versions" in catalog.found[1].problem
    shutil.rmtree(mount / "1")
    assert names(scan(mount, before=before)) == ["a", "notes"]


def test_what_comes_beside_a_models_files_does_not_take_it_away(mount: Path) -> None:
    before = scan(fill(mount, "model.echo")).mounted
    fill(mount, "a/model.echo", "1/model.echo")
    assert [found.key for found in scan(mount, before=before).found] == [("model", "")]
    assert names(scan(mount)) == ["1", "a"]  # a server that starts now sees folders of models, and a stray file
    (mount / "model.echo").unlink()
    assert names(scan(mount, before=before)) == ["1", "a"]


def test_code_in_the_mount_owns_its_folders_which_is_told(mount: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.loading.catalog, "CODE", "bundle.txt")
    catalog = scan(fill(mount, "bundle.txt", "weights/model.echo", "notes/x"))
    assert names(catalog) == ["model"]
    assert catalog.notes == (
        f"{mount} is one model, for bundle.txt lies in it; its folders are no models of their own: weights",
    )


def test_folders_beyond_the_bound_take_nobodys_place(mount: Path) -> None:
    first = scan(fill(mount, "x/model.echo", "y/model.echo"), most=3)
    assert not first.notes
    catalog = scan(fill(mount, "a/", "b/", "c/"), most=3, before=first.mounted)
    assert names(catalog) == ["a", "x", "y"]
    assert catalog.notes == (f"{mount} holds more than 3 folders (--max_models): 2 of them are not served",)


def test_a_folder_with_too_many_files_is_refused_unread(mount: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(mount, "a/model.echo", *(f"b/{number}.echo" for number in range(9)))
    monkeypatch.setattr(files, "MOST_ENTRIES", 8)
    listed: list[Path] = []
    entries = ModelDir._entries
    names_of = lambda directory: (listed.append(directory.path), entries.func(directory))[1]  # noqa: E731
    monkeypatch.setattr(ModelDir, "_entries", property(names_of))
    good, bad = scan(fill(mount, "1/model.echo")).found[1:]
    assert (good.problem, bad.name) == ("", "b")
    assert bad.problem.startswith("the folder holds more than 8 files and folders: ")
    assert mount in listed
    assert mount / "b" not in listed


def test_a_mount_with_too_many_files_serves_its_folders(mount: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_ENTRIES", 8)
    fill(mount, *(f"{number}.echo" for number in range(9)))
    (one,) = scan(mount).found
    assert one.problem.startswith("the folder holds more than 8 files and folders: ")
    catalog = scan(fill(mount, "a/model.echo"))
    assert names(catalog) == ["a"]
    assert catalog.notes == (f"{mount} holds many files beside the models' folders, which are not served",)


def test_folders_that_are_no_models_are_left_out(mount: Path) -> None:
    catalog = scan(fill(mount, "a/model.echo", ".git/x.echo", "..2024/x.echo", "lost+found/", "__pycache__/x.echo"))
    assert names(catalog) == ["a"]


@pytest.mark.parametrize("files", [[], [".hidden"], [".git/config"], ["lost+found/"]], ids=str)
def test_an_empty_mount_is_told(mount: Path, files: list[str]) -> None:
    catalog = scan(fill(mount, *files))
    assert catalog.found == ()
    assert not catalog.single
    assert catalog.notes == (
        f"{mount} is empty: put each model into a folder of its own, or one model's files inside it",
    )


def test_a_folder_that_an_adapter_stumbles_over_stops_nobody(mount: Path) -> None:
    assert names(scan(fill(mount, "a/stumble.txt", "b/model.echo", "model.echo"))) == ["a", "b"]


def test_a_name_that_is_not_utf_8_is_told_in_utf_8(mount: Path) -> None:
    os.mkdir(os.fsencode(mount) + b"/caf\xe9")  # noqa: PTH102  a Path is text
    (found,) = scan(mount).found
    assert found.name == "caf\\udce9"
    assert found.problem == "the folder's name is not UTF-8, or holds control characters: rename it"


# no directory


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoModelDir, match="absent does not exist: mount it, or name another with --model_dir"):
        scan(tmp_path / "absent")


def test_a_file_in_place_of_the_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoModelDir, match=r"model\.echo is a file: --model_dir takes the directory that holds it"):
        scan(fill(tmp_path, "model.echo") / "model.echo")
    with pytest.raises(NoModelDir, match="does not exist"):
        scan(tmp_path / "model.echo" / "below")


def test_a_directory_that_is_a_link_to_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(NoModelDir, match="loop does not exist"):
        scan(tmp_path / "loop")


def test_a_name_that_is_too_long_is_told() -> None:
    with pytest.raises(NoModelDir, match="File name too long"):
        scan(Path("/" + "x" * 5000))


def test_the_mount_itself_may_be_a_link(tmp_path: Path) -> None:
    fill(tmp_path / "real", "a/model.echo")
    (tmp_path / "link").symlink_to("real")
    catalog = scan(tmp_path / "link")
    assert names(catalog) == ["a"]
    assert choose(catalog.found[0].directory).match.file == "model.echo"


# permissions


def test_a_directory_that_may_not_be_read_is_told(unprivileged: Path) -> None:
    fill(unprivileged / "mount", "a/model.echo")
    for mode in (0o000, 0o300, 0o400):  # neither, search only, list only
        (unprivileged / "mount").chmod(mode)
        with pytest.raises(NoModelDir, match="mount cannot be read: Permission denied"):
            scan(unprivileged / "mount")
    unprivileged.chmod(0o000)
    with pytest.raises(NoModelDir, match="mount cannot be read: Permission denied"):
        scan(unprivileged / "mount")


def test_a_folder_that_may_not_be_read_is_told_and_stops_nobody(unprivileged: Path) -> None:
    mount = fill(unprivileged / "mount", "a/model.echo", "b/model.echo", "c/model.echo", "model.echo")
    fill(unprivileged / "locked", "d/model.echo").chmod(0o000)
    (mount / "a").chmod(0o000)
    (mount / "b").chmod(0o400)
    (mount / "d").symlink_to("../locked/d")
    catalog = scan(mount)
    assert names(catalog) == ["a", "b", "c"]
    assert [found.problem for found in catalog.found] == [
        "the directory cannot be read: Permission denied",
        "the directory cannot be read: Permission denied",
        "",
    ]


# links


def kubernetes(volume: Path, *files: str) -> None:
    """Files as Kubernetes mounts them: links through `..data`, which is a link to a dated folder."""
    fill(volume / "..2024_01_02", *files)
    (volume / "..data").symlink_to("..2024_01_02")
    for top in {name.split("/")[0] for name in files}:
        (volume / top).symlink_to(f"..data/{top}")


def test_kubernetes_mounts_one_model(mount: Path) -> None:
    kubernetes(mount, "model.echo", "README.md")
    catalog = scan(mount)
    assert catalog.single
    assert choose(catalog.found[0].directory).match.file == "model.echo"


def test_kubernetes_mounts_a_folder_of_models(mount: Path) -> None:
    kubernetes(mount, "a/model.echo", "b/model.echo")
    catalog = scan(mount)
    assert names(catalog) == ["a", "b"]
    assert [choose(found.directory).match.file for found in catalog.found] == ["model.echo"] * 2


def test_kubernetes_mounts_each_model(mount: Path) -> None:
    for name in ("a", "b"):
        kubernetes(fill(mount / name), "model.echo")
    catalog = scan(mount)
    assert names(catalog) == ["a", "b"]
    assert [choose(found.directory).match.file for found in catalog.found] == ["model.echo"] * 2


def test_links_out_of_the_mount_are_told_and_not_followed(mount: Path) -> None:
    fill(mount.parent / "elsewhere", "model.echo")
    fill(mount, "b/model.echo")
    (mount / "a").symlink_to("../elsewhere")
    (mount / "c").symlink_to(mount.parent / "elsewhere")
    catalog = scan(mount)
    assert names(catalog) == ["a", "b", "c"]
    assert [found.problem for found in catalog.found] == [OUT, "", OUT]


def test_one_model_that_is_a_link_out_of_the_mount_is_told(mount: Path) -> None:
    fill(mount.parent / "elsewhere", "model.echo")
    (mount / "model.echo").symlink_to("../elsewhere/model.echo")
    catalog = scan(mount)
    assert catalog.single
    with pytest.raises(Exception, match=r"model\.echo leads out of the models directory and is not followed"):
        choose(catalog.found[0].directory)


def test_a_link_that_comes_back_into_the_mount_is_followed(mount: Path) -> None:
    fill(mount, "b/model.echo")
    fill(mount.parent / "elsewhere")
    (mount.parent / "elsewhere" / "back").symlink_to(mount / "b")
    (mount / "a").symlink_to("../elsewhere/back")
    assert names(scan(mount)) == ["a", "b"]


def test_links_that_lead_nowhere_or_to_themselves_stop_nobody(mount: Path) -> None:
    fill(mount, "a/model.echo")
    (mount / "nowhere").symlink_to("..data/absent")
    (mount / "loop").symlink_to("loop")
    (mount / "left").symlink_to("right")
    (mount / "right").symlink_to("left")
    (mount / "a" / "loop").symlink_to("loop")
    (mount / "a" / "up").symlink_to("..")
    catalog = scan(mount)
    assert names(catalog) == ["a"]
    assert catalog.notes == ("links lead to nothing, and are not served: left, loop, nowhere, right",)
    assert choose(catalog.found[0].directory).match.file == "model.echo"


def test_links_between_models_are_models(mount: Path) -> None:
    fill(mount, "a/model.echo")
    (mount / "b").symlink_to("a")
    assert names(scan(mount)) == ["a", "b"]


def test_a_pipe_or_socket_is_no_model(mount: Path) -> None:
    fill(mount, "a/model.echo")
    os.mkfifo(mount / "pipe")
    os.mkfifo(mount / "a" / "pipe.echo")
    catalog = scan(mount)
    assert names(catalog) == ["a"]
    assert choose(catalog.found[0].directory).match.file == "model.echo"


@pytest.mark.parametrize("text", ['lanes: !!int ""', "pinned: !!bool perhaps", "versions: !!timestamp never"])
def test_settings_that_nothing_can_stand_for_take_no_other_model_away(mount: Path, text: str) -> None:
    fill(mount, "sound/model.echo", "bad/1/model.echo", "bad/2/model.echo", "bad/2/polyserve.yaml")
    for place in ("bad", "bad/2"):
        (mount / place / "polyserve.yaml").write_text(text)
    found = {each.name: each.problem for each in scan(mount).found}
    assert found.keys() == {"sound", "bad"}
    assert found["sound"] == ""
    assert "nothing can stand for" in found["bad"]


def test_so_many_versions_are_asked_whether_they_run_beside_others(
    mount: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.loading.catalog, "_MOST_SHADOWS", 2)
    fill(mount, *(f"m/{number}/model.echo" for number in range(1, 5)))
    for number in (1, 4):
        (mount / "m" / str(number) / "polyserve.yaml").write_text("shadow: true")
    assert sorted(each.version for each in scan(mount).found) == ["3", "4"]
    (mount / "m" / "3" / "polyserve.yaml").write_text("shadow: true")
    (found,) = scan(mount).found
    assert "its newest 2 versions all say shadow: true" in found.problem
