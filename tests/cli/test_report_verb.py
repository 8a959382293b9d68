"""edgeeff report, and the pages that other verbs write."""

from __future__ import annotations

import json

import pytest


def test_bundles_become_a_page(edgeeff, lite0_bundles, tmp_path):
    bundles = sorted(path for path in lite0_bundles.iterdir() if (path / "manifest.json").exists())
    first = edgeeff("report", *bundles, "-o", tmp_path / "a.html", "--json")
    again = edgeeff("report", *bundles, "-o", tmp_path / "new" / "b.html", env={"PYTHONHASHSEED": "7"})
    assert first.status == again.status == 0, first.err + again.err
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "new" / "b.html").read_bytes()
    said = first.data
    assert set(said["bundles"]) == {bundle.name for bundle in bundles} and all(said["bundles"].values())
    assert said["bytes"] == (tmp_path / "a.html").stat().st_size < 100_000
    assert "4 bundles, 0 reports" in again.out and said["sections"][0] == "warnings"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("none.json",), "there is no none.json"),
        (("report.json",), "report.json holds no report"),
        (("good.json", "-o", "."), "is a folder"),
        (("good.json", "-o", "good.json"), "good.json is there and is no HTML page"),
        (("good.json", "--photos=none"), "there is no folder none"),
    ],
)
def test_refused(refused, tmp_path, arguments, said):
    (tmp_path / "report.json").write_text('{"a": 1}')
    (tmp_path / "good.json").write_text(json.dumps({"verdicts": [], "status": "error"}))
    assert said in refused("report", *arguments)


@pytest.mark.slow
def test_what_the_verbs_print_is_drawn(edgeeff, lite0_bundles, ten_photos, tmp_path):
    """Every section, from what the verbs say today: a change of a report's form is seen here."""
    int8, mobile = lite0_bundles / "lite0-cpu-int8", lite0_bundles / "lite0-mobile-int8"
    control = lite0_bundles / "lite0-cpu-fp32"
    quick = ("--launches=2", "--seconds=0.05")
    listed = "".join(f"{path},{n * 40}\n" for n, path in enumerate(sorted(ten_photos.iterdir())))
    (tmp_path / "list.csv").write_text(listed)
    diagnosed = (f"--calibration={ten_photos}", "--effort=fast", "--target=cpu-int8", "--images=2")
    runs = {
        "bench": ("bench", control, int8, *quick),
        "profile": ("bench", "--profile", int8, *quick),
        "throughput": ("bench", "--throughput", int8, *quick),
        "eval": ("eval", int8, mobile, f"--reference={control}", f"--images={tmp_path / 'list.csv'}"),
        "diagnose": ("diagnose", "--model=lite0", "--size=96", *diagnosed),
    }
    for name, arguments in runs.items():
        done = edgeeff(*arguments, "--json", env={"EDGEEFF_HISTORY": "off"})
        assert done.status == 0, done.err
        (tmp_path / f"{name}.json").write_text(done.out)
    printed = [tmp_path / f"{name}.json" for name in runs]
    page = tmp_path / "all.html"
    made = edgeeff("report", control, int8, mobile, *printed, f"--photos={ten_photos}", "-o", page, "--json")
    assert made.status == 0, made.err
    expected = {"warnings", "summary", "overview", "pareto", "accuracy", "latency", "throughput", "layers"}
    assert expected | {"losses", "confusion", "environment"} <= set(made.data["sections"])
    assert len(made.data["bundles"]) == 3 and made.data["bytes"] < 2_000_000
    text = page.read_text()
    for shown in ("as fast as lite0-cpu-fp32", "GMAC/s", "images/s", "peak memory", "How sure and how right"):
        assert shown in text, shown


@pytest.mark.slow
def test_build_and_eval_write_pages(edgeeff, ten_photos, tmp_path):
    page, judged = tmp_path / "build.html", tmp_path / "eval.html"
    built = edgeeff(
        *("build", "--model=lite0", "--size=96", f"--calibration={ten_photos}", "--effort=fast", "--json"),
        *("--target=cpu-int8", "--target=cpu-fp32", f"--output={tmp_path}", f"--report={page}"),
    )
    assert built.status == 0, built.err
    overview = page.read_text().partition('id="overview"')[2].partition("</section>")[0]
    assert "float control" in overview and overview.count("p99") == 2 and "found by the build" in overview
    int8, control = tmp_path / "lite0-cpu-int8", tmp_path / "lite0-cpu-fp32"
    listed = "".join(f"{path},0\n" for path in sorted(ten_photos.iterdir()))
    (tmp_path / "list.csv").write_text(listed)  # most of these labels are wrong
    done = edgeeff(
        "eval", int8, f"--reference={control}", f"--images={tmp_path / 'list.csv'}", f"--html={judged}"
    )
    assert done.status == 0, done.err
    text = judged.read_text()
    assert "an evaluation on 10 images" in text
    assert text.count("data:image/jpeg") >= 9 and "label: <strong>" in text
