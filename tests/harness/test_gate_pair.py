"""A gate of two bundles: what may be compared, what is decided of each metric, and what the verb says."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from dataclasses import dataclass, replace

import numpy as np
import pytest
from PIL import Image

from edgeeff import cli
from edgeeff.batch import Batch
from edgeeff.errors import OptionError
from edgeeff.gate import pair, running, suite
from edgeeff.gate.accuracy import counted, needed_images, paired, scored
from edgeeff.gate.comparable import refuse_unlike
from edgeeff.gate.fidelity import farther
from edgeeff.gate.pair import Method, decide
from edgeeff.gate.verdict import GateReport
from edgeeff.harness.accuracy_report import AccuracyReport, ReferenceScores
from edgeeff.harness.outcomes import Outcomes
from edgeeff.metrics import Proportion
from edgeeff.preprocess import Preprocess
from edgeeff.progress import Silent

QUICK = Method(seconds=0.02, launches=4)


class Listening(Silent):
    """What was said."""

    def __init__(self):
        self.said, self.warned = [], []

    def tell(self, text):
        self.said.append(text)

    def warn(self, text):
        self.warned.append(text)


def verb(*arguments, name="gate"):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
        cli.main([name, *map(str, arguments)])
    return int(end.value.code or 0), out.getvalue(), err.getvalue()


@pytest.fixture
def photos(colours, tmp_path):
    """The coloured images with their labels, and without."""
    pixels, labels = colours
    np.savez(tmp_path / "labelled.npz", images=pixels, labels=labels)
    np.savez(tmp_path / "plain.npz", images=pixels)
    for number, one in enumerate(pixels):
        place = tmp_path / "photos" / str(labels[number])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(one).save(place / f"{number}.png")
    (tmp_path / "data.yaml").write_text("train: nowhere\nval: photos\n")
    return tmp_path


def test_two_bundles_are_measured_and_each_limit_has_its_verdict(make_bundle):
    new, old = make_bundle("new"), make_bundle("old")
    limits = {"latency": 500.0, "size": 1.0, "memory": 1000.0, "load_time": 90_000.0, "agreement": 1.0}
    listener = Listening()
    report = decide(new.folder, old.folder, limits, method=QUICK, progress=listener)
    assert [v.metric for v in report.verdicts] == ["latency", "size", "memory", "load_time"]
    assert (report.status, report.exit_status) == ("pass", 0)
    assert report.verdicts[0].measured["launches"] == 4
    assert report.record.kind == "gate"
    assert report.record.bundles == {"new": new.digest(), "old": old.digest()}
    assert GateReport.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_the_same_bundle_is_not_measured_twice(make_bundle, tmp_path, monkeypatch):
    bundle = make_bundle()
    shutil.copytree(bundle.folder, tmp_path / "copy")
    monkeypatch.setattr(pair.latency, "measure", None)  # nothing to call
    listener = Listening()
    report = decide(bundle, tmp_path / "copy", {"latency": 3.0, "size": 1.0, "top_1": 1.0}, progress=listener)
    assert [(v.metric, v.status) for v in report.verdicts] == [("latency", "pass"), ("size", "pass")]
    assert all("equal digests" in verdict.why for verdict in report.verdicts)
    assert any("--noise-probe" in text for text in listener.said)


def test_a_bundle_that_cannot_run_here_is_no_fail(make_bundle):
    one, other = (make_bundle(name, runtime="tensorrt", precision="int8") for name in ("new", "old"))
    listener = Listening()
    method = replace(QUICK, clock="wall")
    report = decide(one, other, {"latency": 3.0, "memory": 5.0}, method=method, progress=listener)
    assert [verdict.status for verdict in report.verdicts] == ["error", "error"]
    assert report.exit_status == 2
    assert "the new new NOT RUN" in report.verdicts[0].why
    assert any("wall time, which wants a quiet machine" in text for text in report.warnings)


@pytest.mark.parametrize(
    ("different", "says"),
    [
        ({"task": "multilabel"}, "task classification, and multilabel"),
        ({"labels": ("red", "green", "violet")}, "1 of 3 classes are others, the first is 'blue'"),
        ({"preprocess": Preprocess((9, 8), (0.0,) * 3, (1.0,) * 3)}, "8x8, 3 channels, and of 9x8"),
        ({"labels": ("red",), "classes": 1}, "3 classes, and 1"),
        ({"target": "cpu-fp32"}, "two targets: target mobile-fp32, and cpu-fp32; runtime tflite"),
        ({"cpu_class": "vnni"}, "CPU class avx2, and vnni"),
        ({"batch": Batch(4)}, "runs of 1 images, and of 4"),
    ],
)
def test_what_must_not_be_compared_is_refused(make_bundle, different, says):
    new, old = make_bundle("new"), make_bundle("old", **different) if "target" in different else None
    if old is None:
        old = make_bundle("old")
        old = replace(old, manifest=replace(old.manifest, **different))
    with pytest.raises(OptionError) as refused:
        refuse_unlike(new, old)
    assert says in refused.value.what
    if "targets" in says or "CPU" in says or "runs" in says:
        assert "--other-target" in refused.value.mend
        assert any(
            says.partition(": ")[2] or says in text for text in refuse_unlike(new, old, other_target=True)
        )
    else:
        with pytest.raises(OptionError, match="cannot take the place"):
            refuse_unlike(new, old, other_target=True)


def test_what_differs_and_is_compared_all_the_same_is_said(make_bundle):
    new = make_bundle("new", model="other")
    old = make_bundle("old", preprocess=replace(new.manifest.preprocess, crop=0.9))
    said = refuse_unlike(new, old)
    assert any("networks are other, and colour" in text for text in said)
    assert any("prepare images differently (crop)" in text for text in said)


def outcomes(right, total=1000):
    truth = np.arange(total, dtype=np.int32) % 5
    decided = np.where(right, truth, (truth + 1) % 5).astype(np.int32)
    return Outcomes(tuple(map(str, range(total))), decided, truth)


@pytest.mark.parametrize(
    ("lost", "won", "status"),
    [(0, 0, "pass"), (3, 3, "pass"), (20, 4, "fail"), (12, 4, "inconclusive"), (0, 20, "pass")],
)
def test_accuracy_is_compared_image_by_image(lost, won, status):
    numbers = np.arange(1000)
    old = numbers >= won  # those before are won
    new = (numbers < won) | ((numbers >= won) & (numbers < 1000 - lost))
    verdict = paired("case", "top_1", outcomes(new), outcomes(old), 1.0)
    assert verdict.status == status
    assert verdict.value == pytest.approx((lost - won) / 10)
    assert verdict.measured["lost"] == lost and verdict.measured["won"] == won
    assert (verdict.settle is not None) == (status == "inconclusive")


def test_more_images_are_asked_for_than_there_were():
    assert needed_images(0, 10, 1.0) > 10
    assert needed_images(40, 1000, 0.5) > needed_images(10, 1000, 0.5) > 1000
    assert needed_images(1, 1, 0.0) is None and needed_images(1, 1, 100.0) is None
    found = counted("case", "top_1", 1, 1, 100, 0.0)
    assert (found.status, found.settle) == ("inconclusive", None)


def test_a_network_that_decides_worse_fails_and_an_equal_one_passes(make_bundle, photos):
    limits = {"top_1": 5.0, "sqnr_centred": 1.0, "agreement": 2.0}
    old, equal = make_bundle("old"), make_bundle("equal")
    worse = make_bundle("worse", classifier=np.eye(3)[[0, 2, 1]])
    options = {"images": photos / "labelled.npz", "progress": Silent()}
    (verdict,) = decide(worse, old, limits, **options).verdicts
    assert (verdict.metric, verdict.status) == ("top_1", "fail")
    assert verdict.measured["lost"] == 40
    (verdict,) = decide(equal, old, limits, **options).verdicts
    assert verdict.status == "pass"
    found = decide(worse, old, limits, reference=equal, **options)
    assert [(v.metric, v.status) for v in found.verdicts] == [
        *(("top_1", "fail"), ("sqnr_centred", "fail"), ("agreement", "fail"))
    ]
    # Of 60 images not one may be discordant, and half a point is more than they can show.
    (verdict,) = decide(equal, old, {"top_1": 0.5}, **options).verdicts
    assert verdict.status == "inconclusive"
    assert verdict.settle.images > 500


def test_other_tasks_fail_by_their_own_metric_where_chance_does_not_explain_it(
    make_bundle, colours, tmp_path
):
    pixels, labels = colours
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    rows = [f"{number}.png,{('red', 'green', 'blue')[label]}" for number, label in enumerate(labels)]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    shifted = np.eye(3) - 0.5
    old = make_bundle("old", classifier=shifted, task="multilabel")
    worse = make_bundle("worse", classifier=shifted[[0, 2, 1]], task="multilabel")
    options = {"images": tmp_path / "list.csv", "progress": Silent()}
    (verdict,) = decide(worse, old, {"top_1": 1.0}, **options).verdicts
    assert (verdict.metric, verdict.status) == ("mean_average_precision", "fail")
    assert verdict.measured["p"] < 0.01


def test_without_labels_the_old_bundle_is_what_it_is_held_against(make_bundle, photos):
    limits = {"top_1": 5.0, "agreement": 2.0}
    listener = Listening()
    options = {"images": photos / "plain.npz", "progress": listener}
    old = make_bundle("old")
    (verdict,) = decide(make_bundle("equal"), old, limits, **options).verdicts
    assert (verdict.metric, verdict.status) == ("agreement", "pass")
    assert any("bear no labels, so accuracy is not gated" in text for text in listener.warned)
    worse = make_bundle("worse", classifier=np.eye(3)[[0, 2, 1]])
    (verdict,) = decide(worse, old, limits, **options).verdicts
    assert verdict.status == "fail"
    report = decide(worse, old, {"sqnr_centred": 1.0}, **options)
    assert (report.verdicts, report.status) == ((), "error")
    assert any("say nothing about sqnr_centred" in text for text in report.warnings)


@dataclass(frozen=True)
class Recall:
    """Scores of embeddings, as a gate sees them."""

    share: Proportion

    @property
    def primary(self):
        return self.share.value

    def cells(self):
        return {"mAP": 0.5, "recall@1": self.share}


@pytest.mark.parametrize(
    ("new", "status"), [(180, "pass"), (176, "pass"), (170, "inconclusive"), (150, "fail")]
)
def test_a_loss_that_chance_explains_is_inconclusive(new, status):
    reports = [
        AccuracyReport("a", 200, 200, scores=Recall(Proportion(n, 200)), metric="recall_1")
        for n in (new, 180)
    ]
    assert scored("case", reports, 2.0).status == status


def report(sqnr, agree, images=200):
    share = Proportion(agree, images)
    scores = ReferenceScores("float", share, sqnr, sqnr, None, ())
    return AccuracyReport("a", images, 0, reference=scores)


@pytest.mark.parametrize(
    ("new", "old", "statuses"),
    [
        ((25.0, 198), (25.5, 199), ("pass", "pass")),
        ((24.0, 180), (25.5, 199), ("fail", "fail")),
        ((np.nan, 0), (25.5, 199), ("fail", "fail")),  # broken, which is no trouble of the machine
        ((25.0, 198), (np.nan, 0), ("error", "pass")),
        ((np.inf, 200), (np.inf, 200), ("pass", "pass")),
        ((25.0, 194), (np.inf, 200), ("fail", "inconclusive")),  # 6 of 200: Fisher's p is 0.015
    ],
)
def test_fidelity_is_held_against_that_of_the_old_bundle(new, old, statuses):
    found = farther("case", [report(*new), report(*old)], {"sqnr_centred": 1.0, "agreement": 2.0})
    assert tuple(verdict.status for verdict in found) == statuses
    json.dumps([verdict.to_json() for verdict in found], allow_nan=False)
    for verdict in found:
        assert (verdict.settle is not None) == (verdict.status == "inconclusive")


def test_images_that_cannot_be_read_are_an_error_of_every_metric(make_bundle, tmp_path):
    limits = {"size": 1.0, "top_1": 5.0, "agreement": 2.0}
    new, old = make_bundle("new"), make_bundle("old")
    options = {"images": tmp_path / "nothing", "progress": Silent()}
    report = decide(new, old, limits, reference=old, **options)
    assert [(v.metric, v.status) for v in report.verdicts] == [
        *(("size", "pass"), ("top_1", "error"), ("agreement", "error"))
    ]
    assert report.exit_status == 2
    assert [v.metric for v in decide(new, old, limits, **options).verdicts] == ["size", "top_1"]


def test_what_is_white_holds_for_baselines_too(make_bundle, tmp_path):
    bundle = make_bundle()
    for number in range(3):
        (tmp_path / "deep" / str(number)).mkdir(parents=True)
        grey = np.full((8, 8), 4000 - number, np.uint16)  # 12 of 16 bits
        Image.fromarray(grey).save(tmp_path / "deep" / str(number) / "1.png")
    off = "".join(f'{name} = "off"\n' for name in ("latency", "memory", "load_time"))
    path = tmp_path / "gate.toml"
    said = f'bundles = "{bundle.folder.name}"\nimages = "deep"\n'
    path.write_text(f"schema = 1\n[limits]\n{off}[[case]]\n{said}")
    for white, guessed in ((None, True), (4095.0, False)):
        written, report = running.update(suite.load(path), method=Method(white=white), progress=Silent())
        assert len(written) == 1 and report.verdicts == ()
        assert any("16-bit" in text for text in report.warnings) == guessed


def test_what_makes_no_sense_is_refused(make_bundle, tmp_path):
    new, old = make_bundle("new"), make_bundle("old")
    for limits in ({}, {"latency": None}, {"speed": 3.0}, {"latency": -1.0}, {"latency": 0.0}):
        with pytest.raises(OptionError):
            decide(new, old, limits)
    with pytest.raises(OptionError, match="no images"):
        decide(new, old, reference=old)
    with pytest.raises(OptionError, match="no limit on what they say"):
        decide(new, old, {"latency": 3.0}, images=tmp_path)
    for wrong in (
        {"threads": 0},
        {"threads": 99_999_999},
        {"seconds": 0.0},
        {"clock": "sun"},
        {"timeout": 0.0},
    ):
        with pytest.raises(OptionError):
            Method(**wrong)


def test_the_verb(make_bundle, photos):
    old, worse = make_bundle("old").folder, make_bundle("worse", classifier=np.eye(3)[[0, 2, 1]]).folder
    plain = ("--against", old, "--limit=off", "--margin=5")
    status, out, err = verb(worse, *plain, f"--images={photos / 'labelled.npz'}", "--max-size=+5%")
    assert status == 1
    assert "FAIL" in out and "points" in out and max(map(len, out.splitlines()[:4])) <= 80
    page = photos / "page.html"  # what eval takes, its page and a gate take, too
    assert verb(worse, old, f"--images={photos / 'data.yaml'}", f"--html={page}", name="eval")[0] == 0
    assert page.is_file()
    status, out, err = verb(worse, *plain, "--images", photos / "data.yaml", "--json")
    assert (status, json.loads(out)["status"]) == (1, "fail")
    status, out, err = verb(old, "--against", old)
    assert (status, "equal digests" in out) == (0, True)
    for arguments, says in (
        ([worse], "--against"),
        ([worse, "--against", old, "--limit=0.03"], "write 3%"),
        ([worse, "--against", old, "--margin=3%"], "write 0.5 points"),
        ([worse, "--against", old, "--launches=5"], "even number"),
        ([worse, "--against", photos / "none"], "no bundle"),
        ([worse, "--against", old, "--margin=1"], "--margin, and no --images"),
        ([worse, "--against", old, "--max-sqnr-loss=1"], "no --reference"),
    ):
        status, out, err = verb(*arguments)
        assert status == 2 and says in err, err
