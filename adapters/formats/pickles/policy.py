"""What a model's pickle may name, and what it may call: the lists behind this package's rule.

Names are judged as text, so that nothing is imported to judge them. A name that no rule allows is refused.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache

import numpy as np

from adapters.base import LoadError

__all__ = [
    "ARRAY_WRAPPERS",
    "CHECK_ARRAY",
    "GETATTR",
    "LIBRARIES",
    "PARTIAL",
    "STR_METHODS",
    "Refused",
    "Use",
    "dotted",
    "judge",
    "refusal",
    "strange",
]


class Refused(LoadError):
    """A pickle names or does something that pickles of known libraries do not; it was not loaded."""


class Use(Enum):
    """What a pickle may do with a name while it is read. Nothing else is ever done with it."""

    CLASS = "a class: its instances may be made by `__new__`, without a constructor"
    FUNCTION = "a function: it may be held, never called"
    CALL = "a function or class that may be called, since it only builds a value"
    CONSTANT = "one fixed object"
    INERT = "stands for an object that prediction never uses, and becomes an empty placeholder"


#: names that are allowed for one thing each, and refused with their name for any other: methods of texts and those
#: that scipy's distributions keep; the check of its input that histogram boosting keeps
GETATTR, PARTIAL, CHECK_ARRAY = "builtins.getattr", "functools.partial", "sklearn.utils.validation.check_array"

#: joblib's stand-in for an array whose bytes follow it in the file
ARRAY_WRAPPERS = frozenset(
    {"joblib.numpy_pickle.NumpyArrayWrapper", "sklearn.externals.joblib.numpy_pickle.NumpyArrayWrapper"}
)

_SKLEARN = (
    "base|calibration|cluster|compose|covariance|cross_decomposition|decomposition|discriminant_analysis|dummy|"
    "ensemble|feature_extraction|feature_selection|frozen|gaussian_process|impute|isotonic|kernel_approximation|"
    "kernel_ridge|linear_model|_loss|manifold|metrics|mixture|model_selection|multiclass|multioutput|naive_bayes|"
    "neighbors|neural_network|pipeline|preprocessing|random_projection|semi_supervised|svm|tree|"
    r"utils\._bunch|utils\._metadata_requests"
)
_CLASS = r"_*[A-Z]\w*"
_SCORES = r"\w+_(score|loss|error|deviance|ratio|corrcoef|kernels?|distances|similarity|coefficient)|max_error"
_SCORERS = "f_classif|f_oneway|chi2|f_regression|r_regression|mutual_info_classif|mutual_info_regression"
_NUMPY = (  # beside its ufuncs, what a FunctionTransformer or a pooling may hold: these compute, and open nothing
    "all|any|amax|amin|argmax|argmin|around|asarray|array|atleast_1d|atleast_2d|average|clip|column_stack|concatenate|"
    "cumprod|cumsum|diff|dot|expand_dims|flip|fix|hstack|max|mean|median|min|nan_to_num|nancumsum|nanmax|nanmean|"
    "nanmedian|nanmin|nanstd|nansum|nanvar|percentile|prod|ptp|quantile|ravel|real|reshape|roll|round|sort|squeeze|"
    "stack|std|sum|swapaxes|transpose|var|vstack|where|zeros_like|ones_like"
)
_SPECIAL = (
    "expit|logit|log_expit|softmax|log_softmax|logsumexp|erf|erfc|erfinv|erfcinv|gamma|gammaln|loggamma|digamma|psi|"
    "beta|betaln|boxcox|boxcox1p|inv_boxcox|inv_boxcox1p|xlogy|xlog1py|entr|rel_entr|kl_div|huber|pseudo_huber|log1p|"
    "expm1|exp2|exp10|cbrt|ndtr|ndtri|log_ndtr|sinc"
)
_METRICS = (
    "braycurtis|canberra|chebyshev|cityblock|correlation|cosine|dice|euclidean|hamming|jaccard|jensenshannon|"
    "mahalanobis|minkowski|rogerstanimoto|russellrao|seuclidean|sokalmichener|sokalsneath|sqeuclidean|yule"
)
_CTORS = "__bit_generator_ctor|__generator_ctor|__randomstate_ctor"
_OFFSETS = "Day|Hour|Minute|Second|Milli|Micro|Nano|MonthEnd|MonthBegin|Week|BusinessDay|YearEnd|QuarterEnd"

#: (pattern of a module, pattern of a name in it, use): the first that fits both as a whole decides
_RULES: tuple[tuple[str, str, Use], ...] = (
    ("builtins", "set|frozenset|slice|range|complex|bytearray|bytes", Use.CALL),
    ("builtins", "object|bool|int|float|str|list|tuple|dict", Use.CLASS),
    ("builtins", "Ellipsis", Use.CONSTANT),
    ("builtins", "getattr", Use.INERT),  # see GETATTR and PARTIAL
    ("functools", "partial", Use.CALL),
    (r"dill\._dill", "_create_array", Use.CALL),  # as which dill writes every array of numpy's
    ("copyreg", "_reconstructor|__newobj__|__newobj_ex__", Use.CALL),
    ("_codecs", "encode", Use.CALL),
    ("collections", "OrderedDict|defaultdict|Counter|deque", Use.CALL),
    ("datetime", "datetime|date|time|timedelta|timezone", Use.CALL),
    # numpy
    ("numpy", "dtype", Use.CALL),
    ("numpy", "ndarray|matrix", Use.CLASS),
    ("numpy", "vectorize", Use.INERT),
    ("numpy", _NUMPY, Use.FUNCTION),
    (r"numpy\._?core\.multiarray", "_reconstruct|scalar", Use.CALL),
    (r"numpy\._?core\.numeric", "_frombuffer", Use.CALL),
    (r"numpy\.ma(\.core)?", "_mareconstruct", Use.CALL),
    (r"numpy\.ma(\.core)?", "MaskedArray", Use.CLASS),
    (r"numpy\.(rec|_?core\.records)", "recarray|record", Use.CLASS),
    (r"numpy\.random\._pickle", _CTORS, Use.CALL),
    (r"numpy\.random\.(_?bit_generator)", r"__pyx_unpickle_SeedSequence", Use.CALL),
    (r"numpy\.random\.(_?bit_generator)", "SeedSequence", Use.CLASS),
    (r"numpy\.random\._(mt19937|pcg64|philox|sfc64)", "MT19937|PCG64|PCG64DXSM|Philox|SFC64", Use.CLASS),
    (r"numpy\.random\.(mtrand|_generator)", "RandomState|Generator", Use.CLASS),
    # scipy
    (r"scipy\.sparse(\._?(csr|csc|coo|dia|lil|dok|bsr))?", "(csr|csc|coo|dia|lil|dok|bsr)_(matrix|array)", Use.CLASS),
    (r"scipy\.interpolate(\._?(interpolate|bsplines|cubic))?", "interp1d|BSpline|PPoly|CubicSpline", Use.CLASS),
    (r"scipy\._lib\.array_api_compat\.numpy(\._aliases)?", "asarray", Use.FUNCTION),
    (r"scipy\.special(\._(special_)?ufuncs|\._logsumexp|\._basic)?", _SPECIAL, Use.FUNCTION),
    (r"scipy\.spatial\.distance", _METRICS, Use.FUNCTION),
    (r"scipy\.stats\._distn_infrastructure", "rv_frozen|rv_continuous_frozen|rv_discrete_frozen", Use.INERT),
    (r"scipy\.stats\._(continuous|discrete)_distns", r"\w+_gen", Use.INERT),
    # pandas: the labels and frames that an estimator may have kept
    (r"pandas\._libs\.arrays", "__pyx_unpickle_NDArrayBacked", Use.CALL),
    (r"pandas\._libs\.internals", "_unpickle_block", Use.CALL),
    (r"pandas\.core\.internals\.managers", "BlockManager|SingleBlockManager", Use.CALL),
    (r"pandas\._libs\.tslibs\.(timestamps|timedeltas)", "_unpickle_timestamp|_timedelta_unpickle", Use.CALL),
    (r"pandas\._libs\.tslibs\.offsets", _OFFSETS, Use.CALL),
    (r"pandas\.core\.indexes\.\w+", "_new_(Index|DatetimeIndex|PeriodIndex|IntervalIndex)", Use.CALL),
    (r"pandas\.core\.arrays\.string_", "StringDtype", Use.CALL),
    (r"pandas\._libs\.missing", "NA", Use.CONSTANT),
    (r"pandas\.core\.indexes\.\w+", r"\w*Index", Use.CLASS),
    (r"pandas\.core\.arrays\.\w+", r"\w+(Array|Dtype)|Categorical", Use.CLASS),
    (r"pandas\.core\.dtypes\.dtypes", r"\w+Dtype", Use.CLASS),
    (r"pandas\.core\.(frame|series)", "DataFrame|Series", Use.CLASS),
    # ... as pandas 3 spells them, and its texts, which are Arrow's
    ("pandas", "StringDtype", Use.CALL),
    ("pandas", r"\w*Index|Series|DataFrame|Categorical|\w+Dtype", Use.CLASS),
    (r"pandas\.arrays", r"\w+Array|Categorical", Use.CLASS),
    (r"pyarrow\.lib", "_restore_array|type_for_alias|py_buffer", Use.CALL),
    # scikit-learn and its like
    (r"(sklearn\._loss\.)?_loss", r"(__pyx_unpickle_)?Cy\w+", Use.CALL),  # see Machine.modern
    (r"sklearn\.linear_model\._sgd_fast", _CLASS, Use.CALL),
    (r"sklearn\.tree\._tree", "Tree", Use.CALL),
    (r"sklearn\.(neighbors|metrics)\._\w+", "newObj", Use.CALL),
    (rf"sklearn\.({_SKLEARN})(\.\w+)*", _CLASS, Use.CLASS),
    (r"sklearn\.compose\._column_transformer", "make_column_selector", Use.CLASS),
    (r"sklearn\.metrics(\.\w+)*", _SCORES, Use.FUNCTION),
    (r"sklearn\.feature_selection\._(univariate_selection|mutual_info)", _SCORERS, Use.FUNCTION),
    (r"sklearn\.utils\.validation", "check_array", Use.FUNCTION),
    (r"sklearn\.cluster\._kmeans", r"_kmeans_single_\w+", Use.FUNCTION),
    (r"imblearn\.(base|pipeline|over_sampling|under_sampling|combine|ensemble)(\.\w+)*", _CLASS, Use.CLASS),
    (r"xgboost\.sklearn", r"XGB\w+", Use.CLASS),
    (r"xgboost\.core", "Booster", Use.CLASS),
    (r"xgboost\.compat", "XGBoostLabelEncoder", Use.CLASS),
    (r"xgboost\.callback", "EarlyStopping|EvaluationMonitor", Use.CLASS),
    (r"lightgbm\.sklearn", r"LGBM\w+", Use.CLASS),
    (r"catboost\.core", r"CatBoost(Classifier|Regressor|Ranker)?", Use.CLASS),
    (r"lightgbm\.basic", "Booster", Use.CLASS),
)
_LONGEST = 120
_COMPILED = tuple((re.compile(module), re.compile(name), use) for module, name, use in _RULES)


def dotted(module: str, name: str) -> str:
    """A name as messages show it: one short line, whatever the file made of it."""
    label = f"{module[: _LONGEST + 1]}.{name[: _LONGEST + 1]}"
    if not label.isprintable():
        label = ascii(label)
    return label if len(label) <= _LONGEST else f"{label[:_LONGEST]}..."


def judge(module: str, name: str) -> Use | None:
    """How a pickle may use a name; None refuses it.

    Dotted names are refused: they reach through classes into what nobody listed. So are the libraries' own tests.
    """
    if "." in name or ".tests" in module or len(module) + len(name) > _LONGEST:
        return None
    return _judged(module, name)


@lru_cache(maxsize=1024)  # names come from files: there may be any number of them
def _judged(module: str, name: str) -> Use | None:
    if dotted(module, name) in ARRAY_WRAPPERS:
        return Use.CLASS
    if module == "numpy" and (use := _numpy(name)):
        return use
    for in_module, is_name, use in _COMPILED:
        if in_module.fullmatch(module) and is_name.fullmatch(name):
            return use
    return None


def _numpy(name: str) -> Use | None:
    """Numpy's scalar types and its ufuncs, which are too many to list; both are inert."""
    found = vars(np).get(name)
    if isinstance(found, np.ufunc):
        return Use.FUNCTION
    return Use.CLASS if isinstance(found, type) and issubclass(found, np.generic) else None


#: the first part of the modules above, beside Python's own: a name elsewhere is the user's
LIBRARIES = frozenset(
    {"numpy", "scipy", "pandas", "pyarrow", "sklearn", "joblib", "imblearn", "xgboost", "lightgbm", "catboost"}
)

#: methods of `str` that a vectorizer may have for its tokenizer, preprocessor or analyzer: they take and give texts
STR_METHODS = frozenset(
    {
        "capitalize", "casefold", "expandtabs", "lower", "lstrip", "partition", "removeprefix", "removesuffix",
        "replace", "rpartition", "rsplit", "rstrip", "split", "splitlines", "strip", "swapcase", "title", "upper",
    }
)  # fmt: skip
_TRUST = "if you trust the file, set `trust: full` in its polyserve.yaml"


def refusal(names: Sequence[str]) -> str:
    """Why names are refused, to follow the file's name in a message; `names` are dotted, at least one."""
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    which = "which is not a class of a known library" if len(names) == 1 else "which are not classes of known libraries"
    return f"names {shown}, {which}; it was not loaded{_way_out(names)}"


def strange(what: str) -> Refused:
    """The refusal of an act, to follow the file's name."""
    return Refused(f"{what}, as no known library's pickle does; it was not loaded")


def _way_out(names: Sequence[str]) -> str:
    """What the model's owner can do; nobody should trust a file for naming what of Python's own no model needs."""
    roots = {name.split(".")[0] for name in names}
    brought = roots - LIBRARIES - (sys.stdlib_module_names - {"__main__"})
    if "__main__" in brought:
        return "; a model with code of its own needs a model.py"
    if brought:
        return f"; {_TRUST} and bring what it names: a library in a requirements.txt, code of your own in a model.py"
    return f"; {_TRUST}" if roots & LIBRARIES or {GETATTR, PARTIAL} & set(names) else ""
