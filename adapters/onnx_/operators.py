"""What an ONNX graph may be built of: operators that are known to do nothing but compute, by domain.

This is a list of what is allowed. What is not here, and not a function that the file itself holds, is refused by its
name: operators of libraries that are never loaded, those that hand over to another runtime or name files for it
(`EPContext`, `Snpe`), those that only other devices have, and what a later ONNX Runtime brings, until somebody has read
it. Read for ONNX Runtime 1.32.

`SIZED` says for which operators the values of an input decide how large the result is or how long it takes. Shapes do
that for every operator, but those a request has to send.
"""

from __future__ import annotations

_STANDARD = """
Abs Acos Acosh Add Affine AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization
Bernoulli BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike CausalConvWithState
Ceil Celu CenterCropPad Clip Col2Im Compress Concat ConcatFromSequence Constant ConstantOfShape Conv ConvInteger
ConvTranspose Cos Cosh Crop CumProd CumSum DFT DeformConv DepthToSpace DequantizeLinear Det Div Dropout
DynamicQuantizeLinear DynamicSlice Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements
GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization
HammingWindow HannWindow HardSigmoid HardSwish Hardmax Identity If ImageScaler InstanceNormalization IsInf IsNaN LRN
LSTM LayerNormalization LeakyRelu Less LessOrEqual LinearAttention Log LogSoftmax Loop LpNormalization LpPool MatMul
MatMulInteger Max MaxPool MaxRoiPool MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul
Multinomial Neg NegativeLogLikelihoodLoss NonMaxSuppression NonZero Not OneHot Optional OptionalGetElement
OptionalHasElement Or PRelu Pad ParametricSoftplus Pow QLinearConv QLinearMatMul QuantizeLinear RMSNormalization RNN
RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum
ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare RegexFullMatch Relu Reshape Resize
ReverseSequence RoiAlign RotaryEmbedding Round STFT Scale ScaledTanh Scan Scatter ScatterElements ScatterND Selu
SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap Shape Shrink
Sigmoid Sign SimplifiedLayerNormalization Sin Sinh Size Slice Softmax SoftmaxCrossEntropyLoss Softplus Softsign
SpaceToDepth Split SplitToSequence Sqrt Squeeze StringConcat StringNormalizer StringSplit Sub Sum SwiGLU Swish Tan
Tanh TensorScatter TfIdfVectorizer ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor
"""

_ML = """
ArrayFeatureExtractor Binarizer CastMap CategoryMapper DictVectorizer FeatureVectorizer Imputer LabelEncoder
LinearClassifier LinearRegressor Normalizer OneHotEncoder SVMClassifier SVMRegressor Scaler TreeEnsemble
TreeEnsembleClassifier TreeEnsembleRegressor ZipMap
"""

_MICROSOFT = """
Attention AttnLSTM BeamSearch BiasGelu BifurcationDetector BranchwiseRMSNorm CDist CausalConvWithState
ConvTransposeWithDynamicPads CropAndResize DecoderMaskedMultiHeadAttention DequantizeLinear DynamicQuantizeLSTM
DynamicQuantizeMatMul DynamicTimeWarping EmbedLayerNormalization EngramGate ExpandDims FastGelu FusedConv FusedGemm
FusedMatMul GatedAdd GatedDeltaNet GatedRMSNorm GatherBlockQuantized GatherND GatherPacked Gelu GreedySearch
GridSample GroupQueryAttention HyperConnectionPostMix HyperConnectionPreMix Inverse LinearAttention
LinearAttentionGate MRotaryEmbedding MatMulBnb4 MatMulFpQ4 MatMulInteger16 MatMulIntegerToFloat MatMulNBits
MaxpoolWithMask MoE MoEGroupRouter MultiHeadAttention MurmurHash3 NGramHashMapping NGramRepeatBlock NhwcMaxPool Pad
QAttention QEmbedLayerNormalization QGemm QLinearAdd QLinearAveragePool QLinearConcat QLinearConv
QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearSigmoid QLinearSoftmax QLinearWhere QMoE QuantizeLinear
QuickGelu Range RotaryEmbedding SampleOp Sampling ScaledSiLU SkipLayerNormalization SkipSimplifiedLayerNormalization
SparseAttention SparseToDenseMatMul Tokenizer TransposeMatMul Trilu UnfoldTensor Unique VarlenCausalConvWithState
VarlenNGramHashMapping WhisperBeamSearch WordConvEmbedding
"""

#: what ONNX Runtime itself writes into a graph that it has optimized
_BLOCKED = """
AveragePool Conv GlobalAveragePool GlobalMaxPool MaxPool ReorderInput ReorderOutput Upsample
"""

OPERATORS: dict[str, frozenset[str]] = {
    "": frozenset(_STANDARD.split()),
    "ai.onnx.ml": frozenset(_ML.split()),
    "com.microsoft": frozenset(_MICROSOFT.split()),
    "com.microsoft.nchwc": frozenset(_BLOCKED.split()),
}

#: operators with graphs among their attributes
HOLD_GRAPHS = frozenset(
    {
        ("", "If"),
        ("", "Loop"),
        ("", "Scan"),
        ("", "SequenceMap"),
        ("com.microsoft", "BeamSearch"),
        ("com.microsoft", "GreedySearch"),
        ("com.microsoft", "Sampling"),
        ("com.microsoft", "WhisperBeamSearch"),
    }
)

#: results that tell of their inputs' shapes alone
OF_SHAPES = frozenset({("", name) for name in ("Shape", "Size", "EyeLike", "RandomNormalLike", "RandomUniformLike")})

_ALL = tuple(range(64))

#: operator -> the inputs whose values decide on sizes and times
SIZED: dict[tuple[str, str], tuple[int, ...]] = {
    ("", "AffineGrid"): (1,),
    ("", "BlackmanWindow"): (0,),
    ("", "CenterCropPad"): (1,),
    ("", "Col2Im"): (1, 2),
    ("", "ConstantOfShape"): (0,),
    ("", "DFT"): (1,),
    ("", "Expand"): (1,),
    ("", "HammingWindow"): (0,),
    ("", "HannWindow"): (0,),
    ("", "Loop"): (0, 1),
    ("", "MaxUnpool"): (2,),
    ("", "MelWeightMatrix"): _ALL,
    ("", "OneHot"): (1,),
    ("", "Pad"): (1,),
    ("", "Range"): (0, 1, 2),
    ("", "Resize"): (1, 2, 3),
    ("", "STFT"): (1, 3),
    ("", "Tile"): (1, 2),
    ("", "Upsample"): (1,),
    ("com.microsoft", "BeamSearch"): _ALL,
    ("com.microsoft", "ConvTransposeWithDynamicPads"): (2,),
    ("com.microsoft", "CropAndResize"): (3,),
    ("com.microsoft", "DecoderMaskedMultiHeadAttention"): _ALL,
    ("com.microsoft", "GreedySearch"): _ALL,
    ("com.microsoft", "GroupQueryAttention"): (5, 6),
    ("com.microsoft", "Pad"): (1,),
    ("com.microsoft", "Range"): (0, 1, 2),
    ("com.microsoft", "Sampling"): _ALL,
    ("com.microsoft", "SparseAttention"): _ALL,
    ("com.microsoft", "WhisperBeamSearch"): _ALL,
}
