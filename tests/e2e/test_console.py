"""The console in a real browser: what it shows is so, what it sends is answered, and everybody can read it.

`POLYSERVE_SCREENSHOTS=DIR` keeps the pictures.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import joblib
import pandas as pd
import pytest
import spacy
from playwright.sync_api import Browser, Page, ViewportSize, expect
from sklearn.linear_model import LogisticRegression

from tests.adapters.huggingface_.pipeline_models import audio_classifier, image_classifier
from tests.e2e.browser import DESK, PHONE, WAIT, Watched, axe_source, chromium, faults, shown
from tests.e2e.process import Server
from tests.language_models import save_thinking_model
from tests.patience import wait_for

CUSTOM = Path(__file__).parents[1] / "custom_models"
TOKEN = "a token for the console"
ANSWER = "pre[aria-label='The answer as JSON']"

pytestmark = [pytest.mark.e2e]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    models = tmp_path_factory.mktemp("models")
    for name in ("flowers", "broken"):
        (models / name).mkdir()
    table = pd.DataFrame({"petal length": [1.0, 5.0, 1.2, 4.8], "petal width": [0.2, 2.0, 0.3, 1.8]})
    joblib.dump(LogisticRegression().fit(table, ["setosa", "virginica"] * 2), models / "flowers" / "model.joblib")
    (models / "broken" / "model.joblib").write_bytes(b"\x80\x04nothing")
    for version in ("1", "2"):
        shutil.copytree(models / "flowers", models / "beside" / version)
    (models / "beside" / "2" / "polyserve.yaml").write_text("shadow: true\n")
    language = spacy.blank("en")
    ruler = language.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "ORG", "pattern": "Apple"}, {"label": "GPE", "pattern": "London"}])  # type: ignore[attr-defined]
    language.to_disk(models / "entities")
    shutil.copytree(CUSTOM / "streaming", models / "streaming")
    save_thinking_model(models / "tiny")
    image_classifier(models / "picture")
    audio_classifier(models / "sound")
    log = tmp_path_factory.mktemp("log") / "server.log"
    found = Server(models, log, ADMIN_TOKEN=TOKEN).wait_scanned()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def watched(browser: Browser, server: Server) -> Iterator[Watched]:
    """The console, open; afterwards: it has asked nobody else, and nothing went wrong in it."""
    context = browser.new_context(viewport=DESK)
    context.set_default_timeout(WAIT)
    found = Watched(context)
    found.page.goto(f"{server.url}/console")
    yield found
    context.close()
    assert [url for url in found.asked if not url.startswith((server.url, "data:", "blob:"))] == []
    assert [text for text in found.messages if "status of 40" not in text] == []


def opened(watched: Watched, server: Server, model: str) -> Page:
    watched.page.goto(f"{server.url}/console#/{model}")
    watched.page.wait_for_selector(f"h1:text-is('{model}')")
    return watched.page


def send(page: Page) -> None:
    page.locator("button[type=submit]").first.click()


def test_every_model_is_shown_with_its_state_and_reason(watched: Watched, server: Server) -> None:
    page = watched.page
    for name, told in server.index().items():
        row = page.locator("tr", has=page.locator(f"a.name:text-is('{name}')"))
        expect(row.locator(".pill")).to_have_text(told["state"])
        if told["reason"]:
            expect(row.locator(".reason")).to_have_text(told["reason"])
    expect(page.locator("#status")).to_have_text("Ready")


def test_requests_are_seen_as_they_come(watched: Watched, server: Server) -> None:
    page = watched.page
    row = page.locator("tr", has=page.locator("a.name:text-is('flowers')"))
    expect(row.locator("td[data-label='Requests/s']")).to_have_text("0")
    body = {"instances": [[1.0, 0.2]]}

    def seen() -> bool:
        """Of one moment: a second without requests later, there is no median any more."""
        server.predict("flowers", body).raise_for_status()
        rate, _, median, *_ = row.locator("td.n").all_inner_texts()
        page.wait_for_timeout(20)
        return bool(re.fullmatch(r"[\d.]+", rate)) and rate != "0" and bool(re.search(r"\d (µs|ms|s)$", median))

    wait_for(seen, "requests in the table", 120)


def test_the_filter_leaves_what_fits(watched: Watched) -> None:
    page = watched.page
    page.fill("input[type=search]", "unavail")
    expect(page.locator("td .name")).to_have_text(["broken"])
    page.fill("input[type=search]", "no such model")
    expect(page.locator(".empty")).to_have_text("No model fits the filter.")
    page.fill("input[type=search]", "is no pickle")
    expect(page.locator("td .name")).to_have_text(["broken"])


def test_those_that_failed_are_one_press_away_and_back(watched: Watched, server: Server) -> None:
    page = watched.page
    names = page.locator("td .name")
    failed = page.get_by_role("button", name="1 failed")
    failed.click()
    expect(names).to_have_text(["broken"])
    looks(page, 2)
    expect(failed).to_be_focused()
    failed.click()
    expect(names).to_have_count(len(server.index()))


def test_the_table_is_sorted_by_a_column_and_stays_so(watched: Watched, server: Server) -> None:
    page = watched.page
    names = page.locator("td .name")
    expect(names).to_have_text(sorted(server.index()))
    page.get_by_role("button", name="Model", exact=True).click()
    expect(names).to_have_text(sorted(server.index(), reverse=True))
    page.get_by_role("button", name="State", exact=True).click()
    expect(names.first).to_have_text("broken")
    expect(page.locator("th[aria-sort=descending]")).to_have_text("State")
    names.first.click()
    page.get_by_role("link", name="Models", exact=True).click()
    expect(names.first).to_have_text("broken")


def looks(page: Page, times: int) -> None:
    """Until the page has asked for the overview so often again."""
    for _ in range(times):
        with page.expect_response(lambda answer: answer.url.endswith("/console/overview"), timeout=WAIT):
            pass


def test_what_is_focused_or_marked_stays_so_while_numbers_change(watched: Watched, server: Server) -> None:
    page = watched.page
    page.locator("a.name", has_text="flowers").focus()
    server.predict("flowers", {"instances": [[1.0, 0.2]]}).raise_for_status()
    looks(page, 3)
    expect(page.locator("a.name", has_text="flowers")).to_be_focused()
    opened(watched, server, "broken")
    page.evaluate("getSelection().selectAllChildren(document.querySelector('.reason.whole'))")
    page.get_by_role("link", name="Models", exact=True).focus()
    looks(page, 3)
    assert page.evaluate("String(getSelection())") == server.index()["broken"]["reason"]
    expect(page.get_by_role("link", name="Models", exact=True)).to_be_focused()


def test_a_form_is_filled_and_answered(watched: Watched, server: Server) -> None:
    page = opened(watched, server, "flowers")
    page.get_by_label("petal length").fill("4.9")
    page.get_by_label("petal width").fill("1.9")
    send(page)
    body = {"instances": [{"petal length": 4.9, "petal width": 1.9}]}
    page.wait_for_selector(ANSWER)
    assert shown(page, ANSWER) == server.predict("flowers", body).json() == {"predictions": ["virginica"]}


def test_parameters_are_sent(watched: Watched, server: Server) -> None:
    page = opened(watched, server, "flowers")
    page.get_by_text("Parameters", exact=True).first.click()
    page.get_by_label("method").select_option("predict_proba")
    send(page)
    page.wait_for_selector(".bars")
    assert len(shown(page, ANSWER)["predictions"][0]) == 2
    assert set(page.locator(".bars span:not(.mono)").all_inner_texts()) == {"setosa", "virginica"}


def test_a_wrong_field_is_named_before_it_is_sent(watched: Watched, server: Server) -> None:
    page = opened(watched, server, "flowers")
    page.get_by_label("petal width").fill("wide")
    send(page)
    expect(page.locator(".reason.whole")).to_have_text('petal width: "wide" is no number')


def test_a_refusal_is_shown_in_the_servers_words(watched: Watched, server: Server) -> None:
    page = opened(watched, server, "flowers")
    page.get_by_role("tab", name="V1 JSON").click()
    page.fill("textarea", '{"instances": [[1]]}')
    send(page)
    refused = server.predict("flowers", {"instances": [[1]]})
    page.wait_for_selector(".answer.failed")
    assert shown(page, ANSWER) == refused.json()
    expect(page.locator(".answer .chip")).to_have_text(re.compile("^400"))


def test_v2_is_asked_as_well(watched: Watched, server: Server) -> None:
    page = opened(watched, server, "flowers")
    page.get_by_role("tab", name="V2 JSON").click()
    send(page)
    page.wait_for_selector(ANSWER)
    output = shown(page, ANSWER)["outputs"][0]
    assert output["datatype"] == "BYTES"
    expect(page.locator(".answer .number")).to_have_text(output["data"][0])


def test_entities_are_marked_in_their_text(watched: Watched, server: Server) -> None:
    page = opened(watched, server, "entities")
    page.fill("textarea", "Apple opens in London")
    send(page)
    expect(page.locator("mark")).to_have_text(["AppleORG", "LondonGPE"])
    expect(page.locator(".marked")).to_have_text("AppleORG opens in LondonGPE")


def test_a_sound_can_be_heard_before_it_is_sent(watched: Watched, server: Server) -> None:
    page = opened(watched, server, "sound")
    expect(page.get_by_text("sound (the example, or a file)")).to_be_visible()
    expect(page.locator("audio")).to_have_attribute("src", re.compile("^data:audio/wav;base64,"))
    expect(page.locator("img.preview")).to_be_hidden()
    wait_for(lambda: page.evaluate("document.querySelector('audio').duration > 0"), "the sound is read")
    send(page)
    expect(page.locator(".answer meter").first).to_be_visible()


def test_a_picture_is_shown_with_its_label(watched: Watched, server: Server) -> None:
    page = opened(watched, server, "picture")
    expect(page.get_by_alt_text("What will be sent")).to_be_visible()
    send(page)
    page.wait_for_selector(ANSWER)
    expect(page.get_by_alt_text("What was sent")).to_be_visible()
    labels = {each["label"] for each in shown(page, ANSWER)["predictions"][0]}
    assert set(page.locator(".bars span:not(.mono)").all_inner_texts()) == labels
    if folder := os.environ.get("POLYSERVE_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / "picture.png", full_page=True)


def test_text_is_never_markup(watched: Watched, server: Server) -> None:
    page = opened(watched, server, "entities")
    page.fill("textarea", "Apple <img src=x onerror=alert(1)> London")
    send(page)
    expect(page.locator(".marked")).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.locator(".marked img").count() == 0


def test_a_stream_is_shown_in_its_parts(watched: Watched, server: Server) -> None:
    page = opened(watched, server, "streaming")
    page.fill("textarea", '{"instances": ["one", "two", "three"]}')
    send(page)
    page.wait_for_selector(ANSWER)
    assert [part["prediction"] for part in shown(page, ANSWER)] == ["one", "two", "three"]


def test_a_talk_with_a_language_model(watched: Watched, server: Server) -> None:
    page = opened(watched, server, "tiny")
    page.fill("textarea", "hello")
    send(page)
    expect(page.locator(".said.user")).to_have_text("hello")
    expect(page.locator(".said:not(.user)")).to_have_text("yes")
    expect(page.locator(".thought > div")).to_be_hidden()
    page.locator(".thought > summary").click()
    expect(page.locator(".thought > div")).to_have_text("hm")
    expect(page.locator(".said.reason")).to_have_count(0)
    expect(page.locator(".took")).to_have_text(re.compile(r"^\d+ tokens, .* a second"))


def test_enter_sends_what_is_said_and_leaves_the_field_empty(watched: Watched, server: Server) -> None:
    page = opened(watched, server, "tiny")
    page.get_by_label("Tokens, at most").fill("4")
    field = page.get_by_label("Message")
    field.fill("hello")
    field.press("Shift+Enter")
    expect(field).to_have_value("hello\n")
    field.press("Enter")
    expect(page.locator(".took")).to_have_count(1)
    expect(field).to_have_value("")
    page.get_by_role("button", name="Begin anew").click()
    expect(page.locator(".said")).to_have_count(0)


def test_an_answer_that_takes_too_long_is_stopped(watched: Watched, server: Server) -> None:
    page = opened(watched, server, "tiny")
    page.route("**/chat/completions", lambda route: None)  # it never answers
    page.fill("textarea", "hello")
    send(page)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Send")).to_be_enabled()
    expect(page.locator(".said.reason")).to_have_count(0)


def test_a_failed_model_says_why(watched: Watched, server: Server) -> None:
    page = opened(watched, server, "broken")
    expect(page.locator(".reason.whole").first).to_have_text(server.index()["broken"]["reason"])
    assert not page.locator("textarea").count()


def test_the_curl_that_is_shown_works(watched: Watched, server: Server) -> None:
    page = opened(watched, server, "flowers")
    page.wait_for_selector(".tabs [role=tab]:text-is('curl')")
    code = page.locator("pre", has_text="curl ").inner_text()
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert "predictions" in done.stdout


def test_loading_and_unloading_take_the_token(watched: Watched, server: Server) -> None:
    page = opened(watched, server, "entities")
    answers = iter(["dismiss", "accept", "accept"])
    page.on("dialog", lambda dialog: getattr(dialog, next(answers))())
    unload = page.get_by_role("button", name="Unload")
    told = page.locator("p[role=status].quiet", has_text="ADMIN_TOKEN")
    unload.click()
    expect(told).to_have_count(0)
    unload.click()
    expect(told).to_be_visible()
    keep_token(page)
    unload.click()
    expect(page.locator("h1 + .pill")).to_have_text("UNAVAILABLE")
    page.get_by_role("button", name="Load", exact=True).click()
    expect(page.locator("h1 + .pill")).to_have_text("READY")


def keep_token(page: Page) -> None:
    page.get_by_role("button", name="Token").click()
    page.get_by_label("Token", exact=True).last.fill(TOKEN)
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_role("button", name="Token ✓")).to_be_visible()


def test_enter_keeps_the_token_and_escape_does_not(watched: Watched) -> None:
    page = watched.page
    field = page.get_by_label("Token", exact=True).last
    for typed, key, kept in (("one", "Enter", "one"), ("two", "Escape", "one"), ("", "Enter", None)):
        page.get_by_role("button", name="Token").click()
        field.fill(typed)
        field.press(key)
        expect(field).to_be_hidden()
        wait_for(
            lambda kept=kept: page.evaluate("sessionStorage.getItem('polyserve-token')") == kept, f"{kept} is kept"
        )
    page.get_by_role("button", name="Token").click()
    field.fill("three")
    page.get_by_role("button", name="Cancel").click()
    assert page.evaluate("sessionStorage.getItem('polyserve-token')") is None


def test_a_shadow_is_compared_and_promoted(watched: Watched, server: Server) -> None:
    page = opened(watched, server, "beside")
    expect(page.locator("td .chip", has_text="shadow")).to_be_visible()
    for _ in range(3):
        answer = server.predict("beside", {"instances": [{"petal length": 1.0, "petal width": 0.2}]})
        assert answer.json() == {"predictions": ["setosa"]}
    expect(page.locator("dt:text-is('Answers that agree') + dd")).to_have_text("3")
    if folder := os.environ.get("POLYSERVE_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / "shadow.png", full_page=True)
    keep_token(page)
    page.get_by_role("button", name="Promote version 2").click()
    expect(page.locator("td .chip", has_text="shadow")).to_have_count(0)
    versions = server.client.get("/console/overview").json()["models"]
    (beside,) = [model for model in versions if model["name"] == "beside"]
    assert [version["shadow"] for version in beside["versions"]] == [False, False]


def test_the_log_of_a_model_takes_the_token(watched: Watched, server: Server) -> None:
    page = opened(watched, server, "broken")
    button = page.get_by_role("button", name="Show the last lines")
    button.click()
    expect(page.locator("p[role=status].quiet", has_text="ADMIN_TOKEN")).to_be_visible()
    keep_token(page)
    button.click()
    expect(page.locator("pre.log")).to_contain_text("model broken is not served")
    if folder := os.environ.get("POLYSERVE_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / "log.png", full_page=True)


def test_a_server_that_asks_for_keys_is_told_one(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "flowers"
    folder.mkdir(parents=True)
    joblib.dump(LogisticRegression().fit([[1.0], [2.0]], [0, 1]), folder / "model.joblib")
    keys = tmp_path / "keys.yaml"
    admin = TOKEN.replace(" ", "-")
    keys.write_text(f"- {{key: {admin}, name: all, admin: true}}\n- {{key: some-key-for-x, name: x, models: [x]}}\n")
    keys.chmod(0o600)
    server = Server(tmp_path / "models", tmp_path / "log", f"--api_keys_file={keys}")
    context = browser.new_context(viewport=DESK)
    context.set_default_timeout(WAIT)
    try:
        server.wait_ready()
        page = context.new_page()
        page.goto(f"{server.url}/console")
        expect(page.locator("#status")).to_have_text("No access")
        expect(page.locator(".empty")).to_contain_text("this server asks for an API key")
        for key, told in (
            ("some-key-for-x", "is for some models"),
            ("nonsense-nonsense", "is no API key of this server"),
        ):
            page.get_by_role("button", name="Token").click()
            page.get_by_label("Token", exact=True).last.fill(key)
            page.get_by_role("button", name="Keep").click()
            expect(page.locator(".empty")).to_contain_text(told)
        page.get_by_role("button", name="Token").click()
        page.get_by_label("Token", exact=True).last.fill(admin)
        page.get_by_role("button", name="Keep").click()
        page.locator("a.name", has_text="flowers").click()
        send(page)
        page.wait_for_selector(ANSWER)
        assert shown(page, ANSWER)["predictions"]
        curl = page.locator("pre", has_text="curl ").inner_text()
        for key, told in (("some-key-for-x", "is not for model 'flowers'"), (admin, "predictions")):
            environ = {**os.environ, "API_KEY": key}
            assert told in subprocess.run(["bash", "-c", curl], env=environ, capture_output=True, text=True).stdout
    finally:
        context.close()
        server.stop()


def test_the_keyboard_reaches_everything(watched: Watched) -> None:
    page = watched.page
    page.wait_for_selector("td .name")
    page.keyboard.press("Tab")
    expect(page.locator(".skip").first).to_be_focused()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "name":
            break
    name = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(name)


def test_the_button_changes_light_and_dark_and_it_stays(watched: Watched) -> None:
    page = watched.page
    before = page.evaluate("document.documentElement.dataset.theme")
    page.click("#theme")
    after = page.evaluate("document.documentElement.dataset.theme")
    assert {before, after} == {"light", "dark"}
    page.reload()
    page.wait_for_selector("td .name")
    assert page.evaluate("document.documentElement.dataset.theme") == after


@pytest.mark.parametrize("model", ["", "flowers", "entities", "tiny", "streaming", "broken", "beside"])
@pytest.mark.parametrize(
    ("way", "scheme", "size"), [("light", "light", DESK), ("dark", "dark", DESK), ("phone", "light", PHONE)]
)
def test_axe_finds_nothing_serious(
    browser: Browser, server: Server, tmp_path: Path, way: str, scheme: str, size: ViewportSize, model: str
) -> None:
    axe = axe_source()
    if axe is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("axe-core comes by npm, which is not installed")
    context = browser.new_context(viewport=size, color_scheme=scheme, bypass_csp=True)  # type: ignore[arg-type]
    context.set_default_timeout(WAIT)
    try:
        page = context.new_page()
        page.goto(f"{server.url}/console#/{model}")
        page.wait_for_selector("td .name" if not model else ".reason.whole" if model == "broken" else "form")
        if model == "streaming":
            page.fill("textarea", '{"instances": ["one", "two", "three"]}')
        if model == "tiny":
            page.get_by_label("Tokens, at most").fill("8")
            page.fill("textarea", "hello")
            send(page)
            expect(page.locator(".said:not(.user)")).not_to_have_text("…")
        elif model not in ("", "broken"):
            send(page)
            page.wait_for_selector(ANSWER)
        assert faults(page, axe) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than the window"
        folder = Path(os.environ.get("POLYSERVE_SCREENSHOTS") or tmp_path)
        page.screenshot(path=folder / f"{way}-{model or 'overview'}.png", full_page=True)
    finally:
        context.close()
