"""KServe's own old examples: what a user sees of a file for which no installed or installable version fits."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from tests.e2e.process import Server

pytestmark = pytest.mark.slow

X = np.random.default_rng(0).random((40, 4))
Y = (X.sum(1) > 2).astype(int)


def made_by(version: str, model: Any, **modules: str) -> bytes:
    """The model's pickle as that version of scikit-learn wrote it, with its modules' names of those days."""

    def text(value: str) -> bytes:
        return b"X" + len(value).to_bytes(4, "little") + value.encode()

    raw = pickle.dumps(model, protocol=3)
    assert text(sklearn.__version__) in raw
    raw = raw.replace(text(sklearn.__version__), text(version))
    for now, then in modules.items():
        name = f"csklearn.{now.replace('__', '.')}\n".encode()
        assert name in raw
        raw = raw.replace(name, f"csklearn.{then}\n".encode())
    return raw


def old_booster() -> bytes:
    """The head of a file of XGBoost 1.7's binary format."""
    return b"binf" + bytes(20) + (1).to_bytes(4, "little") + (7).to_bytes(4, "little") + bytes(300)


@pytest.mark.parametrize("flags", [(), ("--auto_env",)], ids=["", "auto_env"])
def test_the_index_the_log_and_the_answer_say_what_is_wrong(tmp_path: Path, flags: tuple[str, ...]) -> None:
    models = tmp_path / "models"
    for name in ("of_0_20", "of_1_0", "binf"):
        (models / name).mkdir(parents=True)
    old = made_by("0.20.3", SVC().fit(X, Y), svm___classes="svm.classes")
    (models / "of_0_20" / "model.joblib").write_bytes(old)
    model = LogisticRegression().fit(X, Y)
    (models / "of_1_0" / "model.joblib").write_bytes(made_by("1.0.1", model))
    if flags:
        (models / "binf").rmdir()  # an environment would be built for it: tests/server/environments
    else:
        (models / "binf" / "model.bst").write_bytes(old_booster())
    server = Server(models, tmp_path / "log", f"--env_dir={tmp_path / 'env'}", *flags).wait_scanned()
    try:
        index = server.index()
        expected = {
            "of_0_20": ("made by scikit-learn 0.20.3, for which no build for Python 3.11 exists", "retrain the model"),
            "binf": ("XGBoost's old binary format, which XGBoost 3.1 removed", "start the server with --auto_env"),
        }
        for name, words in expected.items():
            if name not in index:
                continue
            assert index[name]["state"] == "UNAVAILABLE"
            reason = index[name]["reason"]
            assert all(word in reason for word in words), reason
            answer = server.predict(name, {"instances": X[:2].tolist()})
            assert answer.status_code == 503
            assert answer.json() == {"error": f"model '{name}' is not ready: {reason}"}
            (line,) = [line for line in server.log.splitlines() if f"model {name} is not served" in line]
            assert line.endswith(reason)
        answer = server.predict("of_1_0", {"instances": X.tolist()})
        assert answer.json() == {"predictions": model.predict(X).tolist()}
        assert "model of_1_0: model.joblib was saved by scikit-learn 1.0.1, and this is" in server.log
        assert "Traceback" not in server.log
    finally:
        server.stop()
