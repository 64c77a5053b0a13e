"""Which names a pickle may use, and for what."""

from __future__ import annotations

import pytest

from adapters.formats.pickles.policy import ARRAY_WRAPPERS, Use, dotted, judge, refusal


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("sklearn.linear_model._logistic.LogisticRegression", Use.CLASS),
        ("sklearn.tree._tree.Tree", Use.CALL),
        ("sklearn.metrics._classification.accuracy_score", Use.FUNCTION),
        ("numpy.float64", Use.CLASS),
        ("numpy.add", Use.FUNCTION),
        ("numpy.ndarray", Use.CLASS),
        ("numpy._core.multiarray.scalar", Use.CALL),
        ("numpy.core.multiarray.scalar", Use.CALL),
        ("builtins.set", Use.CALL),
        ("builtins.list", Use.CLASS),
        ("functools.partial", Use.CALL),
        ("xgboost.sklearn.XGBClassifier", Use.CLASS),
        *((name, Use.CLASS) for name in sorted(ARRAY_WRAPPERS)),
    ],
)
def test_what_is_allowed(name: str, use: Use) -> None:
    module, _, last = name.rpartition(".")
    assert judge(module, last) is use


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "__import__"),
        ("builtins", "type"),
        ("numpy", "load"),
        ("numpy", "fromfile"),
        ("numpy", "memmap"),
        ("numpy.f2py", "compile"),
        ("sklearn.utils", "check_array.__globals__"),
        ("sklearn.linear_model", "LogisticRegression.fit"),
        ("sklearn.tests.test_base", "MyEstimator"),
        ("sklearn.datasets", "fetch_openml"),
        ("sklearnx.linear_model", "Ridge"),
        ("sklearn.linear_model\n", "Ridge"),
        ("joblib", "load"),
        ("pandas", "read_pickle"),
        ("functools", "reduce"),
        ("operator", "attrgetter"),
        ("__main__", "Model"),
        ("", ""),
    ],
)
def test_what_is_refused(module: str, name: str) -> None:
    assert judge(module, name) is None


def test_a_name_is_one_short_line() -> None:
    assert dotted("a.b", "c") == "a.b.c"
    assert dotted("a\nb", "c") == "'a\\nb.c'"
    assert len(dotted("a" * 1000, "b")) < 130


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["os.system"], "names os.system, which is not a class of a known library; it was not loaded"),
        (["shop.Model"], "it was not loaded; if you trust the file, set `trust: full`"),
        (["__main__.Model"], "needs a model.py"),
        (["a.b", "c.d", "e.f", "g.h"], "names a.b, c.d, e.f and 1 more, which are not classes of known libraries"),
    ],
)
def test_why_names_are_refused(names: list[str], text: str) -> None:
    assert text in refusal(names)
    assert ("model.py" in refusal(names)) == (names != ["os.system"])
