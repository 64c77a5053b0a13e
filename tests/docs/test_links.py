"""Links between documents lead somewhere, anchors included; every page of docs/ can be reached from its index."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.session import ROOT

_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def documents() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return sorted(ROOT / name for name in listed.splitlines() if (ROOT / name).exists())


def anchors(text: str) -> set[str]:
    """Of the headings, as GitHub names them: the first of its name plain, the next with -1, …"""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#+ +(.+?) *#*$", _FENCED.sub("", text), re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found[name] = found.get(name, -1) + 1
        if found[name]:
            found[f"{name}-{found[name]}"] = 0
    return set(found)


def links(path: Path) -> list[str]:
    return _LINK.findall(_FENCED.sub("", path.read_text()))


def problems(path: Path) -> list[str]:
    """The links of a document that lead nowhere."""
    found = []
    for link in links(path):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        if not target.exists():
            found.append(f"{link}: there is no such file")
        elif anchor and (target.suffix != ".md" or anchor not in anchors(target.read_text())):
            found.append(f"{link}: there is no such heading")
    return found


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    assert problems(path) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# A `b`, c & d\n# Twice\n# Twice\n```sh\n# no heading\n```\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md) [b](there.md#a-b-c--d) [c](there.md#twice-1) [d](https://example.com/x) [e](gone.md)\n"
    )
    page.write_text(page.read_text() + "[f](there.md#twice-2) [g](#here) [h](there.md#no-heading)\n# Here\n")
    named = [problem.partition(":")[0] for problem in problems(page)]
    assert named == ["gone.md", "there.md#twice-2", "there.md#no-heading"]


def test_every_page_is_reached_from_the_readme() -> None:
    seen, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop().resolve()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        left += [page.parent / link.partition("#")[0] for link in links(page) if ":" not in link and link[0] != "#"]
    assert sorted(page for page in (ROOT / "docs").rglob("*.md") if page.resolve() not in seen) == []
