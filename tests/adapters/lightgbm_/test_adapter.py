"""LightGBM boosters: every kind, under every ending, bit for bit; damaged files get a reason, not a crash."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

from adapters.base import LoadError, ModelDir, Rank
from adapters.lightgbm_.adapter import LightGBMAdapter
from adapters.xgboost_.adapter import XGBoostAdapter
from tests.adapters.boosters import (
    check_pickles_are_not_executed,
    check_threads,
    claimed,
    damage,
    frame_with_gaps,
    outcomes,
    problem,
    same,
)

lightgbm = pytest.importorskip("lightgbm")

ENDINGS = (".txt", ".bst", ".bin", ".model")
IRIS, IRIS_Y = load_iris(return_X_y=True)
CANCER, CANCER_Y = load_breast_cancer(return_X_y=True)
SUGAR, SUGAR_Y = load_diabetes(return_X_y=True)


def _train(x: Any, y: Any, rounds: int = 8, data: dict[str, Any] | None = None, **parameters: Any) -> Any:
    settings = {"num_threads": 1, "verbose": -1, "num_leaves": 7, **parameters}
    return lightgbm.train(settings, lightgbm.Dataset(x, y, **(data or {})), rounds)


_BAGGING = {"bagging_freq": 1, "bagging_fraction": 0.5}
KINDS: dict[str, tuple[Callable[[], Any], Any]] = {
    "regression": (lambda: _train(SUGAR, SUGAR_Y), SUGAR),
    "binary": (lambda: _train(CANCER, CANCER_Y, objective="binary"), CANCER),
    "multiclass": (lambda: _train(IRIS, IRIS_Y, objective="multiclass", num_class=3), IRIS),
    "one_vs_all": (lambda: _train(IRIS, IRIS_Y, objective="multiclassova", num_class=3), IRIS),
    "rank": (lambda: _train(IRIS[::-1], IRIS_Y[::-1], data={"group": [30] * 5}, objective="lambdarank"), IRIS),
    "dart": (lambda: _train(SUGAR, SUGAR_Y, boosting="dart"), SUGAR),
    "forest": (lambda: _train(SUGAR, SUGAR_Y, boosting="rf", **_BAGGING), SUGAR),
    "linear": (lambda: _train(SUGAR, SUGAR_Y, linear_tree=True), SUGAR),
    "zero_is_missing": (lambda: _train(SUGAR.round(1), SUGAR_Y, zero_as_missing=True), SUGAR.round(1)),
    "stump": (lambda: _train(SUGAR, SUGAR_Y, 1, min_data_in_leaf=1000), SUGAR),
    "untrained": (lambda: lightgbm.Booster({"verbose": -1}, lightgbm.Dataset(SUGAR, SUGAR_Y)), SUGAR),
}


@pytest.fixture(scope="module")
def boosters() -> dict[str, Any]:
    return {kind: train() for kind, (train, _) in KINDS.items()}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    frame = frame_with_gaps(400)
    frame.insert(3, "rate", pd.Categorical(np.random.default_rng(1).choice([0.5, 0.1], 400)))
    return frame


@pytest.fixture(scope="module")
def target(frame: pd.DataFrame) -> Any:
    return (frame.city == "Rome") * 2.0 + (frame.zone == 7) + (frame.rate == 0.1) * 3 + frame.visits / 9


@pytest.fixture(scope="module")
def categorical(frame: pd.DataFrame, target: Any) -> Any:
    return _train(frame, target, 12)


def _load(path: Path, **options: Any) -> LightGBMAdapter:
    return claimed(LightGBMAdapter, XGBoostAdapter, path, **options)


def _served(booster: Any, path: Path, **options: Any) -> LightGBMAdapter:
    booster.save_model(path / "model.txt")
    return _load(path, **options)


def _direct(path: Path) -> Any:
    return lightgbm.Booster(model_file=str(path / "model.txt"))


def _problem(path: Path) -> str:
    return problem(LightGBMAdapter, path)


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_the_boosters_own_to_the_bit(kind: str, boosters: dict[str, Any], tmp_path: Path) -> None:
    rows = KINDS[kind][1].copy()
    rows[::5, 1] = np.nan
    rows[3] = np.nan
    rows[0, 0], rows[1, 0] = np.inf, -np.inf  # LightGBM takes them for very large numbers
    adapter = _served(boosters[kind], tmp_path)
    direct = _direct(tmp_path)
    wanted = {"predict": direct.predict(rows), "margin": direct.predict(rows, raw_score=True)}
    if kind != "untrained":
        wanted["leaf"] = direct.predict(rows, pred_leaf=True)
    for method, want in wanted.items():
        assert same(adapter.predict({"input-0": rows}, {"method": method})["output-0"], want)
        assert same(adapter.predict({"input-0": rows[:1]}, {"method": method})["output-0"], want[:1])
    assert same(adapter.predict({"input-0": rows}, {})["output-0"], wanted["predict"])
    assert adapter.signature.outputs[0].shape == (-1, *wanted["predict"].shape[1:])


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_bytes_decide_whatever_the_ending(ending: str, boosters: dict[str, Any], tmp_path: Path) -> None:
    boosters["multiclass"].save_model(tmp_path / f"m{ending}")
    got = _load(tmp_path).predict({"input-0": IRIS}, {})["output-0"]
    assert same(got, boosters["multiclass"].predict(IRIS))


def test_windows_line_ends(boosters: dict[str, Any], categorical: Any, frame: pd.DataFrame, tmp_path: Path) -> None:
    """LightGBM itself ends the process on these."""
    (tmp_path / "model.txt").write_bytes(categorical.model_to_string().replace("\n", "\r\n").encode())
    assert same(_load(tmp_path).predict(_tensors(frame), {})["output-0"], categorical.predict(frame))


def test_early_stopping_saves_the_best_iteration(tmp_path: Path) -> None:
    data = lightgbm.Dataset(SUGAR[:300], SUGAR_Y[:300])
    booster = lightgbm.train(
        {"num_threads": 1, "verbose": -1, "learning_rate": 1.0},
        data,
        50,
        valid_sets=[lightgbm.Dataset(SUGAR[300:], SUGAR_Y[300:], reference=data)],
        callbacks=[lightgbm.early_stopping(3, verbose=False)],
    )
    assert booster.best_iteration < 50
    got = _served(booster, tmp_path).predict({"input-0": SUGAR}, {})["output-0"]
    assert same(got, booster.predict(SUGAR))


def test_signature_without_names(boosters: dict[str, Any], tmp_path: Path) -> None:
    adapter = _served(boosters["multiclass"], tmp_path)
    (rows,) = adapter.signature.inputs
    assert (rows.name, rows.datatype, rows.shape, rows.nullable) == ("input-0", "FP64", (-1, 4), True)
    assert adapter.signature.any_name
    assert adapter.signature.columns == ()
    assert (adapter.signature.outputs[0].datatype, adapter.signature.outputs[0].shape) == ("FP64", (-1, 3))
    assert adapter.predict(adapter.example(), {})["output-0"].shape == (2, 3)


def test_feature_names_become_columns(tmp_path: Path) -> None:
    frame = load_iris(as_frame=True).data.rename(columns=lambda name: name.removesuffix(" (cm)").replace(" ", "_"))
    booster = _train(frame, IRIS_Y)
    adapter = _served(booster, tmp_path)
    assert adapter.signature.columns == tuple(frame.columns)
    assert same(adapter.predict({"input-0": frame.to_numpy()}, {})["output-0"], booster.predict(frame))


def _tensors(frame: pd.DataFrame) -> dict[str, Any]:
    city = np.array([None if pd.isna(value) else value for value in frame.city], dtype=object)
    return {"city": city} | {name: frame[name].astype(np.float64).to_numpy() for name in frame if name != "city"}


def test_categories_by_name(frame: pd.DataFrame, categorical: Any, tmp_path: Path) -> None:
    adapter = _served(categorical, tmp_path)
    specs = {spec.name: (spec.datatype, spec.shape, spec.nullable) for spec in adapter.signature.inputs}
    assert list(specs) == list(frame.columns)
    assert specs.pop("city") == ("BYTES", (-1,), True)
    assert set(specs.values()) == {("FP64", (-1,), True)}
    assert adapter.signature.table
    assert same(adapter.predict(_tensors(frame), {})["output-0"], categorical.predict(frame))
    own = categorical.predict(frame, pred_contrib=True)
    assert same(adapter.explain(_tensors(frame), {})["contributions"], own[:, :-1])
    assert adapter.example()["city"].tolist() == ["Rome", "Rome"]
    assert adapter.predict(adapter.example(), {"method": "leaf"})["output-0"].shape == (2, 12)


def test_an_unseen_category_is_missing_as_in_a_frame(frame: pd.DataFrame, categorical: Any, tmp_path: Path) -> None:
    other = frame.head(40).copy()
    other["city"] = pd.Categorical(["Paris", "Rome", None, "Oslo"] * 10)
    other["zone"] = pd.Categorical([3.0, 99.0, 7.0, 11.0] * 10)
    got = _served(categorical, tmp_path).predict(_tensors(other), {})["output-0"]
    assert same(got, categorical.predict(other))


def test_categories_whose_columns_the_file_does_not_tell(frame: pd.DataFrame, target: Any, tmp_path: Path) -> None:
    """LightGBM trains ordered categories as numbers, and then does not say which column they belong to."""
    ordered = frame.assign(city=frame.city.cat.as_ordered())
    booster = _train(ordered, target)
    with pytest.raises(LoadError, match=r"categories of 3 columns, but not whose they are.*categorical_columns: 'a,b'"):
        _served(booster, tmp_path)
    with pytest.raises(LoadError, match="has no column 'town'"):
        _load(tmp_path, categorical_columns="town,zone,rate")
    adapter = _load(tmp_path, categorical_columns="city, zone,rate")
    assert same(adapter.predict(_tensors(ordered), {})["output-0"], booster.predict(ordered))


def test_categories_are_not_given_to_columns_of_larger_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    size = pd.Categorical(rng.choice(list("SML"), 300), categories=list("SML"), ordered=True)
    frame = pd.DataFrame({"size": size, "zip": rng.integers(10, 40, 300)})
    booster = _train(frame, frame.zip % 7, data={"categorical_feature": ["zip"]})
    with pytest.raises(LoadError, match="not whose they are"):
        _served(booster, tmp_path)
    adapter = _load(tmp_path, categorical_columns="size")
    rows = {"size": frame["size"].to_numpy(dtype=object), "zip": frame.zip.to_numpy(np.float64)}
    assert same(adapter.predict(rows, {})["output-0"], booster.predict(frame))


def test_categories_from_the_command_line_are_codes(categorical: Any, tmp_path: Path) -> None:
    """Without Python's last line the trees know codes only."""
    text = categorical.model_to_string().partition("\npandas_categorical:")[0]
    (tmp_path / "model.txt").write_text(text)
    adapter = _load(tmp_path)
    assert not adapter.signature.table
    rows = np.array([[40.0, 2, 1, 0, 3], [20.0, np.nan, 0, 1, 3]])
    assert same(adapter.predict({"input-0": rows}, {})["output-0"], categorical.predict(rows))


def test_threads_get_their_own_answers(boosters: dict[str, Any], tmp_path: Path) -> None:
    adapter = _served(boosters["multiclass"], tmp_path)
    want = boosters["multiclass"].predict(IRIS)
    check_threads(adapter, IRIS, want)


def test_method_as_an_option(boosters: dict[str, Any], tmp_path: Path) -> None:
    adapter = _served(boosters["binary"], tmp_path, method="leaf")
    assert (adapter.signature.outputs[0].datatype, adapter.signature.outputs[0].shape) == ("INT32", (-1, 8))
    assert same(
        adapter.predict({"input-0": CANCER}, {"method": "predict"})["output-0"], _direct(tmp_path).predict(CANCER)
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", b"tree\nof life\n"),
        ("notes.txt", b""),
        ("requirements.txt", b"lightgbm\n"),
        ("pytorch_model.bin", b"PK\x03\x04"),
        ("model.bin", b""),
        ("model.bst", b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner{"),
        ("model.model", b'{"learner":{"attributes":{}'),
        ("model.json", b'{"learner":{"attributes":{}'),
        ("model.model", b"CBM1\x00\x00"),
    ],
)
def test_other_files_are_not_claimed(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert LightGBMAdapter.match(ModelDir.of(tmp_path)) is None


def test_files_of_lightgbm_that_are_no_models(boosters: dict[str, Any], tmp_path: Path) -> None:
    dump, data = tmp_path / "dump", tmp_path / "data"
    dump.mkdir()
    data.mkdir()
    (dump / "m.json").write_text(json.dumps(boosters["binary"].dump_model()))
    lightgbm.Dataset(IRIS, IRIS_Y, params={"verbose": -1}).construct().save_binary(data / "m.bin")
    assert "JSON dump, which LightGBM itself cannot load" in _problem(dump)
    assert "is a LightGBM data set, not a model" in _problem(data)
    boosters["binary"].save_model(dump / "model.txt")
    assert _load(dump).signature.inputs[0].shape == (-1, 30)


@pytest.mark.parametrize(("content", "reason"), [(b"", "is empty"), (b"\x00garbage", "neither an XGBoost nor a Light")])
@pytest.mark.parametrize("name", ["m.bst", "m.model"])
def test_bytes_that_nobody_knows(name: str, content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    match = LightGBMAdapter.match(ModelDir.of(tmp_path))
    assert match is not None
    assert match.rank is Rank.SUFFIX
    assert reason in match.problem


def test_two_candidates(boosters: dict[str, Any], tmp_path: Path) -> None:
    for name in ("a.bst", "b.txt"):
        boosters["binary"].save_model(tmp_path / name)
    assert _problem(tmp_path) == "two candidate models: a.bst and b.txt; keep one"


def test_a_pickle_under_our_ending_is_not_executed(tmp_path: Path) -> None:
    check_pickles_are_not_executed(LightGBMAdapter, ENDINGS, tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("\nend of trees\n", "\nend of tree\n", "no line 'end of trees'"),
        ("\nend of parameters\n", "\nend of paramete", "no line 'end of parameters'"),
        ("]]\n", "]", "cut off or damaged in pandas_categorical"),
        ("pandas_categorical:[", "pandas_cate[", "cut off or damaged behind 'end of parameters'"),
        ("Tree=3\n", "Tree=03\n", "the trees are not of the sizes that tree_sizes says"),
        ("\nleft_child=", "\nleft_chill=", "tree 0: left_child is missing"),
        ("\nleft_child=1", "\nleft_child=0", "tree 0: its nodes do not form a tree"),
        ("max_feature_idx=4", "max_feature_idx=3", "feature_names holds 5 values instead of 4"),
        ("num_class=1", "num_class=0", "numbers of classes disagree"),
        ("[num_iterations: 12]", "[num_iterations  12]", "damaged in its parameters"),
    ],
)
def test_the_reason_says_what_is_wrong(old: str, new: str, reason: str, categorical: Any, tmp_path: Path) -> None:
    text = categorical.model_to_string()
    assert old in text
    (tmp_path / "model.txt").write_text(text.replace(old, new, 1))
    with pytest.raises(LoadError, match=reason):
        _load(tmp_path)


@pytest.mark.slow
def test_damaged_files_get_a_reason_not_a_crash(boosters: dict[str, Any], categorical: Any, tmp_path: Path) -> None:
    rng = random.Random(7)
    wholes = {kind: boosters[kind] for kind in ("multiclass", "forest", "linear", "stump")}
    for kind, booster in {**wholes, "categorical": categorical}.items():
        data = booster.model_to_string().encode()
        complete = data.index(b"end of parameters\n") + len(b"end of parameters\n")
        damage(tmp_path, kind, data, 25, rng, complete)
    found = outcomes(tmp_path, LightGBMAdapter, "lightgbm")
    assert len(found) == 250
    assert {outcome for name, outcome in found.items() if name.startswith("cut")} == {"refused"}
    assert set(found.values()) <= {"served", "refused"}


def test_a_library_that_the_system_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its wheels bring no OpenMP."""
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "lightgbm.py").write_text(
        "raise OSError('libgomp.so.1: cannot open shared object file: No such file or directory')"
    )
    (folder / "model.txt").write_text("tree\nversion=v4\n")
    monkeypatch.delitem(sys.modules, "lightgbm")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        LoadError, match=r"^LightGBM cannot be imported: libgomp.* \(on Debian: apt-get install libgomp1\)$"
    ):
        LightGBMAdapter.load(ModelDir.of(folder), "model.txt", {})
