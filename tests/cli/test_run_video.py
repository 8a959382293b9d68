"""``edgeeff run`` on videos: lines of JSON that are whole at any moment, and damage that is said."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest

from edgeeff.cli._streaming import Streaming
from edgeeff.errors import OptionError
from edgeeff.streams import frames

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
    out = tmp_path / "new" / "out.npz"
    result = edgeeff("run", lite0_bundles / BUNDLE, clip, "--json", "--top=1", "--save", out, "--limit=5")
    said = [frame["classes"][0]["index"] for frame in lines(result.out)[:-1]]
    with np.load(out) as found:
        assert {*found.files} == {"logits", "names"} and found["logits"].dtype == np.float32
        assert found["logits"].argmax(1).tolist() == said
        assert found["names"].tolist() == [f"{clip} frame {i}" for i in range(5)]
    assert [path.name for path in out.parent.iterdir()] == ["out.npz"]
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


def test_what_ends_a_run_leaves_whole_json_and_a_whole_film(start, lite0_bundles, clip, ten_photos, tmp_path):
    """SIGTERM of a stream, Ctrl-C of a list of photos, at whatever moment they come."""
    listed = tmp_path / "many.txt"
    listed.write_text("\n".join([str(p) for p in sorted(ten_photos.iterdir())] * 400))
    long = tmp_path / "long.mjpeg"  # frames one after another
    with av.open(clip) as container:
        long.write_bytes(b"".join(bytes(p) for p in container.demux(video=0)) * 2000)

    def heard() -> None:  # a runner in the background ignores Ctrl-C, and so would its children
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    film = tmp_path / "film.mp4"
    stream = ("run", lite0_bundles / BUNDLE, long, "--json", "--save", film)
    for arguments, parse in ((stream, lines), ((*stream[:2], listed, "--json"), json.loads)):
        process = start(*arguments, preexec_fn=heard)
        began = [process.stdout.readline() for _ in range(5)]
        process.send_signal(signal.SIGTERM if arguments == stream else signal.SIGINT)
        out = "".join(began) + process.stdout.read()
        _, err = process.communicate(timeout=120)
        assert process.returncode == 130 and "Traceback" not in err, err
        found = parse(out)
        assert len(found) >= 1
        if arguments == stream:
            assert found[-1]["interrupted"] and found[-1]["frames"] >= len(found) - 1 >= 5
            with av.open(film) as container:
                assert len(found) - 2 <= len([*container.decode(video=0)]) <= len(found)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4", "long.mjpeg", "many.txt"]


def test_raw_frames_that_end_too_early(edgeeff, lite0_bundles, tmp_path):
    """What was answered is printed and kept; the error is in the last line and in the status."""
    source, out = tmp_path / "frames.raw", tmp_path / "out.npz"
    source.write_bytes(np.random.default_rng(0).bytes(3 * 96 * 96 * 3 - 1))
    arguments = ("run", lite0_bundles / BUNDLE, source, "--raw=96x96:rgb24@5", "--json", "--top=1")
    result = edgeeff(*arguments, "--save", out, "--budget=1us")
    assert result.status == 2 and "in the middle of frame 2, after 27647 of its 27648 bytes" in result.err
    first, second, end = lines(result.out)
    assert (first["seconds"], second["seconds"], end["frames"]) == (0.0, 0.2, 2) and "middle" in end["error"]
    times = end["latency_ms"]
    assert (times["budget"], times["over_budget"]) == (0.001, 2) and "over the budget" in end["warnings"][0]
    with np.load(out) as found:
        assert found["logits"].argmax(1).tolist() == [f["classes"][0]["index"] for f in (first, second)]
    assert "over the budget" not in edgeeff(*arguments, "--budget=100s", "--limit=1").err
    assert edgeeff(*arguments, "--limit=2").status == 0
    for wrong in ("33", "0ms", "fast", "9999s", "-1ms", "nanms"):
        with pytest.raises(OptionError, match="write it as 33ms"):
            Streaming(budget=wrong).seconds()
    nothing = edgeeff(*arguments[:3], "--raw=640x480:rgb24", "--save", tmp_path / "no.npz")
    assert nothing.status == 2 and "not one frame" in nothing.err and not (tmp_path / "no.npz").exists()


def test_names_are_drawn_on_photos_and_videos(edgeeff, lite0_bundles, clip, ten_photos, tmp_path):
    run = ("run", lite0_bundles / BUNDLE)
    photos = sorted(ten_photos.iterdir())[:3]
    assert edgeeff(*run, *photos[:2], "--save", tmp_path / "out").status == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert [name.partition(".labels.")[0] for name in names] == [path.stem for path in photos[:2]]
    assert edgeeff(*run, clip, "--limit=3", "--save", tmp_path / "out").status == 0
    with av.open(tmp_path / "out" / "clip.labels.mp4") as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(shown) == 3 and shown[0].shape == (336, 336, 3)  # of 48: enlarged, so that names can be read
    plain = np.kron(next(iter(frames(str(clip)))).image, np.ones((7, 7, 1)))
    change = np.abs(shown[0] - plain).mean(2)
    assert change[:15, :60].mean() > 2 * change[200:, :].mean()


def test_a_film_never_takes_the_place_of_its_source(edgeeff, lite0_bundles, clip, tmp_path):
    source = tmp_path / "film.mp4"
    source.write_bytes(clip.read_bytes())
    result = edgeeff("run", lite0_bundles / BUNDLE, source, "--save", tmp_path / "x" / ".." / "film.mp4")
    assert result.status == 2 and "would replace the source" in result.err
    assert source.read_bytes() == clip.read_bytes()


def test_which_sources_go_together(edgeeff, lite0_bundles, clip, ten_photos):
    run = ("run", lite0_bundles / BUNDLE)
    some = sorted(ten_photos.iterdir())
    found = edgeeff(*run, ten_photos / "*", "--json", "--limit=4").data
    assert [one["image"] for one in found] == [str(path) for path in some[:4]]
    for arguments, what in (
        ((clip, some[0]), "a stream among them"),
        ((some[0], "--budget=3ms"), "--budget is for streams"),
        ((some[0], "--no-latest"), "--latest is for streams"),
        ((ten_photos / "nothing*",), "nothing matches"),
        ((clip, "--show"), "standard output is none"),
        ((clip, "--show", "--json"), "both --show and --json"),
        ((clip, "--save=x.csv"), "--save x.csv is no folder"),
        (("ftp://host/clip.mp4",), "'ftp://host/clip.mp4' is no stream of frames"),
        ((clip, "--white=255"), "--white is for photos"),
        ((clip, "--device-name="), "--device-name ''"),
        ((clip, "--timeout=nan"), "--timeout nan"),
        (("97",), "no camera /dev/video97"),
    ):
        result = edgeeff(*run, *arguments)
        assert result.status == 2 and what in result.err and "Traceback" not in result.err, arguments
