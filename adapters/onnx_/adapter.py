"""ONNX Runtime: a graph in an `.onnx` file.

The file is known by its bytes, whatever wrote it. Of several, `model.onnx` is served. Large models keep their tensors
in files beside the graph (`model.onnx.data`): these must lie in the model's directory. Custom operator libraries are
never loaded.

A graph takes rows in one of three ways (`trial`): any number of them in one run; one a run, when its batch
dimension is fixed at 1; or none, when its tensors share no batch dimension (a scalar input, for one).
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from adapters.base import Adapter, LoadError, Match, ModelDir, Parameter, Parameters, Rank, Signature, Tensors, Traits
from adapters.formats import companions
from adapters.formats.protobuf import Malformed
from adapters.onnx_ import arena
from adapters.onnx_.audit import audit
from adapters.onnx_.graph import Categories, branches, categories, counts, unranked_inputs
from adapters.onnx_.proto import complaint, external_locations
from adapters.onnx_.trial import examine
from adapters.onnx_.types import DATATYPES, OnnxPort, error_of_run, message_of, observed, port, tensor_of
from adapters.real_path import real_path
from adapters.shared.arrays import joined, one_by_one
from adapters.shared.messages import several
from adapters.shared.trial_runs import Findings, Rows

logger = logging.getLogger(__name__)

MAIN = "model.onnx"

#: option graph_optimization -> attribute of onnxruntime.GraphOptimizationLevel
_LEVELS = {"all": "ORT_ENABLE_ALL", "basic": "ORT_ENABLE_BASIC", "disabled": "ORT_DISABLE_ALL"}

#: a "path" that makes ONNX Runtime read its own memory at an offset that the file names
_MEMORY_MARK = "_ORT_MEM_ADDR"


@dataclass(eq=False)
class OnnxAdapter(Adapter):
    """One `onnxruntime.InferenceSession`, on the CPU, with one thread a call."""

    session: Any
    findings: Findings

    name = "onnx"
    platform = "onnxruntime_onnx"
    requires: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    traits = Traits(parallel=True)
    options: ClassVar[tuple[Parameter, ...]] = (
        Parameter("graph_optimization", str, tuple(_LEVELS), "how far ONNX Runtime rewrites the graph; all by default"),
    )

    def __post_init__(self) -> None:
        # Only a graph that takes any number of rows in one run gains from a merged batch.
        self.traits = replace(self.traits, batchable=self.findings.rows is Rows.TOGETHER)
        self._names = [spec.name for spec in self.signature.outputs]
        self.has_free_sizes = any(-1 in spec.shape[self.signature.batched :] for spec in self.signature.inputs)

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        found = model_dir.named(".onnx")
        if not found:
            return None
        if len(found) > 1 and MAIN not in found:
            problem = several(found, f", or name the one to serve {MAIN}")
            return Match(Rank.CONTENT, found[0], problem=problem)
        file = MAIN if MAIN in found else found[0]
        if problem := complaint(model_dir.file(file)):
            return Match(Rank.SUFFIX, file, problem=f"{file} {problem}")
        verdict = audit(model_dir.file(file))
        problem = f"{file} {verdict.problem}" if verdict.problem else companions.unread(model_dir)
        return Match(Rank.CONTENT, file, problem=problem, carries=verdict.carries)

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        path = model_dir.file(file)
        try:
            for location in external_locations(path):
                _check_location(model_dir, file, location)
            session = _session(path, options)
            ports = _ports(session, path)
            known = categories(path, {each.name: _width(each) for each in ports.inputs})
            numeric = all(each.datatype != "BYTES" for each in ports.inputs)
            steady = numeric and not branches(path)
        except (Malformed, UnicodeDecodeError) as error:
            raise LoadError(f"{file} is damaged: {error}") from error
        findings = _examine(session, ports, known, file, counts(path))
        if any(each.name == "input_ids" for each in ports.inputs) and model_dir.has("tokenizer.json"):
            logger.warning("%s takes token ids: the tokenizer.json beside it is not used, clients tokenize", file)
        adapter = cls(_signature(ports, findings), session, findings)
        # Calls of a steady model may run on the event loop, by what others with as many rows took.
        adapter.traits = replace(adapter.traits, steady=steady and not adapter.has_free_sizes)
        return adapter

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        if self.findings.rows is not Rows.ONE_BY_ONE:
            return self._run(inputs)
        return joined([self._run(row) for row in one_by_one(inputs)])

    def _run(self, inputs: Tensors) -> Tensors:
        try:
            values = self.session.run(self._names, inputs)
        except Exception as error:
            raise error_of_run(error, self.has_free_sizes) from error
        return {name: tensor_of(value) for name, value in zip(self._names, values, strict=True)}

    def example(self) -> Tensors:
        """Inputs that the graph accepted while it was loaded; rows are two, where there are rows."""
        return self.findings.example

    def release(self) -> None:
        super().release()
        arena.give_back()


def _session(path: Path, options: Parameters) -> Any:
    import onnxruntime as ort

    level = options.get("graph_optimization", "all")
    settings = ort.SessionOptions()
    settings.graph_optimization_level = getattr(ort.GraphOptimizationLevel, _LEVELS[level])
    settings.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    arena.prepare(settings)
    settings.log_severity_level = 4  # every error is raised as well; in the log it would be the clients' to write
    try:
        return ort.InferenceSession(os.fspath(path), settings, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise LoadError(f"ONNX Runtime cannot load {path.name}: {message_of(error)}") from error


def _check_location(model_dir: ModelDir, file: str, location: str) -> None:
    """Refuse external data that lead out of the model's directory, by name or by link, or that are not there."""
    outside = f"{file} keeps tensors in {location!r}, which leads out of the model's directory and is not read"
    lexical = Path(os.path.normpath(location))
    if _MEMORY_MARK in location or lexical.is_absolute() or ".." in lexical.parts:
        raise LoadError(outside)
    try:
        target = real_path(model_dir.path / location)
        inside, present = target.is_relative_to(real_path(model_dir.root)), target.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # a loop of links, a NUL, a name too long
        raise LoadError(f"{file} keeps tensors in {location!r}, which is no file name: {error}") from error
    if not inside:
        raise LoadError(outside)
    if not present:
        raise LoadError(f"{file} keeps tensors in {location!r}, which is missing: copy that file beside it")


@dataclass(frozen=True)
class _Ports:
    inputs: list[OnnxPort]
    initializers: list[OnnxPort]  #: those that a request may replace
    outputs: list[OnnxPort]


def _ports(session: Any, path: Path) -> _Ports:
    inputs = [port(node, "input") for node in session.get_inputs()]
    unranked = unranked_inputs(path)
    for each in inputs:
        if each.name in unranked:
            raise LoadError(f"input {each.name!r} declares no shape: export the model with the shapes of its inputs")
    replaceable = [node for node in session.get_overridable_initializers() if node.type in DATATYPES]
    outputs = [port(node, "output") for node in session.get_outputs()]
    return _Ports(inputs, [port(node, "input") for node in replaceable], outputs)


def _width(declared: OnnxPort) -> int:
    """The number of columns of an input that may be a table; a free number counts as many."""
    if len(declared.dims) != 2:
        return 1
    return declared.dims[1] if isinstance(declared.dims[1], int) else 1000


def _examine(session: Any, ports: _Ports, known: Categories, file: str, counting: bool) -> Findings:
    import onnxruntime as ort

    quiet = ort.RunOptions()
    quiet.log_severity_level = 4
    names = [each.name for each in ports.outputs]

    def run(feeds: Tensors) -> Tensors:
        values = session.run(names, feeds, quiet)
        return {name: tensor_of(value) for name, value in zip(names, values, strict=True)}

    findings = examine(run, ports.inputs, ports.outputs, known, counting)
    if not findings.outputs:
        logger.warning(
            "%s ran with none of the inputs tried: its example may not fit, its shapes are as declared", file
        )
    return findings


def _signature(ports: _Ports, findings: Findings) -> Signature:
    batched = findings.rows is not Rows.NONE
    outputs = ports.outputs
    if findings.outputs:
        outputs = [observed(declared, findings.outputs[declared.name]) for declared in outputs]
    # A replaceable initializer without rows would forbid all batches, so beside rows it keeps its value.
    rows = {each.dims[:1] for each in ports.inputs}
    optional = [each for each in ports.initializers if not batched or each.dims[:1] in rows]
    return Signature(
        inputs=(
            *(each.input_spec(batched) for each in ports.inputs),
            *(each.input_spec(batched, optional=True) for each in optional),
        ),
        outputs=tuple(each.output_spec(batched) for each in outputs),
        batched=batched,
    )
