// From a photo to the network's input, as the bundle's manifest says: what edgeeff/preprocess.py does.

import { resize } from "./resize.js";

/**
 * A decoded photo or frame as rows of pixels for `resize`. Drawn strip by strip: a canvas for all of it would
 * hold 80 MB of a photo of 20 megapixels, and is not to be had on some telephones.
 *
 * @param bitmap An ImageBitmap.
 * @param channels 3: red, green, blue; 1: grey, as Pillow's convert("L") makes it.
 */
export function rowsOf(bitmap, channels) {
  const { width, height } = bitmap;
  const source = { width, height, channels, transparent: false };
  source.rows = (top, bottom) => {
    const canvas = new OffscreenCanvas(width, bottom - top);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, -top);
    const { data } = context.getImageData(0, 0, width, bottom - top);
    const found = new Uint8Array(width * (bottom - top) * channels);
    for (let from = 0, to = 0; from < data.length; from += 4) {
      const [red, green, blue] = [data[from], data[from + 1], data[from + 2]];
      if (data[from + 3] < 255) source.transparent = true;
      if (channels === 1) found[to++] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
      else (found[to++] = red), (found[to++] = green), (found[to++] = blue);
    }
    return found;
  };
  return source;
}

/**
 * @param source As `resize` takes it.
 * @param preprocess Of the manifest.
 * @param pillow The version of Pillow that the bundle was made with, as `resize` takes it.
 * @returns {pixels, toPhoto}: uint8 [height, width, channels], and a function from a point (x, y) of the
 *   input to one of the photo.
 */
export function fit(source, { size: [height, width], crop, squash, letterbox, interpolation }, pillow) {
  if (source.width === width && source.height === height)
    return { pixels: new Uint8ClampedArray(source.rows(0, height)), toPhoto: (x, y) => [x, y] };
  if (letterbox) {
    const scale = Math.min(width / source.width, height / source.height);
    const [w, h] = [source.width, source.height].map((side) => Math.max(Math.floor(side * scale + 1e-6), 1));
    const resized = resize(source, [w, h], interpolation, undefined, pillow);
    const colour = letterbox.map(halfToEven);
    const pixels = Uint8ClampedArray.from({ length: height * width * colour.length }, (_, i) => colour[i % colour.length]);
    for (let row = 0, line = w * colour.length; row < h; row++)
      pixels.set(resized.subarray(row * line, (row + 1) * line), row * width * colour.length);
    return { pixels, toPhoto: (x, y) => [(x * source.width) / w, (y * source.height) / h] };
  }
  let [across, down] = [width / crop / source.width, height / crop / source.height];
  if (!squash) across = down = Math.max(across, down);
  const [wide, high] = [width / across, height / down];
  const [left, top] = [Math.max((source.width - wide) / 2, 0), Math.max((source.height - high) / 2, 0)];
  const box = [left, top, Math.min(left + wide, source.width), Math.min(top + high, source.height)];
  const toPhoto = (x, y) => [(x * (box[2] - left)) / width + left, (y * (box[3] - top)) / height + top];
  return { pixels: resize(source, [width, height], interpolation, box, pillow), toPhoto };
}

/**
 * Pixels as the input tensor: as they are, or in float32 (x − mean) / std. Where channels differ in mean or
 * std a .tflite of edgeeff normalises them itself.
 */
export function input(pixels, type, { mean, std }) {
  if (type === "uint8") return new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.length);
  const inside = new Set(mean).size > 1 || new Set(std).size > 1;
  if (inside) return Float32Array.from(pixels);
  const [by, less] = [Math.fround(std[0]), Math.fround(mean[0])];
  return Float32Array.from(pixels, (x) => Math.fround(x - less) / by);
}

// As Python rounds.
function halfToEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}
