package android.graphics

class RectF(@JvmField var left: Float, @JvmField var top: Float, @JvmField var right: Float, @JvmField var bottom: Float)

class Bitmap private constructor() {
    enum class Config { ARGB_8888 }
    val width: Int get() = TODO()
    val height: Int get() = TODO()
    fun getPixels(pixels: IntArray, offset: Int, stride: Int, x: Int, y: Int, width: Int, height: Int): Unit = TODO()
    companion object {
        @JvmStatic fun createBitmap(colors: IntArray, width: Int, height: Int, config: Config): Bitmap = TODO()
    }
}
