"""XGBoost boosters: every kind, under every ending, bit for bit; damaged files get a reason, not a crash."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

from adapters import registry
from adapters.base import InvalidInput, LoadError, ModelDir, Rank
from adapters.lightgbm_.adapter import LightGBMAdapter
from adapters.xgboost_ import format as model_format
from adapters.xgboost_.adapter import XGBoostAdapter
from server.codec import v1
from server.errors import InvalidInput as Refused
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

xgboost = pytest.importorskip("xgboost")

ENDINGS = (".bst", ".json", ".ubj", ".model")
IRIS, IRIS_Y = load_iris(return_X_y=True)
CANCER, CANCER_Y = load_breast_cancer(return_X_y=True)
SUGAR, SUGAR_Y = load_diabetes(return_X_y=True)


def _train(x: Any, y: Any, rounds: int = 8, matrix: dict[str, Any] | None = None, **parameters: Any) -> Any:
    data = xgboost.DMatrix(x, y, **(matrix or {}))
    return xgboost.train({"nthread": 1, "max_depth": 3, "verbosity": 0, **parameters}, data, rounds)


KINDS: dict[str, tuple[Callable[[], Any], Any]] = {
    "regression": (lambda: _train(SUGAR, SUGAR_Y), SUGAR),
    "binary": (lambda: _train(CANCER, CANCER_Y, objective="binary:logistic"), CANCER),
    "softprob": (lambda: _train(IRIS, IRIS_Y, objective="multi:softprob", num_class=3), IRIS),
    "softmax": (lambda: _train(IRIS, IRIS_Y, objective="multi:softmax", num_class=3), IRIS),
    "rank": (lambda: _train(IRIS, IRIS_Y, matrix={"group": [50, 60, 40]}, objective="rank:ndcg"), IRIS),
    "cox": (lambda: _train(SUGAR, SUGAR_Y, objective="survival:cox"), SUGAR),
    "targets": (lambda: _train(SUGAR, np.c_[SUGAR_Y, -SUGAR_Y]), SUGAR),
    "vector_leaf": (lambda: _train(SUGAR, np.c_[SUGAR_Y, -SUGAR_Y], multi_strategy="multi_output_tree"), SUGAR),
    "quantiles": (lambda: _train(SUGAR, SUGAR_Y, objective="reg:quantileerror", quantile_alpha=[0.1, 0.9]), SUGAR),
    "dart": (lambda: _train(SUGAR, SUGAR_Y, booster="dart", rate_drop=0.4), SUGAR),
    "gblinear": (lambda: _train(IRIS, IRIS_Y, booster="gblinear", max_depth=None), IRIS),
    "forest": (lambda: _train(SUGAR, SUGAR_Y, 1, num_parallel_tree=6, subsample=0.5), SUGAR),
    "one_tree": (lambda: _train(SUGAR, SUGAR_Y, 1, gamma=1e4), SUGAR),
}


@pytest.fixture(scope="module")
def boosters() -> dict[str, Any]:
    return {kind: train() for kind, (train, _) in KINDS.items()}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return frame_with_gaps(300)


@pytest.fixture(scope="module")
def categorical(frame: pd.DataFrame) -> Any:
    y = (frame.city == "Rome") * 2.0 + (frame.zone == 7) + frame.visits / 9
    return _train(frame, y, 12, {"enable_categorical": True}, max_cat_to_onehot=1)


def _load(path: Path, **options: Any) -> XGBoostAdapter:
    return claimed(XGBoostAdapter, LightGBMAdapter, path, **options)


def _problem(path: Path) -> str:
    return problem(XGBoostAdapter, path)


def _served(booster: Any, path: Path, **options: Any) -> XGBoostAdapter:
    (path / "model.ubj").write_bytes(booster.save_raw("ubj"))
    return _load(path, **options)


def _with_gaps(rows: Any) -> Any:
    rows = rows.copy()
    rows[::5, 1] = np.nan
    rows[3] = np.nan
    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_the_boosters_own_to_the_bit(kind: str, boosters: dict[str, Any], tmp_path: Path) -> None:
    booster, rows = boosters[kind], _with_gaps(KINDS[kind][1])
    adapter = _served(booster, tmp_path)
    inputs = {"input-0": rows.astype(np.float32)}
    matrix = xgboost.DMatrix(rows)  # from float64
    wanted = {"predict": booster.predict(matrix), "margin": booster.predict(matrix, output_margin=True)}
    if kind != "gblinear":
        wanted["leaf"] = booster.predict(matrix, pred_leaf=True)
    for method, want in wanted.items():
        assert same(adapter.predict(inputs, {"method": method})["output-0"], want)
        one = adapter.predict({"input-0": inputs["input-0"][:1]}, {"method": method})["output-0"]
        assert same(one, want[:1])
    assert same(adapter.predict(inputs, {})["output-0"], wanted["predict"])
    assert adapter.signature.outputs[0].shape == (-1, *wanted["predict"].shape[1:])
    assert adapter.traits.thread_safe is (kind not in ("dart", "gblinear"))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("format_", ["ubj", "json"])
def test_the_bytes_decide_whatever_the_ending(
    ending: str, format_: str, boosters: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / f"m{ending}").write_bytes(boosters["softprob"].save_raw(format_))
    got = _load(tmp_path).predict({"input-0": IRIS.astype(np.float32)}, {})["output-0"]
    assert same(got, boosters["softprob"].predict(xgboost.DMatrix(IRIS)))


def test_all_trees_are_used_after_early_stopping(tmp_path: Path) -> None:
    train, valid = xgboost.DMatrix(SUGAR[:300], SUGAR_Y[:300]), xgboost.DMatrix(SUGAR[300:], SUGAR_Y[300:])
    booster = xgboost.train(
        {"nthread": 1, "eta": 1.0}, train, 50, evals=[(valid, "valid")], early_stopping_rounds=3, verbose_eval=False
    )
    assert booster.best_iteration < booster.num_boosted_rounds() - 1
    got = _served(booster, tmp_path).predict({"input-0": SUGAR.astype(np.float32)}, {})["output-0"]
    assert same(got, booster.predict(xgboost.DMatrix(SUGAR)))


def test_signature_without_names(boosters: dict[str, Any], tmp_path: Path) -> None:
    adapter = _served(boosters["softprob"], tmp_path)
    (rows,) = adapter.signature.inputs
    assert (rows.name, rows.datatype, rows.shape) == ("input-0", "FP32", (-1, 4))
    assert rows.nullable
    assert rows.finite
    assert adapter.signature.any_name
    assert adapter.signature.columns == ()
    assert adapter.signature.outputs[0].shape == (-1, 3)
    assert adapter.example()["input-0"].shape == (2, 4)
    assert adapter.predict(adapter.example(), {})["output-0"].shape == (2, 3)


def test_feature_names_become_columns(tmp_path: Path) -> None:
    frame = load_iris(as_frame=True).data
    booster = _train(frame, IRIS_Y)
    adapter = _served(booster, tmp_path)
    assert adapter.signature.columns == tuple(frame.columns)
    got = adapter.predict({"input-0": frame.to_numpy(np.float32)}, {})["output-0"]
    assert same(got, booster.predict(xgboost.DMatrix(frame)))


@pytest.mark.parametrize("format_", ["ubj", "json"])
def test_categories_by_name(format_: str, frame: pd.DataFrame, categorical: Any, tmp_path: Path) -> None:
    (tmp_path / "model.bst").write_bytes(categorical.save_raw(format_))
    adapter = _load(tmp_path)
    specs = {spec.name: (spec.datatype, spec.shape, spec.nullable) for spec in adapter.signature.inputs}
    numbers = dict.fromkeys(("age", "visits"), ("FP32", (-1,), True))
    assert specs == {"city": ("BYTES", (-1,), True), "zone": ("FP64", (-1,), True), **numbers}
    assert list(specs) == list(frame.columns)
    assert adapter.signature.table
    got = adapter.predict(_tensors(frame), {})["output-0"]
    assert same(got, categorical.predict(xgboost.DMatrix(frame, enable_categorical=True)))
    own = categorical.predict(xgboost.DMatrix(frame, enable_categorical=True), pred_contribs=True)
    assert same(adapter.explain(_tensors(frame), {})["contributions"], own[:, :-1])
    example = adapter.example()
    assert example["city"].tolist() == ["Rome", "Rome"]
    assert adapter.predict(example, {"method": "leaf"})["output-0"].shape == (2, 12)


def _tensors(frame: pd.DataFrame) -> dict[str, Any]:
    city = np.array([None if pd.isna(value) else value for value in frame.city], dtype=object)
    numbers = {name: frame[name].to_numpy(np.float32) for name in ("age", "visits")}
    return {"city": city, "zone": frame.zone.astype(np.float64).to_numpy(), **numbers}


def test_an_unseen_category_is_the_clients_error(frame: pd.DataFrame, categorical: Any, tmp_path: Path) -> None:
    adapter = _served(categorical, tmp_path)
    rows = _tensors(frame.head(2))
    # XGBoost itself takes "Paris" for "Rome": its search does not compare what it finds
    with pytest.raises(InvalidInput, match=r"city: 'Paris' is not one of its categories; known: 'Rome', 'Oslo'"):
        adapter.predict({**rows, "city": np.array(["Rome", "Paris"], dtype=object)}, {})
    with pytest.raises(InvalidInput, match=r"zone: 8 is not one of its categories; known: 3, 7, 11"):
        adapter.predict({**rows, "zone": np.array([3.0, 8.0])}, {})


def test_categories_without_names_take_codes(tmp_path: Path) -> None:
    x = np.c_[np.arange(90) % 3, np.linspace(0, 1, 90)]
    booster = _train(x, x[:, 0] == 1, matrix={"feature_types": ["c", "float"], "enable_categorical": True})
    adapter = _served(booster, tmp_path)
    assert not adapter.signature.table
    got = adapter.predict({"input-0": x.astype(np.float32)}, {})["output-0"]
    want = booster.predict(xgboost.DMatrix(x, feature_types=["c", "float"], enable_categorical=True))
    assert same(got, want)
    assert adapter.signature.inputs[0].note.startswith("column 0 holds categories, but the file holds no names of them")


def test_a_file_without_the_names_of_categories_says_what_to_send(
    frame: pd.DataFrame, categorical: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As XGBoost before 3.1 wrote it: the trees have categories, by their codes alone."""
    document = json.loads(categorical.save_raw("json"))
    for holder in (document["learner"]["gradient_booster"]["model"], document["learner"]["gradient_booster"]):
        holder.pop("cats", None)
    document["version"] = [3, 0, 0]
    (tmp_path / "model.json").write_text(json.dumps(document))
    directory = ModelDir.of(tmp_path)
    adapter = XGBoostAdapter.load(directory, "model.json", {})
    told = "hold categories, but the file holds no names of them: send their codes, in the order that pandas had them"
    assert told in caplog.text
    (spec,) = adapter.signature.inputs
    assert f"columns 'city', 'zone' {told}, or save the model with XGBoost 3.1 or later" == spec.note
    with pytest.raises(Refused, match=r"\.city\[0\] is the string 'Rome', the model takes FP32; columns 'city'"):
        v1.decode({"instances": json.loads(frame.head(2).to_json(orient="records"))}, adapter.signature)


def test_threads_get_their_own_answers(boosters: dict[str, Any], tmp_path: Path) -> None:
    adapter = _served(boosters["softprob"], tmp_path)
    want = boosters["softprob"].predict(xgboost.DMatrix(IRIS))
    check_threads(adapter, IRIS.astype(np.float32), want)


def test_method_as_an_option(boosters: dict[str, Any], tmp_path: Path) -> None:
    adapter = _served(boosters["binary"], tmp_path, method="margin")
    rows = {"input-0": CANCER.astype(np.float32)}
    matrix = xgboost.DMatrix(CANCER)
    assert same(adapter.predict(rows, {})["output-0"], boosters["binary"].predict(matrix, output_margin=True))
    assert same(adapter.predict(rows, {"method": "predict"})["output-0"], boosters["binary"].predict(matrix))


def test_gblinear_has_no_leaves(boosters: dict[str, Any], tmp_path: Path) -> None:
    assert "leaf" not in _served(boosters["gblinear"], tmp_path).signature.parameters[0].choices
    with pytest.raises(LoadError, match="no method 'leaf': use predict or margin"):
        _load(tmp_path, method="leaf")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", b'{"model_type": "bert"}'),
        ("model.json", b'{"name": "tree", "version": "v4"}'),
        ("model.json", b"[1, 2]"),
        ("model.json", b""),
        ("model.bst", b"tree\nversion=v4\nnum_class=1\n"),
        ("model.model", b"tree\r\nversion=v4\r\n"),
        ("model.model", b"CBM1\x00\x00"),
    ],
)
def test_other_files_are_not_claimed(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert XGBoostAdapter.match(ModelDir.of(tmp_path)) is None


def test_a_saved_configuration_is_no_model(boosters: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(boosters["binary"].save_config())
    assert XGBoostAdapter.match(ModelDir.of(tmp_path)) is None
    assert _served(boosters["binary"], tmp_path).signature.inputs[0].shape == (-1, 30)


def test_the_removed_binary_format_gets_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "old.model").write_bytes(b"binf\x00\x00\x00\x3f" + bytes(200))
    problem = _problem(tmp_path)
    assert problem.startswith("old.model is in XGBoost's old binary format")
    assert "xgboost<3.1" in problem
    assert "model.ubj" in problem


@pytest.mark.parametrize(("name", "format_"), [("m.json", "json"), ("m.txt", "text")])
def test_a_dump_gets_a_way_out(name: str, format_: str, boosters: dict[str, Any], tmp_path: Path) -> None:
    boosters["binary"].dump_model(tmp_path / name, dump_format=format_)
    assert "is a dump for reading, which XGBoost cannot load" in _problem(tmp_path)
    assert _served(boosters["binary"], tmp_path).signature.inputs[0].shape == (-1, 30)


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of the two adapters that share endings."""
    monkeypatch.setattr(registry, "adapters", lambda: {"xgboost": XGBoostAdapter, "lightgbm": LightGBMAdapter})


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "{} is empty"),
        (b"\x00garbage", "{} is neither an XGBoost nor a LightGBM model, or its beginning is damaged"),
        (b"{L\x00\x00\x00\x00\x00\x00\x00\x07LEARNER{", "{} is neither an XGBoost nor a LightGBM model, or its beg"),
    ],
)
@pytest.mark.parametrize("name", ["m.bst", "m.ubj", "m.model"])
def test_bytes_that_nobody_knows_are_said_once(name: str, content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    match = XGBoostAdapter.match(ModelDir.of(tmp_path))
    assert match is not None
    assert match.rank is Rank.SUFFIX
    with pytest.raises(LoadError) as caught:
        registry.choose(ModelDir.of(tmp_path))
    assert str(caught.value).startswith(reason.format(name))
    assert str(caught.value).count(name) == 1


@pytest.mark.usefixtures("both")
def test_one_ending_two_frameworks(boosters: dict[str, Any], tmp_path: Path) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    other = lightgbm.train({"verbose": -1, "num_threads": 1}, lightgbm.Dataset(IRIS, IRIS_Y), 2)
    other.save_model(tmp_path / "b.bst")
    assert registry.choose(ModelDir.of(tmp_path)).adapter is LightGBMAdapter
    (tmp_path / "a.bst").write_bytes(boosters["softprob"].save_raw("ubj"))
    with pytest.raises(registry.Ambiguous, match=r"a\.bst \(xgboost\) and b\.bst \(lightgbm\)"):
        registry.choose(ModelDir.of(tmp_path))
    (tmp_path / "b.bst").write_bytes(b"\x00garbage")
    assert registry.choose(ModelDir.of(tmp_path)).match.file == "a.bst"


def test_two_candidates(boosters: dict[str, Any], tmp_path: Path) -> None:
    for name in ("a.json", "b.ubj"):
        (tmp_path / name).write_bytes(boosters["binary"].save_raw(name[2:]))
    assert _problem(tmp_path) == "two candidate models: a.json and b.ubj; keep one"


def test_a_pickle_under_our_ending_is_not_executed(tmp_path: Path) -> None:
    check_pickles_are_not_executed(XGBoostAdapter, ENDINGS, tmp_path)


def test_a_file_of_an_older_version(boosters: dict[str, Any], tmp_path: Path) -> None:
    """XGBoost 1.x wrote neither categories nor targets nor iteration pointers."""
    document = json.loads(boosters["softprob"].save_raw("json"))
    learner = document["learner"]
    for key in ("num_target", "boost_from_average"):
        del learner["learner_model_param"][key]
    learner["learner_model_param"]["base_score"] = "5E-1"
    del learner["gradient_booster"]["model"]["cats"], learner["gradient_booster"]["model"]["iteration_indptr"]
    del learner["feature_names"], learner["feature_types"]
    (tmp_path / "model.json").write_text(json.dumps({"version": [1, 7, 6], **document}, indent=1))
    adapter = _load(tmp_path)
    direct = xgboost.Booster(model_file=str(tmp_path / "model.json"))
    got = adapter.predict({"input-0": IRIS.astype(np.float32)}, {})["output-0"]
    assert same(got, direct.predict(xgboost.DMatrix(IRIS)))


def test_json_beyond_the_limit_is_left_to_xgboost(
    frame: pd.DataFrame, categorical: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_format, "JSON_LIMIT", 100)
    (tmp_path / "model.json").write_bytes(categorical.save_raw("json"))
    got = _load(tmp_path).predict(_tensors(frame), {})["output-0"]
    assert same(got, categorical.predict(xgboost.DMatrix(frame, enable_categorical=True)))
    (tmp_path / "model.json").write_bytes(categorical.save_raw("json")[:-900])
    with pytest.raises(LoadError, match=r"model\.json is damaged") as caught:
        _load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_damaged_files_get_a_reason_not_a_crash(boosters: dict[str, Any], categorical: Any, tmp_path: Path) -> None:
    rng = random.Random(7)
    wholes = {"iris": boosters["softprob"], "leaf": boosters["vector_leaf"], "lin": boosters["gblinear"]}
    for kind, booster in {**wholes, "cat": categorical, "dart": boosters["dart"]}.items():
        for format_ in ("ubj", "json"):
            damage(tmp_path, f"{kind}-{format_}", bytes(booster.save_raw(format_)), 15, rng)
    found = outcomes(tmp_path, XGBoostAdapter, "xgboost")
    assert len(found) == 300
    assert {outcome for name, outcome in found.items() if name.startswith("cut")} == {"refused"}
    assert set(found.values()) <= {"served", "refused", "ValueError"}
