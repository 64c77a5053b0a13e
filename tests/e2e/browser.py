"""A real browser, and axe-core, which looks for what people cannot read or reach."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect, sync_playwright

from tests.npm import npm_file

AXE = "4.10.3"
WAIT = 120_000  #: ms, for what is waited for
expect.set_options(timeout=WAIT)  # playwright's own five seconds are a fast machine's
#: sizes of windows that people have
DESK, PHONE = ViewportSize(width=1280, height=860), ViewportSize(width=390, height=844)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's; without one the test is skipped, but never in CI."""
    command = shutil.which("chromium") or shutil.which("google-chrome")
    if command is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no Chromium is installed; Debian has a package")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=command, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def axe_source() -> str | None:
    """axe-core's script; None without npm."""
    script = npm_file("axe-core", AXE, "axe-core/axe.min.js")
    return script.read_text() if script is not None else None


def faults(page: Page, axe: str) -> list[dict[str, Any]]:
    """What axe finds on a page that is serious or worse. The context must have been opened with `bypass_csp`."""
    page.evaluate(axe)
    found = page.evaluate("axe.run()")["violations"]
    return [
        {"id": each["id"], "where": [node["html"] for node in each["nodes"]]}
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


class Watched:
    """A context whose requests and messages are kept."""

    def __init__(self, context: BrowserContext) -> None:
        self.asked: list[str] = []
        self.messages: list[str] = []
        self.page = context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))


def shown(page: Page, selector: str) -> Any:
    """An answer's JSON as the page shows it."""
    return json.loads(page.inner_text(selector))
