// The same file by MediaPipe Tasks: labels, normalisation and a detector's outputs are in its metadata.
//
// build.gradle: implementation("com.google.mediapipe:tasks-vision:0.10.29"); assets/bundle/model.tflite
// Built with --io uint8 or --io float32, and --softmax where scores are to be probabilities.

package edgeeff

import android.content.Context
import android.graphics.Bitmap
import com.google.mediapipe.framework.image.BitmapImageBuilder
import com.google.mediapipe.tasks.core.BaseOptions
import com.google.mediapipe.tasks.vision.imageclassifier.ImageClassifier
import com.google.mediapipe.tasks.vision.objectdetector.ObjectDetector

private fun base(model: String) = BaseOptions.builder().setModelAssetPath(model).build()

/** MediaPipe stretches what it is given to the input's size, so it is given pixels that have it. */
private fun prepared(bitmap: Bitmap, steps: Steps): Pair<Bitmap, Fit> {
    val colours = IntArray(bitmap.width * bitmap.height)
    bitmap.getPixels(colours, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
    val fit = fit(Photo.of(bitmap.width, bitmap.height, colours), steps)
    val found = IntArray(steps.width * steps.height) { i ->
        (0..2).fold(0xff) { colour, channel -> (colour shl 8) or (fit.photo.values[3 * i + channel].toInt() and 255) }
    }
    return Bitmap.createBitmap(found, steps.width, steps.height, Bitmap.Config.ARGB_8888) to fit
}

fun classify(context: Context, bitmap: Bitmap, steps: Steps, model: String = "bundle/model.tflite"): List<Answer> {
    val options = ImageClassifier.ImageClassifierOptions.builder().setBaseOptions(base(model)).setMaxResults(5).build()
    ImageClassifier.createFromOptions(context, options).use { classifier ->
        val found = classifier.classify(BitmapImageBuilder(prepared(bitmap, steps).first).build())
        return found.classificationResult().classifications()[0].categories().map { Answer(it.categoryName(), it.score()) }
    }
}

fun detect(context: Context, bitmap: Bitmap, steps: Steps, threshold: Float, model: String = "bundle/model.tflite"): List<Answer> {
    val options = ObjectDetector.ObjectDetectorOptions.builder().setBaseOptions(base(model)).setScoreThreshold(threshold).build()
    ObjectDetector.createFromOptions(context, options).use { detector ->
        val (small, fit) = prepared(bitmap, steps)
        return detector.detect(BitmapImageBuilder(small).build()).detections().map { one ->
            val (box, best) = one.boundingBox() to one.categories()[0]
            val across = listOf(box.left, box.right).map { (it * fit.across + fit.left).toFloat().coerceIn(0f, bitmap.width.toFloat()) }
            val down = listOf(box.top, box.bottom).map { (it * fit.down + fit.top).toFloat().coerceIn(0f, bitmap.height.toFloat()) }
            Answer(best.categoryName(), best.score(), floatArrayOf(across[0], down[0], across[1], down[1]))
        }
    }
}
