from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from server.loading.environments.shared_packages import Base, remove_receipts


def install(site: Path, name: str, version: str, files: dict[str, str], *requires: str, **extra: str) -> None:
    """A distribution as an installer would leave it."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}", encoding="utf-8"
    )
    for file, text in extra.items():
        (info / file.replace("__", ".")).write_text(text, encoding="utf-8")
    for file, text in files.items():
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).write_text(text, encoding="utf-8")
    record = [*files, f"{info.name}/METADATA", f"{info.name}/RECORD", "../../../bin/tool"]
    (info / "RECORD").write_text("".join(f"{line},,\n" for line in record), encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = tmp_path / "base"
    install(site, "Low.Level", "2.0", {"low.py": "x = 2"})
    install(site, "middle", "1.0", {"middle/__init__.py": "import low"}, "low-level>=2", "absent", "high; extra == 'x'")
    install(site, "high", "1.0", {"high.py": "import middle"}, "middle")
    install(site, "loose", "1.0", {"loose.py": ""}, "low-level")
    install(site, "unmet", "1.0", {"unmet.py": ""}, "low-level>=9")
    install(site, "space-one", "1.0", {"space/one/__init__.py": "", "space/one/deep/x.py": ""})
    install(site, "space-two", "1.0", {"space/two/__init__.py": "name = 'two'"}, "low-level==2.*")
    install(site, "kserve", "1.0", {"kserve/__init__.py": ""}, "web>1")
    install(site, "web", "2.0", {"web.py": ""}, "low-level>=2")
    install(site, "polyserve", "1.0", {"server/__init__.py": "", "adapters/__init__.py": ""})
    install(site, "edited", "1.0", {"edited.pth": "/somewhere"}, direct_url__json='{"dir_info": {"editable": true}}')
    (site / "unowned.py").write_text("", encoding="utf-8")
    (site / "__pycache__").mkdir()
    return site


def test_what_may_be_shared(site: Path) -> None:
    assert Base([site]).versions.keys() == {
        *("low-level", "middle", "high", "loose", "unmet", "space-one", "space-two", "kserve", "web"),
    }


def test_what_contradicts_is_hidden_with_all_that_needs_it(site: Path) -> None:
    base = Base([site])
    assert base.hidden({"low-level": "2.5"}) == {}
    assert base.hidden({"low-level": "1.0"}) == {
        "middle": "needs low-level>=2",
        "high": "needs middle",
        "space-two": "needs low-level==2.*",
    }
    assert base.hidden({"something": "1.0"}) == {}


def test_links_show_what_is_kept_and_nothing_else(site: Path, tmp_path: Path) -> None:
    base = Base([site, tmp_path / "absent"])
    (folder, _) = base.link(tmp_path / "shared", ["low-level", "space-two"])
    names = {entry.name for entry in folder.iterdir() if not entry.name.endswith(".dist-info")}
    assert names == {"middle", "high.py", "loose.py", "unmet.py", "space", "kserve", "web.py", "unowned.py"}
    assert [entry.name for entry in (folder / "space").iterdir()] == ["one"]
    assert not list(folder.glob("low*")) + list(folder.glob("Low*")) + list(folder.glob("space_two*"))
    assert (folder / "space" / "one" / "deep" / "x.py").exists()


def test_namespace_packages_merge(site: Path, tmp_path: Path) -> None:
    """The environment's part of a namespace package, and the base's, are both there."""
    own = tmp_path / "own"
    install(own, "space-three", "1.0", {"space/three/__init__.py": "name = 'three'"})
    (folder,) = Base([site]).link(tmp_path / "shared", ["space-three"])
    code = "import space.two, space.three; print(space.two.name, space.three.name)"
    environ = {**os.environ, "PYTHONPATH": f"{own}:{folder}"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "two three\n"


def test_receipts_come_and_go(site: Path, tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    install(packages, "own", "1.0", {"own.py": ""}, INSTALLER="uv")
    Base([site]).write_receipts(packages)
    assert (packages / "low_level-2.0.dist-info" / "METADATA").is_file()
    assert not list(packages.glob("polyserve*"))
    shutil.rmtree(packages / "middle-1.0.dist-info")  # as an installer replaces it
    remove_receipts(packages)
    assert [entry.name for entry in packages.glob("*.dist-info")] == ["own-1.0.dist-info"]


def test_the_running_interpreter() -> None:
    base = Base.here()
    assert base.sites
    assert base.versions["numpy"]
    assert "polyserve" not in base.versions
