"""Every page is followed as a reader would, and every block of it is run, compared, or checked in another way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.generate import GENERATED
from tests.docs.pages import NotRun, pages, steps
from tests.docs.session import ROOT, Session

PAGES = {name: path for path in pages(ROOT) if (name := path.relative_to(ROOT).as_posix()) not in GENERATED}
#: the readers of these share a folder and a server
TOGETHER = ("docs/frameworks/",)
#: what these show does not depend on trials in children, which would take half of the time
UNTRIED = ("README.md", "docs/migrate/", *TOGETHER)
RUN = [name for name, path in PAGES.items() if any(not isinstance(step, NotRun) for step in steps(path.read_text()))]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    session = Session(tmp_path_factory.mktemp("together") / "reader", POLYSERVE_TRIAL="false")
    yield session
    session.close()


@pytest.mark.parametrize("name", PAGES)
def test_no_block_is_left_out(name: str) -> None:
    steps(PAGES[name].read_text())


@pytest.mark.e2e
@pytest.mark.parametrize("name", RUN)
def test_what_a_page_says_is_what_comes(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if name.startswith(TOGETHER):
        request.getfixturevalue("together").follow(name, steps(PAGES[name].read_text()))
        return
    session = Session(tmp_path / "reader", POLYSERVE_TRIAL=str(not name.startswith(UNTRIED)).lower())
    try:
        session.follow(name, steps(PAGES[name].read_text()))
    finally:
        session.close()


@pytest.mark.parametrize("name", PAGES)
def test_what_is_not_run_is_checked_otherwise(name: str, tmp_path: Path) -> None:
    left_out = [step for step in steps(PAGES[name].read_text()) if isinstance(step, NotRun)]
    Session(tmp_path / "reader").follow(name, list(left_out))


def test_the_readme_is_two_screens() -> None:
    assert len(PAGES["README.md"].read_text().splitlines()) <= 110
