"""Builds in which some layers stay float, by name or to a budget."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

import edgeeff
from edgeeff.cache import Cache
from edgeeff.cli import tables
from edgeeff.errors import LabelsError, OptionError, VerificationError
from edgeeff.harness import latency, sensors
from edgeeff.images import ImageSet, Picture
from edgeeff.pipeline import held_out, mixed, trial
from edgeeff.progress import Silent
from edgeeff.quantization import precision
from edgeeff.quantization.budget import Budget, Choice, Judged
from edgeeff.zoo import catalog

#: Seven blocks of a few channels.
TINY = "lite:width=0.25,depth=0.2,size=64"


@pytest.fixture(autouse=True)
def few_looks(monkeypatch):
    monkeypatch.setattr(precision, "CONFIRMED", 2)


class Listener(Silent):
    def __init__(self):
        self.told, self.stages = [], []

    def tell(self, text):
        self.told.append(text)

    def stage(self, text, total=None, unit="images"):
        self.stages.append(text)


@pytest.fixture(scope="module")
def build(make_module, make_images, tmp_path_factory):
    """``build(output, **options)``: a tiny network of three classes for one target."""
    folder = tmp_path_factory.mktemp("inputs")
    torch.save(make_module(catalog.get(TINY), classes=3).state_dict(), folder / "best.pt")
    np.savez(folder / "photos.npz", images=make_images(10, 64, 5))
    np.savez(folder / "judge.npz", images=make_images(24, 64, 6), labels=np.arange(24) % 3)

    def run(output, target="cpu-int8", **options):
        listener = Listener()
        (built,) = edgeeff.build(
            TINY,
            targets=[target],
            checkpoint=folder / "best.pt",
            calibration=folder / "photos.npz",
            validation=folder / "judge.npz",
            size=64,
            output=output,
            cache=Cache(folder / "cache"),
            progress=listener,
            **{"effort": "fast", **options},
        )
        return built, listener

    return run


def kept(built):
    plan = json.loads((built.bundle.folder / "plan.json").read_text())
    return {name for name, layer in plan["layers"].items() if layer["precision"] == "float"}


def test_named_layers_stay_float(build, tmp_path):
    built, _ = build(tmp_path, keep_float=["stem*", "blocks.0.depthwise"])
    assert kept(built) == {"stem.conv", "blocks.0.depthwise.conv"}
    summary = built.bundle.check().summary
    assert summary.endswith("blocks.0.depthwise.conv, stem.conv kept in float")
    again, _ = build(tmp_path, keep_float=["stem*", "blocks.0.depthwise"])
    assert again.unchanged


def test_a_layer_that_is_not_there(build, tmp_path):
    with pytest.raises(OptionError, match="no layer 'steam'") as caught:
        build(tmp_path, keep_float=["steam"])
    assert "stem.conv" in caught.value.mend and caught.value.exit_status == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_budget_is_met_on_images_that_the_search_did_not_see(build, tmp_path):
    goal = build(tmp_path / "plain")[0].verification.sqnr + 1
    built, listener = build(tmp_path / "mixed", min_sqnr=goal, keep_float=["classifier"])
    measured = built.bundle.read_measured("verification.json")
    budget = measured["budget"]
    assert built.budget == tables.built_json(built)["budget"] == budget
    assert kept(built) == {*budget["layers"], "classifier"} and 0 < len(budget["layers"]) < 50
    assert budget["found"]["sqnr"] - 1.645 * budget["found"]["sqnr_error"] >= goal
    assert measured["images"] == budget["verified"]["images"] == 12
    assert built.verification.sqnr == pytest.approx(budget["verified"]["sqnr"])
    assert built.verification.sqnr > goal - 1
    assert any("cpu-int8: float    " in line and "→" in line for line in listener.told)
    # Another output folder, the same question: the answer is in the cache.
    again, listener = build(tmp_path / "again", min_sqnr=goal, keep_float=["classifier"])
    assert kept(again) == kept(built)
    assert not any(stage.startswith("searching") for stage in listener.stages)


@pytest.mark.slow
def test_a_search_says_that_biases_are_corrected_anew(build, tmp_path):
    said = "the search left bias corrections as they were"
    for effort, told in (("balanced", True), ("fast", False)):
        goal = build(tmp_path / f"{effort}-plain", effort=effort)[0].verification.sqnr + 1
        built, listener = build(tmp_path / effort, min_sqnr=goal, effort=effort)
        assert built.budget["layers"] and any(said in line for line in listener.told) == told


def test_what_cannot_be_met_leaves_nothing(build, tmp_path):
    with pytest.raises(
        VerificationError, match=r"99 dB.*cannot be met.*float layers → fidelity: 0 →"
    ) as caught:
        build(tmp_path, "mobile-int8", min_sqnr=99)
    assert caught.value.exit_status == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_ceiling_on_latency_is_measured_where_the_runtime_is(build, tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "SECONDS", 0.05)
    monkeypatch.setattr(trial, "LAUNCHES", 2)
    monkeypatch.setattr(sensors, "doubts", lambda *_: ["it was throttled"])
    monkeypatch.setattr(latency, "warn_of_another", lambda recorder: None)
    built, _ = build(tmp_path / "a", max_latency_cost="500%")
    again, _ = build(tmp_path / "b", max_latency_cost="500%")  # from the cache
    for one in (built, again):
        (doubt,) = (text for text in one.warnings if "held against doubtful timings" in text)
        assert "it was throttled" in doubt
    cost = built.bundle.read_measured("verification.json")["budget"]["cost"]
    assert cost["how"] == "measured here" and len(cost["interval"]) == 2 and kept(built)


@pytest.mark.slow
def test_elsewhere_multiply_adds_stand_for_latency(build, tmp_path):
    built, _ = build(tmp_path, "jetson-int8", max_latency_cost="10%")
    cost = built.bundle.read_measured("verification.json")["budget"]["cost"]
    assert 0 < cost["value"] <= 0.1 and "multiply-adds" in cost["how"] and kept(built)


@pytest.mark.slow
def test_points_that_so_few_images_cannot_tell(build, tmp_path):
    with pytest.raises(OptionError, match=r"--max-drop 0\.3 cannot be judged: on 12 images"):
        build(tmp_path, max_drop="0.3pt")


@pytest.mark.slow
def test_points_that_they_can(build, tmp_path):
    built, _ = build(tmp_path, max_drop=90)
    budget = built.bundle.read_measured("verification.json")["budget"]
    assert budget["layers"] == [] and budget["verified"]["drop"] <= 90 and not kept(built)


def test_halves_share_no_image(tmp_path):
    images = ImageSet(tuple(Picture(tmp_path, index=i) for i in range(301)))
    for budget, search, verify in [
        (None, 0, 100),
        (Budget(min_sqnr=20), 50, 100),
        (Budget(max_drop=1), 150, 151),
    ]:
        parts = held_out.halves(images, budget)
        assert [len(part) for part in parts] == [search, verify]
        assert not set(parts[0].pictures) & set(parts[1].pictures)


def test_a_bundle_under_its_budget_by_more_than_chance_is_refused():
    choice = Choice(("stem.conv",), Judged(50, 20, 0.2), Judged(50, 26, 0.2), ((0, Judged(50, 20, 0.2)),))
    budget = Budget(min_sqnr=25.5)
    assert mixed.hold(budget, choice, Judged(50, 25.6, 0.2), "x") == []
    assert "within their interval" in mixed.hold(budget, choice, Judged(50, 25.3, 0.2), "x")[0]
    with pytest.raises(VerificationError, match=r"not on the 50 others: 24\.9 dB"):
        mixed.hold(budget, choice, Judged(50, 24.9, 0.2), "x")


@pytest.mark.parametrize(
    ("folders", "options", "reason"),
    [
        (
            ("Nut", "bolt", "ring"),
            {"labels": ["nut", "bolt", "ring"], "max_drop": 1.0},
            "'Nut' .nearest label",
        ),
        (("a", "b"), {"max_drop": 1.0}, "have no labels"),
        (("a",), {"labels": ["nut", "bolt"]}, "2 labels for a network of 3 classes"),
    ],
)
def test_labels_and_folders_are_refused_before_anything_is_exported(
    folders, options, reason, make_module, make_images, tmp_path
):
    torch.save(make_module(catalog.get(TINY), classes=3).state_dict(), tmp_path / "best.pt")
    for name, image in zip(folders, make_images(3, 64, 5), strict=False):
        (tmp_path / "judge" / name).mkdir(parents=True)
        Image.fromarray(image).save(tmp_path / "judge" / name / "a.png")
    listener = Listener()
    with pytest.raises(LabelsError, match=reason):
        edgeeff.build(
            TINY,
            targets=["cpu-int8"],
            checkpoint=tmp_path / "best.pt",
            calibration=tmp_path / "judge",
            validation=tmp_path / "judge",
            size=64,
            output=tmp_path / "dist",
            cache=Cache(tmp_path / "cache"),
            progress=listener,
            **{"effort": "fast", **options},
        )
    assert not any("export" in stage or "calibrating" in stage for stage in listener.stages)
    assert not (tmp_path / "dist").exists()
