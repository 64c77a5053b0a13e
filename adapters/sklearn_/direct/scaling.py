"""Transformers that do one or two operations an element: scalers, the imputer, the normalizer, PCA."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from adapters.base import Array
from adapters.sklearn_.direct.plan import Builder, Kernel, OrdinaryRows, Plan

__all__ = ["BUILDERS"]


def _transform(build: Callable[[Any], Plan | None]) -> Builder:
    return lambda estimator, method: build(estimator) if method == "transform" else None


def _standard(estimator: Any) -> Plan | None:
    mean = estimator.mean_ if estimator.with_mean else None
    scale = estimator.scale_ if estimator.with_std else None
    return Plan(_centered_and_scaled(mean, scale), _around(mean, scale))


def _robust(estimator: Any) -> Plan | None:
    center = estimator.center_ if estimator.with_centering else None
    scale = estimator.scale_ if estimator.with_scaling else None
    return Plan(_centered_and_scaled(center, scale), _around(center, scale))


def _centered_and_scaled(center: Array | None, scale: Array | None) -> Kernel:
    def transform(rows: Array) -> Array:
        if center is None:
            return rows.copy() if scale is None else rows / scale
        moved: Array = rows - center
        if scale is not None:
            moved /= scale
        return moved

    return transform


def _min_max(estimator: Any) -> Plan | None:
    scale, least, clip = estimator.scale_, estimator.min_, estimator.clip
    low, high = (np.float64(bound) for bound in estimator.feature_range)

    def transform(rows: Array) -> Array:
        scaled: Array = rows * scale
        scaled += least
        if clip:
            np.clip(scaled, low, high, out=scaled)
        return scaled

    return Plan(transform, np.stack([estimator.data_min_, estimator.data_max_]))


def _max_abs(estimator: Any) -> Plan | None:
    scale, clip = estimator.scale_, getattr(estimator, "clip", False)

    def transform(rows: Array) -> Array:
        scaled: Array = rows / scale
        if clip:
            np.clip(scaled, -1.0, 1.0, out=scaled)
        return scaled

    return Plan(transform, np.stack([scale, -scale]))


def _normalizer(estimator: Any) -> Plan | None:
    norms = {
        "l1": lambda rows: np.sum(np.abs(rows), axis=1),
        "l2": lambda rows: np.sqrt(np.einsum("ij,ij->i", rows, rows)),
        "max": lambda rows: np.max(np.abs(rows), axis=1),
    }
    norm: Kernel = norms[estimator.norm]

    def transform(rows: Array) -> Array:
        length = norm(rows)
        if not (length > 1e-10).all():
            raise OrdinaryRows  # scikit-learn divides by no length near zero
        return rows / length[:, None]

    return Plan(transform)


def _imputer(estimator: Any) -> Plan | None:
    """`SimpleImputer` that fills NaN in every column it was trained on with a float."""
    values, missing = estimator.statistics_, estimator.missing_values
    fills_nan = isinstance(missing, float) and math.isnan(missing) and not estimator.add_indicator
    if not fills_nan or values.dtype != np.float64 or estimator._fill_dtype != np.float64 or np.isnan(values).any():
        return None

    def transform(rows: Array) -> Array:
        return np.where(np.isnan(rows), values, rows)

    return Plan(transform, values.reshape(1, -1))


def _pca(estimator: Any) -> Plan | None:
    components, mean, whiten = estimator.components_, estimator.mean_, estimator.whiten
    center = mean.reshape(1, -1) @ components.T
    scale = np.sqrt(estimator.explained_variance_)
    least = np.finfo(scale.dtype).eps
    scale[scale < least] = least

    def transform(rows: Array) -> Array:
        projected: Array = rows @ components.T
        projected -= center
        if whiten:
            projected /= scale
        return projected

    return Plan(transform, np.concatenate([mean.reshape(1, -1), components]))


def _around(center: Array | None, scale: Array | None) -> Array | None:
    """Landmarks of a scaler: the center, and a scale on either side."""
    if center is None or scale is None:
        return next((part.reshape(1, -1) for part in (center, scale) if part is not None), None)
    return np.stack([center, center + scale, center - scale])


BUILDERS: dict[str, Builder] = {
    "sklearn.preprocessing.StandardScaler": _transform(_standard),
    "sklearn.preprocessing.RobustScaler": _transform(_robust),
    "sklearn.preprocessing.MinMaxScaler": _transform(_min_max),
    "sklearn.preprocessing.MaxAbsScaler": _transform(_max_abs),
    "sklearn.preprocessing.Normalizer": _transform(_normalizer),
    "sklearn.impute.SimpleImputer": _transform(_imputer),
    "sklearn.decomposition.PCA": _transform(_pca),
}
