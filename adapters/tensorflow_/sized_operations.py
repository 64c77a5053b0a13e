"""For which operations the values of an input, not its shape, decide how large a result is or how long it takes.

`SIZED` names these inputs by their places. Read for TensorFlow 2.21 over the operations that `operations` allows, by
the names of their inputs; what was left out, and why, is in `tests/adapters/tensorflow_/test_sized_operations.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

#: results that tell of their inputs' shapes, or of how long a list is that a loop has filled
OF_SHAPES = frozenset(
    {
        "OnesLike", "Rank", "Shape", "ShapeN", "Size", "TensorArraySize", "TensorArraySizeV2", "TensorArraySizeV3",
        "TensorListElementShape", "TensorListLength", "VariableShape", "ZerosLike",
    }
)  # fmt: skip

#: operation -> its results that are no larger than its inputs are, by place and name
BOUNDED: Mapping[str, Mapping[int, str]] = {"StringSplit": {2: "shape"}, "StringSplitV2": {2: "shape"}}

#: loops whose condition is a function
WHILE = frozenset({"StatelessWhile", "While", "XlaWhile", "_While"})
#: choices between functions; their first input chooses
CHOICES = frozenset({"Case", "If", "StatelessCase", "StatelessIf", "XlaIf", "_If"})
#: calls of one function
CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})

#: keep a value from one run to the next: where a request may write into any, reading gives what a request has sent
HOLDS_STATE = (
    "VarHandleOp", "Variable", "VariableV2", "TemporaryVariable", "HashTable", "Stack", "TensorArray", "Iterator",
    "_VarHandlesOp",
)  # fmt: skip
WRITES_STATE = (
    "AddMany", "AddSparse", "Assign", "InitializeTable", "LookupTableI", "Resource", "RngSkip", "Scatter", "StackPush",
    "StridedSliceAssign", "TemporaryVariable",
)  # fmt: skip
#: which begin so, and write nothing
WRITES_NONE = frozenset({"ResourceGather", "ResourceGatherNd", "ScatterNd"})

_BY_FIRST = """
AvgPool3DGrad AvgPoolGrad Conv2DBackpropInput Conv3DBackpropInputV2 DecodeAndCropJpeg DecodeCompressed DecodeGif
DecodeImage DecodeJpeg DecodeJxl DecodePng DecodeWebP DepthwiseConv2dNativeBackpropInput Empty EmptyTensorList Fill
FractionalAvgPoolGrad LoopCond NonDeterministicInts ParameterizedTruncatedNormal ParseTensor RandomGamma RandomPoisson
RandomPoissonV2 RandomStandardNormal RandomUniform RandomUniformInt SparseMatrixZeros
StatelessParameterizedTruncatedNormal StatelessRandomBinomial StatelessRandomGammaV2 StatelessRandomGammaV3
StatelessRandomNormal StatelessRandomNormalV2 StatelessRandomPoisson StatelessRandomUniform
StatelessRandomUniformFullInt StatelessRandomUniformFullIntV2 StatelessRandomUniformInt StatelessRandomUniformIntV2
StatelessRandomUniformV2 StatelessTruncatedNormal StatelessTruncatedNormalV2 StridedSliceGrad TensorArray TensorArrayV2
TensorArrayV3 TruncatedNormal UncompressElement
"""
_BY_SECOND = """
Bincount BoostedTreesQuantileStreamResourceFlush BroadcastTo Conv2DBackpropFilter Conv3DBackpropFilterV2
DecodePaddedRaw DenseBincount DepthwiseConv2dNativeBackpropFilter ExtractGlimpse ExtractGlimpseV2 FFTND FusedPadConv2D
IFFTND IRFFT IRFFT2D IRFFT3D IRFFTND MirrorPad MirrorPadGrad Multinomial OneHot Pad PadV2 QuantizedResizeBilinear RFFT
RFFT2D RFFT3D RFFTND RandomCrop ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor ResizeNearestNeighborGrad
ScaleAndTranslate SegmentMax SegmentMean SegmentMin SegmentProd SegmentSum SpaceToBatch SparseToDense
StatefulStandardNormal StatelessMultinomial TensorArrayScatter TensorArrayScatterV2 TensorArrayScatterV3
TensorArrayWrite TensorArrayWriteV2 TensorArrayWriteV3 TensorListPopBack TensorListResize
TensorListSetItem TensorListStack Tile TileGrad
"""
_BY_THIRD = """
BoostedTreesCreateQuantileStreamResource HistogramFixedWidth ImageProjectiveTransformV2 ImageProjectiveTransformV3
LinSpace NonMaxSuppressionV4 NonMaxSuppressionV5 RaggedBincount RaggedFillEmptyRows RaggedTensorToVariantGradient
RegexReplace ScatterNd SegmentMaxV2 SegmentMinV2 SegmentProdV2 SegmentSumV2 SetSize SparseCountSparseOutput
SparseFillEmptyRows SparseReduceMax SparseReduceMaxSparse SparseReduceSum SparseReduceSumSparse SparseSegmentMean
SparseSegmentSqrtN SparseSegmentSum SparseTensorDenseMatMul SparseTensorToCSRSparseMatrix StatefulRandomBinomial
StatefulStandardNormalV2 StatefulTruncatedNormal StatefulUniform StatefulUniformFullInt StatefulUniformInt
TensorArrayGradWithShape TensorListGather TensorListGetItem TensorListScatterIntoExistingList UnsortedSegmentJoin
UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum XlaBroadcastHelper XlaGather
XlaRngBitGenerator
"""
_BY_FOURTH = """
BoostedTreesSparseCalculateBestFeatureSplit CropAndResize CropAndResizeGradImage DenseToSparseSetOperation
SparseSegmentMeanGrad SparseSegmentMeanGradV2 SparseSegmentMeanWithNumSegments SparseSegmentSqrtNGrad
SparseSegmentSqrtNGradV2 SparseSegmentSqrtNWithNumSegments SparseSegmentSumGrad SparseSegmentSumGradV2
SparseSegmentSumWithNumSegments
"""
_BY_FIRST_THREE = """
CudnnRNNCanonicalToParams CudnnRNNCanonicalToParamsV2 CudnnRNNParamsSize CudnnRNNParamsToCanonical
CudnnRNNParamsToCanonicalV2 For RaggedRange Range SobolSample
"""
_ALL = tuple(range(16))

#: operation -> the inputs whose values decide on sizes and times
SIZED: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(_BY_FIRST.split(), (0,)),
    **dict.fromkeys(_BY_SECOND.split(), (1,)),
    **dict.fromkeys(_BY_THIRD.split(), (2,)),
    **dict.fromkeys(_BY_FOURTH.split(), (3,)),
    **dict.fromkeys(_BY_FIRST_THREE.split(), (0, 1, 2)),
    "BoostedTreesUpdateEnsemble": (7,),
    "BoostedTreesUpdateEnsembleV2": _ALL,
    "CombinedNonMaxSuppression": (2, 3),
    "EditDistance": (2, 5),
    "FusedResizeAndPadConv2D": (1, 2),
    "KmeansPlusPlusInitialization": (1, 3),
    "MatrixDiagV2": (1, 2, 3),
    "MatrixDiagV3": (1, 2, 3),
    "RaggedTensorToTensor": (0, 3),
    "SpaceToBatchND": (1, 2),
    "SparseBincount": (2, 3),
    "SparseToSparseSetOperation": (2, 5),
    "TensorListConcatV2": (1, 2),
    "TensorListReserve": (0, 1),
    "TensorListScatter": (1, 2),
    "TensorListScatterV2": (1, 2, 3),
    "XlaConv": _ALL[2:],
    "XlaConvV2": _ALL[2:],
    "XlaPad": _ALL[2:],
    "XlaReduceWindow": _ALL[2:],
    "XlaSelectAndScatter": _ALL[1:4],
}

#: count up to their second input, which may be more than a request says by being the smaller of two
COUNTS = frozenset({"Bincount", "DenseBincount"})
#: the first half of whose inputs says where the other half goes, and so how much there is
STITCHES = frozenset({"DynamicStitch", "ParallelDynamicStitch"})
#: runs of other things than tensors, which repeat and count as they are told
DATASETS = ("Dataset", "Iterator")
