"""Every kind of warning, produced for real and looked for wherever a user may look.

A row of ``KINDS`` names where the code makes the sentence, what the sentence says, and the scenario below
that produces it. Each scenario is built by the verb twice (the second finds its bundle unchanged) and once
from Python. To add a kind: add its row; if no scenario produces it, let one do so.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

import edgeeff
from edgeeff import cli
from edgeeff.errors import EdgeeffWarning
from edgeeff.graph.export import base_graph
from edgeeff.graph.model import expand_functions
from edgeeff.harness import machine
from edgeeff.zoo import catalog

SIZE = 64
#: Seven blocks of a few channels.
TINY = "lite:width=0.25,depth=0.2,size=64"
MEAN, STD = ("--mean=127", "--std=128")


@dataclass(frozen=True)
class Kind:
    """Where a sentence is made (file and function), what it says, and what produces it."""

    site: str
    scenario: str
    says: str


KINDS = (
    Kind("calibration/content.py ContentReport.warnings", "images", "^blank: 2 of "),
    Kind("calibration/content.py ContentReport.warnings", "images", "^noise, no photos: 2 of "),
    Kind(
        "calibration/content.py ContentReport.warnings", "images", "calibration images repeat an earlier one"
    ),
    Kind("images/survey.py survey", "images", "are 16-bit and do not declare their range"),
    Kind("pipeline/held_out.py warn_skipped", "images", r"^skipped an image: .*cut\.png cannot be decoded"),
    Kind("pipeline/held_out.py warn_skipped", "images", r"^skipped an image: .*held\.png cannot be decoded"),
    Kind("pipeline/stages/reference.py _run", "images", "^only 11 images to judge by"),
    Kind(
        "quantization/foreign/_matching.py Matched.warning", "images", "AIMET encodings .* has no range for"
    ),
    Kind("harness/verify.py fidelity_warnings", "images", "^SQNR against the float graph is .* under 15 dB$"),
    Kind("harness/verify.py fidelity_warnings", "images", "^agreement with the float graph is .* under 95%$"),
    Kind("backends/__init__.py CheckReport.warnings", "images", r"layers fell back from INT8: stem\.conv, "),
    Kind("backends/__init__.py CheckReport.warnings", "images", "^here .* Swish is not one kernel$"),
    Kind(
        "calibration/domain.py DomainReport.warnings", "network", "not what the network was trained on: its"
    ),
    Kind("calibration/trial.py TrialReport.warnings", "network", "^the preprocessing looks wrong: with"),
    Kind("calibration/selection.py select", "network", "^only 3 calibration images: one of them is also"),
    Kind("backends/tensorrt/examine.py examine", "network", "^FP16 ends at 65504, and .* other images may"),
    Kind(
        "backends/tensorrt/examine.py _warnings",
        "network",
        r"^model\.float\.fp16\.onnx is .* dB from the graph",
    ),
    Kind(
        "zoo/accounting/head_layers.py decided",
        "network",
        "^the head is taken to be own_head, the one Linear layer",
    ),
    Kind(
        "pipeline/resolve/labels.py label_warnings",
        "network",
        "labels of the checkpoint stand for more than one class",
    ),
    Kind("images/folders.py _Walk.warnings", "images", ": skipped 1 hidden file"),
    Kind("pipeline/resolve/preprocessing.py order_warning", "defaults", "(?i)order"),
    Kind("backends/tflite/usage.py cautions", "defaults", "MediaPipe"),
    Kind("calibration/selection.py select", "defaults", "^no calibration images were passed"),
)

#: Where a warning is passed on, and not made: what a site returns or hears, it warns of.
PASSING = {
    *(
        "pipeline/context.py Context.warn",
        "pipeline/context.py Context.warn_all",
        "pipeline/context.py Context.warnings",
        "pipeline/stages/stage.py lookup",
        "pipeline/built.py Built.warned",
        "pipeline/aside.py Later.warn",
    ),
    *("progress.py PythonWarnings.warn", "progress.py Recorder.warn", "progress.py Recorder.warn_again"),
    *("progress.py Recorder.repeat", "progress.py Recorder.warnings", "cli/console.py ConsoleProgress.warn"),
    *("calibration/judgement.py Judgement.warnings",),
    *("images/datasets.py _of_masks", "pipeline/held_out.py with_masks"),
    *(
        "training/preparing.py _network",
        "training/finetune.py finetune",
        "training/preparing.py _survey",
        "training/photos/opening.py open_photos",
    ),
    *(
        "diagnosis/__init__.py diagnose",
        "harness/subjects.py warn_of_place",
        "gate/alone.py run",
        "diagnosis/__init__.py _with_kernels",
        "harness/verify.py _verification",
    ),
    "harness/verify.py Verification.from_json",
    *(
        "harness/accuracy.py _evaluate",
        "harness/reporting.py _against",
        "harness/reporting.py report",
        "cli/eval.py _say",
    ),
    *("cli/report.py command", "report/sections/warnings.py _warnings"),
    *("cli/matrix.py _Pool.warnings", "cli/matrix.py _say", "cli/matrix.py command"),
    *("matrix/running.py Run._find", "matrix/work.py attempt"),
    *(
        "cli/inspect.py _shown",
        "cli/run.py _entries",
        "cli/run.py _warn",
        "images/held.py batches",
        "images/held.py _fitted",
    ),
    *("images/opening.py of_boxes", "images/datasets.py _of_boxes"),
    *(
        "zoo/checkpoints.py _origin",
        "zoo/sources/tensors.py identify",
        "zoo/sources/tensors.py _detector",
        "zoo/sources/tensors.py _segmenter",
        "zoo/detection/origin.py of",
        "zoo/segmentation/origin.py of",
        *(f"zoo/namings/{name}.py origin" for name in ("smp", "smp_timm", "smp_tu")),
        "foreign/__init__.py _tell",
        "foreign/__init__.py emit",
        "foreign/__init__.py _measure",
    ),
    *("foreign/__init__.py _golden", "foreign/tflite_file.py wrap", "foreign/tflite_file.py _measure"),
    "foreign/rules.py meaning_of",
    *(
        "pipeline/artifact.py caution",
        "pipeline/build.py run",
        "pipeline/built.py Built.of",
        "pipeline/held_out.py with_classes",
        "pipeline/held_out.py with_boxes",
        "pipeline/mixed.py floating",
        "pipeline/preparing.py _images",
        "pipeline/preparing.py _network",
        "pipeline/preparing.py _warn_unsettled",
        "pipeline/preparing.py name_classes",
        "pipeline/stages/calibration.py Calibration.tell",
        "pipeline/stages/given.py ranges",
        "pipeline/stages/hub.py hub",
        "pipeline/verifying.py Verifying._checked",
        "pipeline/verifying.py Verifying._examined",
        "pipeline/verifying.py Verifying._held",
        "pipeline/verifying.py Verifying._run_artifact",
        "pipeline/verifying.py Verifying.write.measure",
    ),
    *(
        "images/image_set.py ImageSet.classes_named",
        "images/opening.py open_images",
        "images/opening.py _of_folder",
        "calibration/selection.py _to_judge",
        "recipes.py recipe_photos",
    ),
    *(
        "graph/importing/__init__.py _import",
        "zoo/accounting/__init__.py _head",
    ),
    *("zoo/formats/__init__.py _printable", "zoo/formats/safetensors_file.py read"),
    *("zoo/formats/torch_file.py read", "zoo/origin.py of"),
    *("zoo/formats/_keras_model.py read", "zoo/formats/_keras_weights.py read"),
}

#: Kinds of other verbs, and those whose scenario has tests of its own: where they are produced.
ELSEWHERE = {
    "training/preparing.py _warn_of_unused": "tests/training/test_finetune.py",
    "training/loop.py _Run._diverged": "tests/training/test_loop.py",
    "training/loop.py _Run._warn_of_no_gain": "tests/training/test_progressive.py",
    "training/tasks/_classes.py Session._readable": "tests/training/test_finetune.py",
    "training/tasks/_holding_out.py split": "tests/training/test_finetune.py",
    "training/tasks/_holding_out.py warn_of_common": "tests/training/test_finetune.py",
    "training/tasks/classification.py _labelled": "tests/training/test_finetune.py",
    "training/tasks/classification.py label": "tests/training/test_finetune.py",
    "training/tasks/multilabel.py _labelled": "tests/training/test_finetune.py",
    "training/tasks/multilabel.py label": "tests/training/test_finetune.py",
    "training/tasks/detection.py Session._placed": "tests/training/test_detection.py",
    "training/tasks/detection.py Session.scored": "tests/training/test_detection.py",
    "training/tasks/detection.py _labelled": "tests/training/test_detection.py",
    "training/tasks/detection.py label": "tests/training/test_detection.py",
    "training/swap/comparing.py compare": "tests/training/test_swap.py",
    "training/swap/photos.py Stream.batches": "tests/training/test_swap.py",
    "training/swap/photos.py _known": "tests/training/test_swap.py",
    "training/swap/photos.py label": "tests/training/test_swap.py",
    "zoo/formats/_ours.py read": "tests/training/test_finetune.py",
    "backends/tensorrt/deployment/__init__.py cautions": "tests/backends/tensorrt/test_tensorrt_boxes.py",
    "backends/tensorrt/emit.py cautions": "tests/backends/tensorrt/test_tensorrt_boxes.py",
    "backends/tflite_micro/emit.py cautions": "tests/cli/test_missing_runtime.py",
    "cli/build.py _board": "tests/test_plugins.py",
    "pipeline/verifying.py Verifying._framed": "tests/test_frames.py",
    "foreign/tflite_file.py _labels": "tests/detection/test_foreign_file.py",
    "foreign/tflite_file.py _tell": "tests/detection/test_foreign_file.py",
    "graph/importing/detector.py end": "tests/graph/importing/test_detectors.py",
    "pipeline/preparing.py _of_objects": "tests/test_labels.py",
    "zoo/segmentation/checkpoints.py understand": "tests/zoo/segmentation/test_checkpoints.py",
    "zoo/segmentation/settings.py applied": "tests/zoo/segmentation/test_checkpoints.py",
    "zoo/namings/_smp.py warnings": "tests/zoo/segmentation/test_checkpoints.py",
    "pipeline/train_images.py open_to_train": "tests/test_train.py",
    "pipeline/train_images.py _opened": "tests/test_train.py",
    "pipeline/train_images.py _without": "tests/test_train.py",
    "pipeline/train_images.py _labelled": "tests/test_train.py",
    "pipeline/training.py trained": "tests/test_train.py",
    "zoo/detection/checkpoints.py understand": "tests/zoo/detection/test_effdet.py",
    "zoo/namings/effdet.py _made": "tests/zoo/detection/test_effdet.py",
    "zoo/namings/effdet.py _own_lite": "tests/zoo/detection/test_effdet.py",
    "zoo/sources/_detectors.py described": "tests/graph/importing/test_detectors.py",
    "devices/kinds/labgrid.py Labgrid.close": "tests/devices/test_labgrid.py",
    "cli/doctor.py command": "tests/test_plugins.py",
    "cli/run.py command": "tests/test_plugins.py",
    "cli/inspect.py _served": "tests/backends/test_triton.py",
    "harness/subjects.py warn_of_plugins": "tests/test_plugins.py",
    "harness/where.py class_warnings": "tests/harness/test_on_a_board.py",
    "diagnosis/on_board.py run": "tests/harness/test_on_a_board.py",
    "harness/subjects.py warn_of_another": "tests/harness/test_benchmark.py",
    "harness/subjects.py in_runs": "tests/harness/test_batches.py",
    "harness/latency.py _benchmark": "tests/harness/test_benchmark.py",
    "harness/latency.py _launches": "tests/harness/test_benchmark.py",
    "harness/profile.py profile": "tests/harness/test_profile.py",
    "harness/throughput.py _warn_of_shares": "tests/harness/test_throughput.py",
    "harness/throughput.py throughput": "tests/harness/test_sensors.py",
    "harness/tools.py compare": "tests/harness/test_tools.py",
    "cli/doctor.py _history": "tests/harness/test_stored.py",
    "cli/history/changes.py command": "tests/history/test_verbs_of_history.py",
    "cli/history/export.py command": "tests/history/test_verbs_of_history.py",
    "cli/history/import_.py command": "tests/history/test_verbs_of_history.py",
    "cli/history/plot.py command": "tests/history/test_verbs_of_history.py",
    "cli/recording.py keep": "tests/harness/test_stored.py",
    "bundle.py Bundle.plugin_warnings": "tests/test_plugins.py",
    "cli/targets.py command": "tests/test_plugins.py",
    "pipeline/plugged.py warnings": "tests/test_plugins.py",
    "zoo/namings/__init__.py warnings": "tests/test_plugins.py",
    "cli/import_result.py command": "tests/cli/test_import_result_verb.py",
    "diagnosis/__init__.py _held_out": "tests/cli/test_diagnose.py",
    "diagnosis/__init__.py _without_camera": "tests/cli/test_diagnose.py",
    "calibration/selection.py _only_judged": "tests/test_pipeline.py",
    "calibration/selection.py _with_clips": "tests/calibration/test_clips.py",
    "calibration/clips/__init__.py choose": "tests/calibration/test_clips.py",
    "calibration/clips/__init__.py Chosen.scenes_warning": "tests/calibration/test_clips.py",
    "harness/truth.py _boxes": "tests/detection/test_evaluate.py",
    "harness/truth.py _masks": "tests/images/test_masks.py",
    "training/tasks/segmentation.py Session._reader": "tests/training/test_segmentation.py",
    "training/tasks/segmentation.py _labelled": "tests/training/test_segmentation.py",
    "training/tasks/segmentation.py label": "tests/training/test_segmentation.py",
    "images/annotations/coco.py read": "tests/images/test_annotations.py",
    "images/annotations/voc.py _annotated": "tests/images/test_annotations.py",
    "images/annotations/yolo.py read": "tests/images/test_annotations.py",
    "images/annotations/classes.py placed": "tests/images/test_annotations.py",
    "harness/reporting.py not_run": "tests/harness/test_evaluate.py",
    "harness/resuming.py Keeper.keep": "tests/harness/test_resuming.py",
    "harness/resuming.py Keeper.restore": "tests/harness/test_resuming.py",
    "harness/reporting.py _warnings": "tests/test_warnings_of_verbs.py",
    "foreign/repairing.py compared": "tests/test_warnings_of_verbs.py",
    "foreign_ends.py warnings": "tests/test_foreign.py",
    "foreign/__init__.py _in_rgb": "tests/test_foreign.py",
    "pipeline/variants.py served": "tests/test_tuning.py",
    "cli/import_result.py _tuning": "tests/backends/tensorrt/test_tensorrt_autotune.py",
    "pipeline/trial.py Trial._warn_of_doubts": "tests/test_mixed.py",
    "foreign/repairing.py _not_compared": "tests/test_warnings_of_verbs.py",
    "pipeline/built.py standing": "tests/test_pipeline.py",
    "graph/importing/features.py warnings": "tests/graph/importing/test_features.py",
    "harness/truth.py _identity": "tests/harness/test_retrieval.py",
    "report/__init__.py of_build": "tests/report/test_reading.py",
    "report/__init__.py of_paths": "tests/report/test_reading.py",
    "report/reading.py assembled": "tests/report/test_reading.py",
    "gate/accuracy.py _decide": "tests/harness/test_gate_pair.py",
    "gate/pair.py _latency": "tests/harness/test_gate_pair.py",
    "gate/latency.py gate": "tests/harness/test_gate_latency.py",
    "gate/pair.py decide": "tests/harness/test_gate_pair.py",
    "gate/running.py _warn_of_idle_baselines": "tests/gate/test_running.py",
    "gate/running.py _accuracy": "tests/gate/test_running.py",
    "gate/running.py _alone": "tests/gate/test_running.py",
    "gate/remembered.py known.ask": "tests/history/test_known_to_the_gate.py",
    "predictor.py Predictor._once": "tests/harness/test_predictor.py",
    "cli/_answering.py Answers.of": "tests/detection/test_run.py",
    "streams/tally.py Tally.warnings": "tests/streams/test_video.py",
    "cli/_streaming.py _warned": "tests/cli/test_run_video.py",
    "zoo/hub.py fetch": "tests/zoo/hub/test_hub.py",
    "pipeline/stages/doubts.py settle": "tests/test_doubts.py",
    "pipeline/resolve/meaning.py task_warnings": "tests/test_multilabel.py",
    "zoo/origin.py Doubt.warning": "tests/test_doubts.py",
    "zoo/accounting/headless.py left_out": "tests/zoo/test_taps.py",
    "graph/importing/ending.py read": "tests/graph/importing/test_endings.py",
    "pipeline/built.py warn_replaced": "tests/test_pipeline.py",
    "zoo/sources/onnx_file.py described": "tests/test_channels.py",
}


def png(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def scenarios(make_module, make_images, tmp_path_factory):
    """``scenarios(name)``: the options of a build, without its output."""
    folder = tmp_path_factory.mktemp("inputs")
    smooth = make_images(24, SIZE, 5)
    random = np.random.default_rng(0)

    spec = catalog.scaled(f"b:width=0.25,depth=0.4,size={SIZE}")
    network = expand_functions(base_graph(make_module(spec, size=SIZE), (SIZE, SIZE)))
    onnx.save(network, folder / "net.onnx")

    def images():
        """A Swish network whose images and plan are bad, for an OpenVINO that is told to do other things."""
        tight = [{"min": -0.05, "max": 0.05, "bitwidth": 8, "is_symmetric": "False", "dtype": "int"}]
        named = [n.output[0] for n in network.graph.node if "project" not in n.output[0]]
        plan = {"version": "0.6.1", "activation_encodings": dict.fromkeys(named, tight)}
        (folder / "tight.encodings").write_text(json.dumps(plan))
        target = (Path(edgeeff.__file__).parents[1] / "targets" / "cpu-int8.toml").read_text()
        properties = '[runtime_properties]\nLP_TRANSFORMS_MODE = "NO"\nSNIPPETS_MODE = "DISABLE"'
        (folder / "odd.toml").write_text(target.replace("[runtime_properties]", properties, 1))
        for name in ("photos", "judge"):
            (folder / name).mkdir()
        for i, image in enumerate(smooth[:12]):
            png(folder / "photos" / f"{i:02}.png", image)
            png(folder / "photos" / f"again{i % 4}.png", smooth[0])
            if i < 11:
                png(folder / "judge" / f"{i:02}.png", smooth[12 + i])
        for i in range(2):
            png(folder / "photos" / f"blank{i}.png", np.full((SIZE, SIZE, 3), 80 + i, np.uint8))
            png(folder / "photos" / f"noise{i}.png", random.integers(0, 256, (SIZE, SIZE, 3), np.uint8))
        png(folder / "photos" / "deep.png", smooth[3][:, :, 0].astype(np.uint16) << 4)
        png(folder / "photos" / "._thumbnail.png", smooth[0])
        for place, name in (("photos", "cut.png"), ("judge", "held.png")):
            (folder / place / name).write_bytes((folder / place / "00.png").read_bytes()[:900])
        other = "avx2" if machine.cpu_class() == "vnni" else "vnni"
        return [
            *(f"--checkpoint={folder / 'net.onnx'}", f"--target={folder / 'odd.toml'}", MEAN, STD),
            *(
                f"--calibration={folder / 'photos'}",
                f"--validation={folder / 'judge'}",
                "--force-calibration",
            ),
            *(f"--plan={folder / 'tight.encodings'}", f"--cpu-class={other}"),
        ]

    def trained():
        """A network with one hot layer, three images, and another mean and deviation than it had."""
        weights = make_module(catalog.get(TINY), classes=3).state_dict()
        scales = [n for n, w in weights.items() if re.search("project.*weight", n) and w.dim() == 1]
        for name in scales[1:3]:  # each alone is within FP16, their sum is not
            weights[name] *= 2.5e4
        weights["own_head.weight"] = weights.pop("classifier.weight")
        weights["own_head.bias"] = weights.pop("classifier.bias")
        torch.save({"state_dict": weights, "classes": ["cat", "cat", "dog"]}, folder / "hot.pt")
        np.savez(folder / "three.npz", images=smooth[:3])
        return [
            *(
                f"--model={TINY}",
                f"--checkpoint={folder / 'hot.pt'}",
                f"--size={SIZE}",
                "--mean=0",
                "--std=1",
            ),
            *(f"--calibration={folder / 'three.npz'}", "--target=jetson-int8", "--golden=0"),
        ]

    def defaults():
        """No images at all, for a phone that takes int8."""
        return [
            *(f"--checkpoint={folder / 'net.onnx'}", "--target=mobile-int8", "--io=int8"),
            *("--mean=103.53,116.28,123.675", "--std=57.375,57.12,58.395"),
            *("--count=6", "--golden=0"),
        ]

    makers = {"images": images, "network": trained, "defaults": defaults}
    return lambda name: ["build", *makers[name](), "--effort=fast", "--strict", "--json"]


@dataclass(frozen=True)
class Said:
    """What one run of the verb said."""

    status: int
    out: str
    err: str

    @property
    def warnings(self) -> list[str]:
        return [line.removeprefix("WARNING ") for line in self.err.splitlines() if line[:8] == "WARNING "]


def run(arguments) -> Said:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
        cli.main([str(a) for a in arguments])
    return Said(int(end.value.code or 0), out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def produced(scenarios, tmp_path_factory):
    """``produced(scenario)``: the first run, the second, and what Python warned of in a third."""
    cache, made = tmp_path_factory.mktemp("cache"), {}

    def produce(name):
        if name not in made:
            made[name] = None  # one attempt
            output = tmp_path_factory.mktemp(name)
            arguments = [*scenarios(name), f"--output={output}"]
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("EDGEEFF_CACHE_DIR", str(cache))
                made[name] = (run(arguments), run(arguments), python(arguments))
        return made[name]

    return produce


def python(arguments):
    """The same build from Python, without a listener: its result, and what Python's warnings heard."""
    options: dict[str, object] = {}
    for name, _, value in (a.removeprefix("--").partition("=") for a in arguments[1:]):
        key = {"target": "targets"}.get(name.replace("-", "_"), name.replace("-", "_"))
        options[key] = value
    for name in ("strict", "json"):
        del options[name]
    options["targets"] = [options["targets"]]
    for name in ("mean", "std"):
        if name in options:
            values = [float(value) for value in str(options[name]).split(",")]
            options[name] = tuple(values if len(values) == 3 else values * 3)
    for name in ("count", "size", "golden"):
        if name in options:
            options[name] = int(options[name])
    if "force_calibration" in options:
        options["force_calibration"] = True
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        (built,) = edgeeff.build(**options)
    return built, [str(w.message) for w in heard if w.category is EdgeeffWarning]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.scenario}: {kind.says}")
def test_a_kind_is_seen_everywhere(kind, produced):
    first, second, (built, heard) = produced(kind.scenario)
    (data,), (again,) = json.loads(first.out), json.loads(second.out)
    measured = json.loads((Path(data["bundle"]) / "measured" / "verification.json").read_text())
    assert (data["unchanged"], again["unchanged"], built.unchanged) == (False, True, True)
    for place in (data["warnings"], again["warnings"], measured["warnings"], list(built.warnings)):
        assert sum(bool(re.search(kind.says, text)) for text in place) == 1, place
    name = f"{data['name']}: "
    for place in (first.warnings, second.warnings, heard):
        assert sum(bool(re.search(kind.says, text.removeprefix(name))) for text in place) == 1, place
    assert first.status == second.status == 1  # --strict


def test_a_standing_bundle_says_what_it_said(produced):
    for scenario in ("images", "network", "defaults"):
        first, second, (built, _) = produced(scenario)
        (data,), (again,) = json.loads(first.out), json.loads(second.out)
        assert set(data["warnings"]) == set(again["warnings"]) == set(built.warnings)
        assert len(first.warnings) == len(set(first.warnings)) == len(data["warnings"])


def test_every_place_that_warns_has_a_kind():
    """Add a row to KINDS (or, where a sentence is but passed on, its place to PASSING)."""
    known = {kind.site for kind in KINDS} | PASSING | set(ELSEWHERE)
    assert sorted(sites() - known) == []
    assert all((Path(edgeeff.__file__).parents[1] / test).is_file() for test in ELSEWHERE.values())
    assert sorted(known - sites()) == ["calibration/selection.py select", "images/survey.py survey"]


def sites() -> set[str]:
    """Each function that warns, returns warnings by its name, or hands them to a result."""
    root = Path(edgeeff.__file__).parent
    found: set[str] = set()

    def visit(node, file, where):
        for child in ast.iter_child_nodes(node):
            inner = [*where, child.name] if isinstance(child, ast.FunctionDef | ast.ClassDef) else where
            if isinstance(child, ast.FunctionDef) and re.search("warnings?$|^cautions$", child.name):
                found.add(f"{file} {'.'.join(inner)}")
            if isinstance(child, ast.Call):
                called = getattr(child.func, "attr", getattr(child.func, "id", ""))
                given = {keyword.arg for keyword in child.keywords} & {"warning", "warnings"}
                if given or called in ("warn", "_warn", "warn_again", "warn_all", "warn_skipped"):
                    found.add(f"{file} {'.'.join(where)}")
            visit(child, file, inner)

    for path in root.rglob("*.py"):
        visit(ast.parse(path.read_text()), path.relative_to(root).as_posix(), [])
    return found
