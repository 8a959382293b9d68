"""From bundles and report files to a page: every figure has its row, and no file is trusted."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from edgeeff import history, report
from edgeeff.errors import EdgeeffError, EdgeeffWarning, MissingFileError, ReportError
from edgeeff.harness.accuracy_report import AccuracyReport
from edgeeff.harness.outcomes import Outcomes
from edgeeff.images import Picture
from edgeeff.report import figures, gallery, page, reading
from edgeeff.report.sections import listed
from tests.report.conftest import accuracy, compared, diagnosis, gate, latency, profile, share

HOSTILE = (
    '<script>document.title="owned"</script>',
    '"><img src=x onerror=document.title="owned">',
    "</style></script><svg onload=document.title='owned'>",
    "{{ 7 * 7 }}{% raw %}",
    "a\u202eb\u0000c\x1b[31m",
)


class Elements(HTMLParser):
    """All elements of a page, with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_one_table_has_accuracy_and_latency_of_all_bundles(everything):
    text, material = report.of_paths(everything)
    assert [(one.letter, one.name) for one in material.subjects] == [
        ("A", "b0-cpu-fp32"),
        ("B", "b0-cpu-int8"),
        ("C", "b0-jetson-int8"),
    ]
    base, int8, jetson = material.subjects
    assert figures.accuracy(material, int8).score == 0.89 and figures.latency(material, int8).p50 == 9.0
    assert figures.accuracy(material, base).score == 0.9  # the reference of the evaluation
    assert base.floating and int8.size == 8
    assert figures.latency(material, jetson).not_run == "no engine is here"
    overview = text.partition('id="overview"')[2].partition("</section>")[0]
    for shown in ("89.0", "90.0", "1.00", "9.00", "20.0", "0.450", "float control", "NOT RUN"):
        assert shown in overview, shown
    verdicts = text.partition('id="gate"')[2].partition("</section>")[0]
    assert "21000 images, 90 s" in verdicts and "4.00 (3.00…5.00) %" in verdicts and "✗ fail" in verdicts
    ids = [attrs["id"] for tag, attrs in Elements(text).found if tag == "section"]
    absent = {"gallery", "trend", "confusion", "throughput", "training"}
    assert set(ids) == {module.__name__.rpartition(".")[2] for module in listed()} - absent
    assert ids.index("warnings") == 0 and not material.warnings


def test_what_was_not_run_and_every_warning_stands_first(everything):
    text, _ = report.of_paths(everything)
    first = text.partition('id="warnings"')[2].partition("</section>")[0]
    assert "NOT RUN" in first and "no engine is here" in first
    assert "few images calibrated" in first and "only a few images" in first


def test_the_same_inputs_give_the_same_bytes(everything):
    assert report.of_paths(everything)[0] == report.of_paths(everything)[0]


def test_a_report_of_another_build_has_a_row_of_its_own(make_bundle, saved):
    bundle = make_bundle("b0-cpu-int8")
    other = saved("old.json", latency({"b0-cpu-int8": 30.0}, {"b0-cpu-int8": "d" * 64}))
    material = reading.read([bundle.folder, other])
    assert [one.name for one in material.subjects] == [
        f"b0-cpu-int8 ({bundle.digest()[:8]})",
        "b0-cpu-int8 (dddddddd)",
    ]
    assert figures.latency(material, material.subjects[0]) is None
    assert figures.latency(material, material.subjects[1]).p50 == 30.0
    assert "old.json is of another bundle b0-cpu-int8" in material.warnings[0]


def test_times_of_two_machines_are_not_compared(saved):
    digests = {name: name[-1] * 64 for name in ("x-a", "x-b", "x-c")}
    here = saved("here.json", latency({"x-a": 10.0, "x-b": 20.0}, digests))
    there = saved("there.json", latency({"x-c": 1.0}, digests, environment="f" * 64))
    text, material = report.of_paths([here, there])
    assert "different machines" in material.warnings[0]
    overview = text.partition('id="overview"')[2].partition("</section>")[0]
    assert "1.00\N{NO-BREAK SPACE}ms †" in overview and "10.0\N{NO-BREAK SPACE}ms<" in overview
    assert "there.json" in overview


def test_an_altered_bundle_is_told(make_bundle):
    bundle = make_bundle("b0-cpu-int8")
    (bundle.folder / "model.bin").write_bytes(b"other")
    assert "model.bin does not have" in reading.read([bundle.folder]).warnings[0]


@pytest.mark.slow
def test_a_build_whose_times_cannot_be_measured_has_its_page(make_bundle):
    """The artifact is no network: its process fails, which takes nothing from what was built."""
    found = {"images": 100, "agreement": share(0.97, 100), "sqnr_db": 22.0, "warnings": []}
    with pytest.warns(EdgeeffWarning, match="no latency for the report"):
        text, warnings = report.of_build([make_bundle("b0-cpu-int8", artifact=found)])
    assert len(warnings) == 1 and "no latency" in text.partition('id="warnings"')[2]


def test_a_report_given_twice_counts_once(saved):
    data = latency({"x-a": 10.0}, {"x-a": "a" * 64})
    assert len(reading.read([saved("1.json", data), saved("2.json", data)]).reports) == 1


def test_what_another_number_of_images_found_is_marked(make_bundle, saved):
    """The build looked at 100 images, the evaluation at 500: neither is the other's equal."""
    found = {"images": 100, "agreement": share(1.0, 100), "sqnr_db": 30.0, "warnings": []}
    bundles = [make_bundle("x-a", artifact=found), make_bundle("x-b", artifact=found, weights=b"other")]
    digests = {one.name: one.digest() for one in bundles}
    judged = saved("eval.json", accuracy("x-a", 0.9, digests, "float"))
    timed = saved("bench.json", latency({"x-a": 1.0, "x-b": 2.0}, digests))
    text, _ = report.of_paths([*(one.folder for one in bundles), judged, timed])
    overview = text.partition('id="overview"')[2].partition("</section>")[0]
    assert "found by an evaluation on 500 images" in overview
    assert (
        "30.0\N{NO-BREAK SPACE}dB §" in overview and "§ Not comparable: found by the build on 100" in overview
    )
    assert 'id="pareto"' not in text  # one of the two is left to show


def test_comparisons_classes_and_confusions_are_shown(saved):
    digests = {"x-a": "a" * 64, "x-b": "b" * 64}
    told = compared("x-a", digests, "x-b", ["p/1.png"])
    told["comparison"]["disagreements_left_out"] = 7
    text, _ = report.of_paths([saved("eval.json", [told])])
    accuracy_section = text.partition('id="accuracy"')[2].partition("</section>")[0]
    for shown in ("not settled", "4200", "0.031", "p/1.png", "0.310", "How sure and how right", "1 of 8"):
        assert shown in accuracy_section, shown
    matrix = text.partition('id="confusion"')[2].partition("</section>")[0]
    assert matrix.count('class="own h8">230</td>') == 2 and matrix.count('class="h1">20</td>') == 2
    assert "40 of 500 labelled images are decided wrongly" in matrix


def test_classes_of_masks_count_pixels(saved):
    data = compared("s-cpu-int8", {"s-cpu-int8": "1" * 64}, "s-cpu-fp32", [])
    for one in data["per_class"]:
        one["pixels"] = 123456
    for one in data["confusion"]:
        one["pixels"] = one.pop("images")
    text, _ = report.of_paths([saved("a.json", data)])
    assert "pixels right" in text and "123456" in text
    assert "40 of 500 labelled pixels are decided wrongly" in text


def test_pictures_are_taken_from_the_folder_that_was_named_alone(saved, tmp_path):
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    outside = tmp_path / "secret.png"
    for path, colour in ((outside, "red"), (folder / "a.png", "green"), (folder / "deep" / "b.png", "blue")):
        Image.new("RGB", (900, 300), colour).save(path)
    (folder / "link.png").symlink_to(outside)
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:60])
    names = [
        str(outside),
        str(folder / "a.png"),
        "elsewhere/deep/b.png",
        "link.png",
        "../secret.png",
        "broken.png",
    ]
    digests = {"x-a": "a" * 64, "x-b": "b" * 64}
    path = saved("eval.json", [compared("x-a", digests, "x-b", [*names, "\0", "x" * 5000])])
    assert 'id="gallery"' not in report.of_paths([path])[0]
    text, material = report.of_paths([path], photos=folder)
    (only,) = material.galleries
    shown = {one.name: Image.open(io.BytesIO(one.picture)) for one in only.photos if one.picture}
    assert sorted(shown) == ["deep/b.png", "photos/a.png"]
    red, green, _ = shown["photos/a.png"].getpixel((9, 9))
    assert green > 100 > red and max(shown["photos/a.png"].size) <= 200
    assert text.count('src="data:image/jpeg;base64,') == 2 and only.count == 8
    assert "6 of 8 images have no picture" in material.warnings[0]
    without = saved("bench.json", latency({"x-a": 1.0}, digests))
    assert "no report names images" in report.of_paths([without], photos=folder)[1].warnings[0]


def test_the_history_is_drawn_with_its_changes(make_bundle, tmp_path):
    """Runs whose time rises by 6 % in the middle: the page says where, and between which commits."""
    bundle, database = make_bundle("x-a"), tmp_path / "history.sqlite"
    digests, about = {"x-a": bundle.digest()}, {"x-a": {"name": "x-a", "model": "b0"}}
    for number in range(16):
        run = latency({"x-a": (5.0 if number < 8 else 5.3) + 0.001 * (number % 3)}, digests)
        when = {"utc": f"2026-02-{number + 1:02}T00:00:00Z", "run_id": f"{number:032x}"}
        run["record"].update(when, about=about, commit=f"c0ffee{number:02}")
        history.remember(run, database=str(database))
    text, material = report.of_paths([bundle.folder], history=str(database))
    (series,) = [one for one in material.series if one.metric == "cpu_ms"]
    assert [change.place for change in series.changes] == [8] and len(series.points) == 16
    section = text.partition('id="trend"')[2].partition("</section>")[0]
    assert "came after commit c0ffee07, by c0ffee08" in section and "+6.0 %" in section
    again = reading.read([bundle.folder])
    assert again.series == () and 'id="trend"' not in page.render(again)
    nothing = report.of_paths([make_bundle("other").folder], history=str(database))[1]
    assert "the history holds no" in nothing.warnings[0]


def test_a_plot_of_the_history_is_read(saved):
    points = [
        {
            "uid": f"{n}",
            "placed": f"2026-02-0{n}",
            "commit": None,
            "digest": "d",
            "value": v,
            "low": None,
            "high": 9,
        }
        for n, v in enumerate((1.0, None, 3.0, float("nan"), "x"))
    ]
    step = {"before": 1.0, "after": 3.0, "step": 2.0, "commit_range": [None, None], "first": points[2]}
    track = {"bundle": "<b>x", "metric": "cpu_ms", "unit": "ms", "points": points, "changes": [step, {}]}
    text, material = report.of_paths([saved("plot.json", {"database": "h", "tracks": [track, 7]})])
    (series,) = material.series
    assert [point.value for point in series.points] == [1.0, 3.0] and [c.place for c in series.changes] == [1]
    assert "+200.0 % (1 to 3); the commits are not known" in text and "&lt;b&gt;x" in text
    size = {**track, "metric": "artifact_bytes", "unit": "bytes", "changes": []}
    size["points"] = [{**one, "value": 5400.0} for one in points]
    text, _ = report.of_paths([saved("both.json", {"database": "h", "tracks": [track, size]})])
    section = text.partition('id="trend"')[2].partition("</section>")[0]
    assert section.count("<svg") == 1 and "artifact_bytes 5400 bytes in 5 runs" in section


def judged(decided, images=("1.png", "2.png", "3.png")):
    """A report of the bundle `x`, whatever it decided of images of the classes 0, 0 and 1."""
    outcomes = Outcomes(images, np.array(decided, np.int32), np.array((0, 0, 1), np.int32), ("cat", "dog"))
    return AccuracyReport("x", len(images), len(images), outcomes=outcomes)


def test_images_that_two_builds_of_one_name_decide_differently(tmp_path):
    """The one that is wrong comes first; a lone bundle is held against the labels."""
    Image.new("RGB", (40, 40), "red").save(tmp_path / "2.png")
    pictures = [Picture(tmp_path / "2.png")]
    images = tuple(str(tmp_path / f"{n}.png") for n in (1, 2, 3))
    both = [judged((0, 1, 1), images), judged((1, 1, 1), images)]
    found = gallery.of_outcomes(both, ["x (1)", "x (2)"], pictures)
    assert found is not None and found.count == 1 and found.images == 3
    assert found.photos[0].decided == {"x (1)": "cat", "x (2)": "dog"} and not found.photos[0].picture
    alone = gallery.of_outcomes(both[:1], ["x"], pictures)
    assert [photo.truth for photo in alone.photos] == ["cat"] and alone.photos[0].picture
    assert gallery.of_outcomes([judged((0, 0, 1))], ["x"], pictures) is None
    assert gallery.of_outcomes([AccuracyReport("x", 0, 0, not_run="no engine")], ["x"], pictures) is None


def test_rows_of_a_build_are_read(saved):
    row = {
        **{"bundle": "dist/x", "name": "x", "unchanged": False, "size_bytes": 5400000, "hub": None},
        **{"verification": None, "not_run": "no device", "check": "NOT RUN", "warnings": ["few images"]},
    }
    text, material = report.of_paths([saved("build.json", [row])])
    assert material.subjects[0].size == 5400000 and "no device" in text and "few images" in text


@pytest.mark.parametrize(
    "data", [[], {}, [1], "text", 3, None, {"record": {"kind": "weather"}}, [[]], {"kind": ["latency"]}]
)
def test_what_is_no_report_is_refused(saved, data):
    with pytest.raises(ReportError, match=r"bad\.json"):
        reading.read([saved("bad.json", data)])


def test_newer_broken_and_absent_files_are_refused(saved, tmp_path):
    newer = latency({"x": 1.0}, {})
    newer["record"]["schema_version"] = 2
    with pytest.raises(ReportError, match="schema 2") as error:
        reading.read([saved("newer.json", newer)])
    assert error.value.mend == "update edgeeff"
    (tmp_path / "cut.json").write_text(json.dumps(newer)[:-9])
    with pytest.raises(ReportError, match="is not JSON"):
        reading.read([tmp_path / "cut.json"])
    with pytest.raises(MissingFileError):
        reading.read([tmp_path / "none.json"])


def test_nothing_that_a_file_says_becomes_markup(make_bundle, saved, tmp_path):
    paths = []
    for number, words in enumerate(HOSTILE):
        bundle = make_bundle(words, artifact=None, not_run=words, warnings=[words], weights=bytes([number]))
        digests, found = {words: bundle.digest()}, diagnosis()
        for finding in found["findings"]:
            finding.update(name=words, what=words, advice=words)
        layers = profile(words, digests)
        for layer in layers["entries"][0]["layers"]:
            layer.update(name=words + layer["name"], kind=words, kernel=words)
        against = compared(words, digests, words, [words])
        against["comparison"].update(conclusion=words)
        for one in against["comparison"]["disagreements"]:
            one.update(truth=words, old=words, new=words + "!")
        for one in against["per_class"]:
            one["label"] = words
        point = {"uid": words, "placed": words, "commit": words, "value": 1.0 + number}
        step = {"commit_range": [words, words], "first": point, "step": 1.0}
        points = [point, {**point, "value": 9.0}]
        track = {"bundle": words, "metric": words, "unit": words, "device": words, "points": points}
        files = {
            "c": against,
            "t": {"tracks": [{**track, "changes": [step]}]},
            "l": latency({words: 1.0 + number}, digests),
            "a": accuracy(words, 0.8, digests, words),
            "p": layers,
            "g": gate(words),
            "d": {**found, "model": words, "advice": [words], "definitions": {words: words}},
        }
        paths += [bundle.folder, *(saved(f"{name}{number}.json", data) for name, data in files.items())]
    text, _ = report.of_paths(paths, title=HOSTILE[0], photos=tmp_path)
    assert all(f'id="{name}"' in text for name in ("confusion", "gallery", "trend", "losses"))
    found = Elements(text).found
    assert [tag for tag, _ in found].count("script") == 1 and [tag for tag, _ in found].count("style") == 1
    assert not [tag for tag, _ in found if tag in ("img", "iframe", "object", "link", "base", "form")]
    assert not [name for _, attrs in found for name in attrs if name.startswith("on") or name == "style"]
    outside = [attrs[n] for _, attrs in found for n in ("src", "href") if n in attrs]
    assert all(link.startswith("#") for link in outside)
    assert not set(text) & set("\u202e\0\x1b") and "49" not in text.partition("<h1>")[2].partition("</h1>")[0]
    assert "&lt;script&gt;" in text and "{{ 7 * 7 }}" in text


def test_odd_values_leave_things_out_and_break_nothing(mutated):
    digests = {"b0-cpu-int8": "1" * 64, "b0-cpu-fp32": "2" * 64}
    given = [
        latency({"b0-cpu-fp32": 20.0, "b0-cpu-int8": 9.0}, digests),
        compared("b0-cpu-int8", digests, "b0-cpu-fp32", ["1.png"]),
        profile("b0-cpu-int8", digests),
        gate("b0-cpu-int8"),
        diagnosis(),
    ]
    drawn = 0
    for number in range(0, 4200, 61):
        data = [mutated(one, number) if n == number % len(given) else one for n, one in enumerate(given)]
        try:
            reports = [found for n, one in enumerate(data) for found in reading.from_json(one, f"{n}.json")]
        except EdgeeffError:
            continue
        text = page.render(reading.assembled([], reports))
        assert not re.search(r"\b(nan|inf)\b", text.partition("<main")[2].partition("<script")[0].lower())
        assert text.encode()
        drawn += 1
    assert drawn > 50


def test_large_reports_make_small_pages(saved):
    digests = {"x": "a" * 64}
    large = profile("x", digests)
    layer = large["entries"][0]["layers"][0]
    large["entries"][0]["layers"] = [{**layer, "name": f"layer{n}" + "y" * 900} for n in range(5000)]
    text, _ = report.of_paths([saved("large.json", large)])
    assert len(text) < 2_000_000 and "… and 4520 more rows" in text


def test_two_builds_of_one_name_have_one_name_each_through_the_page(make_bundle, saved):
    """Reports call them by their folders, which nobody finds again in the tables."""
    old, new = make_bundle("x", weights=b"1"), make_bundle("x", weights=b"2")
    called = {"x (dist/old)": old.digest(), "x (dist/new)": new.digest()}
    timed = saved("bench.json", latency({"x (dist/old)": 10.0, "x (dist/new)": 11.0}, called))
    text, material = report.of_paths([old.folder, new.folder, timed])
    first = material.subjects[0].name
    assert first == f"x ({old.digest()[:8]})" and "dist/" not in text
    assert f"Ratios are against {first}, by CPU time" in text
    ratios = text.partition("Ratios to")[2].partition("</svg>")[0]
    assert ratios.count('class="name"') == 1  # the baseline's own ratio is no news
    unknown = reading.from_json(latency({"x": 1.0}, {}), "no record of it")[0]
    assert material.subject(unknown, "x") is None  # it could be either


def test_a_gate_names_its_bundles_though_one_alone_has_a_row(make_bundle, saved):
    """The old one's letter beside a fail would say that the old one failed."""
    old, data = make_bundle("x"), gate("x")
    data["record"]["bundles"] = {"x": "f" * 64, "x (old)": old.digest()}
    section = report.of_paths([old.folder, saved("gate.json", data)])[0].partition('id="gate"')[2]
    legend = section.partition("</ul>")[0].split("<li>")[1:]
    assert "ffffffff" in legend[0] and "badge" not in legend[0]
    assert old.digest()[:8] in legend[1] and "badge" in legend[1]
    assert "badge" not in section.partition("<tbody>")[2].partition("</tbody>")[0]


def test_a_lone_bundle_has_no_ratio(saved):
    """`bench --throughput` names a baseline all the same: the bundle itself."""
    entry = {"name": "x", "status": "ok", "images_per_second": {"value": 90.0, "interval": [80.0, 99.0]}}
    other = {**entry, "name": "y", "ratio": {"value": 1.2, "interval": [1.1, 1.3]}}
    for entries, shown in (([entry], False), ([entry, other], True)):
        data = {**latency({"x": 1.0}, {}), "entries": entries}
        data["record"]["kind"] = "throughput"
        text, _ = report.of_paths([saved("throughput.json", data)])
        assert ("ratios are against x" in text) == shown


def test_an_evaluation_without_a_reference_takes_nothing_away(make_bundle, saved):
    """It has a score alone: how close the float network is stands in the build, on other images."""
    found = {"images": 100, "agreement": share(0.97, 100), "sqnr_db": 22.0, "warnings": []}
    bundle = make_bundle("x", artifact=found)
    data = {**accuracy("x", 0.88, {"x": bundle.digest()}, "float"), "reference": None, "drop_points": None}
    text, _ = report.of_paths([bundle.folder, saved("eval.json", data)])
    overview = text.partition('id="overview"')[2].partition("</section>")[0]
    assert "88.0\N{NO-BREAK SPACE}%<" in overview and "97.0\N{NO-BREAK SPACE}% §" in overview
    assert "22.0\N{NO-BREAK SPACE}dB §" in overview and "found by the build on 100 images" in overview
    assert "top-1 on 500 images" in text.partition('id="summary"')[2].partition("</section>")[0]
