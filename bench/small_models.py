"""Small scikit-learn models: logistic regressions, pipelines and small forests, each trained on rows of its own."""

from __future__ import annotations

import shutil

from bench import places

RUN = places.CACHE / "many"  #: they lie in its folder `models`
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 4.7, 1.6], [6.5, 3.0, 5.8, 2.2]]  #: what they are asked
_TRAINED = 60  #: different models; the others are copies of these


def make(models: int) -> dict[str, list[int]]:
    """The folders, and what scikit-learn answers, by model."""
    import joblib
    import numpy as np
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    shutil.rmtree(RUN, ignore_errors=True)
    (inputs, labels), random = load_iris(return_X_y=True), np.random.default_rng(0)
    kinds = (
        lambda: LogisticRegression(max_iter=500),
        lambda: make_pipeline(StandardScaler(), LogisticRegression()),
        lambda: RandomForestClassifier(5, random_state=0),
    )
    expected, trained = {}, []
    for number in range(models):
        if number < _TRAINED:
            rows = random.permutation(len(inputs))[:100]
            trained.append(kinds[number % len(kinds)]().fit(inputs[rows], labels[rows]))
        name, model = f"model-{number:04}", trained[number % _TRAINED]
        (RUN / "models" / name).mkdir(parents=True)
        joblib.dump(model, RUN / "models" / name / "model.joblib")
        expected[name] = model.predict(ROWS).tolist()
    return expected
