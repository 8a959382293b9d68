// A bundle of edgeeff in the browser: its manifest, its .tflite, and what the outputs mean.

import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";
import { fit, input, rowsOf } from "./preprocess.js";
import { describe } from "./tflite.js";

const WASM = new URL("node_modules/@litertjs/core/wasm/", import.meta.url).href;
// All that a manifest may say: of what this page does not know it cannot tell whether it matters.
const KNOWN = new Set(
  ("batch classes cpu_class detection digests files input labels model name negative origin outputs plugins " +
    "precision preprocess runtime runtime_properties schema_version softmax target task threshold thresholded tools").split(" "),
);
const STEPS = new Set("size mean std crop interpolation squash exif white letterbox".split(" "));

/** What the page shows as it is, instead of a trace. */
export class Refusal extends Error {}

/** Why this page cannot run a bundle; empty: it can. */
export function refusal(manifest) {
  const { runtime, schema_version: schema, task, batch, preprocess } = manifest;
  if (!runtime || !preprocess) return "manifest.json is not one of a bundle of edgeeff";
  if (runtime !== "tflite") return `this bundle is for ${runtime}; a browser runs those of --target mobile-int8 or mobile-fp32`;
  if (!(schema <= 2)) return `the bundle has schema ${schema}, this page reads up to 2`;
  const unknown = [...Object.keys(manifest).filter((key) => !KNOWN.has(key)), ...Object.keys(preprocess).filter((key) => !STEPS.has(key))];
  if (unknown.length) return `the manifest says ${unknown.join(", ")}, which this page does not know`;
  if (manifest.input === "int8") return "LiteRT.js has no int8 input: build with --io uint8 or --io float32";
  if ((batch ?? 1) !== 1) return `the bundle takes batch ${batch}: build with --batch 1`;
  if (![1, 3].includes(preprocess.mean.length)) return `the network takes ${preprocess.mean.length} channels, and a photo has 3`;
  if (manifest.detection?.where === "host") return "the boxes of this bundle are made behind the network: build with --nms runtime";
  if (!["classification", "multilabel", "detection"].includes(task ?? "classification")) return `this page shows labels or boxes, no ${task}`;
  return "";
}

/**
 * @param read Gives a file of the bundle by its name, as an ArrayBuffer.
 * @returns A Bundle that is ready to run.
 */
export async function open(read) {
  let manifest;
  try {
    manifest = JSON.parse(new TextDecoder().decode(await read("manifest.json")));
  } catch (error) {
    throw error instanceof SyntaxError ? new Refusal("manifest.json is no JSON: choose the bundle's own file") : error;
  }
  const why = refusal(manifest ?? {});
  if (why) throw new Refusal(why);
  const model = await read("model.tflite");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", model));
  const sum = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (manifest.files["model.tflite"] !== sum) throw new Refusal("model.tflite is not the file that manifest.json sealed: copy the whole bundle again");
  const file = describe(model);
  if (!file) throw new Refusal("model.tflite is damaged: copy the bundle again");
  await (runtime ??= loadLiteRt(WASM).catch((error) => { runtime = undefined; throw error; }));
  return new Bundle(manifest, file, await loadAndCompile(new Uint8Array(model), { accelerator: "wasm" }));
}
let runtime;

export class Bundle {
  constructor(manifest, file, network) {
    Object.assign(this, { manifest, file, network });
  }

  /** The outputs as they are stored, by name, of pixels uint8 [height, width, channels]. */
  async outputs(pixels) {
    const { input: type, preprocess } = this.manifest;
    const given = new Tensor(input(pixels, type, preprocess), [1, ...preprocess.size, preprocess.mean.length]);
    const made = await this.network.run([given]);
    const found = this.network.getOutputDetails().map(({ name }, i) => [name, made[i].toTypedArray()]);
    for (const tensor of [given, ...made]) tensor.delete();
    return Object.fromEntries(found);
  }

  /**
   * What a photo or frame shows.
   *
   * @returns {labels, boxes, transparent}: labels [{label, probability}], the likeliest first; or boxes
   *   [{label, score, corners}], corners left, top, right and bottom in the photo's pixels.
   */
  async predict(bitmap, top = 5) {
    const { preprocess, task, detection, tools } = this.manifest;
    const source = rowsOf(bitmap, preprocess.mean.length);
    const { pixels, toPhoto } = fit(source, preprocess, parseInt(tools.pillow));
    const found = await this.outputs(pixels);
    const { transparent } = source;
    if (detection) return { boxes: this.#boxes(found, toPhoto, bitmap), transparent };
    const ranked = this.probabilities(Object.values(found)[0])
      .map((probability, i) => ({ label: this.manifest.labels[i], probability }))
      .sort((one, other) => other.probability - one.probability);
    if (task !== "multilabel") return { labels: ranked.slice(0, top), transparent };
    return { labels: ranked.filter(({ probability }) => probability >= this.manifest.threshold), transparent };
  }

  /** Of the only output, as it is stored. */
  probabilities(stored) {
    const { scale, zeroPoint } = this.file.outputs[0];
    const values = Array.from(stored, (value) => (scale ? (value - zeroPoint) * scale : value));
    if (this.manifest.softmax) return values;
    if (this.manifest.task === "multilabel") return values.map((value) => 1 / (1 + Math.exp(-value)));
    const most = Math.max(...values);
    const powers = values.map((value) => Math.exp(value - most));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / sum);
  }

  #boxes(found, toPhoto, { width, height }) {
    const { labels, threshold, preprocess } = this.manifest;
    const { detection_boxes: corners, detection_classes: classes, detection_scores: scores, num_detections: number } = found;
    const [high, wide] = preprocess.size;
    const within = ([x, y]) => [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];
    return Array.from({ length: number[0] }, (_, i) => {
      const [top, left, bottom, right] = corners.subarray(4 * i, 4 * i + 4);
      const ends = [...within(toPhoto(left * wide, top * high)), ...within(toPhoto(right * wide, bottom * high))];
      return { label: labels[classes[i]], score: scores[i], corners: ends };
    }).filter(({ score, corners: [left, top, right, bottom] }) => score >= threshold && right > left && bottom > top)
      .sort((one, other) => other.score - one.score);
  }
}
