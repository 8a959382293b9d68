// From a photo to a network's input, as a bundle's manifest.json says. Nothing of Android is used here.

package edgeeff

import kotlin.math.abs
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min

/** Pixels of 8 bits, [height, width, 3], red, green and blue; rows from the top. */
class Photo(val width: Int, val height: Int, val values: ByteArray) {
    companion object {
        /** Of Bitmap.getPixels: 0xAARRGGBB. Transparency is dropped, as in edgeeff. */
        fun of(width: Int, height: Int, colours: IntArray): Photo {
            val values = ByteArray(width * height * 3)
            for (i in colours.indices) for (channel in 0..2)
                values[3 * i + channel] = (colours[i] shr (16 - 8 * channel)).toByte()
            return Photo(width, height, values)
        }
    }
}

/** The section "preprocess" of manifest.json; `pillow` is the first number of tools.pillow. */
class Steps(
    val height: Int, val width: Int, val mean: FloatArray, val std: FloatArray, val crop: Double,
    val bicubic: Boolean, val squash: Boolean, val letterbox: IntArray?, val pillow: Int,
)

/** The network's pixels, and where they lie: a point of the input is `x * across + left`, `y * down + top`. */
class Fit(val photo: Photo, val left: Double, val top: Double, val across: Double, val down: Double)

fun fit(photo: Photo, steps: Steps): Fit {
    val (width, height) = steps.width to steps.height
    if (photo.width == width && photo.height == height) return Fit(photo, 0.0, 0.0, 1.0, 1.0)
    val whole = doubleArrayOf(0.0, 0.0, photo.width.toDouble(), photo.height.toDouble())
    if (steps.letterbox != null) {
        val scale = min(width.toDouble() / photo.width, height.toDouble() / photo.height)
        val inner = intArrayOf(photo.width, photo.height).map { max(floor(it * scale + 1e-6).toInt(), 1) }
        val small = resize(photo, inner[0], inner[1], steps, whole)
        val boxed = ByteArray(width * height * 3) { steps.letterbox[it % 3].toByte() }
        for (row in 0 until inner[1])
            small.values.copyInto(boxed, row * width * 3, row * inner[0] * 3, (row + 1) * inner[0] * 3)
        val (across, down) = photo.width.toDouble() / inner[0] to photo.height.toDouble() / inner[1]
        return Fit(Photo(width, height, boxed), 0.0, 0.0, across, down)
    }
    var across = width / steps.crop / photo.width
    var down = height / steps.crop / photo.height
    if (!steps.squash) { across = max(across, down); down = across }
    val left = max((photo.width - width / across) / 2, 0.0)
    val top = max((photo.height - height / down) / 2, 0.0)
    val right = min(left + width / across, photo.width.toDouble())
    val bottom = min(top + height / down, photo.height.toDouble())
    val found = resize(photo, width, height, steps, doubleArrayOf(left, top, right, bottom))
    return Fit(found, left, top, (right - left) / width, (bottom - top) / height)
}

/** A float32 input: (x − mean) / std; where channels differ in mean or std the .tflite normalises them itself. */
fun floats(photo: Photo, steps: Steps): FloatArray {
    val inside = steps.mean.distinct().size > 1 || steps.std.distinct().size > 1
    return FloatArray(photo.values.size) {
        val value = (photo.values[it].toInt() and 255).toFloat()
        if (inside) value else (value - steps.mean[0]) / steps.std[0]
    }
}

private const val BITS = 22

private class Window(val first: Int, val weights: IntArray)

private fun weight(bicubic: Boolean, at: Double): Double {
    val x = abs(at)
    if (!bicubic) return max(1 - x, 0.0)
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1
    return if (x < 2) (((x - 5) * x + 8) * x - 4) * -0.5 else 0.0
}

private fun windows(length: Int, low: Float, high: Float, count: Int, bicubic: Boolean): List<Window> {
    val scale = (high - low).toDouble() / count
    val reach = (if (bicubic) 2 else 1) * max(scale, 1.0)
    return List(count) { i ->
        val centre = low + (i + 0.5) * scale
        val first = max((centre - reach + 0.5).toInt(), 0)
        val past = min((centre + reach + 0.5).toInt(), length)
        val reals = DoubleArray(past - first) { weight(bicubic, (it + first - centre + 0.5) * (1 / max(scale, 1.0))) }
        val sum = reals.sum()
        Window(first, IntArray(reals.size) {
            val real = if (sum != 0.0) reals[it] / sum else reals[it]
            (real * (1 shl BITS) + if (real < 0) -0.5 else 0.5).toInt()
        })
    }
}

/**
 * Pillow's antialiased resize of a part of a photo, bit for bit. Android's own (Bitmap.createScaledBitmap,
 * Matrix, ImageDecoder.setTargetSize) looks at four pixels, however much the photo shrinks.
 */
fun resize(photo: Photo, width: Int, height: Int, steps: Steps, box: DoubleArray): Photo {
    val columns = windows(photo.width, box[0].toFloat(), box[2].toFloat(), width, steps.bicubic)
    val rows = windows(photo.height, box[1].toFloat(), box[3].toFloat(), height, steps.bicubic)
    val less = photo.height - height
    val downFirst = steps.pillow >= 13 && less > 0 && less > 2 * (photo.width - width)
    return if (downFirst) across(down(photo, rows), columns) else down(across(photo, columns), rows)
}

private fun across(photo: Photo, columns: List<Window>): Photo {
    val found = ByteArray(photo.height * columns.size * 3)
    var at = 0
    for (row in 0 until photo.height) for (window in columns) for (channel in 0..2)
        found[at++] = filtered(photo.values, (row * photo.width + window.first) * 3 + channel, 3, window.weights)
    return Photo(columns.size, photo.height, found)
}

private fun down(photo: Photo, rows: List<Window>): Photo {
    val line = photo.width * 3
    val found = ByteArray(rows.size * line)
    rows.forEachIndexed { row, window ->
        for (x in 0 until line) found[row * line + x] = filtered(photo.values, window.first * line + x, line, window.weights)
    }
    return Photo(photo.width, rows.size, found)
}

private fun filtered(values: ByteArray, start: Int, step: Int, weights: IntArray): Byte {
    var sum = 1 shl (BITS - 1)
    for (i in weights.indices) sum += (values[start + i * step].toInt() and 255) * weights[i]
    return (sum shr BITS).coerceIn(0, 255).toByte()
}
