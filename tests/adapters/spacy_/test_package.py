"""Pipelines as `spacy package` makes them: found wherever they lie, and their code only where it may run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import spacy

from adapters import registry
from adapters.base import LoadError, ModelDir, Trust
from adapters.spacy_ import SpacyAdapter, package
from server.config.model_config import ModelConfig
from server.loading import trust
from server.workers.placement import WorkerPlacement
from tests.adapters.spacy_.pipelines import predict

pytestmark = pytest.mark.slow  # packaging starts spaCy's own command

CODE = """
from pathlib import Path
from spacy.language import Language
from spacy.tokens import Span

Path(__file__).parent.parent.joinpath("ran").touch()

@Language.component("shouting_part")
def shouting_part(doc):
    doc.ents = [Span(doc, t.i, t.i + 1, label="LOUD") for t in doc if t.is_upper]
    return doc
"""
TEXTS = ["this is LOUD", "this is not"]
WANTED = [[{"text": "LOUD", "label": "LOUD"}], []]


def _package(source: Path, out: Path, *options: str) -> Path:
    out.mkdir()
    command = [sys.executable, "-m", "spacy", "package", str(source), str(out), *options]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("plain")
    nlp = spacy.blank("en")
    nlp.meta["name"], nlp.meta["version"] = "x", "0.0.0"
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "LOUD", "pattern": "LOUD"}])
    nlp.to_disk(base / "src")
    return _package(base / "src", base / "out", "--build", "none")


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with code, as folder, wheel and source archive."""
    base = tmp_path_factory.mktemp("coded")
    (base / "functions.py").write_text(CODE)
    write = f"import runpy, spacy; runpy.run_path({str(base / 'functions.py')!r}); nlp = spacy.blank('en'); "
    write += "nlp.meta.update(name='y', version='0.0.0'); nlp.add_pipe('shouting_part'); "
    write = write.replace("runpy.run_path", "(lambda p: exec(compile(open(p).read(), p, 'exec'), {'__file__': p}))")
    subprocess.run([sys.executable, "-c", write + f"nlp.to_disk({str(base / 'src')!r})"], check=True, timeout=600)
    return _package(base / "src", base / "out", "--build", "wheel,sdist", "--code", str(base / "functions.py"))


@pytest.fixture
def workers() -> Iterator[WorkerPlacement]:
    workers = WorkerPlacement("auto", 120)
    yield workers
    workers.kill()


def found(folder: Path) -> Any:
    choice = registry.choose(ModelDir.of(folder))
    assert choice.adapter is SpacyAdapter
    return choice


def test_a_package_is_found_from_any_of_its_folders(plain: Path) -> None:
    for folder in (plain, plain / "en_x", plain / "en_x" / "en_x-0.0.0", plain.parent):
        choice = found(folder)
        assert (choice.match.trust, choice.match.problem) == (Trust.SAFE, "")
        adapter = SpacyAdapter.load(ModelDir.of(folder), choice.match.file, {})
        assert predict(adapter, TEXTS) == {"entities": WANTED}


def test_the_contents_of_a_wheel_are_a_package(plain: Path, tmp_path: Path) -> None:
    shutil.copytree(plain / "en_x", tmp_path / "en_x")
    (tmp_path / "en_x-0.0.0.dist-info").mkdir()
    (tmp_path / "en_x-0.0.0.dist-info" / "RECORD").write_text("")
    adapter = SpacyAdapter.load(ModelDir.of(tmp_path), found(tmp_path).match.file, {})
    assert predict(adapter, TEXTS) == {"entities": WANTED}


def _copied(coded: Path, kind: str, folder: Path) -> Path:
    folder.mkdir()
    if kind == "folder":
        shutil.copytree(coded / "en_y", folder / "en_y")
    else:
        (built,) = (coded / "dist").glob(kind)
        shutil.copy(built, folder)
    return folder


@pytest.mark.parametrize("kind", ["folder", "*.whl", "*.tar.gz"])
def test_code_of_a_package_runs_in_a_worker_alone(
    kind: str, coded: Path, tmp_path: Path, workers: WorkerPlacement
) -> None:
    folder = _copied(coded, kind, tmp_path / "y")
    choice = found(folder)
    assert choice.match.trust is Trust.CODE
    assert "functions.py, code that came with the pipeline" in choice.match.carries
    with pytest.raises(LoadError, match=r"functions\.py, code that came with the pipeline.*--trust=code"):
        trust.check(choice, Trust.PICKLE)
    assert not list(tmp_path.rglob("ran"))
    assert workers.wants(choice, ModelConfig())
    adapter, _ = workers.load(ModelDir.of(folder), choice, {}, ModelConfig())
    assert adapter.predict({"text": spacy_texts()}, {})["entities"].tolist() == WANTED
    assert not list(folder.rglob("__pycache__"))
    adapter.close()


def spacy_texts() -> Any:
    import numpy as np

    return np.array(TEXTS, dtype=np.object_)


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("", False),
        ('"""Doc."""\n__version__ = "1"\n', False),
        ("import os\n", False),
        ("syntax error here", False),
        ("from . import functions\n", True),
        ("from .functions import *\n", True),
        ("import spacy\n@spacy.registry.misc('x')\ndef f():\n    pass\n", True),
        ("from spacy.language import Language\nLanguage.component('x', func=print)\n", True),
        ("from spacy.tokens import Doc\nDoc.set_extension('x', default=1)\n", True),
    ],
)
def test_an_init_counts_as_code_where_it_registers_something(text: str, own: bool, plain: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(plain / "en_x", tmp_path / "en_x"))
    assert package.find(ModelDir.of(folder)).code == ""
    (folder / "__init__.py").write_text(text)
    assert bool(package.find(ModelDir.of(folder)).code) is own


def test_a_wheel_that_climbs_out_is_refused(plain: Path, tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "en_x-0.0.0-py3-none-any.whl", "w") as archive:
        for path in (plain / "en_x").rglob("*"):
            if path.is_file():
                archive.write(path, path.relative_to(plain).as_posix())
        archive.writestr("../evil.py", "")
    with pytest.raises(LoadError, match="leads out of the archive"):
        found(tmp_path)


def test_a_damaged_description_in_a_package_is_told(plain: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(plain, tmp_path / "x"))
    (folder / "en_x" / "en_x-0.0.0" / "meta.json").write_text(json.dumps({"lang": "en"}))
    with pytest.raises(LoadError, match="does not describe a pipeline: lang or pipeline is missing"):
        found(folder)
