"""Who may ask: keys in headers, models that they are for, and a file that changes."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest

from server.api import credentials
from server.api.credentials import KeyFile, KeyGuard, check_all, check_model
from server.config.api_keys import ApiKey, KeysError
from server.errors import Forbidden, Unauthorized

ONE, TWO = "key-one-0123456789", "key-two-0123456789"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.yaml"
    path.write_text(f"- {{key: {ONE}, name: one, models: [iris]}}\n- {{key: {TWO}, admin: true}}\n")
    return path


def headers(**named: str) -> list[tuple[bytes, bytes]]:
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()]


def replace(path: Path, text: str) -> None:
    new = path.with_name("new")
    new.write_text(text)
    new.replace(path)


@pytest.mark.parametrize(
    "sent",
    [
        {"x_api_key": ONE},
        {"x_api_key": f" {ONE} "},
        {"authorization": f"Bearer {ONE}"},
        {"authorization": f"bearer  {ONE}"},
        {"authorization": "Bearer of-a-gateway", "x_api_key": ONE},
        {"authorization": f"Bearer {ONE}", "x_api_key": "another"},
    ],
)
def test_a_key_comes_in_either_header(file: Path, sent: dict[str, str]) -> None:
    guard = KeyGuard(KeyFile(file))
    assert guard.key_of(headers(**sent)).name == "one"
    assert guard.key_of([(name.replace("_", "-"), value) for name, value in sent.items()]).name == "one"  # metadata
    assert guard.admits(headers(**sent), "iris")
    assert not guard.admits(headers(**sent), "other")
    assert not guard.is_admin(headers(**sent))


@pytest.mark.parametrize("sent", [{}, {"authorization": f"Basic {ONE}"}, {"authorization": ONE}, {"x_api_key": ""}])
def test_who_brings_none_is_told_how(file: Path, sent: dict[str, str]) -> None:
    with pytest.raises(Unauthorized, match="this server asks for an API key: send `Authorization: Bearer <key>`"):
        KeyGuard(KeyFile(file)).key_of(headers(**sent))


@pytest.mark.parametrize("sent", [{"x_api_key": ONE[:-1]}, {"authorization": "Bearer \xff"}, {"x_api_key": "x" * 9999}])
def test_a_wrong_key_is_refused_and_not_shown(file: Path, sent: dict[str, str]) -> None:
    with pytest.raises(Unauthorized, match="this is no API key") as caught:
        KeyGuard(KeyFile(file)).key_of(headers(**sent))
    assert not any(value in str(caught.value) for value in sent.values())


def test_the_admin_token_opens_everything(file: Path) -> None:
    guard = KeyGuard(KeyFile(file), "the-token")
    key = guard.key_of(headers(authorization="Bearer the-token"))
    assert key.admin
    assert key.allows("anything")
    assert guard.is_admin(headers(x_api_key=TWO))
    assert not KeyGuard(KeyFile(file), "").is_admin(headers(authorization="Bearer "))


def test_a_key_is_for_its_models() -> None:
    key = ApiKey("team", ("iris",))
    check_model(key, "iris")
    check_model(None, "other")
    check_all(ApiKey("all"), "/v1/models")
    with pytest.raises(Forbidden, match=r"this API key \(team\) is not for model 'other'"):
        check_model(key, "other")
    with pytest.raises(Forbidden, match="is for some models: /v1/models tells of all"):
        check_all(key, "/v1/models")


def test_a_file_in_the_place_of_another_counts_at_once(file: Path) -> None:
    guard = KeyGuard(KeyFile(file))
    for number in range(20):
        new = f"key-number-{number}-0123456789"
        replace(file, f"- {new}\n")
        assert guard.admits(headers(x_api_key=new), "iris")
        assert not guard.admits(headers(x_api_key=ONE), "iris")
        assert not guard.admits(headers(x_api_key=f"key-number-{number - 1}-0123456789"), "iris")


def test_links_as_kubernetes_swaps_them_count_at_once(tmp_path: Path) -> None:
    for name, key in (("v1", ONE), ("v2", TWO)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "keys").write_text(key)
    (tmp_path / "..data").symlink_to("v1")
    (tmp_path / "keys").symlink_to("..data/keys")
    guard = KeyGuard(KeyFile(tmp_path / "keys"))
    assert guard.admits(headers(x_api_key=ONE), "iris")
    (tmp_path / "..next").symlink_to("v2")
    (tmp_path / "..next").replace(tmp_path / "..data")
    assert guard.admits(headers(x_api_key=TWO), "iris")
    assert not guard.admits(headers(x_api_key=ONE), "iris")


def test_a_file_that_is_written_in_place_counts_once_it_rests(file: Path) -> None:
    guard = KeyGuard(KeyFile(file))
    file.write_text("- key-thr")  # half of what is to come
    os.utime(file, (0, time.time() + 0.9 * credentials.REST))  # a machine may be slow
    assert guard.admits(headers(x_api_key=ONE), "iris")
    file.write_text("- key-three-0123456789")
    os.utime(file, (0, time.time() - 2 * credentials.REST))
    assert guard.admits(headers(x_api_key="key-three-0123456789"), "iris")
    assert not guard.admits(headers(x_api_key=ONE), "iris")


@pytest.mark.parametrize("text", ["", "- {key: a b}", "- {kye: x}", "- ["])
def test_what_cannot_be_read_leaves_the_keys(file: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    guard = KeyGuard(KeyFile(file))
    with caplog.at_level(logging.INFO, "kserve"):
        replace(file, text)
        for _ in range(3):
            assert guard.admits(headers(x_api_key=ONE), "iris")
        assert len(caplog.messages) == 1  # once, not with every request
        assert "the keys stay as they were" in caplog.text
        file.unlink()
        assert guard.admits(headers(x_api_key=ONE), "iris")
        replace(file, f"- {TWO}\n")
        os.utime(file, (0, time.time() - 2 * credentials.REST))  # its inode may be the old one's
        assert not guard.admits(headers(x_api_key=ONE), "iris")
        assert guard.admits(headers(x_api_key=TWO), "iris")
    assert "was read again: 1 keys" in caplog.text
    assert TWO not in caplog.text


def test_a_server_does_not_start_with_a_file_that_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeysError):
        KeyFile(tmp_path / "none")
    with caplog.at_level(logging.ERROR, "kserve"):
        guard = KeyGuard(KeyFile(tmp_path / "none", lenient=True))
    assert "nobody is let in" in caplog.text
    assert not guard.admits(headers(x_api_key=ONE), "iris")
    (tmp_path / "none").write_text(ONE)
    assert guard.admits(headers(x_api_key=ONE), "iris")
