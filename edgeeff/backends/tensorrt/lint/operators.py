"""The ONNX operators that TensorRT's parsers know, and since when.

From onnx-tensorrt's docs/operators.md of 8.5, 8.6, 9.0–9.3, 10.0, 10.1 and 10.15, its changelog, and the
release notes of TensorRT 11.
"""

from __future__ import annotations

from edgeeff.backends.tensorrt.lint.versions import Version

_KNOWN = {
    Version(8, 5): """
        Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization
        Cast Ceil Celu Clip Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum
        DepthToSpace DequantizeLinear Div Dropout Einsum Elu Equal Erf Exp Expand EyeLike Flatten
        Floor GRU Gather GatherElements GatherND Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool
        Greater GreaterOrEqual GridSample HardSigmoid Identity If ImageScaler InstanceNormalization
        IsNaN LRN LSTM LeakyRelu Less LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul
        Max MaxPool Mean MeanVarianceNormalization Min Mul Neg NonMaxSuppression NonZero Not Or
        PRelu Pad ParametricSoftplus Pow QuantizeLinear RNN RandomNormal RandomNormalLike
        RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum
        ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu
        Reshape Resize ReverseSequence RoiAlign Round ScaledTanh Scan Scatter ScatterElements
        ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign
        SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu
        Unsqueeze Upsample Where Xor
    """,
    Version(8, 6): "GroupNormalization HardSwish IsInf LayerNormalization Mod OneHot",
    Version(9, 1): "CastLike",
    Version(9, 2): "Hardmax",
    Version(10, 0): "Gelu Mish",
    Version(10, 1): "DeformConv",
    Version(10, 4): "BlackmanWindow HammingWindow HannWindow",
    Version(10, 5): "STFT",
    Version(10, 14): "Attention",
    Version(10, 15): "RMSNormalization RotaryEmbedding TensorScatter",
    Version(11, 0): "Swish",
    Version(11, 2): "DFT",
}

#: The first version known to read each operator of the default domain.
FIRST_KNOWN = {name: version for version, names in _KNOWN.items() for name in names.split()}
