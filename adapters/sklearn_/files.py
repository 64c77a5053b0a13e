"""Which of a directory's pickles is the model, judged by what they hold and without loading one."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.base import Match, ModelDir, Rank, Trust
from adapters.formats.pickled import holds_pickle
from adapters.formats.pickles import Contents, Unreadable, inspect
from adapters.formats.probe import AUTOGLUON
from adapters.shared.messages import several
from adapters.sklearn_.versions import origin_of

__all__ = ["SUFFIXES", "find"]

SUFFIXES = (".joblib", ".pkl", ".pickle")

#: libraries whose estimators these are, and the modules that hold them
_ESTIMATORS = ("sklearn.", "imblearn.", "xgboost.sklearn.", "lightgbm.sklearn.")
_BOOSTERS = {
    "xgboost.core.Booster": "XGBoost booster: write it with save_model('model.ubj')",
    "lightgbm.basic.Booster": "LightGBM booster: write it with save_model('model.txt')",
    **{
        f"catboost.core.CatBoost{kind}": "CatBoost model: write it with save_model('model.cbm')"
        for kind in ("", "Classifier", "Regressor", "Ranker")
    },
}
_ALSO = ("pandas", "xgboost", "lightgbm", "catboost", "imblearn")  #: what a model may need beside scikit-learn


@dataclass(frozen=True)
class _Candidate:
    file: str
    contents: Contents | None = None
    problem: str = ""  #: why it cannot be the model
    other: bool = False  #: it holds something that is no model, and may lie beside one


def find(model_dir: ModelDir) -> Match | None:
    """The claim on a directory that holds pickles.

    A file beside the model that holds plain data (a dict of labels, an array) is left alone; anything else beside it
    makes two candidates. Pickles of other names (model.sav, model.joblib.gz) are looked for where none of these is the
    model, and any other adapter's claim is better than theirs.
    """
    if all(model_dir.has(name) for name in AUTOGLUON):
        return None  # parts of one model, which is named by `probe`
    usual = model_dir.named(*SUFFIXES)
    candidates = [_judge(model_dir, name) for name in usual]
    rank = Rank.CONTENT
    if all(candidate.other for candidate in candidates):
        pickled = [name for name in model_dir.files if name not in usual and holds_pickle(model_dir, name)]
        others = [_judge(model_dir, name) for name in pickled]
        if not candidates or not all(candidate.other for candidate in others):
            candidates, rank = candidates + others, Rank.SUFFIX
    if not candidates:
        return None
    models = [candidate for candidate in candidates if not candidate.other] or candidates
    if len(models) > 1:
        return Match(rank, problem=several(candidate.file for candidate in models))
    model = models[0]
    if model.contents is None:
        return Match(Rank.SUFFIX, model.file, problem=model.problem)
    trust = Trust.CODE if model_dir.trusted else Trust.PICKLE  # a trusted pickle runs whatever it names
    origin = None if model.problem else origin_of(model.contents, model_dir.file(model.file))
    version = model.contents.sklearn_version
    made_by = f"scikit-learn {version}" if version else ""
    return Match(rank, model.file, model.problem, _requires(model.contents), trust, origin=origin, made_by=made_by)


def _judge(model_dir: ModelDir, name: str) -> _Candidate:
    try:
        contents = inspect(model_dir.file(name))
    except Unreadable as error:
        return _Candidate(name, problem=str(error))
    except OSError as error:
        return _Candidate(name, problem=f"{name} cannot be read: {error.strerror}")
    if contents.refused and not model_dir.trusted:
        return _Candidate(name, contents, contents.refused)
    what = _what(contents.top)
    if contents.top.startswith(_ESTIMATORS) or (model_dir.trusted and not what):
        return _Candidate(name, contents)
    if contents.top in _BOOSTERS:
        return _Candidate(name, contents, f"{name} holds a bare {_BOOSTERS[contents.top]}")
    problem = f"{name} holds {what or f'a {contents.top}'}, which cannot predict: dump the fitted model itself"
    return _Candidate(name, contents, problem, other=True)


def _what(top: str) -> str:
    """A top object that is surely no model, in words; "" for one of any other class."""
    if top.startswith("the name "):
        return f"the class {top.removeprefix('the name ')} itself"
    if top == "numpy.ndarray":
        return "an array"
    if top.startswith("pandas."):
        return f"a pandas {top.rpartition('.')[2]}"
    if top == "NoneType":
        return "None"
    return "" if not top or "." in top else f"{'an' if top[0] in 'aeiou' else 'a'} {top}"


def _requires(contents: Contents) -> tuple[str, ...]:
    needed = [library for library in _ALSO if contents.uses(library)]
    if contents.fitted_on_frame and "pandas" not in needed:
        needed.insert(0, "pandas")  # to hand it frames as it was trained on
    return tuple(needed)
