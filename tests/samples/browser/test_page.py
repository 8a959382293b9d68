"""The page as a person has it: camera, keyboard, telephone, and what it says where something is wrong."""

from __future__ import annotations

import io
import json
import shutil

import pytest
from PIL import Image


def problem(page) -> str:
    page.locator("#problem:visible").wait_for()
    return page.locator("#problem").inner_text()


def test_the_camera_shows_what_the_photo_does(page, photo):
    page.set_input_files("#photo", str(photo))
    page.locator("#note:has-text('ms')").wait_for()
    of_photo = page.locator("#answers li span:first-child").all_inner_texts()
    page.locator("#camera").focus()
    page.keyboard.press("Enter")
    page.locator("#status:has-text('Camera')").wait_for()
    page.locator("#note:has-text('ms')").wait_for()
    assert page.locator("#view").get_attribute("width") == "160"
    assert page.locator("#answers li span:first-child").all_inner_texts()[0] == of_photo[0]
    assert page.locator("#camera").inner_text() == "Stop camera"
    page.keyboard.press("Enter")
    page.locator("#camera:has-text('Start')").wait_for()
    assert not page.locator("#problem").is_visible() and not page.errors


def test_wrong_files_get_one_line_each(page, tiny, tmp_path):
    (tmp_path / "notes.jpg").write_text("no photo")
    page.set_input_files("#photo", str(tmp_path / "notes.jpg"))
    assert problem(page) == "notes.jpg is no image that this browser decodes"
    assert page.locator("#answers li").count() == 0
    one = io.BytesIO()
    Image.new("RGBA", (1, 1), (9, 8, 7, 100)).save(one, "PNG")
    page.set_input_files("#photo", {"name": "one.png", "mimeType": "image/png", "buffer": one.getvalue()})
    page.locator("#note:has-text('transparent')").wait_for()
    assert not page.locator("#problem").is_visible()
    page.set_input_files("#files", str(tiny["uint8"] / "manifest.json"))
    assert "model.tflite is not among the files" in problem(page)
    assert page.locator("#photo").is_disabled()
    other = tmp_path / "model.tflite"
    other.write_bytes((tiny["float32"] / "model.tflite").read_bytes())
    page.set_input_files("#files", [str(tiny["uint8"] / "manifest.json"), str(other)])
    page.locator("#problem:has-text('sealed')").wait_for()
    page.set_input_files("#files", [str(tiny["float32"] / "manifest.json"), str(other)])
    page.locator("#photo:enabled").wait_for(state="attached")
    assert not page.locator("#problem").is_visible() and not page.errors


WRONG = {
    "openvino": ({"runtime": "openvino"}, "for openvino"),
    "int8": ({"input": "int8"}, "--io uint8"),
    "batch": ({"batch": 4}, "--batch 1"),
    "features": ({"task": "features"}, "no features"),
    "schema": ({"schema_version": 3}, "schema 3"),
    "host": ({"task": "detection", "detection": {"where": "host"}}, "--nms runtime"),
    "unknown": ({"camera": "nv12"}, "camera, which this page does not know"),
}


def test_bundles_that_it_cannot_run_are_refused(page, tiny):
    manifest = json.loads((tiny["float32"] / "manifest.json").read_text(encoding="utf-8"))
    manifests = [manifest, *({**manifest, **change} for change, _ in WRONG.values())]
    why = "async all => { const { refusal } = await import('./bundle.js'); return all.map(refusal); }"
    found = page.evaluate(why, manifests)
    assert found[0] == ""
    for text, (_, expected) in zip(found[1:], WRONG.values(), strict=True):
        assert expected in text


def test_what_is_not_there_is_said(show, site, sample, tmp_path):
    window = show(f"{site}?bundle=nowhere")
    assert "/nowhere/manifest.json is not there (404)" in problem(window)
    assert window.locator("#camera").is_disabled()
    for path in ("index.html", "page.css", "page.js"):
        shutil.copy(sample / path, tmp_path)
    local = show((tmp_path / "index.html").as_uri())
    assert "needs a web server" in local.locator("#status").inner_text()


@pytest.mark.slow
def test_no_permission_and_no_camera(show, site, start_chromium):
    window = show(site)
    window.locator("#camera").click()
    assert "allow it in the site's settings" in problem(window)
    without = start_chromium()
    context = without.new_context(permissions=["camera"])
    bare = context.new_page()
    bare.goto(site)
    bare.locator("#camera:enabled").wait_for()
    bare.locator("#camera").click()
    assert "no camera was found" in problem(bare)
    without.close()


def test_a_telephone_and_a_dark_screen(show, site, photo):
    light = show(site, viewport={"width": 390, "height": 800}, color_scheme="light")
    light.set_input_files("#photo", str(photo))
    light.locator("#answers li").first.wait_for()
    assert light.evaluate("document.documentElement.scrollWidth") <= 390
    ground = "getComputedStyle(document.body).backgroundColor"
    before = light.evaluate(ground)
    light.emulate_media(color_scheme="dark")
    assert light.evaluate(ground) != before
    for _ in range(2):
        light.keyboard.press("Tab")
    label = "getComputedStyle(document.activeElement.closest('label')).outlineStyle"
    assert light.evaluate(label) != "none"
