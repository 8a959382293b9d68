"""What tests of samples share: a compiler, small bundles of each runtime and task, photos that programs draw.

A sample is built and run as its README says. What a machine lacks for that (a compiler, libjpeg's header, a
browser) is skipped with its name.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from edgeeff import backends, c_header
from edgeeff.backends import Emission
from edgeeff.batch import ONE, Batch
from edgeeff.bundle import Bundle, Manifest, write_bundle
from edgeeff.detection import Detection, Geometry, Nms
from edgeeff.graph.batch import with_batch
from edgeeff.preprocess import Preprocess
from edgeeff.target import load_target
from edgeeff.tasks import Output

SAMPLES = Path(__file__).parents[2] / "samples"
COMMON = SAMPLES / "common"
#: As the samples' README says; -O1, because tests compile more often than they run.
FLAGS = ("-std=c++17", "-O1", "-ffp-contract=off", "-Wall", "-Wextra", "-I", str(COMMON))
#: Labels that a string of C, a line of text or a terminal could stumble over.
LABELS = (
    'a "quoted" one',
    "back\\slash, per cent %d %s",
    "two\nlines\tand \x1b[31mred",
    "??/ ??= trigraphs",
    "café 猫 */ //",
)
GEOMETRY = Geometry((64, 96), (3, 4), 1, ((1.0, 1.0), (1.4, 0.7)), 2.0)


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of the samples."""
    return SAMPLES


def _needs(*programs: str, headers: Sequence[str] = ()) -> None:
    """Skip where a program or a header of the system is not installed."""
    absent = [name for name in programs if shutil.which(name) is None]
    absent += [
        name
        for name in headers
        if not any((Path(at) / name).exists() for at in ("/usr/include", "/usr/local/include"))
    ]
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)} (scripts/programs installs them)")


@pytest.fixture(scope="session")
def needs() -> Callable[..., None]:
    """``needs("g++", headers=["jpeglib.h"])``: skips where one of them is not installed."""
    return _needs


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``compiled(source, *flags, bundle=None)``: a program, with the header of a bundle if one is given."""

    def compile_(source: Path, *flags: str, bundle: Bundle | None = None) -> Path:
        _needs("g++", headers=("jpeglib.h",))
        folder = tmp_path_factory.mktemp("compiled")
        if bundle is not None:
            c_header.write(bundle, folder / "bundle.h")
        command = ["g++", *FLAGS, "-I", folder, source, "-o", folder / "run", *flags, "-ljpeg"]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return folder / "run"

    return compile_


@pytest.fixture(scope="session")
def answered() -> Callable[..., tuple[list[list[str]], str]]:
    """``answered(*command, status=0)``: a program's lines, split at tabs, and what it complained of."""

    def run(*command: object, status: int = 0) -> tuple[list[list[str]], str]:
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300)
        assert done.returncode == status, (done.stdout, done.stderr)
        return [line.split("\t") for line in done.stdout.splitlines()], done.stderr

    return run


class _Graph:
    """A convolution of stride 8 with ReLU, and what each output makes of it; random weights."""

    def __init__(self, size: tuple[int, int], channels: int) -> None:
        self._random = np.random.default_rng(3)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._input = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, channels, *size])
        self._stem = self._node("Relu", [self._convolution("input", channels, 8, 8)])

    def _node(self, operator: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        output = output or f"{operator}{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def _constant(self, value: Any) -> str:
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _convolution(self, source: str, inputs: int, outputs: int, side: int) -> str:
        weights = self._random.normal(size=(outputs, inputs, side, side)) / np.sqrt(inputs * side)
        made = [source, self._constant(np.float32(weights)), self._constant(np.zeros(outputs, np.float32))]
        return self._node("Conv", made, kernel_shape=[side, side], strides=[side, side])

    def output(self, name: str, shape: tuple[int, ...]) -> None:
        """A vector [1, C], a map [1, C, H, W] or values of anchors [1, A, C] on two levels."""
        if len(shape) == 2:
            mean = self._node("GlobalAveragePool", [self._stem])
            self._node("Flatten", [self._convolution(mean, 8, shape[1], 1)], name)
        elif len(shape) == 4:
            self._node("Relu", [self._convolution(self._stem, 8, shape[1], 1)], name)
        else:
            pooled = self._node("MaxPool", [self._stem], kernel_shape=[2, 2], strides=[2, 2])
            parts = []
            for level in (self._stem, pooled):
                made = self._convolution(level, 8, GEOMETRY.at_a_place * shape[2], 1)
                turned = self._node("Transpose", [made], perm=[0, 2, 3, 1])
                flat = self._constant(np.int64([1, -1, shape[2]]))
                parts.append(self._node("Reshape", [turned, flat]))
            self._node("Concat", parts, name, axis=1)

    def model(self, outputs: dict[str, tuple[int, ...]]) -> onnx.ModelProto:
        """The graph with these outputs."""
        for name, shape in outputs.items():
            self.output(name, shape)
        results = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [*s]) for n, s in outputs.items()]
        graph = helper.make_graph(self._nodes, "tiny", [self._input], results, self._constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return onnx.shape_inference.infer_shapes(made, check_type=True, strict_mode=True)


def _outputs(task: str) -> tuple[Output, ...]:
    count, classes = GEOMETRY.count, len(LABELS)
    return {
        "classification": (Output("logits", (1, classes), "scores"),),
        "multilabel": (Output("logits", (1, classes), "scores"),),
        "features": (Output("map", (1, 4, 8, 12), "features"), Output("vector", (1, 6), "embedding")),
        "detection": (
            Output("class_logits", (1, count, classes), "scores"),
            Output("box_codes", (1, count, 4), "boxes"),
        ),
    }[task]


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Bundle]:
    """``tiny_bundle(target, task, where="host", batch=1, **preprocess)``: a network of random weights.

    It takes 64 x 96 pixels, in a folder whose name has a space. ``preprocess`` replaces fields of its
    ``Preprocess``.
    """

    def make(
        target: str,
        task: str = "classification",
        where: str = "host",
        batch: int | str = 1,
        **preprocess: Any,
    ) -> Bundle:
        wanted: dict[str, Any] = {
            "size": GEOMETRY.size,
            "mean": (120.0, 110.0, 100.0),
            "std": (60.0, 58.0, 57.0),
            **preprocess,
        }
        outputs, served = _outputs(task), load_target(target)
        graph = _Graph(wanted["size"], len(wanted["mean"])).model({o.name: o.shape for o in outputs})
        emission = Emission(
            f"tiny-{target}",
            served,
            Preprocess(**wanted),
            () if task == "features" else LABELS,
            task=task,
            threshold=0.5,
            outputs=outputs,
            batch=Batch.read(batch),
            detection=Detection(GEOMETRY, Nms(), where) if task == "detection" else None,  # type: ignore[arg-type]
        )
        graph = graph if emission.batch == ONE else with_batch(graph, emission.batch)
        files = backends.runtime(served.runtime).part("emit").emit(graph, emission)
        manifest = Manifest(
            *(emission.name, "tiny", target, served.runtime, served.precision, served.input, False, "avx2"),
            backends.input_preprocess(served, emission.preprocess),
            tuple(emission.labels),
            len(emission.labels),
            *(served.runtime_properties, {}, {}, {}),
            task=task,
            threshold=0.5,
            outputs=backends.artifact_outputs(emission),
            batch=emission.batch,
            detection=emission.detection,
        )
        return write_bundle(tmp_path_factory.mktemp("a bundle") / emission.name, manifest, files)

    return make


@pytest.fixture(scope="session")
def photo_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Drawn photos as a camera or the web gives them; their names have spaces."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(8)

    def drawn(width: int, height: int) -> Image.Image:
        coarse = Image.fromarray(random.integers(0, 256, (5, 7, 3), np.uint8))
        return coarse.resize((width, height), Image.Resampling.BICUBIC)

    turned = Image.Exif()
    turned[0x0112] = 6
    drawn(150, 101).save(folder / "a wide one.jpg")
    drawn(64, 300).save(folder / "a tall one.jpg", subsampling=0)
    drawn(97, 33).convert("L").save(folder / "grey.jpg")
    drawn(40, 50).convert("CMYK").save(folder / "inks.jpg")
    drawn(120, 80).save(folder / "turned.jpg", exif=turned)
    drawn(90, 61).save(folder / "progressive.jpg", progressive=True)
    drawn(1, 1).save(folder / "one pixel.ppm")
    drawn(96, 64).save(folder / "of the network's size.ppm")
    drawn(30, 20).convert("L").save(folder / "grey.pgm")
    return sorted(folder.iterdir())


def _shown(label: str) -> str:
    """A label as the samples print it."""
    return "".join(f"\\x{ord(c):02x}" if ord(c) < 32 or ord(c) == 127 else c for c in label)


@pytest.fixture(scope="session")
def same_answers() -> Callable[..., None]:
    """``same_answers(bundle, photos, lines, raw, shown=…)``: a sample's lines and outputs are edgeeff's.

    ``raw`` are the outputs of all photos, float32, one photo after another, equal bit for bit; None: they are
    not compared. ``shown`` is how the sample prints a label. Probabilities and boxes are computed by the
    sample from the outputs, by another ``exp``.
    """

    def compare(
        bundle: Bundle,
        photos: Sequence[Path],
        lines: list[list[str]],
        raw: Any,
        shown: Callable[[str], str] = _shown,
    ) -> None:
        with bundle.open() as predict:
            wanted = [predict(photo) for photo in photos]
        if raw is not None:
            last = bundle.runtime.channels_last  # maps stand in the file as the artifact has them
            each = [values for one in wanted for values in one.outputs.values()]
            flat = [(v.transpose(1, 2, 0) if last and v.ndim == 3 else v).reshape(-1) for v in each]
            np.testing.assert_array_equal(raw, np.concatenate(flat))
        for photo, one in zip(photos, wanted, strict=True):
            own = [line[1:] for line in lines if line[0] == str(photo)]
            if one.boxes is not None:
                rows = [[b.index, b.score, b.left, b.top, b.right, b.bottom] for b in one.boxes]
                found = [[float(value) for value in line[:-1]] for line in own if line[0] != "-1"]
                np.testing.assert_allclose(
                    np.reshape(found, (-1, 6)), np.reshape(rows, (-1, 6)), rtol=1e-5, atol=1e-3
                )
                names = [shown(box.label) for box in one.boxes] or [one.absent]
            elif one.named:
                np.testing.assert_allclose(
                    [float(line[2]) for line in own], [n.probability for n in one.named], atol=2e-6
                )
                names = [shown(named.label) for named in one.named]
            elif bundle.manifest.labels:
                names = [one.absent]
            else:
                lengths = [np.linalg.norm(values) for values in one.outputs.values()]
                np.testing.assert_allclose([float(line[2]) for line in own], lengths, rtol=1e-5, atol=1e-6)
                assert [line[0] for line in own] == [*one.outputs]
                continue
            assert [line[-1] for line in own] == names
        assert len({line[0] for line in lines}) == len(photos)

    return compare
