"""What a detector's bundle says of itself: its README, whose lines run, and ``inspect``."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from edgeeff import cli


@pytest.fixture(
    scope="module", params=[("cpu-fp32", "host"), ("cpu-fp32", "runtime"), ("mobile-fp32", "host")]
)
def told(request, make_cells):
    return make_cells(*request.param)


def test_the_lines_of_its_readme_run_as_they_stand(told, monkeypatch):
    text, manifest = (told.folder / "README.md").read_text(), told.manifest
    (lines,) = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    pixels = np.full((1, 64, 64, 3), 20, np.uint8)
    pixels[:, 16:24, 40:48, 1] = 240
    if manifest.target.startswith("mobile"):
        lines = re.sub(r"np\.zeros\(.*, np\.uint8\)", "np.float32(photo)", lines)
    found = {"photo": pixels}
    monkeypatch.chdir(told.folder)
    exec(re.sub(r"np\.zeros\(.*, np\.uint8\)", "photo", lines), found)
    assert (
        "letterbox" not in text
        and "filled with (30, 30, 30)" in text
        and "Boxes with a score from 0.3" in text
    )
    with told.open() as predict:
        (box,) = predict(pixels[0]).boxes
    if manifest.detection.where == "runtime":
        image, index, score, *corners = found["detections"].reshape(-1, 7)[0]
        assert (image, index) == (0, 1) and score == pytest.approx(box.score, abs=1e-5)
        np.testing.assert_allclose(
            np.multiply(corners, 64), (box.left, box.top, box.right, box.bottom), atol=1e-3
        )
    else:
        assert found["class_logits"].reshape(64, 3).argmax() == (2 * 8 + 5) * 3 + 1
        assert found["box_codes"].shape == (1, 64, 4) and "[1, 64, 3]" in text
    assert (box.label, box.left, box.top, box.right, box.bottom) == pytest.approx(("green", 40, 16, 48, 24))


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
