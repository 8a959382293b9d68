// Runs the samples' preprocessing on this machine: for each photo a line of numbers from standard input.

import edgeeff.Photo
import edgeeff.Steps
import edgeeff.fit
import edgeeff.floats
import java.io.DataInputStream

fun main() {
    val input = DataInputStream(System.`in`.buffered())
    val output = System.out.buffered()
    repeat(input.readInt()) {
        val numbers = IntArray(9) { input.readInt() } // width, height; height, width; bicubic, squash, letterbox, pillow, crop
        val photo = Photo.of(numbers[0], numbers[1], IntArray(numbers[0] * numbers[1]) { input.readInt() })
        val steps = Steps(
            numbers[2], numbers[3], floatArrayOf(127f, 127f, 127f), floatArrayOf(128f, 128f, 128f), numbers[8] / 1000.0,
            numbers[4] == 1, numbers[5] == 1, if (numbers[6] == 1) intArrayOf(124, 116, 104) else null, numbers[7],
        )
        val found = fit(photo, steps)
        output.write(found.photo.values)
        check(floats(found.photo, steps).all { it in -1f..1f })
    }
    output.flush()
}
