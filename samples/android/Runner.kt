// A bundle of `mobile-int8` or `mobile-fp32` in an app's assets, by LiteRT: a Bitmap in, labels or boxes out.
//
// build.gradle: implementation("com.google.ai.edge.litert:litert:1.4.0")  // org.tensorflow.lite.Interpreter
// In assets/bundle/: manifest.json and model.tflite; androidResources { noCompress += "tflite" }

package edgeeff

import android.content.Context
import android.graphics.Bitmap
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.exp
import kotlin.math.max
import kotlin.math.min
import org.json.JSONArray
import org.json.JSONObject
import org.tensorflow.lite.Interpreter

/** A class or label and its probability; of a detector with the box, in the photo's pixels. */
class Answer(val label: String, val score: Float, val box: FloatArray? = null)

/** @throws IllegalArgumentException The bundle is one that this cannot run; the text says what to build. */
class Runner(context: Context, folder: String = "bundle", threads: Int = 2) : AutoCloseable {
    private val manifest = JSONObject(context.assets.open("$folder/manifest.json").bufferedReader().use { it.readText() })
    private val steps = steps(manifest)
    private val labels = manifest.getJSONArray("labels").let { List(it.length()) { i -> it.getString(i) } }
    private val interpreter: Interpreter

    init {
        refuse(manifest)
        val model = context.assets.open("$folder/model.tflite").use { it.readBytes() }
        val direct = ByteBuffer.allocateDirect(model.size).order(ByteOrder.nativeOrder()).put(model).rewind() as ByteBuffer
        interpreter = Interpreter(direct, Interpreter.Options().setNumThreads(threads))
    }

    /** What a photo shows. It is to be turned as the manifest's `exif` says: BitmapFactory never turns. */
    fun predict(bitmap: Bitmap): List<Answer> {
        val colours = IntArray(bitmap.width * bitmap.height)
        bitmap.getPixels(colours, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
        val fit = fit(Photo.of(bitmap.width, bitmap.height, colours), steps)
        val integers = manifest.getString("input") == "uint8"
        val input = ByteBuffer.allocateDirect(fit.photo.values.size * if (integers) 1 else 4).order(ByteOrder.nativeOrder())
        if (integers) input.put(fit.photo.values) else input.asFloatBuffer().put(floats(fit.photo, steps))
        input.rewind()
        return if (manifest.getString("task") == "detection") boxes(input, fit, bitmap) else classes(input)
    }

    private fun classes(input: ByteBuffer): List<Answer> {
        val output = interpreter.getOutputTensor(0)
        val stored = ByteBuffer.allocateDirect(output.numBytes()).order(ByteOrder.nativeOrder())
        interpreter.run(input, stored)
        stored.rewind()
        val (scale, zero) = output.quantizationParams().let { it.scale to it.zeroPoint }
        val values = FloatArray(labels.size) {
            if (scale != 0f) ((stored.get(it).toInt() and 255) - zero) * scale else stored.getFloat(4 * it)
        }
        val exclusive = manifest.getString("task") == "classification"
        val most = values.maxOrNull() ?: 0f
        val sum = values.sumOf { exp((it - most).toDouble()) }
        val answers = labels.mapIndexed { i, label ->
            val probability = when {
                manifest.getBoolean("softmax") -> values[i].toDouble()
                exclusive -> exp((values[i] - most).toDouble()) / sum
                else -> 1 / (1 + exp(-values[i].toDouble()))
            }
            Answer(label, probability.toFloat())
        }.sortedByDescending { it.score }
        return if (exclusive) answers.take(5) else answers.filter { it.score >= manifest.getDouble("threshold") }
    }

    /** Of TFLite_Detection_PostProcess: boxes, classes, scores, number, in this order. */
    private fun boxes(input: ByteBuffer, fit: Fit, photo: Bitmap): List<Answer> {
        val most = interpreter.getOutputTensor(1).shape()[1]
        val corners = Array(1) { Array(most) { FloatArray(4) } }
        val (classes, scores) = Array(1) { FloatArray(most) } to Array(1) { FloatArray(most) }
        val number = FloatArray(1)
        interpreter.runForMultipleInputsOutputs(arrayOf(input), mapOf(0 to corners, 1 to classes, 2 to scores, 3 to number))
        return List(number[0].toInt()) { i ->
            val (top, left, bottom, right) = corners[0][i]
            val x = { share: Float -> min(max(share * steps.width * fit.across + fit.left, 0.0), photo.width.toDouble()).toFloat() }
            val y = { share: Float -> min(max(share * steps.height * fit.down + fit.top, 0.0), photo.height.toDouble()).toFloat() }
            Answer(labels[classes[0][i].toInt()], scores[0][i], floatArrayOf(x(left), y(top), x(right), y(bottom)))
        }.filter { it.score >= manifest.getDouble("threshold") && it.box!![2] > it.box[0] && it.box[3] > it.box[1] }
            .sortedByDescending { it.score }
    }

    override fun close() = interpreter.close()
}

private fun refuse(manifest: JSONObject) {
    require(manifest.getString("runtime") == "tflite") { "this bundle is for ${manifest.getString("runtime")}: build with --target mobile-int8" }
    require(manifest.getString("input") != "int8") { "this sample feeds uint8 or float32: build with --io uint8" }
    require((manifest.opt("batch") ?: 1) == 1) { "this sample feeds one photo: build with --batch 1" }
    require(manifest.getString("task") in setOf("classification", "multilabel", "detection")) { "it shows labels or boxes" }
    require(manifest.optJSONObject("detection")?.getString("where") != "host") { "build with --nms runtime" }
    require(manifest.getJSONObject("preprocess").optJSONObject("camera") == null) { "it feeds photos in RGB: build with --io uint8" }
    require(manifest.getJSONObject("preprocess").getJSONArray("mean").length() == 3) { "it feeds photos in RGB" }
}

private fun steps(manifest: JSONObject): Steps {
    val said = manifest.getJSONObject("preprocess")
    fun floats(from: JSONArray) = FloatArray(from.length()) { from.getDouble(it).toFloat() }
    val size = said.getJSONArray("size")
    // As Python rounds: halves to the even number.
    val colour = said.optJSONArray("letterbox")?.let { all -> IntArray(all.length()) { Math.rint(all.getDouble(it)).toInt() } }
    return Steps(
        size.getInt(0), size.getInt(1), floats(said.getJSONArray("mean")), floats(said.getJSONArray("std")),
        said.getDouble("crop"), said.getString("interpolation") == "bicubic", said.getBoolean("squash"), colour,
        manifest.getJSONObject("tools").getString("pillow").substringBefore('.').toInt(),
    )
}
