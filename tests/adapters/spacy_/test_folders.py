"""Which folders are spaCy's, what is wrong with damaged ones, and that nothing in a folder runs."""

from __future__ import annotations

import gc
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import srsly

from adapters.base import LoadError, Match, ModelDir, Rank
from adapters.spacy_ import SpacyAdapter
from adapters.spacy_.adapter import HOLDS
from tests.adapters.spacy_ import pipelines
from tests.adapters.spacy_.pipelines import load, match, predict, save


@pytest.fixture
def broken(trained: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(trained, tmp_path / "pipeline"))


def test_other_folders_are_not_claimed(tmp_path: Path) -> None:
    assert match(tmp_path) is None
    (tmp_path / "meta.json").write_text('{"lang": "en"}')
    assert match(tmp_path) is None
    (tmp_path / "config.cfg").write_text("[server]\nport = 1\n")
    assert match(tmp_path) is None
    (tmp_path / "meta.json").write_text("[" * 100_000)
    assert match(tmp_path) is None


def test_a_packaged_pipeline_is_found_one_level_down(trained: Path, tmp_path: Path) -> None:
    package = tmp_path / "en_news"
    shutil.copytree(trained, package / "en_news-1.0.0")
    assert match(package) == Match(Rank.BUNDLE, "en_news-1.0.0", carries=HOLDS)
    mark = tmp_path / "executed"
    (package / "__init__.py").write_text(f"open({str(mark)!r}, 'w')")
    shutil.copy(trained / "meta.json", package)
    assert match(package) == Match(Rank.BUNDLE, "en_news-1.0.0", carries=HOLDS)
    assert predict(load(package), ["Apple is good"])["entities"][0][0]["label"] == "ORG"
    assert not mark.exists()
    (package / "model.bin").write_bytes(b"something else")
    assert match(package).problem  # type: ignore[union-attr]


def test_a_version_folder_is_not_a_packaged_pipeline(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "1")
    assert match(tmp_path) is None


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: (path / "config.cfg").unlink(), "config.cfg is missing"),
        (lambda path: (path / "meta.json").unlink(), "meta.json is missing"),
        (lambda path: (path / "meta.json").write_text('{"lang": "en", "pipe'), "meta.json is damaged: Unterminated"),
        (lambda path: (path / "meta.json").write_text("[" * 100_000), "meta.json is damaged"),
        (lambda path: (path / "meta.json").write_text("[]"), "meta.json is not a JSON object"),
        (lambda path: (path / "meta.json").write_text('{"lang": "en"}'), "lang or pipeline is missing"),
        (lambda path: (path / "config.cfg").write_text(""), "config.cfg is missing"),
    ],
)
def test_half_a_pipeline_is_claimed_with_its_problem(broken: Path, damage: Any, reason: str) -> None:
    damage(broken)
    claim = match(broken)
    assert claim
    assert reason in claim.problem


def test_a_pipeline_of_spacy_2_is_told(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text(json.dumps({"lang": "en", "pipeline": ["ner"], "spacy_version": ">=2.3.0"}))
    assert "made by spaCy 2 (>=2.3.0)" in match(tmp_path).problem  # type: ignore[union-attr]


# Damage, and configs that reach beyond the folder


@pytest.mark.parametrize(
    "name", ["ner/model", "ner/cfg", "ner/moves", "tagger/model", "tokenizer", "vocab/strings.json"]
)
@pytest.mark.parametrize("how", ["cut", "gone"])
def test_a_damaged_part_is_a_reason(broken: Path, name: str, how: str) -> None:
    content = (broken / name).read_bytes()
    (broken / name).unlink()
    if how == "cut":
        (broken / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(LoadError, match="spaCy cannot load the pipeline") as error:
        load(broken)
    assert str(broken) not in str(error.value)
    assert gc.isenabled()


@pytest.mark.parametrize("component", ["tagger", "textcat"])
def test_lost_labels_are_noticed(broken: Path, component: str) -> None:
    (broken / component / "cfg").unlink()
    with pytest.raises(LoadError, match=f"component '{component}' lost its 2 labels: {component}/cfg is missing"):
        load(broken)


@pytest.mark.parametrize("name", ["vocab", "vocab/vectors", "vocab/key2row"])
def test_lost_vectors_are_noticed(tmp_path: Path, name: str) -> None:
    save(pipelines.with_vectors(), tmp_path)
    lost = tmp_path / name
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    with pytest.raises(LoadError, match="word vectors are missing"):
        load(tmp_path)


def test_the_version_is_named_when_the_load_fails(broken: Path) -> None:
    meta = json.loads((broken / "meta.json").read_text())
    (broken / "meta.json").write_text(json.dumps(meta | {"spacy_version": ">=3.0.0,<3.1.0"}))
    with pytest.warns(UserWarning, match="W095"):
        assert load(broken)  # it loads all the same
    (broken / "ner" / "moves").unlink()
    made_for = r"made for spaCy >=3.0.0,<3.1.0, and this is 3\.8"
    with pytest.warns(UserWarning, match="W095"), pytest.raises(LoadError, match=made_for):
        load(broken)


FACTORY, NET, HUB = 'factory = "ner"', "spacy.HashEmbedCNN.v2", "can fetch weights and code from a hub"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (FACTORY, 'factory = "evil"', "evil"),
        (FACTORY, 'source = "en_core_web_sm"', r"\[components.ner\] takes its component from another pipeline"),
        (FACTORY, 'factory = "transformer"', f"'transformer' .*{HUB}"),
        (FACTORY, 'factory = "llm_ner"', "'llm_ner' calls a language model over the network"),
        ("before_creation = null", 'before_creation = {"@callbacks":"evil.v1"}', "evil.v1"),
        ("after_creation = null", 'after_creation = {"@callbacks":"spacy.copy_from_base_model.v1"}', "loads another"),
        ("batch_size = 1000", 'batch_size = {"@readers":"srsly.read_json.v1","path":"x"}', "'srsly.read_json.v1'"),
        (NET, "evil.Model.v1", "evil.Model.v1"),
        (NET, "spacy-transformers.TransformerModel.v3", HUB),
        (NET, "${nlp.hidden}", "names architectures 'spacy-transformers.TransformerModel.v3'"),
        ("[components.ner", "[components./ner", "the name of its folder, without slashes"),
        ('lang = "xx"', 'lang = "../evil"', "cannot load"),
        ("[nlp]", "[nlp", "cannot load"),
    ],
)
def test_a_config_cannot_reach_beyond_its_folder(broken: Path, old: str, new: str, reason: str) -> None:
    mark = broken / "executed"
    (broken / "evil.py").write_text(f"open({str(mark)!r}, 'w')")
    config = (broken / "config.cfg").read_text()
    assert old in config
    config = config.replace(old, new)
    hidden = 'hidden = "spacy-transformers.TransformerModel.v3"\n'
    (broken / "config.cfg").write_text(config.replace("[nlp]\n", f"[nlp]\n{hidden}") if "hidden" in new else config)
    with pytest.raises(LoadError, match=reason):
        SpacyAdapter.load(ModelDir.of(broken), "", {})
    assert not mark.exists()


class Mark:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


def test_a_pickle_among_the_vectors_is_not_loaded(tmp_path: Path) -> None:
    save(pipelines.with_vectors(), tmp_path / "pipeline")
    np.save(tmp_path / "vectors.npy", np.array([Mark(tmp_path / "executed")], np.object_), allow_pickle=True)
    (tmp_path / "vectors.npy").rename(tmp_path / "pipeline" / "vocab" / "vectors")
    with pytest.raises(LoadError, match="allow_pickle=False"):
        load(tmp_path / "pipeline")
    assert not (tmp_path / "executed").exists()


def test_a_pickle_in_a_torch_layer_is_not_loaded(tmp_path: Path) -> None:
    save(pipelines.with_torch(), tmp_path / "pipeline")
    assert predict(load(tmp_path / "pipeline"), ["dogs chase"])["tokens"]
    model = tmp_path / "pipeline" / "tagger" / "model"
    content = srsly.read_msgpack(model)
    (shim,) = [shim for shims in content["shims"] for shim in shims]
    hostile = srsly.msgpack_loads(shim) | {"state": pickle.dumps(Mark(tmp_path / "executed"), protocol=2)}
    content["shims"] = [[srsly.msgpack_dumps(hostile)] if shims else [] for shims in content["shims"]]
    srsly.write_msgpack(model, content)
    with pytest.raises(LoadError, match="Weights only load failed"):
        load(tmp_path / "pipeline")
    assert not (tmp_path / "executed").exists()


def test_links_out_of_the_mount_are_not_followed(trained: Path, tmp_path: Path) -> None:
    copy = tmp_path / "mount" / "pipeline"
    shutil.copytree(trained, copy)
    shutil.rmtree(copy / "ner")
    (copy / "ner").symlink_to(trained / "ner")
    inside = SpacyAdapter.load(ModelDir.of(copy, trained.parent.parent), "", {})
    assert predict(inside, ["Apple"])["entities"][0]
    with pytest.raises(LoadError, match="ner leads out of the models directory"):
        SpacyAdapter.load(ModelDir.of(copy, tmp_path / "mount"), "", {})
