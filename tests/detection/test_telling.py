"""What a detector's bundle says of itself: its README, whose lines run, and ``inspect``."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from edgeeff import cli


@pytest.fixture(
    scope="module",
    params=[(name, where) for name in ("cpu-fp32", "mobile-fp32") for where in ("host", "runtime")],
)
def told(request, make_cells):
    return make_cells(*request.param)


def test_the_lines_of_its_readme_run_as_they_stand(told, monkeypatch, tmp_path, capsys):
    text, manifest = (told.folder / "README.md").read_text(), told.manifest
    (lines,) = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    pixels = np.full((1, 64, 64, 3), 20, np.uint8)
    pixels[:, 16:24, 40:48, 1] = 240
    found = {}
    shutil.copytree(told.folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    # Twice as large, and not as high as wide: a quarter of the letterbox, below the photo, stays empty.
    photo = Image.fromarray(pixels[0, :48]).resize((128, 96), Image.Resampling.NEAREST)
    photo.save("photo.jpg", format="PNG")
    exec(lines, found)
    printed = capsys.readouterr().out.split()
    assert (
        "letterbox" not in text
        and "filled with (30, 30, 30)" in text
        and "Boxes with a score from 0.3" in text
    )
    with told.open() as predict:
        (box,) = predict("photo.jpg").boxes
    corners = box.left, box.top, box.right, box.bottom
    assert (box.label, *corners) == pytest.approx(("green", 80, 32, 96, 48))
    mobile = manifest.target.startswith("mobile")
    assert ("vision.ObjectDetector" in text) == mobile
    if manifest.detection.where == "host":
        assert found["class_logits"].reshape(64, 3).argmax() == (2 * 8 + 5) * 3 + 1
        assert found["box_codes"].shape == (1, 64, 4) and "[1, 64, 3]" in text
    elif mobile:
        label, *numbers = printed
        assert label == "green" and [*map(float, numbers)] == pytest.approx([box.score, *corners], abs=1e-3)
    else:
        image, index, score, *shares = found["detections"].reshape(-1, 7)[0]
        assert (image, index) == (0, 1) and score == pytest.approx(box.score, abs=1e-5)
        np.testing.assert_allclose(np.multiply(shares, 128), corners, atol=1e-3)


def test_inspect_says_how_boxes_are_made(told, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["inspect", str(told.folder)])
    out = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    assert "boxes of 3 classes, shown from a score of 0.3 on" in out
    assert "64 on levels 3 to 3" in out and "at most 20 with a score from 0.05 on" in out
    assert "letterbox at the top left filled with (30, 30, 30)" in out
    assert ("inside the artifact" in out) == (told.manifest.detection.where == "runtime")
    with pytest.raises(SystemExit):
        cli.main(["inspect", str(told.folder), "--json"])
    assert json.loads(capsys.readouterr().out)["manifest"]["detection"] == told.manifest.detection.to_json()
