"""TorchScript: `torch.jit.load`, the program's arguments, and what a trace remembers of its inputs."""

from __future__ import annotations

import io
import operator
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from adapters.base import Array, LoadError, ModelDir, Tensors
from adapters.shared.trial_runs import Run
from adapters.torch_ import script_audit
from adapters.torch_.declared import DeclaredInput
from adapters.torch_.guess import candidates
from adapters.torch_.records import Records
from adapters.torch_.trial import Slot
from adapters.torch_.values import flatten, message_of, tensor_of

_NUMBERS = {"Float": "FP32", "Double": "FP64", "Half": "FP16", "Long": "INT64", "Int": "INT32", "Short": "INT16",
            "Char": "INT8", "Byte": "UINT8", "Bool": "BOOL"}  # fmt: skip
_WAY_OUT = "wrap it in a module that takes tensors, and save that"


def load(model_dir: ModelDir, file: str) -> Any:
    """The program, in evaluation mode, on the CPU.

    Raises:
        LoadError: it is damaged, or would do what is not known to be harmless.
    """
    import torch

    path = model_dir.file(file)
    unit = torch._C.CompilationUnit()  # as `torch.jit.load` does, which keeps it to itself
    try:
        if not model_dir.trusted:
            script_audit.check_source(Records(path))
        compiled = torch._C.import_ir_module(unit, str(path), torch.device("cpu"), {}, False)
        if not model_dir.trusted:
            script_audit.check_graphs(file, unit)
        module = torch.jit._recursive.wrap_cpp_module(compiled)
        module.eval()
    except LoadError:
        raise
    except Exception as error:  # a damaged file can fail anywhere in the reader
        raise LoadError(f"{file} cannot be loaded: {message_of(error)}") from error
    return module


def ports(module: Any, wanted: Sequence[DeclaredInput]) -> tuple[DeclaredInput, ...]:
    """The arguments of `forward` that a request gives: those without a default, or as declared.

    Raises:
        LoadError: there is no `forward`, one of them is no tensor, or what is declared does not fit them.
    """
    forward = getattr(module, "forward", None)
    if forward is None or not hasattr(forward, "schema"):
        raise LoadError("the program has no forward method")
    arguments = {argument.name: argument for argument in forward.schema.arguments[1:]}
    declared = {port.name: port for port in wanted}
    if unknown := [name for name in declared if name not in arguments]:
        raise LoadError(f"options.inputs: forward has no argument {unknown[0]!r}; it has {', '.join(arguments)}")
    found = []
    for name, argument in arguments.items():
        if name in declared or not argument.has_default_value():
            found.append(_checked(_port(argument), argument, declared.get(name), bool(declared)))
    if not found:
        raise LoadError(f"forward takes no tensor: {_WAY_OUT}")
    return tuple(found)


def _checked(
    port: DeclaredInput | None, argument: Any, declared: DeclaredInput | None, complete: bool
) -> DeclaredInput:
    if port is None:
        kind = argument.type.annotation_str
        raise LoadError(f"the argument {argument.name!r} of forward is of type {kind}: {_WAY_OUT}")
    if declared is None and complete:
        raise LoadError(f"options.inputs: the argument {argument.name!r} of forward is missing")
    return declared or port


def _port(argument: Any) -> DeclaredInput | None:
    kind = argument.type.annotation_str
    if kind in ("Tensor", "Optional[Tensor]"):
        return DeclaredInput(argument.name)
    return DeclaredInput(argument.name, "BYTES", (-1,)) if kind == "List[str]" else None


def runner(module: Any) -> Run:
    """Runs `forward` on arrays by argument."""
    import torch

    half = any(parameter.dtype is torch.bfloat16 for parameter in module.parameters())

    def given(array: Array) -> Any:
        tensor = tensor_of(array)
        return tensor.to(torch.bfloat16) if half and array.dtype.kind == "f" else tensor

    def run(inputs: Tensors) -> Tensors:
        with torch.inference_mode():
            return flatten(module(**{name: given(array) for name, array in inputs.items()}))

    return run


def slots(module: Any, path: Path, wanted: Sequence[DeclaredInput], declared: bool) -> Iterator[tuple[Slot, ...]]:
    """Inputs to try, those of the trace first."""
    if not declared and len(traced := _traced(path)) == len(wanted):
        yield tuple(Slot(port.name, *kind) for port, kind in zip(wanted, traced, strict=True))
    yield from candidates(module, wanted)


def _traced(path: Path) -> list[tuple[str, tuple[int, ...]]]:
    """Datatype and sizes of the inputs that `forward` was traced with; none for a script."""
    records = Records(path)
    if "traced_inputs.pkl" not in records.names:
        return []
    try:
        inputs = _Shapes(io.BytesIO(records.read("traced_inputs.pkl"))).load()["forward"]
        return [(datatype, tuple(map(operator.index, sizes))) for datatype, sizes in inputs if sizes]
    except Exception:  # it is only a hint
        return []


class _Shapes(pickle.Unpickler):
    """Reads tensors as their datatypes and sizes; names nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch.jit._pickle", "restore_type_tag"):
            return lambda value, _: value
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, sizes, *_: (storage, sizes)
        if module == "torch" and name.endswith("Storage"):
            return _NUMBERS[name.removesuffix("Storage")]
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        raise pickle.UnpicklingError(f"{module}.{name} is not read")

    def persistent_load(self, pid: Any) -> Any:
        return pid[1]
