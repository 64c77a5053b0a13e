"""TensorFlow: a SavedModel, a frozen graph, a Keras file.

A SavedModel may have several signatures; `signature_name` in a request picks one, the option `signature` says which it
is without. V1 speaks TensorFlow Serving's REST API. Graphs can read and write files: one whose operations do needs
trust in its author, and so does one with operations that nobody knows; both are told by their bytes.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from adapters.base import (
    Adapter,
    LoadError,
    Match,
    ModelDir,
    Parameter,
    Parameters,
    Rank,
    Signature,
    Tensors,
    Trust,
)
from adapters.shared.messages import listed, several
from adapters.tensorflow_ import frozen, keras_, saved_model
from adapters.tensorflow_.scan import GraphScan
from adapters.tensorflow_.trial import SignatureFindings, examine
from adapters.tensorflow_.types import Entry, error_of_run
from adapters.tensorflow_.value_flow import sizes_of

log = logging.getLogger(__name__)

DEFAULT = "serving_default"
SIGNATURE_NAME = "signature_name"


@dataclass(frozen=True)
class _Served:
    """A signature of the model, and what its first run told."""

    entry: Entry
    findings: SignatureFindings
    signature: Signature


@dataclass(eq=False)
class TensorflowAdapter(Adapter):
    """The signatures of one model, by name."""

    served: Mapping[str, _Served]
    default: str
    shut: Callable[[], None]

    name = "tensorflow"
    platform = "tensorflow_savedmodel"
    requires: ClassVar[tuple[str, ...]] = ("tensorflow",)
    options: ClassVar[tuple[Parameter, ...]] = (
        Parameter("signature", meaning=f"SavedModel: the signature of requests that name none; {DEFAULT} unless set"),
        Parameter("inputs", meaning='frozen graph: its inputs, "x:0,y:0"; its placeholders unless set'),
        Parameter("outputs", meaning='frozen graph: its outputs, "z:0"; what nothing in it reads unless set'),
    )
    safe_form: ClassVar[str] = "without these operations"

    def __post_init__(self) -> None:
        mergeable = all(each.findings.mergeable for each in self.served.values() if each.signature.batched)
        self.traits = replace(self.traits, batchable=mergeable)

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        if saved_model.is_here(model_dir):
            found = saved_model.contents(model_dir)
            return Match(Rank.BUNDLE, problem=found.problem, **_trust(found))
        claims = sorted(_files(model_dir), key=lambda claim: not claim.file.startswith("model."))
        sound = [claim for claim in claims if not claim.problem]
        if len(sound) > 1 and not sound[0].file.startswith("model."):
            return Match(Rank.CONTENT, sound[0].file, problem=several(claim.file for claim in sound))
        return next(iter(sound or claims), None)

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        loaded = _loaded(model_dir, file, options)
        try:
            default = _default([entry.name for entry in loaded.entries], options.get("signature"))
            served = {entry.name: _examined(entry, entry.name == default) for entry in loaded.entries}
        except BaseException:
            loaded.shut()
            raise
        choices = Parameter(SIGNATURE_NAME, choices=tuple(served), meaning=f"the signature; {default} unless named")
        signature = replace(
            served[default].signature,
            variants={name: each.signature for name, each in served.items()},
            parameters=(choices,),
        )
        adapter = cls(signature, served, default, loaded.shut)
        # Calls of a steady model may run on the event loop, by what others with as many rows took.
        free = any(
            -1 in spec.shape[each.signature.batched :] for each in served.values() for spec in each.signature.inputs
        )
        adapter.traits = replace(adapter.traits, steady=loaded.steady and not free)
        adapter.carries = sizes_of(loaded.sized)
        return adapter

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        entry = self.served[parameters.get(SIGNATURE_NAME, self.default)].entry
        try:
            values = entry.run([inputs[port.name] for port in entry.inputs])
        except Exception as error:
            raise error_of_run(error) from error
        return {port.name: value for port, value in zip(entry.outputs, values, strict=True)}

    def example(self) -> Tensors:
        """Inputs that the graph accepted while it was loaded; two rows, where there are rows."""
        return {name: array.copy() for name, array in self.served[self.default].findings.example.items()}

    def close(self) -> None:
        self.shut()


def _files(model_dir: ModelDir) -> Iterator[Match]:
    """The claims on single files."""
    for file in model_dir.files:
        head = model_dir.head(file, 16)
        suffix = file.lower().rpartition(".")[2]
        if suffix == "keras" or (head.startswith(b"PK") and keras_.is_archive(model_dir, file)):
            yield _keras_file(model_dir, file, head)
        elif file.endswith((".h5", ".hdf5")) and head.startswith(keras_.HDF5):
            yield Match(Rank.CONTENT, file)
        elif suffix == "pb":
            found = frozen.contents(model_dir.file(file))
            problem = f"{file} {found.problem}" if found.problem else ""
            yield Match(Rank.SUFFIX if problem else Rank.CONTENT, file, problem=problem, **_trust(found))


def _keras_file(model_dir: ModelDir, file: str, head: bytes) -> Match:
    if not head:
        return Match(Rank.SUFFIX, file, problem=f"{file} is empty")
    if head.startswith(keras_.HDF5):
        return Match(Rank.CONTENT, file, problem=f"{file} is an HDF5 file: give it a name that ends in .h5")
    if not keras_.is_archive(model_dir, file):
        known = "is truncated or damaged" if head.startswith(b"PK") else "is no Keras model"
        return Match(Rank.SUFFIX, file, problem=f"{file} {known}: it is no zip archive with a config.json")
    problem = keras_.archive_problem(model_dir.file(file))
    if not problem and not file.endswith(".keras"):
        problem = "is a Keras model: give it a name that ends in .keras"
    return Match(Rank.CONTENT, file, problem=f"{file} {problem}" if problem else "")


def _trust(found: GraphScan) -> dict[str, Any]:
    if found.offences:
        carries = "has operations that touch files, the network or Python, or are not known not to"
        return {"trust": Trust.CODE, "carries": f"{carries}: {listed(found.offences)}"}
    if found.printing:  # in a worker, whose lines the log tells from the server's own
        return {"carries": f"writes what it is given into the log: {listed(found.printing)}"}
    return {"carries": sizes_of(found.sized)} if found.sized else {}


#: what a graph says of a variable that its loader's records do not restore
_LOST = re.compile(r"Could not find variable ([^\s]+)\. ")


@dataclass(frozen=True)
class _Loaded:
    """What a loader gives: the signatures, how to let go of them, and whether they are `steady`."""

    entries: Sequence[Entry]
    shut: Callable[[], None]
    steady: bool
    sized: str = ""  #: as of `GraphScan`, where only loading tells


def _loaded(model_dir: ModelDir, file: str, options: Parameters) -> _Loaded:
    if not file:
        _refuse(options, "a frozen graph", "inputs", "outputs")
        if saved_model.FILE not in model_dir.files:
            raise LoadError(f"{saved_model.FILE} is no longer there")
        session, entries = saved_model.load(model_dir)
        return _Loaded(entries, session.close, saved_model.contents(model_dir).steady)
    _refuse(options, "a SavedModel", "signature")
    path = model_dir.file(file)
    if file.lower().endswith(".pb"):
        session, entries = frozen.load(path, options.get("inputs", ""), options.get("outputs", ""))
        sized = frozen.sized(path, options["inputs"]) if "inputs" in options else ""
        return _Loaded(entries, session.close, frozen.contents(path).steady, sized)
    _refuse(options, "a frozen graph", "inputs", "outputs")
    entries, sized = keras_.load(path)
    return _Loaded(entries, lambda: None, steady=False, sized=sized)


def _refuse(options: Parameters, owner: str, *names: str) -> None:
    for name in names:
        if name in options:
            raise LoadError(f"options.{name} is for {owner}, which this model is not")


def _default(names: Sequence[str], wanted: str | None) -> str:
    """The signature of requests that name none."""
    known = ", ".join(names)
    if wanted is not None and wanted not in names:
        near = difflib.get_close_matches(wanted, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {known}"
        raise LoadError(f"options.signature: the model has no signature {wanted!r}; {hint}")
    if wanted or DEFAULT in names:
        return wanted or DEFAULT
    if len(names) > 1:
        raise LoadError(
            f"the model has the signatures {known}, and none is {DEFAULT}: "
            "name one in polyserve.yaml, `options: {signature: NAME}`"
        )
    return names[0]


def _examined(entry: Entry, is_default: bool) -> _Served:
    findings = examine(entry)
    if not findings.batched and (freed := entry.of_any_rows()) is not None:
        of_rows = examine(freed)
        if of_rows.ran and of_rows.mergeable:  # each row as it is alone: TensorFlow Serving, too, takes any number
            entry, findings = freed, of_rows
    if is_default and (lost := _LOST.match(findings.refusal)):  # no inputs can bring it back
        raise LoadError(
            f"its variable {lost[1]!r} is not restored, nor would TensorFlow Serving restore it: tf.saved_model.save "
            "loses those of a Keras 3 model; write the folder with model.export(folder)"
        )
    if not findings.ran:
        log.log(
            logging.WARNING if is_default else logging.INFO,
            "signature %s took none of the inputs tried: its shapes are as declared",
            entry.name,
        )
    signature = Signature(
        inputs=tuple(port.input_spec() for port in entry.inputs),
        outputs=tuple(port.output_spec() for port in findings.outputs),
        batched=findings.batched,
        tf_serving=True,
    )
    return _Served(entry, findings, signature)
