"""What the verbs print fits a terminal of 80 columns: no option's name and no number is cut."""

from __future__ import annotations

import re

import pytest
from rich.console import Console
from typer.testing import CliRunner

from edgeeff.cli import application, tables
from edgeeff.harness import machine
from edgeeff.harness.accuracy import AccuracyReport, ReferenceScores
from edgeeff.harness.latency import Entry, LatencyReport, summarise
from edgeeff.harness.launch import Samples
from edgeeff.harness.record import record
from edgeeff.metrics import MacroScores, Proportion
from edgeeff.tasks.classification import LabelScores

VERBS = [info.name for info in application().registered_commands]


@pytest.mark.parametrize("verb", VERBS)
def test_no_option_of_a_verb_is_cut(verb):
    shown = CliRunner().invoke(application(), [verb, "--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"})
    assert shown.exit_code == 0
    assert max(map(len, shown.output.splitlines())) <= 80
    assert not re.findall(r"--?\S+…", shown.output)  # such as --force-calibra…


def report(name, **more):
    right, agreed = Proportion(188, 200), Proportion(199, 200)
    return AccuracyReport(
        name,
        200,
        200,
        391,
        scores=LabelScores(right, Proportion(195, 200), MacroScores(0.88, 0.88, 0.882, 100)),
        reference=ReferenceScores("b0-cpu-fp32", agreed, 27.3, 26.1, LabelScores(right, right, None), ()),
        **more,
    )


def test_accuracy_is_not_cut():
    made = tables.accuracy_table(
        [
            report("b0-mobile-int8"),
            report("b0-jetson-int8", via="model.qdq.onnx in onnxruntime"),
            AccuracyReport("b0-rtx-int8", 0, 0, not_run="no engine"),
        ]
    )
    screen = Console(width=80, record=True, markup=False)
    screen.print(made)
    words = screen.export_text().split()
    low, high = Proportion(188, 200).interval
    assert words.count(f"({100 * low:.1f}…{100 * high:.1f})") == 2
    for whole in (
        "b0-mobile-int8",
        "b0-jetson-int8:",
        "b0-rtx-int8",
        "94.0%",
        "27.3",
        "0.882",
        "model.qdq.onnx",
    ):
        assert whole in words


def test_times_of_a_run_and_of_an_image_are_not_cut():
    launches = [
        Samples([1_234_560_000] * 3, [1_111_120_000] * 3),
        Samples([1_244_560_000] * 3, [1_131_120_000] * 3),
    ]
    entries = (
        Entry("b0-cpu-int8", "openvino", "int8", {}, summarise(launches, 2), None),
        Entry("b0-mobile-int8", "tflite", "int8", {}, summarise(launches, 2, 128), None),
        Entry("b0-jetson-int8", "tensorrt", "int8", {}, None, "no engine here"),
    )
    report = LatencyReport(entries, "b0-cpu-int8", 2, 1.0, 1, 0, machine.describe(), record("latency", []))
    screen = Console(width=80, record=True, markup=False)
    screen.print(tables.latency_table(report))
    words = screen.export_text().split()
    for whole in (
        "b0-cpu-int8",
        "b0-mobile-int8",
        "b0-jetson-int8",
        "128",
        "1239.56",
        "1244.56",
        "9.68",
        "8.76",
        "0.008",
    ):
        assert whole in words
