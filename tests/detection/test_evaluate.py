"""``edgeeff eval`` on detectors: scores, tables at 80 columns, a reference, another bundle, and going on."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from edgeeff import bootstrap, cli
from edgeeff.cli import judgements
from edgeeff.errors import LabelsError, OptionError
from edgeeff.gate import against, alone, baseline, pair
from edgeeff.gate.suite import Case
from edgeeff.harness import resuming, shards
from edgeeff.harness.accuracy import evaluate, evaluate_all
from edgeeff.harness.launches import How
from edgeeff.harness.shards import Judged, Shard
from edgeeff.history.kinds import accuracy as kind
from edgeeff.progress import Recorder, Silent


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(bootstrap, "DRAWS", 20)


@pytest.fixture
def known(photo, tmp_path):
    """30 photos, in each a blue and a red cell where the network sees them; every third red is elsewhere."""
    images, annotations = [], []
    for i in range(30):
        photo(f"{i:02}.png")
        images.append({"id": i, "file_name": f"{i:02}.png", "width": 128, "height": 64})
        right = [112, 48, 16, 16] if i % 3 else [0, 30, 16, 16]
        for name, box in (("blue", [0, 0, 16, 16]), ("red", right)):
            annotations.append(
                {
                    **{"id": len(annotations) + 1, "image_id": i, "bbox": box, "area": 256, "iscrowd": 0},
                    "category_id": {"blue": 3, "red": 9}[name],
                }
            )
    categories = [{"id": 3, "name": "blue"}, {"id": 9, "name": "red"}]
    path = tmp_path / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


@pytest.fixture
def run(capsys):
    """The verb in this process; its status, output and messages."""

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            cli.main(["eval", *map(str, arguments)])
        return ended.value.code, *capsys.readouterr()

    return call


def test_scores_are_those_of_the_boxes(cells, known):
    report = evaluate(cells, known, reference=cells)
    found = report.scores
    # Blue is always right. Red: of 30 of one score the last 10 found are wrong, one by one in three.
    assert found.classes[1].average == pytest.approx(1) and 0.3 < found.classes[0].average < 0.6
    assert report.metric == "map" and found.primary == pytest.approx(
        np.mean([one.average for one in found.classes])
    )
    assert (found.precision.successes, found.precision.total, found.recall.total) == (50, 60, 60)
    assert (report.labelled, report.images, report.drop) == (30, 30, 0)
    assert report.reference.agreement.value == 1 and report.reference.lost.high == 0
    data = report.to_json()
    assert [(one["label"], one["images"], one["right"]) for one in data["per_class"]] == [
        *(("red", 30, 20), ("blue", 30, 30))
    ]
    assert data["scores"]["map_75"] == found.means["map_75"] and data["confusion"] is None
    json.dumps(data, allow_nan=False)


def test_what_is_printed_and_drawn(cells, make_cells, known, run, monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEEFF_CACHE_DIR", str(tmp_path / "cache"))
    other = make_cells(name="cells-of-a-longer-name")
    page = tmp_path / "page.html"
    bundles = (cells.folder, other.folder, "--reference", cells.folder, "--images", known)
    status, out, err = run(*bundles, "--per-class", "--html", page)
    assert status == 0, err
    for text in ("mAP", "AP50", "AP75", "small", "recall", "no worse by 0.5 points", "0.00…0.00", "blue"):
        assert text in out, text
    drawn = page.read_text()
    assert "AP50" in drawn and "no worse by 0.5 points" in drawn
    status, out, _ = run(*bundles, "--json")
    first, second = json.loads(out)
    assert status == 0 and second["comparison"]["loss_interval_points"] == [0, 0]
    assert first["images_sha256"] == second["images_sha256"] and first["comparison"] is None
    kept = {one.metric: one for one in kind.said(second, [second["bundle"]]).figures}
    assert kept["map"].value == second["scores"]["map"] and kept["drop_points"].high == 0
    assert {"map_50", "ar_100", "precision", "recall"} < set(kept) and not {"boxes", "threshold"} & set(kept)
    status, _, err = run(*bundles, "--confusion", tmp_path / "c.csv")
    assert status == 2 and "--per-class" in err and not (tmp_path / "c.csv").exists()


def test_tables_hold_at_80_columns(cells, known):
    report = evaluate(cells, known, reference=cells, warn=lambda _: None)
    lost = replace(report.reference.lost, points=-12.345, low=-13.456, high=12.345)
    report = replace(report, reference=replace(report.reference, lost=lost), bundle="effdet-d0-x-jetson-int8")
    screen = Console(width=80, record=True, markup=False)
    for made in (judgements.accuracy_table([report]), judgements.detection_table([report])):
        screen.print(made)
    screen.print(judgements.per_class_table(report))
    unknown = replace(
        report, scores=replace(report.scores, means=dict.fromkeys(report.scores.means, math.nan))
    )
    with (empty := Console(width=80, record=True, markup=False)).capture():
        empty.print(judgements.accuracy_table([unknown]))
        empty.print(judgements.accuracy_table([replace(report, scores=None)]))
    assert not {"nan", "top-1"} & set(empty.export_text().split())
    text = screen.export_text()
    assert "…" not in text.replace("(-13.46…12.35)", "").replace("(94.0…100.0)", "")
    for word in ("(-13.46…12.35)", "0.721", "0.833", "1.000", "preci-"):
        assert word in text.split(), text


def test_the_photos_folder_is_an_option(cells, known, run, tmp_path, monkeypatch, make_cells):
    monkeypatch.setenv("EDGEEFF_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "apart").mkdir()
    moved = tmp_path / "apart" / "set" / "instances.json"
    moved.parent.mkdir()
    known.rename(moved)
    status, _, err = run(cells.folder, "--images", moved)
    assert status == 2 and "--root" in err
    assert run(cells.folder, "--images", moved, "--root", tmp_path)[0] == 0
    other = make_cells(name="other")
    limits = {"top_1": 1.0}
    apart = pair.decide(other, cells, limits, images=moved, progress=Silent())
    report = pair.decide(other, cells, limits, images=moved, root=tmp_path, progress=Silent())
    assert [one.status for one in (*apart.verdicts, *report.verdicts)] == ["error", "pass"]


def test_what_bears_no_boxes_is_refused(cells, known, photo, tmp_path):
    with pytest.raises(OptionError, match="nothing to judge by: the images have no boxes"):
        evaluate(cells, photo("alone.png"))
    with pytest.raises(LabelsError, match="judged by boxes"):
        evaluate(cells, known, labels=[0] * 30)
    photo("red/a.png")
    heard: list[str] = []
    report = evaluate(cells, tmp_path / "red", reference=cells, warn=heard.append)
    assert report.scores is None and report.reference.agreement.value == 1
    for name in ("red", "blue"):
        (tmp_path / "classes" / name).mkdir(parents=True)
        photo(f"classes/{name}/a.png")
    evaluate(cells, tmp_path / "classes", reference=cells, warn=heard.append)
    assert any("classes of the images are not looked at" in text for text in heard)


def test_a_photo_that_is_broken_is_left_out_with_its_boxes(cells, known):
    (known.parent / "02.png").write_bytes((known.parent / "02.png").read_bytes()[:60])
    (known.parent / "03.png").write_bytes(b"no image")
    heard: list[str] = []
    report = evaluate(cells, known, warn=heard.append)
    assert (report.images, report.scores.boxes) == (28, 56)
    assert sum("skipped an image" in text for text in heard) == 2


def test_a_run_that_was_cut_off_goes_on(cells, make_cells, known, tmp_path, monkeypatch):
    monkeypatch.setattr(resuming, "EVERY", 0.0)
    monkeypatch.setattr(resuming, "TIMES", 0.0)
    bundles, quiet = [cells, make_cells(name="other")], {"warn": lambda _: None}

    def stop(done, total):
        if done >= 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_all(bundles, known, reference=cells, progress=stop, resume=tmp_path / "state", **quiet)
    assert [*(tmp_path / "state").glob("*.npz")]
    seen: list[int] = []
    again = evaluate_all(
        *(bundles, known),
        reference=cells,
        progress=lambda done, total: seen.append(done),
        resume=tmp_path / "state",
        **quiet,
    )
    whole = evaluate_all(bundles, known, reference=cells, **quiet)
    assert seen[0] == 16
    for one, other in zip(again, whole, strict=True):
        first, second = one.to_json(), other.to_json()
        assert {**first, "record": None} == {**second, "record": None}


def test_a_letterbox_is_the_bundles_own(cells, known, photo):
    """The photo is half as high as the network's input is wide: boxes have to be brought back."""
    photo("turned.png", (64, 128))
    Image.open(known.parent / "turned.png").save(known.parent / "00.png")
    data = json.loads(known.read_text())
    data["images"] = [data["images"][0] | {"width": 64, "height": 128}]
    boxes = {"blue": [0, 0, 16, 16], "red": [48, 112, 16, 16]}
    data["annotations"] = [
        one | {"bbox": boxes["blue" if one["category_id"] == 3 else "red"]} for one in data["annotations"][:2]
    ]
    known.write_text(json.dumps(data))
    report = evaluate(cells, known, warn=lambda _: None)
    assert report.scores.primary == pytest.approx(1)


def test_who_makes_the_boxes_changes_nothing(cells, make_cells, known):
    """Values for each anchor on one side, boxes on the other; fewer places for them on the one side."""
    made = make_cells("cpu-fp32", "runtime", name="made")
    quiet = {"warn": lambda _: None}
    first, second = evaluate_all([cells, made], known, reference=made, **quiet)
    turned = evaluate(made, known, reference=cells, **quiet)
    assert first.scores.primary == second.scores.primary == turned.scores.primary
    for report in (first, second, turned):
        assert report.reference.agreement.value == 1 and report.drop == 0
        assert report.reference.sqnr > 60
    found = second.against(first)
    assert found.comparison.found.high == 0


def test_the_gate_decides_by_boxes(cells, make_cells, known, tmp_path):
    other = make_cells(name="other")
    report = pair.decide(other, cells, {"top_1": 1.0, "agreement": 1.0}, images=known, progress=Silent())
    (verdict,) = report.verdicts
    assert (verdict.metric, verdict.status, verdict.value) == ("map", "pass", 0), verdict
    case = Case("cells", other, None, "", known, None, {"top_1": 1.0, "agreement": 2.0}, 1)
    accuracy = evaluate(other, known, reference=cells, warn=lambda _: None)
    measured = alone.run(case, How(), accuracy.record, accuracy, Recorder.of(Silent()))
    (tmp_path / "b.toml").write_text(measured.baseline.text())
    standing = baseline.load(tmp_path / "b.toml")
    assert 50 < standing.metrics["map"][0] < 90 and standing.metrics["map_error"][0] > 0
    (verdict,) = against.verdicts(replace(case, limits={"top_1": 1.0}), standing, measured, {})
    assert (verdict.metric, verdict.status) == ("map", "pass") and verdict.low < 0 < verdict.high
    better = replace(standing, metrics={**standing.metrics, "map": (95.0, "%"), "map_error": (0.1, "points")})
    (verdict,) = against.verdicts(replace(case, limits={"top_1": 1.0}), better, measured, {})
    assert verdict.status in ("fail", "inconclusive") and verdict.value > 20
    moved = replace(standing, correct=replace(standing.correct, set="0" * 64))
    found = against.verdicts(replace(case, reference=cells.folder), moved, measured, {})
    assert {one.status for one in found} == {"error"} and "other images" in found[0].why


def test_shards_of_a_detector_merge_to_its_report(cells, make_cells, known, photo, tmp_path):
    """Boxes of all images are ranked together, whichever shard saw them."""
    (tmp_path / "07.png").write_bytes(b"no photo")
    what = Judged(make_cells(name="other"), cells)
    files = [tmp_path / f"{number}.npz" for number in range(3)]
    for number, path in enumerate(files):
        shards.evaluate(what, known, Shard(number, 3), path)
    found = shards.merge(what, known, files[::-1]).to_json()
    whole = evaluate(what.bundle, known, reference=cells, warn=lambda _: None).to_json()
    assert found.pop("record")["kind"] == whole.pop("record")["kind"]
    assert found == whole and found["scores"]["map"] > 0
