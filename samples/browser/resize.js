// Pillow's Image.resize(size, BICUBIC or BILINEAR, box=box) of 8-bit images, bit for bit.
//
// Its filters grow with the reduction (antialiasing): a canvas's drawImage does not do the same, and the
// difference reaches the answers. Weights are integers of 22 bits, as in Pillow's Resample.c.

const BITS = 22;
const STRIP = 1 << 20; // pixels that are read at once, so that a large photo is never held as a whole

const FILTERS = {
  bilinear: { support: 1, weight: (x) => Math.max(1 - Math.abs(x), 0) },
  bicubic: {
    support: 2,
    weight(x) {
      x = Math.abs(x);
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
    },
  },
};

// For each of `count` output pixels: the first input pixel that it is made of, and the weight of each.
// `low` to `high` is the part of the input's `length` pixels that is resized.
function windows(length, low, high, count, { support, weight }) {
  [low, high] = [Math.fround(low), Math.fround(high)]; // Pillow holds a box in float32
  const scale = Math.fround(high - low) / count;
  const reach = support * Math.max(scale, 1);
  const step = 1 / Math.max(scale, 1);
  return Array.from({ length: count }, (_, i) => {
    const centre = low + (i + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const past = Math.min(Math.trunc(centre + reach + 0.5), length);
    const weights = Float64Array.from({ length: past - first }, (_, x) => weight((x + first - centre + 0.5) * step));
    const sum = weights.reduce((a, b) => a + b, 0);
    const rounded = (w) => Math.trunc((sum ? w / sum : w) * (1 << BITS) + (w < 0 ? -0.5 : 0.5));
    return { first, weights: Int32Array.from(weights, rounded) };
  });
}

/**
 * @param source {width, height, channels, rows(top, bottom)}: rows gives uint8 values [bottom − top, width,
 *   channels], and is called from top to bottom; a few rows may be asked for twice.
 * @param size Width and height of the result.
 * @param filter "bicubic" or "bilinear".
 * @param box Left, top, right and bottom of the part that is resized; fractions of pixels count.
 * @param pillow The first number of the version of Pillow that it is equal to: from 13 on, photos that lose
 *   more than twice as many rows as columns are resized down first, which moves some pixels by a step.
 * @returns Uint8ClampedArray [height, width, channels].
 */
export function resize(source, [width, height], filter, box = [0, 0, source.width, source.height], pillow = 13) {
  const columns = windows(source.width, box[0], box[2], width, FILTERS[filter]);
  const rows = windows(source.height, box[1], box[3], height, FILTERS[filter]);
  const less = source.height - height;
  const first = pillow >= 13 && less > 0 && less > 2 * (source.width - width);
  return first ? downFirst(source, columns, rows) : acrossFirst(source, columns, rows);
}

const end = ({ first, weights }) => first + weights.length;

function acrossFirst(source, columns, rows) {
  const [top, bottom] = [rows[0].first, Math.max(...rows.map(end))];
  const high = Math.max(Math.floor(STRIP / source.width), 1);
  const line = columns.length * source.channels;
  const narrow = new Uint8ClampedArray((bottom - top) * line);
  for (let from = top; from < bottom; from += high) {
    const to = Math.min(from + high, bottom);
    narrow.set(across(source.rows(from, to), source.width, source.channels, columns), (from - top) * line);
  }
  return down(narrow, top, line, rows);
}

function downFirst(source, columns, rows) {
  const line = source.width * source.channels;
  const low = new Uint8ClampedArray(rows.length * line);
  for (let from = 0, to; from < rows.length; from = to) {
    const top = rows[from].first;
    for (to = from + 1; to < rows.length && (end(rows[to]) - top) * source.width <= STRIP; ) to++;
    const some = rows.slice(from, to);
    low.set(down(source.rows(top, Math.max(...some.map(end))), top, line, some), from * line);
  }
  return across(low, source.width, source.channels, columns);
}

/** Whole rows [n, width, channels] to [n, columns, channels]. */
function across(values, width, channels, columns) {
  const line = width * channels;
  const found = new Uint8ClampedArray((values.length / line) * columns.length * channels);
  for (let row = 0, at = 0; row < values.length; row += line)
    for (const { first, weights } of columns)
      for (let channel = 0; channel < channels; channel++)
        found[at++] = filtered(values, row + first * channels + channel, channels, weights);
  return found;
}

/** Rows of `line` values, the first of which is the photo's row `top`, to one for each of `rows`. */
function down(values, top, line, rows) {
  const found = new Uint8ClampedArray(rows.length * line);
  rows.forEach(({ first, weights }, y) => {
    for (let x = 0; x < line; x++) found[y * line + x] = filtered(values, (first - top) * line + x, line, weights);
  });
  return found;
}

function filtered(values, start, step, weights) {
  let sum = 1 << (BITS - 1);
  for (let i = 0; i < weights.length; i++, start += step) sum += values[start] * weights[i];
  return sum >> BITS; // the array that it goes into clips to 0…255
}
