"""The browser's sample against Python's LiteRT: outputs of golden inputs, answers to photos, and a time.

``python benchmarks/samples_browser.py PHOTOS BUNDLE…``: bundles of mobile-int8 or mobile-fp32 and a
folder of photos, the first hundred of which are shown to the page. It needs Playwright, Debian's Chromium
and ``python scripts/npm.py samples/browser``; about a minute for each bundle. The time is a remark: a median
of the network alone, one thread, in headless Chromium.
"""

from __future__ import annotations

import base64
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

from edgeeff.backends import input_preprocess
from edgeeff.backends.tflite.run import make_interpreter
from edgeeff.bundle import Bundle
from edgeeff.images import open_images
from edgeeff.target import load_target

SAMPLE = Path(__file__).parents[1] / "samples" / "browser"
PHOTOS, RUNS = 100, 30
SCRIPT = """async ([text, runs]) => {
  const { open } = await import("./bundle.js");
  const read = async name => (await fetch(`bundle/${name}`)).arrayBuffer();
  const bundle = (window.opened ??= await open(read));
  const pixels = Uint8ClampedArray.from(atob(text), c => c.charCodeAt(0));
  const times = [];
  let found;
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    found = await bundle.outputs(pixels);
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  return [times[runs >> 1], Object.entries(found).map(([name, values]) => [name, Array.from(values)])];
}"""


class Quiet(SimpleHTTPRequestHandler):
    """Says nothing of each request."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def served(bundle: Path) -> Iterator[str]:
    """The address of the page, with a bundle beside it."""
    with tempfile.TemporaryDirectory() as name:
        site = Path(name)
        for path in SAMPLE.iterdir():
            (site / path.name).symlink_to(path)
        shutil.copytree(bundle, site / "bundle")
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=name))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()
        server.server_close()


def outputs(bundle: Bundle, page: Any) -> str:
    """How the outputs of golden inputs differ, and the median of the network's times."""
    manifest = bundle.manifest
    interpreter = make_interpreter(bundle.folder, properties={})
    source = interpreter.get_input_details()[0]
    preprocess = input_preprocess(load_target(manifest.target), manifest.preprocess)
    places = interpreter.get_signature_runner().get_output_details()
    equal = count = 0
    worst = milliseconds = 0.0
    for pixels in np.load(bundle.folder / "golden" / "inputs.npy"):
        given = (
            pixels[None] if manifest.input == "uint8" else preprocess.normalise_channels_last(pixels[None])
        )
        interpreter.set_tensor(source["index"], given)
        interpreter.invoke()
        text = base64.b64encode(pixels.tobytes()).decode()
        time, found = page.evaluate(SCRIPT, [text, 1 if count else RUNS])
        milliseconds = milliseconds or time
        for name, values in found:
            reference = interpreter.get_tensor(places[name]["index"]).ravel()
            same = np.array(values).astype(reference.dtype)
            equal += int((same == reference).sum())
            count += reference.size
            worst = max(worst, float(np.abs(same.astype(np.float64) - reference).max()))
    return f"outputs equal {equal} of {count}, largest difference {worst:.3g}; {milliseconds:.1f} ms"


def answers(bundle: Bundle, page: Any, photos: Path) -> str:
    """Photos of which the page names the same class first."""
    same = shown = 0
    with bundle.open() as predict:
        for picture in open_images(photos).pictures[:PHOTOS]:
            page.set_input_files("#photo", str(picture.path))
            page.locator("#note:has-text('ms')").wait_for()
            first = page.locator("#answers li span").first
            named = predict(picture.path)
            label = first.inner_text() if page.locator("#answers li").count() else ""
            boxes = named.boxes
            expected = named.likeliest[0].label if boxes is None else boxes.labels[0] if len(boxes) else ""
            same += label == expected
            shown += 1
    return f"first answer the same for {same} of {shown} photos"


def main(photos: str, *folders: str) -> None:
    """Each bundle in a page of its own."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for folder in folders:
            bundle = Bundle.load(Path(folder))
            with served(bundle.folder) as address:
                page = browser.new_page()
                page.goto(address)
                page.locator("#photo:enabled").wait_for(state="attached")
                print(f"{folder}: {outputs(bundle, page)}; {answers(bundle, page, Path(photos))}", flush=True)
                page.close()
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
