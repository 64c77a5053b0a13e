"""Exported programs (`torch.export.save`): loading after the audit, and the inputs that their graph fixes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.base import LoadError, ModelDir, Tensors
from adapters.shared.trial_runs import Run
from adapters.torch_ import exported_audit
from adapters.torch_.declared import DeclaredInput
from adapters.torch_.exported_graphs import check_graphs
from adapters.torch_.records import Records
from adapters.torch_.trial import Slot
from adapters.torch_.values import datatype_of, flatten, message_of, tensor_of

#: a size for a free dimension that the sample inputs do not tell
_ANY = 4


@dataclass(frozen=True)
class Input:
    """A tensor that the program takes: its sample's sizes, and which of them are free."""

    name: str
    datatype: str
    sizes: tuple[int, ...]
    free: tuple[bool, ...]
    dtype: Any


def load(model_dir: ModelDir, file: str) -> tuple[Any, Any]:
    """The exported program, and the module that runs it.

    Raises:
        LoadError: it is damaged, or would do what is not known to be harmless.
    """
    # `torch.export.load` would read what fails here once more, with another reader and in an older format.
    from torch.export.pt2_archive._package import load_pt2

    path = model_dir.file(file)
    try:
        if not model_dir.trusted:
            exported_audit.check(Records(path))
        program = load_pt2(str(path)).exported_programs["model"]
        # The file's guards are Python source: they are not compiled. The signature checks what they would.
        quiet = {"check_guards": False} if "check_guards" in inspect.signature(program.module).parameters else {}
        module = program.module(**quiet)
        if not model_dir.trusted:
            check_graphs(file, module)
    except LoadError:
        raise
    except Exception as error:  # a JSON document that means nothing can fail anywhere in the deserializer
        raise LoadError(f"{file} cannot be loaded: {type(error).__name__}: {message_of(error)}") from error
    return program, module


def inputs(program: Any) -> tuple[Input, ...]:
    """The tensors that the program takes, in its order.

    Raises:
        LoadError: one of its inputs is no tensor.
    """
    import torch

    values = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    samples = torch.utils._pytree.tree_leaves(program.example_inputs) if program.example_inputs else []
    found = []
    for index, spec in enumerate(_user_inputs(program)):
        value = values.get(spec.arg.name)
        if not isinstance(value, torch.Tensor):
            if hasattr(spec.arg, "value"):  # a constant: the program checks that it gets this very value
                continue
            raise LoadError(f"the input {spec.arg.name!r} is no tensor: export the program with tensors alone")
        sample = samples[index] if index < len(samples) and isinstance(samples[index], torch.Tensor) else None
        free = tuple(not isinstance(size, int) for size in value.shape)
        sizes = tuple(
            (int(sample.shape[axis]) if sample is not None else _ANY) if free[axis] else int(size)
            for axis, size in enumerate(value.shape)
        )
        found.append(Input(spec.arg.name, datatype_of(value.dtype), sizes, free, value.dtype))
    if not found:
        raise LoadError("the program takes no tensor")
    return tuple(found)


def most_rows(program: Any) -> int:
    """How many rows the program takes at most, as its export bounds them (`Dim("batch", max=16)`); 0 for any number."""
    values = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    first = [size for spec in _user_inputs(program) for size in getattr(values.get(spec.arg.name), "shape", ())[:1]]
    bounds = [program.range_constraints.get(size.node.expr) for size in first if not isinstance(size, int)]
    return min((int(bound.upper) for bound in bounds if bound is not None and bound.upper.is_Integer), default=0)


def slots(known: Sequence[Input], ports: Sequence[DeclaredInput]) -> Iterator[tuple[Slot, ...]]:
    """Inputs to try: the sample's sizes, then others for the free ones."""
    names = [port.name for port in ports]
    for size in (0, 2, 8, 16, 1):
        yield tuple(
            Slot(name, each.datatype, _sizes(each, size), each.free) for name, each in zip(names, known, strict=True)
        )


def _sizes(each: Input, size: int) -> tuple[int, ...]:
    return tuple(size or known if free else known for known, free in zip(each.sizes, each.free, strict=True))


def runner(program: Any, module: Any, known: Sequence[Input], names: Sequence[str]) -> Run:
    """Runs the program's module on arrays by input; `names` are the inputs' names in the program's order."""
    import torch

    tree = torch.utils._pytree
    constants = [getattr(spec.arg, "value", None) for spec in _user_inputs(program)]
    tensors = [spec.arg.name in {each.name for each in known} for spec in _user_inputs(program)]
    dtypes = {name: each.dtype for name, each in zip(names, known, strict=True)}

    def run(inputs: Tensors) -> Tensors:
        given = iter(tensor_of(inputs[name]).to(dtypes[name]) for name in names)
        flat = [next(given) if is_tensor else value for is_tensor, value in zip(tensors, constants, strict=True)]
        args, kwargs = tree.tree_unflatten(flat, program.call_spec.in_spec)
        with torch.inference_mode():
            return flatten(module(*args, **kwargs))

    return run


def _user_inputs(program: Any) -> list[Any]:
    return [spec for spec in program.graph_signature.input_specs if spec.kind.name == "USER_INPUT"]
