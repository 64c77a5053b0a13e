"""What a mount is, by what lies in it and by what it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.base import ModelDir
from server.loading import files
from server.loading.layout import Layout, Mounted, decide, holds_model, holds_versions
from tests.server.loading.test_catalog import fill

pytestmark = pytest.mark.usefixtures("echo")


def layout(root: Path, *, signed: bool = False, before: Mounted | None = None) -> Layout:
    top = ModelDir.of(root)
    return decide(top, [top.folder(name) for name in top.dirs], signed=signed, before=before)


@pytest.mark.parametrize(
    ("content", "expected", "signed"),
    [
        (["model.echo"], Layout.ONE, Layout.ONE),
        (["1/model.echo"], Layout.VERSIONS, Layout.VERSIONS),
        (["1/model.echo", "model.sig"], Layout.VERSIONS, Layout.ONE),
        (["1/model.echo", "a/model.echo"], Layout.MANY, Layout.VERSIONS),
        (["1/model.echo", "a/model.sig"], Layout.VERSIONS, Layout.MANY),
        (["a/model.echo", "model.echo"], Layout.MANY, Layout.MANY),
        (["a/model.echo", "bundle.txt"], Layout.ONE, Layout.MANY),
        (["1/model.echo", "bundle.txt"], Layout.ONE, Layout.VERSIONS),
        (["a/notes.txt"], Layout.MANY, Layout.MANY),
    ],
    ids=str,
)
def test_it_is_told_by_the_content(tmp_path: Path, content: list[str], expected: Layout, signed: Layout) -> None:
    fill(tmp_path, *content)
    assert layout(tmp_path) is expected
    assert layout(tmp_path, signed=True) is signed


@pytest.mark.parametrize("before", list(Layout))
def test_it_stays_while_something_of_it_is_there(tmp_path: Path, before: Layout) -> None:
    fill(tmp_path, "model.echo", "a/model.echo", "1/model.echo")
    assert layout(tmp_path) is Layout.MANY
    was = Mounted(before, frozenset({"1" if before is Layout.VERSIONS else "a"}))
    assert layout(tmp_path, before=was) is before
    (tmp_path / "model.echo").unlink()
    assert layout(tmp_path, before=was) is (Layout.MANY if before is Layout.ONE else before)


def test_a_crowded_folder_is_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "1/model.echo", "2/model.echo", "3/model.echo")
    assert holds_versions(ModelDir.of(tmp_path))
    assert holds_model(ModelDir.of(tmp_path))
    monkeypatch.setattr(files, "MOST_ENTRIES", 2)
    monkeypatch.setattr(ModelDir, "_entries", property(lambda self: pytest.fail("it was listed")))
    assert not holds_versions(ModelDir.of(tmp_path))
    assert not holds_model(ModelDir.of(tmp_path))
    top = ModelDir.of(tmp_path)
    assert decide(top, [top], signed=False, before=None) is Layout.MANY
    assert decide(top, [], signed=False, before=Mounted(Layout.ONE)) is Layout.ONE
