package org.tensorflow.lite

import java.nio.ByteBuffer

interface Tensor {
    class QuantizationParams(val scale: Float, val zeroPoint: Int)
    fun shape(): IntArray
    fun numBytes(): Int
    fun quantizationParams(): QuantizationParams
}

class Interpreter(byteBuffer: ByteBuffer, options: Options) : AutoCloseable {
    class Options { fun setNumThreads(numThreads: Int): Options = TODO() }
    fun getOutputTensor(outputIndex: Int): Tensor = TODO()
    fun run(input: Any, output: Any): Unit = TODO()
    fun runForMultipleInputsOutputs(inputs: Array<Any>, outputs: Map<Int, Any>): Unit = TODO()
    override fun close(): Unit = TODO()
}
