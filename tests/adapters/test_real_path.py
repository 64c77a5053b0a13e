"""Where paths lead: as `Path.resolve` says, but for links of `/proc` that are no texts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from adapters.modeldir import inside
from adapters.real_path import leads_into, real_path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "file").touch()
    for name, target in {
        "relative": "a/b", "absolute": str(tmp_path / "a"), "chain": "relative", "up": "a/../a/b/..",
        "broken": "none/x", "dots": "./a/./b/", "out": "/etc", "climbs": "../..",
    }.items():  # fmt: skip
        (tmp_path / name).symlink_to(target)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    ["", "a/b", "a/file", "relative", "absolute/b", "chain", "chain/..", "up", "broken", "broken/y", "dots",
     "out/passwd", "climbs", "climbs/x", "none", "a/../..", "relative/../file", "a//b/", "../../../../../../../../.."],
)  # fmt: skip
def test_it_says_what_resolve_says(tree: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert real_path(f"{tree}/{name}") == Path(f"{tree}/{name}").resolve()
    monkeypatch.chdir(tree)
    assert real_path(name) == Path(name).resolve()


@pytest.mark.parametrize(
    "name",
    ["", "a/b", "a/file", "relative", "absolute/b", "chain", "chain/..", "up", "broken/y", "out/passwd", "climbs/x",
     "none", "a/../..", "relative/../file", "a//b/", "../outside"],
)  # fmt: skip
@pytest.mark.parametrize("root", ["", "a", "relative", "absolute", "a/../a", "broken", "./a/"])
def test_a_root_that_is_followed_once_is_the_same_root(
    tree: Path, root: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    for top in (f"{tree}/{root}", root):
        for path in (f"{top}/{name}", f"{tree}/{name}", name, top):
            assert leads_into(path, top) == real_path(path).is_relative_to(real_path(top)), (path, top)


def test_links_that_lead_round_are_an_error_and_nowhere_inside(tree: Path) -> None:
    (tree / "one").symlink_to("two")
    (tree / "two").symlink_to("one")
    with pytest.raises(OSError, match="Too many levels"):
        real_path(tree / "one")
    assert not inside(tree / "one", tree)
    assert not inside(tree / "nul\0", tree)


def test_the_root_of_a_process_is_kept(tree: Path) -> None:
    root = f"/proc/{os.getpid()}/root"
    mount = tree / "mount"
    mount.symlink_to(f"{root}{tree}/a")
    assert real_path(mount / "file") == Path(f"{root}{tree}/a/file")
    assert real_path(f"/proc/self/cwd/{'x'}").parts[-2:] == ("cwd", "x")
    assert inside(mount / "file", mount)
    assert inside(mount / "b" / ".." / "file", mount)
    (tree / "a" / "here").symlink_to("b")
    (tree / "a" / "ours").symlink_to(tree / "a" / "b")  # from its first slash on, the kernel goes by our own files
    (tree / "a" / "up").symlink_to("../../../../../../../../etc/passwd")
    (tree / "a" / "round").symlink_to(f"{'../' * 20}root{tree}/a/b")
    (tree / "a" / "proc").symlink_to("/proc/self/root/etc")
    assert inside(mount / "here", mount)
    assert not any(inside(mount / name, mount) for name in ("ours", "up", "round", "proc"))
