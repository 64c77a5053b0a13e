"""scikit-learn estimators in joblib and pickle files, XGBoost's and LightGBM's scikit-learn classes among them.

`adapter` is the adapter; `files` finds the model among a directory's pickles, `columns` finds what a fitted estimator
takes in each column, `inputs` builds what it was trained on from tensors, `examine` finds what it answers and what it
refuses by asking it, `outputs` turns its answers into tensors, `settle` makes a loaded estimator fit to be served,
`damage` finds damage that native code would not, and `direct` does an estimator's arithmetic without its checks.
"""

from adapters.sklearn_.adapter import SklearnAdapter

__all__ = ["SklearnAdapter"]
