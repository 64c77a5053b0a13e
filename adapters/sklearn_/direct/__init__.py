"""scikit-learn estimators without scikit-learn's Python: the same arithmetic on the same arrays, the same bits.

A call of an estimator's method costs 80 to 9,000 µs of checks that the adapter's signature has already made; the
arithmetic itself mostly costs 3 to 20. `direct` gives a function that does the arithmetic only, or None for whatever is
not known to the last attribute.

`build` finds an estimator's plan and has it proved, `plan` says what a plan is, `proof` compares a plan's answers with
the estimator's own, `record` keeps what was proved, and `kinds` tells of how many others. `linear`, `trees`,
`boosting`, `boosters` (XGBoost's and LightGBM's), `scaling`, `models` and `composite` make the plans of families;
`merged` makes one tree of many, so that one call in C passes through all of them.
"""

from adapters.sklearn_.direct.build import direct
from adapters.sklearn_.direct.record import Record

__all__ = ["Record", "direct"]
