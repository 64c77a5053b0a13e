from __future__ import annotations

from pathlib import Path

import pytest

from server.loading.environments.pip_settings import PipSettings


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    (tmp_path / ".config" / "pip").mkdir(parents=True)
    return {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "xdg")}


def write(home: dict[str, str], path: str, text: str) -> Path:
    file = Path(home["HOME"], path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_what_comes_later_beats_what_came_before(home: dict[str, str]) -> None:
    write(home, "xdg/pip/pip.conf", "[global]\nindex-url = https://global/simple\nretries = 1\ntimeout = 5\n")
    write(home, ".config/pip/pip.conf", "[global]\nindex-url = https://user/simple\ntrusted-host = a\n b\n")
    write(home, ".pip/pip.conf", "[install]\nretries = 7\n[freeze]\ntimeout = 6\n")
    named = write(home, "named.conf", "[global]\nretries = 2\ncert = /named.pem\n")
    pip = PipSettings.read({**home, "PIP_CONFIG_FILE": str(named), "PIP_CERT": "/own.pem", "PIP_INDEX_URL": ""})
    assert pip.items("index-url") == []
    assert pip.items("trusted-host") == ["a", "b"]
    assert pip.values["retries"] == "7"  # [install] beats [global], wherever it is
    assert pip.values["timeout"] == "5"
    assert pip.values["cert"] == "/own.pem"


def test_uv_is_told_what_pip_knows(home: dict[str, str]) -> None:
    write(
        home,
        ".config/pip/pip.conf",
        "[global]\nindex_url = https://index/simple\nextra-index-url =\n    https://one/simple\n    https://two/simple\n"
        "find-links = /wheels\ntrusted-host = index\nno-index = false\nonly-binary = numpy,scipy\nproxy = http://p:1\n",
    )
    pip = PipSettings.read(home)
    assert pip.uv_arguments() == [
        "--index-url=https://index/simple",
        "--extra-index-url=https://one/simple",
        "--extra-index-url=https://two/simple",
        "--find-links=/wheels",
        "--only-binary=numpy",
        "--only-binary=scipy",
        "--allow-insecure-host=index",
        "--index-strategy=unsafe-best-match",
    ]
    assert pip.uv_environ()["ALL_PROXY"] == "http://p:1"
    assert pip.indexes == ["https://index/simple", "https://one/simple", "https://two/simple"]


def test_switches(home: dict[str, str]) -> None:
    pip = PipSettings.read({**home, "PIP_NO_INDEX": "1", "PIP_PRE": "true", "PIP_REQUIRE_HASHES": "yes"})
    assert {"--no-index", "--prerelease=allow", "--require-hashes"} <= set(pip.uv_arguments())
    pip = PipSettings.read({**home, "PIP_NO_INDEX": "0", "PIP_PRE": "false"})
    assert not {"--no-index", "--prerelease=allow"} & set(pip.uv_arguments())


def test_no_files_where_pip_reads_none(home: dict[str, str]) -> None:
    write(home, ".config/pip/pip.conf", "[global]\nindex-url = https://user/simple\n")
    assert PipSettings.read({**home, "PIP_CONFIG_FILE": "/dev/null"}).indexes == []


def test_a_broken_file_is_told_and_skipped(home: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    write(home, ".pip/pip.conf", "[global]\nretries = 3\n")
    write(home, ".config/pip/pip.conf", "index-url = https://user/simple\n")
    assert PipSettings.read(home).values["retries"] == "3"
    assert "pip.conf cannot be read" in caplog.text
