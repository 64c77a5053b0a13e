"""The list of harmless operations: TensorFlow's own names, and none that is known to do more than compute."""

from __future__ import annotations

import re
from typing import Any

import pytest

from adapters.tensorflow_.operations import _TEXT, HARMLESS, PRINTING


@pytest.fixture(scope="module")
def registered() -> dict[str, Any]:
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    known = op_def_pb2.OpList.FromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return {each.name: each for each in known.op}


def test_all_are_operations(registered: dict[str, Any]) -> None:
    assert HARMLESS - set(_TEXT.split()) <= set(registered)
    assert set(registered) >= PRINTING
    assert not PRINTING & HARMLESS


def test_none_takes_a_file_or_an_address(registered: dict[str, Any]) -> None:
    words = re.compile(r"file|path|address|urls?$|directory|descriptor_source|memory_region|program")
    told = {
        f"{name}.{part.name}"
        for name in HARMLESS & set(registered)
        for part in (*registered[name].input_arg, *registered[name].attr)
        if words.search(part.name.lower())
    }
    assert told == {"CTCBeamSearchDecoder.top_paths", "TensorSliceDataset.is_files"}  # numbers, and a mark


@pytest.mark.parametrize(
    "name",
    [
        "ReadFile", "WriteFile", "MatchingFiles", "SaveV2", "RestoreV2", "MergeV2Checkpoints", "ImmutableConst",
        "Skipgram", "FixedUnigramCandidateSampler", "DecodeProtoV2", "EncodeProto", "CalibrationStatisticsSaver",
        "LoadAndRemapMatrix", "GenerateVocabRemapping", "PyFunc", "PyFuncStateless", "EagerPyFunc", "XlaCallModule",
        "XlaCustomCall", "XlaCustomCallV2", "XlaHostCompute", "MlirPassthroughOp", "RemoteCall", "_Send", "_Recv",
        "CollectiveReduceV2", "Abort", "SleepOp", "QueueDequeueV2", "FIFOQueueV2", "BarrierTakeMany", "Stage",
        "BatchFunction", "DebugIdentityV2", "DebugNanCount", "DumpTensor", "GetSessionTensor", "Print", "PrintV2",
        "TFRecordDatasetV2", "TextLineDataset", "CacheDatasetV2", "SnapshotDatasetV2", "SaveDatasetV2", "LoadDataset",
        "DatasetFromGraph", "DataServiceDatasetV4", "SqlDataset", "WriteSummary", "CreateSummaryFileWriter",
        "InitializeTableFromTextFileV2", "SymbolicGradient", "RpcCall", "IteratorFromStringHandleV2",
        "FileSystemSetConfiguration", "TPUPartitionedCall", "ResourceApplyAdam", "RecordInput", "MutexV2", "Send",
    ],
)  # fmt: skip
def test_what_does_more_is_not_in_it(name: str) -> None:
    assert name not in HARMLESS
