"""A model's folder whose files lie behind links, and what may happen to them: every one of it is a new model."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from adapters.base import ModelDir


def linked_folder(mount: Path) -> ModelDir:
    """`m`: an `.echo` file of its own, and links to files and folders elsewhere in the mount.

    Everything that is called "twin" differs from what it would replace in its bytes alone: not in size or time.
    """
    model, shared = mount / "m", mount / "shared"
    texts = {
        "m/model.echo": "echo",
        "m/own": "old",
        "m/.twin": "new",
        "shared/weights/inner/part": "old",
        "twin/weights/inner/part": "new",
        "shared/vocabulary": "old",
        "twin/vocabulary": "new",
        "shared/hard": "old",
    }
    for name, text in texts.items():
        (mount / name).parent.mkdir(parents=True, exist_ok=True)
        (mount / name).write_text(text)
        os.utime(mount / name, (1, 1))
    (model / "weights").symlink_to("../shared/weights")
    (model / "vocabulary").symlink_to("../shared/vocabulary")
    (model / "hard").hardlink_to(shared / "hard")
    return ModelDir.of(model, mount)


def _rewrite(file: Path) -> None:
    """In place, as long as before, and with its time set back. Again, until the file system's clock has ticked."""
    before = file.stat().st_ctime_ns
    while file.stat().st_ctime_ns == before:
        file.write_text("new")
        os.utime(file, (1, 1))


def _point(link: Path, target: str) -> None:
    link.unlink()
    link.symlink_to(target)


CHANGES: dict[str, Callable[[Path], object]] = {
    "behind a linked folder": lambda mount: (mount / "shared/weights/inner/part").write_text("longer"),
    "behind a linked folder, a file comes": lambda mount: (mount / "shared/weights/inner/more").touch(),
    "behind a linked file": lambda mount: (mount / "shared/vocabulary").write_text("longer"),
    "a link leads to a twin": lambda mount: _point(mount / "m/vocabulary", "../twin/vocabulary"),
    "a link leads to a folder of twins": lambda mount: _point(mount / "m/weights", "../twin/weights"),
    "a twin takes its place": lambda mount: (mount / "m/.twin").rename(mount / "m/own"),
    "by its other name": lambda mount: (mount / "shared/hard").write_text("longer"),
    "as long and as old as before": lambda mount: _rewrite(mount / "m/own"),
    "as long and as old, behind a linked folder": lambda mount: _rewrite(mount / "shared/weights/inner/part"),
}
