"""The inputs that decide on sizes: TensorFlow's own names of inputs, each either listed or left out for a reason."""

from __future__ import annotations

import re
from typing import Any

import pytest

from adapters.tensorflow_.operations import HARMLESS
from adapters.tensorflow_.sized_operations import BOUNDED, CALLS, CHOICES, COUNTS, OF_SHAPES, SIZED, STITCHES, WHILE

#: what an input is called that says how much is made
_WORDS = re.compile(r"shape|sizes?$|dims$|^num_|limit|depth|multiples|paddings|nbins|_length|counts|max_output|rewrite")

#: operation -> inputs of such names that make nothing larger
_LEFT_OUT = {
    "no larger than what comes with it": """
        AddManySparseToTensorsMap AddSparseToTensorsMap BatchMatrixBandPart BatchToSpaceND MatrixBandPart
        NonMaxSuppression NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionWithOverlaps QuantizedReshape
        RaggedCross Reshape SerializeManySparse SerializeSparse Slice SparseAdd SparseConcat SparseCross
        SparseCrossHashed SparseCrossV2 SparseDenseCwiseAdd SparseDenseCwiseDiv SparseDenseCwiseMul SparseReorder
        SparseReshape SparseSlice SparseSoftmax SparseSparseMaximum SparseSparseMinimum SparseSplit
        SparseTensorDenseAdd TensorListFromTensor TensorListSplit UnravelIndex XlaSetDynamicDimensionSize
    """,
    "how much of a sequence is looked at": """
        CTCBeamSearchDecoder CTCGreedyDecoder CTCLoss CTCLossV2 CudnnRNNBackpropV3 CudnnRNNV3
        ReverseSequence
    """,
    "a place within what is there": "ConcatOffset MaxPoolGradGradV2 MaxPoolGradV2 MaxPoolV2 Reverse",
    "numbers to draw with": """
        GenerateBoundingBoxProposals QuantizeAndDequantizeV3 SampleDistortedBoundingBox SampleDistortedBoundingBoxV2
        StatefulRandomBinomial StatelessRandomBinomial StatelessSampleDistortedBoundingBox
    """,
    "the most that a stack may hold": "StackV2",
    "where a text is split": "StringSplit",
}  # fmt: skip


@pytest.fixture(scope="module")
def registered() -> dict[str, Any]:
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    known = op_def_pb2.OpList.FromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return {each.name: each for each in known.op}


def test_all_are_operations_that_are_known(registered: dict[str, Any]) -> None:
    for names in (SIZED, OF_SHAPES, BOUNDED, CALLS, CHOICES, COUNTS, STITCHES, WHILE):
        assert set(names) <= HARMLESS
        assert set(names) <= set(registered)


def test_the_places_are_inputs(registered: dict[str, Any]) -> None:
    wrong = {
        name: places
        for name, places in SIZED.items()
        if places[0] >= len(registered[name].input_arg)
        or (len(places) < 4 and places[-1] >= len(registered[name].input_arg))
    }
    assert wrong == {}


def test_what_says_how_much_is_made_is_listed_or_left_out_for_a_reason(registered: dict[str, Any]) -> None:
    told = {
        name
        for name in HARMLESS & set(registered)
        if not re.search("Dataset|Iterator", name)
        for place, each in enumerate(registered[name].input_arg)
        if _WORDS.search(each.name) and place not in SIZED.get(name, ())
    }
    assert told == {name for names in _LEFT_OUT.values() for name in names.split()}
