"""Bundles of schema 1: one output without a name, ``golden/hub.npy``, no batch. They do all that they did."""

import json

import numpy as np
import pytest
from PIL import Image

from edgeeff.bundle import Bundle
from edgeeff.errors import BundleError
from edgeeff.harness.accuracy import evaluate
from edgeeff.harness.golden import check_golden


def rewritten(bundle, **changes):
    """The bundle with another ``manifest.json``; a field of None is left out."""
    path = bundle.folder / "manifest.json"
    data = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in data.items() if value is not None}))
    return Bundle.load(bundle.folder)


@pytest.fixture(params=["mobile-fp32", "cpu-fp32"])
def old(make_bundle, request):
    bundle = make_bundle("old", target=request.param, outputs=False)
    return rewritten(bundle, schema_version=1, outputs=None, batch=None)


def test_it_is_run_judged_and_verified(old, make_bundle, colours, tmp_path):
    assert old.manifest.outputs == () and old.manifest.batch.size == 1
    assert (old.folder / "golden" / "hub.npy").is_file()
    new = make_bundle("new", target=old.manifest.target)
    pixels, labels = colours
    np.testing.assert_array_equal(old.predict(pixels), new.predict(pixels))
    with old.open() as one, new.open() as other:
        assert one(pixels[0]).named == other(pixels[0]).named
    golden = check_golden(old)
    assert golden.status == "ok" and golden.images == 4 and golden.hub_sqnr > 60
    for i, (image, label) in enumerate(zip(pixels[:30], labels, strict=False)):
        folder = tmp_path / "images" / ("red", "green", "blue")[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{i}.png")
    found = evaluate(old, tmp_path / "images", reference=new)
    assert found.scores.top_1.value == 1 and found.reference.agreement.value == 1
    assert evaluate(new, tmp_path / "images", reference=old).reference.agreement.value == 1


def test_a_newer_schema_is_told_from_a_damaged_one(make_bundle):
    with pytest.raises(BundleError, match=r"has schema 3.*\n.*update edgeeff"):
        rewritten(make_bundle(), schema_version=3, what_is_not_known_yet=[1])


def test_an_output_that_the_artifact_has_not_is_refused(make_bundle):
    wrong = [{"name": "scores", "shape": [1, 3], "meaning": "scores"}]
    for target in ("mobile-fp32", "cpu-fp32"):
        bundle = rewritten(make_bundle("b", target=target), outputs=wrong)
        with pytest.raises(BundleError, match="has the outputs logits; the manifest names scores"):
            bundle.session()
