"""The list of known operators against the ONNX Runtime that is installed."""

from __future__ import annotations

import onnx

from adapters.onnx_.operators import HOLD_GRAPHS, OF_SHAPES, OPERATORS, SIZED

#: copies between devices, which ONNX Runtime puts in itself
_INSERTED = {"MemcpyFromHost", "MemcpyToHost"}
#: what hands over to another runtime, or names files for it
_ELSEWHERE = {"EPContext", "Snpe", "ATen", "PythonOp"}


def kernels(domain: str) -> set[str]:
    from onnxruntime.capi import onnxruntime_pybind11_state as native

    return {
        each.op_name
        for each in native.get_all_opkernel_def()
        if each.domain == domain and each.provider == "CPUExecutionProvider"
    }


def schemas(domain: str) -> set[str]:
    from onnxruntime.capi import onnxruntime_pybind11_state as native

    return {each.name for each in native.get_all_operator_schema() if each.domain == domain}


def test_the_list_is_what_this_onnx_runtime_has() -> None:
    """An operator that ONNX Runtime has got and the list has not is to be read, and then added or named here."""
    functions = {
        each.name
        for each in onnx.defs.get_all_schemas_with_history()
        if each.domain == "" and (each.has_function or each.has_context_dependent_function)
    }
    for domain, known in OPERATORS.items():
        composed = functions & schemas(domain) if domain == "" else set()
        assert known - {"Constant"} == (kernels(domain) | composed) - _INSERTED - _ELSEWHERE, domain


def test_what_hands_over_to_others_is_not_known() -> None:
    assert not _ELSEWHERE & set().union(*OPERATORS.values())


def test_what_is_said_of_operators_is_said_of_known_ones() -> None:
    for domain, name in [*SIZED, *HOLD_GRAPHS, *OF_SHAPES]:
        assert name in OPERATORS[domain]


def test_whatever_takes_a_graph_by_its_schema_may_hold_one() -> None:
    taking = {
        (each.domain, each.name)
        for each in onnx.defs.get_all_schemas_with_history()
        if each.domain in OPERATORS and any(one.type.name in ("GRAPH", "GRAPHS") for one in each.attributes.values())
    }
    assert taking <= HOLD_GRAPHS
