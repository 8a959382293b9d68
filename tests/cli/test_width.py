"""What the verbs print fits a terminal of 80 columns: no option's name and no number is cut."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console
from typer.testing import CliRunner

from edgeeff.cli import application, judgements
from edgeeff.cli import timings as tables_of_times
from edgeeff.harness import machine
from edgeeff.harness.accuracy import AccuracyReport, ReferenceScores
from edgeeff.harness.estimate import Estimate
from edgeeff.harness.latency import Entry, LatencyReport, summarise
from edgeeff.harness.launches import Launch, Run
from edgeeff.harness.record import record
from edgeeff.harness.throughput import Entry as Throughput
from edgeeff.harness.tools import Compared
from edgeeff.metrics import Interval, MacroScores, Proportion
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
    made = judgements.accuracy_table(
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


def timed(*images):
    """A report of bundles with so many images in a run, of which the first takes longest."""
    names = ("b0-cpu-int8", "b0-mobile-int8", "b0-jetson-int8")
    cost = {"load_ms": 1234.5, "first_ms": 1345.67, "peak_memory_mb": 1234.5}

    def run(wall, cpu, batch, count=3):
        return Run((wall,) * count, (cpu,) * count, batch, True, 0, **cost)

    taken = [
        Launch(0, {i: run(1_234_560_000, 1_111_120_000, batch) for i, batch in enumerate(images)}, {}),
        Launch(1, {i: run(1_244_560_000, 1_131_120_000, batch, 3000) for i, batch in enumerate(images)}, {}),
    ]
    entries = [
        Entry(name, "openvino", "int8", {}, summarise([launch.runs[i] for launch in taken]), None)
        for i, name in enumerate(names[: len(images)])
    ]
    entries.append(Entry(names[2], "tensorrt", "int8", {}, None, "no engine here"))
    here = machine.describe()
    return LatencyReport(
        tuple(entries), names[0], 2, 1.0, 1, 0, here, record("latency", []), "cpu", tuple(taken)
    )


def printed(made):
    screen = Console(width=80, record=True, markup=False)
    screen.print(made)
    return screen.export_text().split()


def test_times_of_a_run_and_of_an_image_are_not_cut():
    words = printed(tables_of_times.latency_table(timed(1, 128)))
    for whole in (
        "b0-cpu-int8",
        "b0-mobile-int8",
        "b0-jetson-int8",
        "128",
        "1244.56",
        "9.72",
        "8.76",
        "0.008",
    ):
        assert whole in words


def test_times_with_their_tails_are_not_cut():
    report = timed(1, 1)
    words = printed(tables_of_times.latency_table(report))
    for whole in ("b0-mobile-int8", "b0-jetson-int8", "p99.9", "NOT", "1.000…1.000", "1.000"):
        assert whole in words
    assert words.count("1244.56") == 8 and words.count("±") == 4
    words = printed(tables_of_times.loading_table(report))
    assert {"1234.5", "1345.67", "b0-cpu-int8"} <= set(words)
    absent, ratios = tables_of_times.notes(report)
    assert absent == "b0-jetson-int8: NOT RUN: no engine here" and "CPU time, to b0-cpu-int8" in ratios


def test_an_interval_that_says_nothing_is_no_number():
    report = timed(1)
    wild = replace(report.entries[0].timing, wall=Estimate(5.0, Interval(0.016, 1585.0)))
    report = replace(report, entries=(replace(report.entries[0], timing=wild), report.entries[1]))
    words = " ".join(printed(tables_of_times.latency_table(report)))
    assert "± > 100%" in words and "31600" not in words
    assert any("2 launches are too few" in note for note in tables_of_times.notes(report))
    assert not any("too few" in note for note in tables_of_times.notes(timed(1)))


def test_names_give_way_and_not_numbers():
    report = timed(1, 1)
    long = "a-very-long-name-of-a-bundle (/home/somebody/some/where/dist/b0-mobile-int8)"
    entries = tuple(replace(entry, name=f"{entry.name}-{long}") for entry in report.entries)
    report = replace(report, entries=entries, baseline=entries[0].name)
    words = printed(tables_of_times.latency_table(report))
    assert words.count("1244.56") == 8 and "1.000…1.000" in words
    assert "1345.67" in printed(tables_of_times.loading_table(report))


def test_tools_and_throughput_are_not_cut():
    wide = Estimate(12345.67, Interval(11111.11, 13333.33))
    ratio = Estimate(1.002, Interval(0.985, 1.021))
    tools = (
        Compared("b0-mobile-int8", "litert-benchmark", wide, wide, ratio, ratio),
        Compared("b0-cpu-int8", "benchmark_app", reason="no such model"),
    )
    words = printed(tables_of_times.tools_table(replace(timed(1, 1), tools=tools)))
    assert words.count("12345.67") == 2 and words.count("0.985…1.021") == 2
    assert {"b0-mobile-int8", "litert-benchmark", "benchmark_app", "NOT"} <= set(words)
    entries = (
        Throughput("b0-mobile-int8", "tflite", "int8", 128, wide, (1.0,), 1234.56, ratio),
        Throughput("b0-jetson-int8", "tensorrt", "int8", 128, not_run="no engine here"),
    )
    told = SimpleNamespace(entries=entries)
    words = printed(tables_of_times.throughput_table(told))
    assert {"12345.7", "1234.56", "0.985…1.021", "128", "b0-jetson-int8"} <= set(words)
    alone = printed(tables_of_times.throughput_table(SimpleNamespace(entries=entries[:1])))
    assert "12345.7" in alone and "ratio" not in alone
