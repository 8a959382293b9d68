"""The verbs that read bundles, and those that say what there is."""

from __future__ import annotations

import json
import struct

import av
import numpy as np
import pytest
from PIL import Image

from edgeeff import streams
from edgeeff.zoo import catalog

INT8 = "lite0-cpu-int8"
FLOAT = "lite0-cpu-fp32"


def test_help_and_version(edgeeff):
    shown = edgeeff("--help")
    assert shown.status == 0
    for verb in (
        "build",
        "emit",
        "run",
        "eval",
        "bench",
        "inspect",
        "lint",
        "import-result",
        "doctor",
        "models",
        "targets",
        "cache",
    ):
        assert f"│ {verb} " in shown.out
    assert edgeeff("--version").out.startswith("edgeeff ")


def test_run(edgeeff, lite0_bundles, ten_photos):
    """Eight classes of ten photos are what ImageNet calls them, or near: the photo is not mixed up."""
    result = edgeeff("run", lite0_bundles / INT8, ten_photos, "--top=5", "--json")
    assert result.status == 0, result.err
    assert [row["image"] for row in result.data] == [str(p) for p in sorted(ten_photos.iterdir())]
    for row in result.data:
        shares = [c["probability"] for c in row["classes"]]
        assert len(shares) == 5 and shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1.00001
    table = edgeeff("run", lite0_bundles / INT8, ten_photos, "--limit=2")
    assert table.out.count(".jpg") == 2 and "%" in table.out


def test_run_reads_deep_photos_as_their_8_bit_twins(edgeeff, lite0_bundles, photos, tmp_path):
    grey = np.asarray(Image.open(photos[0].path).convert("L"))
    saved = {
        "twin.png": grey,
        "16.png": grey.astype(np.uint16) * 257,
        "12.png": grey.astype(np.uint16) << 4,
        "float.tif": (grey / 255).astype(np.float32),
    }
    found = {}
    for name, values in saved.items():
        Image.fromarray(values).save(tmp_path / name)
        found[name] = edgeeff("run", lite0_bundles / INT8, tmp_path / name, "--json")
    assert all(result.data[0]["classes"] == found["twin.png"].data[0]["classes"] for result in found.values())
    assert [name for name, result in found.items() if "WARNING" in result.err] == ["12.png", "float.tif"]
    assert "16-bit: 0…65535 becomes 0…255" in found["16.png"].err and not found["twin.png"].err
    settled = edgeeff("run", lite0_bundles / INT8, tmp_path / "12.png", "--white=4095", "--json")
    assert "WARNING" not in settled.err and settled.data[0]["classes"] == found["12.png"].data[0]["classes"]
    refused = edgeeff("run", lite0_bundles / INT8, tmp_path / "16.png", "--white=4095")
    assert refused.status == 2 and "--white" in refused.err


def test_run_says_the_same_on_every_runtime(edgeeff, lite0_bundles, ten_photos):
    best = [
        [
            row["classes"][0]["index"]
            for row in edgeeff("run", lite0_bundles / name, ten_photos, "--json").data
        ]
        for name in (INT8, "lite0-mobile-int8", FLOAT)
    ]
    for other in best[:2]:
        assert sum(a == b for a, b in zip(other, best[2], strict=True)) >= 7


def test_eval_against_labels_and_float(edgeeff, lite0_bundles, photos, tmp_path):
    """The class is the last number of a photo's name."""
    lines = [f"{p.path} {int(p.path.stem.rsplit('_', 1)[1])}" for p in photos]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    result = edgeeff(
        *(
            "eval",
            lite0_bundles / INT8,
            lite0_bundles / "lite0-mobile-int8",
            "--images",
            tmp_path / "list.txt",
        ),
        *("--reference", lite0_bundles / FLOAT, "--json"),
    )
    assert result.status == 0, result.err
    for report in result.data:
        assert (report["images"], report["labelled"], report["skipped"]) == (20, 20, {})
        assert report["scores"]["top_1"]["total"] == 20
        assert report["scores"]["top_5"]["value"] >= report["scores"]["top_1"]["value"]
        assert report["reference"]["agreement"]["value"] >= 0.7
        assert report["reference"]["sqnr_db"] > 15
        assert report["top_1_drop_points"] == pytest.approx(
            100 * (report["reference"]["scores"]["top_1"]["value"] - report["scores"]["top_1"]["value"])
        )


def test_eval_names_and_skips_what_is_corrupt(edgeeff, lite0_bundles, folder_of, photos):
    folder = folder_of(photos[:4], broken=[1])
    arguments = ("--images", folder, "--reference", lite0_bundles / FLOAT)
    result = edgeeff("eval", lite0_bundles / INT8, *arguments)
    assert result.status == 0 and f"WARNING skipped an image: {folder / '01.jpg'}" in result.err
    assert INT8 in result.out and "dB" in result.out


def test_bench(edgeeff, lite0_bundles):
    bundles = [lite0_bundles / name for name in (FLOAT, INT8, "lite0-jetson-int8")]
    result = edgeeff("bench", *bundles, "--launches=2", "--seconds=0.05", "--baseline", FLOAT, "--json")
    assert result.status == 0, result.err
    report = result.data
    assert report["baseline"] == FLOAT and report["launches"] == 2
    assert {"cpu", "governor"} <= set(report["machine"])
    entries = {entry["name"]: entry for entry in report["entries"]}
    assert set(entries) == {bundle.name for bundle in bundles}
    assert entries["lite0-jetson-int8"]["timing"] is None
    assert "TensorRT" in json.dumps(entries["lite0-jetson-int8"])
    for name in (FLOAT, INT8):
        wall = entries[name]["timing"]["wall_ms"]
        assert 0 < wall["p50"] <= wall["p90"] <= wall["p99"]
    table = edgeeff("bench", *bundles, "--launches=1", "--seconds=0.05")
    assert table.status == 0 and "NOT RUN" in table.out and "p99" in table.out


@pytest.mark.parametrize("name", [INT8, "lite0-mobile-int8", "lite0-jetson-int8", FLOAT])
def test_inspect(name, edgeeff, lite0_bundles):
    result = edgeeff("inspect", lite0_bundles / name, "--layers", "--ranges")
    assert result.status == 0, result.err
    assert "96×96" in result.out and "1000 classes" in result.out
    assert ("NOT RUN" in result.out) == (name == "lite0-jetson-int8")
    if name != FLOAT:
        plan = json.loads((lite0_bundles / name / "plan.json").read_text())
        assert all(tensor in result.out for tensor in plan["activations"])


def test_inspect_as_json(edgeeff, lite0_bundles):
    found = edgeeff("inspect", lite0_bundles / INT8, "--json").data
    assert found["altered"] == [] and found["manifest"]["target"] == "cpu-int8"
    assert found["check"]["counts"]["int8_kernels"] == found["check"]["counts"]["planned_int8"] > 0
    assert found["check"]["fallbacks"] == [] and found["check"]["layers"]
    assert found["plan"]["activations"] and found["verification"]["golden"]["status"] == "ok"


def test_models(edgeeff):
    found = {model["name"]: model for model in edgeeff("models", "--json").data}
    assert list(found) == catalog.names()
    assert found["b0"]["parameters"] == 5_288_548 and found["b0"]["size"] == 224
    assert found["lite0"]["activation"] == "relu6" and found["v2-s"]["preprocess"]["mean"] == [127.5] * 3
    assert found["b3"]["hub"] == "timm/tf_efficientnet_b3.aa_in1k"
    assert found["efficientdet-d0"]["task"] == "detection" and found["b0"]["task"] == "classification"
    assert found["efficientdet-d0"]["geometry"]["scale"] == 4 and found["efficientdet-d0"]["anchors"] == 49104
    table = edgeeff("models").out
    assert "5.29 M" in table and all(name in table for name in catalog.names())
    assert "34.6" in table


def test_scaled_models(edgeeff):
    found = edgeeff(
        "models", "--scale", "width=1.1,depth=1.2,size=260", "--scale", "lite:phi=0", "--json"
    ).data
    b2, lite0 = edgeeff("models", "--json").data[2], found[1]
    assert (found[0]["parameters"], found[0]["size"]) == (b2["parameters"], 260)
    assert lite0["activation"] == "relu6"
    assert "b-w1.1-d1.2-260" in edgeeff("models", "--scale", "width=1.1,depth=1.2,size=260").out


def test_targets(edgeeff):
    found = {target["name"]: target for target in edgeeff("targets", "--json").data}
    assert {"cpu-int8", "mobile-int8", "jetson-int8", "cpu-fp32", "cpu-bf16"} <= set(found)
    assert found["mobile-int8"]["scheme"] == "tflite" and found["cpu-fp32"]["scheme"] is None
    assert "mobile-int8" in edgeeff("targets").out


def test_doctor(edgeeff):
    found = edgeeff("doctor", "--json").data
    missing = {part["part"]: part["missing"] for part in found["parts"]}
    assert missing["build bundles"] == [] and missing["run openvino"] == [] and missing["run tflite"] == []
    assert found["machine"]["cpu_class"] in ("avx2", "vnni", "bf16", "arm")
    assert "build bundles" in edgeeff("doctor").out


def test_cache(edgeeff, lite0_bundles, tmp_path):
    stages = {entry["stage"] for entry in edgeeff("cache", "--json").data}
    assert {"graph", "statistics", "hub"} <= stages
    assert "statistics" in edgeeff("cache", "ls").out
    own = {"EDGEEFF_CACHE_DIR": str(tmp_path)}
    (tmp_path / "graph").mkdir()
    (tmp_path / "graph" / "k.zip").write_bytes(b"x" * 10)
    assert edgeeff("cache", "clear", "--json", env=own).data == {"freed_bytes": 10}
    assert edgeeff("cache", "--json", env=own).data == []


def test_emit_of_our_own_hub_makes_the_same_network(edgeeff, lite0_bundles, ten_photos, tmp_path):
    """A Q/DQ graph that leaves as a Jetson's model enters again for a CPU, with its scales as they are."""
    graph = lite0_bundles / "lite0-jetson-int8" / "model.qdq.onnx"
    result = edgeeff(
        *("emit", graph, "--target=cpu-int8", "--model=lite0", "--images", ten_photos),
        *(f"--output={tmp_path}", "--name=again", "--json"),
    )
    assert result.status == 0, result.err
    assert result.data["golden"]["status"] == "ok"
    assert edgeeff("run", tmp_path / "again-cpu-int8", ten_photos, "--limit=1").status == 0


def test_a_reader_that_goes_away_is_no_error(start):
    for arguments in (["models"], ["models", "--json"]):
        with start(*arguments) as process:
            process.stdout.close()
            err = process.stderr.read()
        assert process.returncode == 0 and err == "", err


@pytest.mark.parametrize("turn", [0, 90])
def test_a_turned_video_is_said(turn, edgeeff, lite0_bundles, photos, tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        frame = av.VideoFrame.from_image(Image.open(photos[0].path).convert("RGB").resize((64, 48)))
        for packet in (*stream.encode(frame), *stream.encode()):
            container.mux(packet)
    if turn:  # the matrix of the track's header (ISO 14496-12, 8.3.2)
        data, upright = path.read_bytes(), struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
        place = data.index(upright, data.index(b"tkhd"))
        matrix = struct.pack(">9I", 0, 0xFFFF0000, 0, 1 << 16, 0, 0, 0, 0, 1 << 30)
        path.write_bytes(data[:place] + matrix + data[place + len(matrix) :])
    result = edgeeff("run", lite0_bundles / INT8, path, "--json")
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert result.status == 0 and lines[-1]["frames"] == 1
    said = [f"{path} is to be shown turned left by 90°" in text for text in lines[-1]["warnings"]]
    assert said == [True] * bool(turn)
    for as_shown in (False, True):
        (frame,) = streams.frames(str(path), turn=as_shown)
        assert frame.image.size == ((48, 64) if turn and as_shown else (64, 48))
    assert ("turned left by 90°" in result.err) == bool(turn)
