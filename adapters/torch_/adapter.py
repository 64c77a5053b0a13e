"""Torch programs: TorchScript (`torch.jit.save`) and exported programs (`torch.export.save`).

A file is known by its content, whatever its name. What its tensors are is derived from the program, and tried: the
arguments of `forward` or the graph's signature, the shapes of a trace, the widths of the first layers. Where that does
not suffice, `polyserve.yaml` declares them (`declared`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from adapters.base import (
    Adapter,
    LoadError,
    Match,
    ModelDir,
    Parameter,
    Parameters,
    Signature,
    Tensors,
)
from adapters.shared.arrays import joined, one_by_one
from adapters.shared.trial_runs import Rows, Run
from adapters.torch_ import declared, exported, files, script, triton
from adapters.torch_.declared import DeclaredInput
from adapters.torch_.files import TorchFormat
from adapters.torch_.trial import ProgramFindings, Slot, examine
from adapters.torch_.values import error_of_run, message_of

_DECLARE = 'declare them in polyserve.yaml, with -1 for any size: `options: {inputs: "NAME: FP32[-1, 4]"}`'


@dataclass(eq=False)
class TorchAdapter(Adapter):
    """One program on the CPU, with one thread a call."""

    run: Run
    findings: ProgramFindings
    most_rows: int = 0  #: of one run; 0 for any number

    name = "torch"
    platform = "pytorch"
    requires: ClassVar[tuple[str, ...]] = ("torch",)
    safe_form: ClassVar[str] = "as TorchScript (torch.jit.script(model).save('model.pt'))"
    options: ClassVar[tuple[Parameter, ...]] = (
        Parameter("inputs", str, meaning='the inputs\' datatypes and shapes: "x: FP32[-1, 4], ids: INT64[-1, -1]"'),
        Parameter("outputs", str, meaning='names for the outputs, in the program\'s order: "logits, pooled"'),
    )

    def __post_init__(self) -> None:
        # Only a program that takes any number of rows in one run gains from a merged batch.
        self.traits = replace(self.traits, batchable=self.findings.rows is Rows.TOGETHER)
        self._free = any(-1 in spec.shape[self.signature.batched :] for spec in self.signature.inputs)

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        return files.match(model_dir)

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        import torch

        torch.set_num_threads(1)
        beside = triton.read(model_dir)
        wanted = declared.inputs(options["inputs"]) if options.get("inputs") else ()
        names = declared.outputs(options["outputs"]) if options.get("outputs") else beside.outputs
        load = _exported if files.kind_of(model_dir, file) is TorchFormat.EXPORTED else _script
        run, candidates, ports, most_rows = load(model_dir, file, wanted, () if wanted else beside.inputs)
        if names:
            run = _renamed(run, names)
        findings = examine(run, candidates)
        if not isinstance(findings, ProgramFindings):
            raise LoadError(_unfound(file, ports, bool(wanted), findings))
        signature = Signature(findings.inputs, findings.outputs, batched=findings.rows is not Rows.NONE)
        return cls(signature, run, findings, most_rows)

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        try:
            if self.findings.rows is Rows.TOGETHER and self.most_rows:
                runs = [self.run(part) for part in _parts(inputs, self.most_rows)]
                return {name: np.concatenate([each[name] for each in runs]) for name in runs[0]}
            if self.findings.rows is not Rows.ONE_BY_ONE:
                return self.run(inputs)
            runs = [self.run(row) for row in one_by_one(inputs)]
        except (RuntimeError, IndexError, ValueError, AssertionError) as error:
            raise error_of_run(error, self._free) from error
        return joined(runs)

    def example(self) -> Tensors:
        """Inputs that the program accepted while it was loaded."""
        return {name: array.copy() for name, array in self.findings.example.items()}


_Loaded = tuple[Run, Iterable[Sequence[Slot]], Sequence[DeclaredInput], int]  #: how it is run, ...; rows of one run


def _parts(inputs: Tensors, rows: int) -> list[Tensors]:
    """The inputs, so many rows at a time."""
    count = len(next(iter(inputs.values())))
    return [{name: array[at : at + rows] for name, array in inputs.items()} for at in range(0, count, rows)]


def _script(
    model_dir: ModelDir, file: str, wanted: Sequence[DeclaredInput], beside: Sequence[DeclaredInput]
) -> _Loaded:
    """`beside` is what Triton's settings declare, by Triton's names: the program has its own."""
    module = script.load(model_dir, file)
    own = (
        [] if wanted else triton.by_argument(beside, [port.name for port in script.ports(module, ())] if beside else [])
    )
    wanted = wanted or own
    ports = script.ports(module, wanted)
    run, slots = script.runner(module), script.slots(module, model_dir.file(file), ports, bool(wanted))
    if not own:
        return run, slots, ports, 0
    names = {mine.name: theirs.name for mine, theirs in zip(own, beside, strict=True)}
    renamed = (tuple(replace(slot, name=names[slot.name]) for slot in tried) for tried in slots)
    return _asked_by(run, names), renamed, beside, 0


def _asked_by(run: Run, names: Mapping[str, str]) -> Run:
    """`names`: the program's argument -> what requests call it."""
    return lambda inputs: run({own: inputs[name] for own, name in names.items()})


def _exported(
    model_dir: ModelDir, file: str, wanted: Sequence[DeclaredInput], beside: Sequence[DeclaredInput]
) -> _Loaded:
    program, module = exported.load(model_dir, file)
    known = exported.inputs(program)
    wanted = wanted or (beside if len(beside) == len(known) else ())
    ports = wanted or [DeclaredInput(each.name) for each in known]
    if len(ports) != len(known):
        raise LoadError(f"options.inputs names {len(ports)} inputs, the program takes {len(known)}")
    names = [port.name for port in ports]
    run = exported.runner(program, module, known, names)
    return run, exported.slots(known, ports), ports, exported.most_rows(program)


def _renamed(run: Run, names: Sequence[str]) -> Run:
    def renamed(inputs: Tensors) -> Tensors:
        outputs = run(inputs)
        if len(outputs) != len(names):
            raise LoadError(f"options.outputs names {len(names)} outputs, the program gives {len(outputs)}")
        return dict(zip(names, outputs.values(), strict=True))

    return renamed


def _unfound(file: str, ports: Sequence[DeclaredInput], declared: bool, error: Exception | None) -> str:
    last = f" (it says: {message_of(error)})" if error else ""
    if isinstance(error, LoadError):
        return str(error)
    if declared:
        return f"{file} does not run with inputs as options.inputs declares them{last}"
    named = ", ".join(repr(port.name) for port in ports)
    return (
        f"{file} does not tell the shapes and types of its inputs ({named}), and it ran with none that were tried"
        f"{last}; {_DECLARE}"
    )
