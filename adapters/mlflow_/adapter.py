"""The adapter: hands what it can to the adapters of the frameworks, and serves the rest through MLflow itself."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from adapters.base import (
    Adapter,
    InvalidInput,
    LoadError,
    Match,
    ModelDir,
    Parameters,
    Rank,
    Tensors,
    TensorSpec,
    Traits,
    Trust,
)
from adapters.datatypes import datatype_of
from adapters.formats import json_text, requirements
from adapters.formats.mlmodel import FILE, MLmodel, read, read_yaml
from adapters.mlflow_.flavors import served_by
from adapters.mlflow_.schema import OUTPUT, Schema, schema_of
from adapters.mlflow_.values import argument_of, tensors_of
from adapters.shared.messages import first_line

#: MLflow in a model's requirements: the server's own loads what older ones saved
_MLFLOW = re.compile(r"\s*+mlflow([-_]skinny)?\s*+(\[[^]]*\])?\s*+([=<>!~;,].*)?", re.IGNORECASE)
_EXAMPLE_LIMIT = 1 << 24  #: bytes
_CONDA = "conda.yaml"


@dataclass(eq=False)
class MlflowAdapter(Adapter):
    """A `python_function`: whatever it is, MLflow loads it and calls it. It may run code that came with the model."""

    name = "mlflow"
    platform = "mlflow"
    requires: ClassVar[tuple[str, ...]] = ("mlflow", "pandas")
    own_process: ClassVar[bool] = True
    reads_requirements: ClassVar[bool] = True
    traits = Traits(thread_safe=False)

    model: Any
    schema: Schema
    saved: Tensors  #: rows of the example that was saved with the model

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        if not model_dir.has(FILE):
            return None
        try:
            mlmodel = read(model_dir)
            served, why_not = served_by(mlmodel, model_dir)
            if served:
                return Match(Rank.BUNDLE, FILE, delegate=(served.adapter, served.folder))
            if mlmodel.pyfunc is None:
                flavors = ", ".join(mlmodel.flavors)
                reason = f"{FILE} describes {flavors}, which is not served, and no python_function"
                return Match(Rank.BUNDLE, problem=f"{reason}; {why_not}" if why_not else reason)
            schema_of(mlmodel)
            needed = _requirements(model_dir, mlmodel)
        except LoadError as error:
            return Match(Rank.BUNDLE, problem=str(error))
        because = f" ({why_not})" if why_not else ""
        carries = f"is served by MLflow's python_function{because}, which may run code that came with it"
        return Match(Rank.BUNDLE, trust=Trust.CODE, carries=carries, requirements=needed)

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        mlmodel = read(model_dir)
        schema = schema_of(mlmodel)
        try:
            import mlflow.pyfunc

            model = mlflow.pyfunc.load_model(str(model_dir.path), suppress_warnings=True)
        except Exception as error:  # MLflow's own errors, and whatever the user's code raises
            raise LoadError(f"MLflow cannot load it: {type(error).__name__}: {first_line(error)}") from error
        adapter = cls(schema.signature, model, schema, _saved_example(model_dir, mlmodel, schema))
        # The user's own code may look at all rows together; the libraries' models do not.
        own_code = (mlmodel.pyfunc or {}).get("loader_module") == "mlflow.pyfunc.model"
        adapter.traits = replace(adapter.traits, batchable=not own_code)
        if not schema.signature.outputs:
            adapter.signature = replace(schema.signature, outputs=adapter._found_outputs())
            adapter.schema = replace(schema, signature=adapter.signature)
        return adapter

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        from mlflow.exceptions import MlflowException

        known = {parameter.name for parameter in self.signature.parameters}
        params = {name: value for name, value in parameters.items() if name in known}
        argument = argument_of(inputs, self.schema)
        try:
            answer = self.model.predict(argument, params=params) if params else self.model.predict(argument)
        except MlflowException as error:
            if error.error_code in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST"):  # what the signature does not allow
                raise InvalidInput(first_line(error)) from error
            raise
        return tensors_of(answer, self.schema.signature.outputs)

    def example(self) -> Tensors:
        if self.saved:
            return dict(self.saved)
        example = super().example()
        for spec in self.signature.inputs:
            if spec.name in self.schema.dates:
                example[spec.name][:] = "2020-01-01"
        return example

    def _found_outputs(self) -> tuple[TensorSpec, ...]:
        """What the model gives for its example, where it does not say; anything, where it takes no example."""
        with contextlib.suppress(Exception):  # a model that takes no example says so in the self-test
            answer = self.predict(self.example(), {})
            return tuple(
                TensorSpec(name, datatype_of(array.dtype), (-1, *array.shape[1:]), json=_is_json(array))
                for name, array in answer.items()
            )
        return (TensorSpec(OUTPUT, "BYTES", (-1,), json=True),)


def _is_json(array: Any) -> bool:
    return array.dtype.kind == "O" and not all(value is None or isinstance(value, str | bytes) for value in array.flat)


def _requirements(model_dir: ModelDir, mlmodel: MLmodel) -> str:
    """The model's requirements without MLflow itself, from requirements.txt or, as older MLflows wrote it, conda.yaml.

    Raises:
        LoadError: the file cannot be read.
    """
    text = requirements.beside(model_dir)
    if not text and model_dir.has(_CONDA):
        text = "\n".join(_pip_of(read_yaml(model_dir, _CONDA)))
    return "\n".join(line for line in text.splitlines() if not _MLFLOW.fullmatch(line)).strip()


def _pip_of(conda: Mapping[str, Any]) -> list[str]:
    for entry in conda.get("dependencies") or ():
        if isinstance(entry, dict) and isinstance(entry.get("pip"), list):
            return [str(line) for line in entry["pip"]]
    return []


def _saved_example(model_dir: ModelDir, mlmodel: MLmodel, schema: Schema) -> Tensors:
    """Two rows of the example of a data frame that was saved with the model; {} where there is none that fits."""
    name = mlmodel.example.get("artifact_path")
    if schema.form != "frame" or not schema.named or not isinstance(name, str) or not model_dir.has(name):
        return {}
    with contextlib.suppress(ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError):
        saved = json_text.loads(model_dir.head(name, _EXAMPLE_LIMIT))
        saved = saved.get("inputs", saved)  # beside its parameters
        rows = [dict(zip(saved["columns"], row, strict=True)) for row in saved["data"]]
        two = [rows[0], rows[-1]]
        return {spec.name: _column(spec, [row[spec.name] for row in two]) for spec in schema.signature.inputs}
    return {}


def _column(spec: TensorSpec, values: list[Any]) -> Any:
    if spec.datatype == "BYTES" and not spec.json and not all(isinstance(value, str) for value in values):
        raise TypeError(f"{spec.name} holds no texts")
    column = np.empty(len(values), dtype=spec.dtype)
    column[:] = values
    return column
