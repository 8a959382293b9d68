// The page: a bundle, a photo or the camera, and what the network says. ?bundle=PATH names the bundle's folder.

import { open, Refusal } from "./bundle.js";
import { unturned } from "./exif.js";

const LARGEST = 1280; // pixels of the longer side of what is shown
const element = (id) => document.getElementById(id);
const [controls, view] = [["camera", "photo", "files"].map(element), element("view")];
let bundle;
let stream;

function say(text) {
  element("status").textContent = text;
}

function complain(text) {
  element("problem").textContent = text;
  element("problem").hidden = !text;
}

/** Actions run one after another, and each shows in one line what went wrong. A new one ends the camera. */
let running = Promise.resolve();
function enqueue(action) {
  stop();
  return (running = running.then(async () => {
    complain("");
    element("answers").replaceChildren(); // no answer stands beside what it was not given for
    element("note").textContent = "";
    view.width = view.width;
    await action().catch((error) => {
      if (!(error instanceof Refusal)) console.error(error);
      complain(error instanceof Refusal ? error.message : `It did not work: ${error?.message ?? error}`);
    });
    for (const control of controls) control.disabled = !bundle && control.id !== "files";
  }));
}

async function load(read) {
  bundle = undefined;
  say("Loading the bundle");
  try {
    bundle = await open(read);
  } finally {
    say(bundle ? `${bundle.manifest.name}: ${bundle.manifest.labels.length} classes. Choose a photo, or start the camera.` : "No bundle is loaded.");
  }
}

const beside = (folder) => async (name) => {
  const address = new URL(`${folder.replace(/\/?$/, "/")}${name}`, location.href);
  if (address.origin !== location.origin) throw new Refusal("?bundle= names a folder of this server");
  const response = await fetch(address).catch(() => { throw new Refusal(`${address} cannot be reached: is the server running?`); });
  if (!response.ok) throw new Refusal(`${address.pathname} is not there (${response.status}): put the bundle's folder beside the page, or choose its files under “Other bundle”`);
  return response.arrayBuffer();
};

const chosen = (files) => async (name) => {
  const file = files.find((each) => each.name === name);
  if (!file) throw new Refusal(`choose the bundle's manifest.json and model.tflite together: ${name} is not among the files`);
  return file.arrayBuffer();
};

async function classify(bitmap) {
  const start = performance.now();
  const found = await bundle.predict(bitmap);
  const scale = Math.min(LARGEST / Math.max(bitmap.width, bitmap.height), 1);
  [view.width, view.height] = [bitmap.width, bitmap.height].map((side) => Math.max(Math.round(side * scale), 1));
  const context = view.getContext("2d");
  context.drawImage(bitmap, 0, 0, view.width, view.height);
  const rows = found.boxes ?? found.labels;
  element("answers").replaceChildren(...rows.map((row) => answer(row.label, row.probability ?? row.score)));
  for (const { label, corners } of found.boxes ?? []) draw(context, label, corners.map((corner) => corner * scale));
  view.setAttribute("aria-label", rows.length ? rows.map(({ label }) => label).join(", ") : "Nothing was found");
  const nothing = rows.length ? "" : `Nothing reaches ${bundle.manifest.threshold}. `;
  const alpha = found.transparent ? "It is transparent: a browser alters colours there, and the answer may differ. " : "";
  element("note").textContent = `${nothing}${alpha}${(performance.now() - start).toFixed(0)} ms`;
}

/** A line of the list. Labels are text, whatever they hold. */
function answer(label, share) {
  const spans = [label, `${(share * 100).toFixed(1)} %`].map((text) => Object.assign(document.createElement("span"), { textContent: text }));
  const line = document.createElement("li");
  line.append(...spans);
  return line;
}

function draw(context, label, [left, top, right, bottom]) {
  const size = Math.max(view.width / 40, 12);
  Object.assign(context, { font: `${size}px system-ui`, strokeStyle: "#0c6", lineWidth: Math.max(view.width / 300, 2), textBaseline: "top" });
  context.strokeRect(left, top, right - left, bottom - top);
  context.fillStyle = "#0c6";
  context.fillRect(left, top, context.measureText(label).width + 8, size + 6);
  context.fillStyle = "#000";
  context.fillText(label, left + 4, top + 3);
}

async function photo(file) {
  say(`${file.name}, by ${bundle.manifest.name}`);
  const bytes = await file.arrayBuffer();
  const decoded = new Blob([bundle.manifest.preprocess.exif ? bytes : unturned(bytes)]);
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
  const bitmap = await createImageBitmap(decoded, options).catch(() => { throw new Refusal(`${file.name} is no image that this browser decodes`); });
  await classify(bitmap).finally(() => bitmap.close());
}

const DENIED = {
  NotFoundError: "no camera was found: connect one, or choose a photo",
  NotAllowedError: "the browser may not use the camera: allow it in the site's settings, or choose a photo",
  NotReadableError: "another program uses the camera: end it, or choose a photo",
};

async function camera() {
  if (!navigator.mediaDevices) throw new Refusal("cameras need https:// or localhost: open the page there, or choose a photo");
  const asked = { video: { facingMode: "environment", width: { ideal: 1280 } } };
  return navigator.mediaDevices.getUserMedia(asked).catch((error) => { throw new Refusal(DENIED[error.name] ?? `the camera did not start: ${error.message}`); });
}

async function watch(mine) {
  const video = Object.assign(document.createElement("video"), { srcObject: mine, muted: true, playsInline: true });
  mine.getVideoTracks()[0].addEventListener("ended", () => { if (stream === mine) { stop(); complain("the camera was disconnected"); } });
  stream = mine;
  element("camera").textContent = "Stop camera";
  say(`Camera, by ${bundle.manifest.name}`);
  await video.play();
  while (stream === mine) {
    const bitmap = await createImageBitmap(video); // one frame: the video goes on meanwhile
    await classify(bitmap).finally(() => bitmap.close());
    await new Promise(requestAnimationFrame);
  }
}

function stop() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = undefined;
  element("camera").textContent = "Start camera";
}

element("camera").addEventListener("click", async () => {
  if (stream) return stop();
  const asked = camera(); // the question to the user holds up nothing else
  const mine = await asked.catch(() => null);
  await enqueue(async () => watch(await asked)).finally(() => { mine?.getTracks().forEach((track) => track.stop()); stop(); });
});
element("photo").addEventListener("change", ({ target: { files } }) => { const [file] = files; if (file) enqueue(() => photo(file)); });
element("files").addEventListener("change", ({ target: { files } }) => { const all = [...files]; if (all.length) enqueue(() => load(chosen(all))); });
// The same file may be chosen twice.
for (const control of controls.slice(1)) control.addEventListener("click", () => (control.value = ""));
enqueue(() => load(beside(new URLSearchParams(location.search).get("bundle") ?? "bundle")));
