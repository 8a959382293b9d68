"""``edgeeff run`` on videos: lines of JSON that are whole at any moment, and damage that is said."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest

av = pytest.importorskip("av")

BUNDLE = "lite0-cpu-int8"
END = {"missing_frames": 0, "skipped_packets": 0, "damaged_frames": 0, "ended_early": False}
LIVE = {"dropped_frames": 0, "reconnections": 0, "error": None}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Twelve frames of MJPEG in an AVI, each packet's place known."""
    path = tmp_path_factory.mktemp("clips") / "clip.avi"
    base = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    with av.open(path, "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width = stream.height = 48
        stream.pix_fmt = "yuvj420p"
        for i in range(12):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(base, i, 1), format="rgb24")))
    return path


def lines(out: str) -> list[dict]:
    return [json.loads(line) for line in out.splitlines()]


def test_a_whole_video(edgeeff, lite0_bundles, clip):
    result = edgeeff("run", lite0_bundles / BUNDLE, clip, "--json", "--top=1")
    assert result.status == 0 and not result.err
    *frames, end = lines(result.out)
    assert [f["frame"] for f in frames] == list(range(12)) and frames[3]["seconds"] == 0.3
    assert frames[3]["image"] == f"{clip} frame 3" and len(frames[3]["classes"]) == 1
    times = end.pop("latency_ms")
    assert end == {"source": str(clip), "frames": 12, **END, **LIVE, "interrupted": False, "warnings": []}
    assert 0 < times["p50"] <= times["p99"] <= times["max"] == max(f["latency_ms"] for f in frames)


def test_the_outputs_of_all_frames_are_kept(edgeeff, lite0_bundles, clip, tmp_path):
    out = tmp_path / "out.npz"
    result = edgeeff("run", lite0_bundles / BUNDLE, clip, "--json", "--top=1", "--save", out, "--limit=5")
    said = [frame["classes"][0]["index"] for frame in lines(result.out)[:-1]]
    with np.load(out) as found:
        assert {*found.files} == {"logits", "names"} and found["logits"].dtype == np.float32
        assert found["logits"].argmax(1).tolist() == said
        assert found["names"].tolist() == [f"{clip} frame {i}" for i in range(5)]
    assert [path.name for path in tmp_path.iterdir()] == ["out.npz"]
    refused = edgeeff("run", lite0_bundles / BUNDLE, clip, "--save", tmp_path / "out.csv")
    assert refused.status == 2 and "ends in .npz" in refused.err


def test_a_damaged_packet_and_a_cut(edgeeff, lite0_bundles, clip, tmp_path):
    data = bytearray(clip.read_bytes())
    with av.open(clip) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data[packets[4][0] : sum(packets[4])] = bytes(packets[4][1])
    (tmp_path / "packet.avi").write_bytes(data)
    (tmp_path / "cut.avi").write_bytes(data[: packets[8][0]])
    packet = edgeeff("run", lite0_bundles / BUNDLE, tmp_path / "packet.avi")
    assert packet.status == 0
    assert [int(line.split("frame ")[1].split()[0]) for line in packet.out.splitlines()] == [
        n for n in range(12) if n != 4
    ]
    assert "1 damaged packets" in packet.err and "1 frames are missing, by the timestamps: 4" in packet.err
    cut = edgeeff("run", lite0_bundles / BUNDLE, tmp_path / "cut.avi", "--json")
    assert cut.status == 1 and "ended early: after frame 7 of the 12" in cut.err
    end = lines(cut.out)[-1]
    assert end["ended_early"] and end["missing_frames"] == 1 and len(end["warnings"]) == 3
    assert edgeeff("run", lite0_bundles / BUNDLE, tmp_path / "cut.avi", "--limit=3").status == 0


def test_ctrl_c_leaves_whole_json(start, lite0_bundles, clip, ten_photos, tmp_path):
    """Of a stream as of a list of photos, at whatever moment it comes."""
    listed = tmp_path / "many.txt"
    listed.write_text("\n".join([str(p) for p in sorted(ten_photos.iterdir())] * 400))
    long = tmp_path / "long.mjpeg"  # frames one after another
    with av.open(clip) as container:
        long.write_bytes(b"".join(bytes(p) for p in container.demux(video=0)) * 2000)

    def heard() -> None:  # a runner in the background ignores Ctrl-C, and so would its children
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    for source, parse in ((long, lines), (listed, json.loads)):
        process = start("run", lite0_bundles / BUNDLE, source, "--json", preexec_fn=heard)
        began = [process.stdout.readline() for _ in range(5)]
        process.send_signal(signal.SIGINT)
        out = "".join(began) + process.stdout.read()
        _, err = process.communicate(timeout=120)
        assert process.returncode == 130 and "Traceback" not in err, err
        found = parse(out)
        assert len(found) >= 1
        if source == long:
            assert found[-1]["interrupted"] and found[-1]["frames"] >= len(found) - 1 >= 5
