"""A detector from its checkpoint to verified bundles, at 128 pixels and with random weights."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from edgeeff import build
from edgeeff.batch import ONE
from edgeeff.bundle import Bundle
from edgeeff.cache import Cache
from edgeeff.detection import Nms, decode
from edgeeff.diagnosis import diagnose, examination
from edgeeff.diagnosis.findings import shown_share
from edgeeff.errors import OptionError
from edgeeff.labels import coco
from edgeeff.pipeline import kept
from edgeeff.pipeline.request import BuildRequest
from edgeeff.pipeline.resolve.detection import placed, resolve_detection, resolve_detector
from edgeeff.pipeline.resolve.preprocessing import prepared, resolve_preprocess
from edgeeff.quantization import precision
from edgeeff.target import load_target
from edgeeff.tasks import Meaning
from edgeeff.zoo import catalog
from edgeeff.zoo.detection import efficientdet
from tests.conftest import smooth_noise

#: Random weights lose much, and are warned of.
pytestmark = pytest.mark.filterwarnings("ignore::edgeeff.EdgeeffWarning")
SIDE, LABELS = 128, ("ant", "bee", "cat")


def weights(path, name="efficientdet-lite0"):
    """A checkpoint with the batch statistics of a few images, so that activations stay near one."""
    torch.manual_seed(0)
    network = efficientdet.build(catalog.detector(name), len(LABELS), (SIDE, SIDE))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
            torch.nn.init.normal_(module.bias, 0, 0.1)
    torch.nn.init.constant_(network.class_head.predict.pointwise.bias, -1.0)  # so that some boxes are found
    with torch.no_grad():
        pixels = smooth_noise(4, SIDE, 1).astype(np.float32).transpose(0, 3, 1, 2)
        network.train()(torch.from_numpy((pixels - 127.5) / 127.5))
    torch.save(network.eval().state_dict(), path)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return weights(tmp_path_factory.mktemp("detector") / "lite0.pth")


@pytest.fixture(scope="module")
def asked(checkpoint, tmp_path_factory):
    """What all builds here say."""
    photos = tmp_path_factory.mktemp("photos")
    for i, pixels in enumerate(smooth_noise(10, 160, 2)):
        Image.fromarray(pixels[: 160 if i % 2 else 96]).save(photos / f"{i}.png")
    return {
        "model": "efficientdet-lite0",
        "checkpoint": checkpoint,
        "calibration": photos,
        "size": SIDE,
        "labels": LABELS,
        "effort": "fast",
        "cache": Cache(tmp_path_factory.mktemp("cache")),
    }


@pytest.fixture(scope="module")
def built(asked, tmp_path_factory):
    output = tmp_path_factory.mktemp("dist")
    found = build(**asked, targets=["cpu-int8", "mobile-int8"], nms="host", output=output)
    return {one.bundle.manifest.target: one for one in found}


@pytest.mark.parametrize("target", ["cpu-int8", "mobile-int8"])
def test_a_bundle_gives_values_for_each_anchor(built, target):
    bundle = built[target].bundle
    detection = bundle.manifest.detection
    assert bundle.manifest.task == "detection" and bundle.manifest.threshold == 0.3
    assert detection.where == "host" and detection.geometry.size == (SIDE, SIDE)
    assert detection.geometry.scale == 3.0
    assert [(o.name, o.shape) for o in bundle.manifest.outputs] == [
        ("class_logits", (1, detection.geometry.count, 3)),
        ("box_codes", (1, detection.geometry.count, 4)),
    ]
    assert bundle.manifest.preprocess.letterbox == (127.0,) * 3
    report, _ = bundle.verification()
    assert report["golden"]["status"] == "ok" and report["artifact"]["agreement"] is not None
    found = bundle.session().infer(np.full((1, SIDE, SIDE, 3), 90, np.uint8))
    assert {name: values.shape for name, values in found.items()} == detection.outputs(3)


def test_the_runtime_makes_boxes_unless_told_otherwise(asked, built, tmp_path, monkeypatch):
    (made,) = build(**asked, targets=["mobile-int8"], output=tmp_path)
    assert made.bundle.manifest.detection.where == "runtime"
    assert [(o.name, o.shape) for o in made.bundle.manifest.outputs] == [("detections", (1, 100, 6))]
    assert made.verification is not None and made.verification.agreement is not None
    (again,) = build(**asked, targets=["mobile-int8"], output=tmp_path)
    assert again.unchanged
    monkeypatch.setattr(kept, "IN_MEMORY", 0)
    (other,) = build(**asked, targets=["mobile-int8"], output=tmp_path, nms="host")
    assert not other.unchanged
    whole = built["mobile-int8"]
    assert other.hub.agreement == whole.hub.agreement
    assert other.hub.sqnr == pytest.approx(whole.hub.sqnr), "outputs in a file are those in memory"
    assert other.verification.images == whole.verification.images
    assert other.verification.agreement == whole.verification.agreement
    assert other.verification.sqnr == pytest.approx(whole.verification.sqnr)
    host = built["mobile-int8"].bundle
    assert other.bundle.manifest.files == host.manifest.files, "two builds give the same bytes"


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"softmax": True}, "--softmax for a detector"),
        ({"task": "multilabel"}, "--task multilabel, and efficientdet-lite0 is a detector"),
        ({"size": (128, 100)}, "a side must be a multiple of 128"),
        ({"nms": "gpu"}, "--nms 'gpu'"),
        ({"anchor_ratios": "1:1,2:1"}, "--anchor-ratios names 2 shapes"),
        ({"anchor_ratios": "1:1,1.4:0.7,1:1"}, "--anchor-ratios names a shape twice"),
        ({"threshold": 0.1, "score": 0.2}, "--threshold 0.1"),
        ({"crop": 0.8}, "a letterbox"),
        ({"letterbox": (1, 2, 3, 4)}, "--letterbox has 4 values"),
        ({"max_boxes": 9000}, "--max-boxes 9000"),
        ({"score": 1.0}, "--score 1"),
        ({"iou": 1.5}, "--iou 1.5"),
    ],
    ids=str,
)
def test_refusals(asked, said, what, tmp_path):
    with pytest.raises(OptionError) as error:
        build(**(asked | said), targets=["cpu-int8"], output=tmp_path)
    assert what in error.value.what
    assert not any(tmp_path.iterdir())


def test_a_runtime_without_boxes_is_not_asked_for_them(built):
    manifest = built["cpu-int8"].bundle.manifest
    meaning, rtx = manifest.meaning, load_target("rtx-int8")
    assert placed(meaning, rtx, None, ONE).detection.where == "host"
    with pytest.raises(OptionError, match="rtx-int8: --nms runtime"):
        placed(meaning, rtx, "runtime", ONE)
    assert placed(meaning, load_target("cpu-int8"), None, ONE).detection.where == "runtime"
    assert placed(Meaning(), rtx, "runtime", ONE) == Meaning()


def test_options_of_boxes_are_for_detectors(asked, tmp_path):
    with pytest.raises(OptionError, match="--score, --nms-across for lite0, which finds no boxes"):
        build(
            "lite0", targets=["cpu-int8"], score=0.0, nms_across=True, output=tmp_path, cache=asked["cache"]
        )


def test_what_is_said_of_boxes(checkpoint):
    from edgeeff.zoo.sources import Asked, tensors

    identity = tensors.identify(Asked(source=str(checkpoint), model="efficientdet-lite0"), str(checkpoint))
    request = BuildRequest.of(
        score=0.05,
        max_boxes=7,
        nms_across=True,
        anchor_scale=5,
        anchor_ratios="1:1,2:1,1:2",
        letterbox="none",
    )
    found = resolve_detection(resolve_detector(request.detector), identity, (256, 128))
    assert (found.nms.score, found.nms.iou, found.nms.max_boxes, found.nms.across) == (0.05, 0.5, 7, True)
    assert found.geometry.ratios == ((1.0, 1.0), (2.0, 1.0), (1.0, 2.0)) and found.geometry.scale == 5
    assert found.geometry.size == (256, 128)
    own = identity.preprocess
    squashed = prepared(own, None, resolve_preprocess(request.preprocess))
    assert squashed.letterbox is None and squashed.squash and squashed.crop == 1
    black = prepared(own, None, resolve_preprocess(BuildRequest.of(letterbox=0).preprocess))
    assert black.letterbox == (0.0, 0.0, 0.0) and not black.squash
    other = prepared(own, None, resolve_preprocess(BuildRequest.of(mean=100, std=50).preprocess))
    assert other.letterbox == (100.0, 100.0, 100.0), "a border in the mean colour stays zero"


def test_labels_of_coco():
    gaps, plain = coco(), coco(gaps=False)
    assert len(gaps) == 90 and len(plain) == 80 == len({*plain})
    assert (gaps[0], gaps[12], gaps[89], plain[79]) == ("person", "stop sign", "toothbrush", "toothbrush")
    assert {*gaps} - {*plain} == {f"(no class {n})" for n in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)}


def test_a_bundle_is_read_again(built):
    manifest = built["cpu-int8"].bundle.manifest
    assert Bundle.load(built["cpu-int8"].bundle.folder).manifest.detection == manifest.detection


@pytest.fixture
def labelled(checkpoint, tmp_path, request):
    """Photos whose boxes are those that the float network finds: 12, or as many as a test says."""
    network = efficientdet.build(catalog.detector("efficientdet-lite0"), len(LABELS), (SIDE, SIDE))
    network.load_state_dict(torch.load(checkpoint, weights_only=True))
    geometry, images, annotations = catalog.detector("efficientdet-lite0").geometry(), [], []
    for number, pixels in enumerate(smooth_noise(getattr(request, "param", 12), SIDE, 5)):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": SIDE, "height": SIDE})
        with torch.no_grad():
            x = (torch.from_numpy(pixels.transpose(2, 0, 1)[None].astype(np.float32)) - 127) / 128
            logits, codes = (value[0].numpy() for value in network.eval()(x))
        for box in decode(logits, codes, replace(geometry, size=(SIDE, SIDE)), Nms(0.3, max_boxes=5)):
            sides = [box.left, box.top, box.right - box.left, box.bottom - box.top]
            annotations.append(
                {
                    **{"id": len(annotations) + 1, "image_id": number, "category_id": box.index + 1},
                    **{"bbox": sides, "area": sides[2] * sides[3], "iscrowd": 0},
                }
            )
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(LABELS)]
    file = tmp_path / "instances.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return file


def test_points_of_average_precision_are_a_budget(asked, labelled, tmp_path):
    said = asked | {"validation": labelled, "targets": ["mobile-int8"], "golden": 0}
    (built,) = build(**said, max_drop="80mAP", output=tmp_path / "dist")
    budget = built.bundle.read_measured("verification.json")["budget"]
    assert budget["layers"] == [] and [count for count, _ in budget["curve"]] == [0]
    assert 20 < budget["plain"]["drop"] < 80 and 0 < budget["plain"]["drop_error"] < 80
    assert budget["found"]["drop"] == pytest.approx(budget["plain"]["drop"]), "the plan is the build's"
    assert budget["verified"]["images"] == budget["plain"]["images"] == 6
    assert budget["verified"]["drop"] == pytest.approx(budget["plain"]["drop"], abs=60)
    with pytest.raises(OptionError, match=r"--max-drop 0\.3 cannot be judged: on 6 images"):
        build(**said, max_drop="0.3mAP", output=tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
@pytest.mark.parametrize("labelled", [24], indirect=True)
def test_layers_stay_float_until_average_precision_holds(asked, labelled, tmp_path):
    said = asked | {"validation": labelled, "targets": ["cpu-int8"], "golden": 0}
    (built,) = build(**said, max_drop="50mAP", output=tmp_path / "dist")
    budget = built.bundle.read_measured("verification.json")["budget"]
    assert budget["layers"] and budget["found"]["drop"] <= 50 < budget["plain"]["drop"]
    plan = json.loads((built.bundle.folder / "plan.json").read_text())
    assert {plan["layers"][name]["precision"] for name in budget["layers"]} == {"float"}


def test_a_diagnosis_leaves_out_what_is_likely_to_lose_most(asked, monkeypatch):
    monkeypatch.setattr(examination, "SEPARATE", 4)
    monkeypatch.setattr(precision, "LOOKED_AT", 0)
    found = diagnose(
        "cpu-int8", images=1, **{name: value for name, value in asked.items() if name != "labels"}
    )
    measured = [one for one in found.findings if one.doubt is not None]
    # A group of one tensor, such as the input, is measured too.
    assert 4 <= len(measured) <= 4 + len(found.groups) < len(found.findings) and found.images == 1
    assert f"4 of {len(found.findings)} tensors and layers were left out by themselves, on 1" in found.scope
    estimated = [one for one in found.findings if one.doubt is None]
    assert all(one.share == one.alone >= 0 for one in estimated) and any(one.alone > 0 for one in estimated)
    # What is left out by itself is what the estimate takes for the worst, on images that it did not see.
    assert sum(one.alone for one in measured) > sum(one.alone for one in estimated) / len(estimated) * 4
    assert found.agreeing is None and found.judged == "on 1 held-out images, by what can become boxes"
    assert shown_share(estimated[0]).startswith("~ ")
