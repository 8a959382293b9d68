"""What the page computes against Pillow and Python's LiteRT."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import ExifTags, Image, ImageOps

import edgeeff
from edgeeff.backends.tflite.run import make_interpreter
from edgeeff.bundle import Bundle
from edgeeff.preprocess import Preprocess

#: Height and width of a photo, and what a network makes of it.
WANTS = Preprocess((24, 32), (0.0,) * 3, (1.0,) * 3)
FITS = {
    "cropped": ((61, 47), WANTS),
    "wide": ((20, 190), replace(WANTS, crop=0.9)),
    "enlarged": ((5, 3), WANTS),
    "one pixel": ((1, 1), WANTS),
    "bilinear": ((97, 64), replace(WANTS, interpolation="bilinear")),
    "squashed": ((333, 40), replace(WANTS, squash=True, crop=1.0)),
    "letterbox": ((41, 77), replace(WANTS, letterbox=(124.0, 0.5, 1.5), crop=1.0)),
    "grey": ((50, 60), replace(WANTS, mean=(0.0,), std=(1.0,))),
    "its own size": ((24, 32), WANTS),
    "one side its own": ((24, 90), replace(WANTS, squash=True, crop=1.0)),
}
_BYTES = "const bytes = text => Uint8ClampedArray.from(atob(text), c => c.charCodeAt(0));"
_FIT = (
    "async cases => {"
    + _BYTES
    + """
  const { fit } = await import("./preprocess.js");
  return cases.map(({ width, height, channels, text, preprocess, pillow }) => {
    const rows = (top, bottom) => bytes(text).slice(top * width * channels, bottom * width * channels);
    const { pixels, toPhoto } = fit({ width, height, channels, rows }, preprocess, pillow);
    return [Array.from(pixels), toPhoto(3, 5)];
  });
}"""
)
_OUTPUTS = (
    "async ([folder, texts]) => {"
    + _BYTES
    + """
  const { open } = await import("./bundle.js");
  const bundle = await open(async name => (await fetch(`${folder}/${name}`)).arrayBuffer());
  const found = [];
  for (const text of texts) {
    const outputs = await bundle.outputs(bytes(text));
    found.push(Object.values(outputs).map(values => Array.from(values)));
  }
  return found;
}"""
)


def text(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def test_photos_are_resized_as_pillow_does(page):
    cases, expected = [], []
    draw = np.random.default_rng(2).integers
    for (height, width), preprocess in FITS.values():
        shape = (height, width, 3) if preprocess.channels == 3 else (height, width)
        image = Image.fromarray(draw(0, 256, shape, np.uint8))
        pixels, fit = preprocess.fitted(image)
        expected.append((pixels, fit.to_photo([[3, 5]])[0]))
        size = {"width": width, "height": height, "channels": preprocess.channels}
        said = {"preprocess": preprocess.to_json(), "pillow": int(PIL.__version__.split(".")[0])}
        cases.append({**size, **said, "text": text(np.asarray(image))})
    found = page.evaluate(_FIT, cases)
    for name, (values, point), (pixels, reference) in zip(FITS, found, expected, strict=True):
        assert np.array_equal(np.array(values).reshape(pixels.shape), pixels), name
        assert point == pytest.approx(reference), name


@pytest.mark.parametrize("io", ["float32", "uint8"])
def test_outputs_are_bit_equal(page, tiny, io):
    golden = np.load(tiny[io] / "golden" / "inputs.npy")[:4]
    interpreter = make_interpreter(tiny[io], properties={})
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    for pixels, (found,) in zip(golden, page.evaluate(_OUTPUTS, [io, [*map(text, golden)]]), strict=True):
        interpreter.set_tensor(source["index"], pixels[None].astype(source["dtype"]))
        interpreter.invoke()
        reference = interpreter.get_tensor(target["index"])[0]
        assert len({*reference.tolist()}) > 2
        assert np.array(found).astype(reference.dtype).tobytes() == reference.tobytes()


def test_a_photo_gets_the_answer_of_edgeeff(page, tiny, photo):
    page.set_input_files("#photo", str(photo))
    page.locator("#note:has-text('ms')").wait_for()
    shown = [line.split("\n") for line in page.locator("#answers li").all_inner_texts()]
    with Bundle.load(tiny["float32"]).open() as predict:
        expected = predict(photo).likeliest
    assert [label for label, _ in shown[:3]] == [named.label for named in expected[:3]]
    shares = [float(share.split()[0]) for _, share in shown[:3]]
    assert shares == pytest.approx([100 * named.probability for named in expected[:3]], abs=0.051)
    assert page.title() == "Bundle in the browser" and not page.errors


_DECODED = (
    "async ([text, turn]) => {"
    + _BYTES
    + """
  const [{ unturned }, { rowsOf }] = await Promise.all([import("./exif.js"), import("./preprocess.js")]);
  const { buffer } = bytes(text);
  const bitmap = await createImageBitmap(new Blob([turn ? buffer : unturned(buffer)]));
  return [bitmap.height, bitmap.width, Array.from(rowsOf(bitmap, 3).rows(0, bitmap.height))];
}"""
)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_turns_a_photo_only_where_it_is_to(page, kind):
    exif, content = Image.Exif(), io.BytesIO()
    exif[ExifTags.Base.Orientation] = 6
    values = np.random.default_rng(3).integers(0, 256, (5, 3, 3), np.uint8)
    Image.fromarray(values).resize((23, 40), Image.Resampling.BICUBIC).save(content, kind, exif=exif)
    stored = Image.open(content)
    for turn, expected in ((False, stored), (True, ImageOps.exif_transpose(stored))):
        *size, found = page.evaluate(_DECODED, [base64.b64encode(content.getvalue()).decode(), turn])
        assert np.array_equal(np.reshape(found, (*size, 3)), np.asarray(expected))


@pytest.mark.slow
@pytest.mark.parametrize("io", ["float32", "uint8"])
def test_real_photos_get_the_same_class(show, serve, photos, tmp_path, io):
    """Lite0 of ImageNet, foolbox's photos, from the file on: Chromium decodes the JPEGs."""
    folder = edgeeff.build("lite0", targets=["mobile-int8"], io=io, output=tmp_path)[0].bundle.folder
    page = show(serve(bundle=folder))
    with Bundle.load(folder).open() as predict:
        for picture in photos[:12]:
            page.set_input_files("#photo", str(picture.path))
            page.locator(f"#status:has-text('{Path(picture.path).name}')").wait_for()
            page.locator("#note:has-text('ms')").wait_for()
            best = predict(picture.path).likeliest[0]
            label, share = page.locator("#answers li").first.inner_text().split("\n")
            assert label == best.label, picture
            assert float(share.split()[0]) == pytest.approx(100 * best.probability, abs=1.0)
