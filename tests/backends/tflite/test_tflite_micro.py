"""Bundles for microcontrollers: int8 throughout, an arena that was measured, the same codes as LiteRT's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from edgeeff import cli
from edgeeff.backends import runtime
from edgeeff.backends.tflite import emit as tflite_emit
from edgeeff.backends.tflite import flatbuffer
from edgeeff.backends.tflite.lower import lower
from edgeeff.backends.tflite_micro import check, emit, firmware, lint, peak, placing, run, sizes
from edgeeff.backends.tflite_micro.measuring import measure
from edgeeff.backends.tflite_micro.parts import in_parts
from edgeeff.errors import BundleError, GraphError, OptionError
from edgeeff.gate import pair
from edgeeff.harness.subjects import no_times
from edgeeff.onboard.pixels import integers
from edgeeff.pipeline.resolve.targets import refuse_float_layers, resolve_targets
from edgeeff.target import load_target

if missing := runtime("tflite_micro").missing_to_run():
    pytest.skip(f"not installed: {missing}", allow_module_level=True)


def emission(example, arena: str | None = None, **more):
    properties = {} if arena is None else {"arena": arena}
    target = replace(load_target("mcu-int8"), runtime_properties=properties)
    return replace(example.emission("int8", **more), target=target)


@pytest.fixture(scope="module")
def emitted(examples, tmp_path_factory):
    """``emitted(name)``: an example, and the folder that its artifact lies in; each is emitted once."""
    made = {}

    def make(name: str, **more):
        key = (name, *more.items())
        if key not in made:
            example, folder = examples(name), tmp_path_factory.mktemp(name)
            for file, content in emit.emit(example.hub, emission(example, **more)).items():
                (folder / file).parent.mkdir(exist_ok=True)
                (folder / file).write_bytes(content)
            made[key] = example, folder
        return made[key]

    return make


def opened(example, folder):
    return run.load(folder, preprocess=example.preprocess, input_type="int8", properties={})


@pytest.mark.parametrize(("name", "softmax"), [("lite", False), ("swish_se", True)])
def test_its_codes_are_those_of_litert(emitted, name, softmax):
    """LiteRT's reference kernels are the same sources; one code is what rounding of its compiler may be."""
    example, folder = emitted(name, softmax=softmax)
    session = opened(example, folder)
    litert = Interpreter(
        str(folder / "model.tflite"), experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    litert.allocate_tensors()
    source, target = litert.get_input_details()[0]["index"], litert.get_output_details()[0]["index"]
    for image in example.pixels:
        prepared = integers(image[None], "int8")
        litert.set_tensor(source, prepared)
        litert.invoke()
        (own,) = session.execute(prepared)
        assert np.abs(own.astype(int) - litert.get_tensor(target)).max() <= 1
    assert np.unique(own).size > 5


def test_the_arena_is_what_the_interpreter_needs(emitted):
    """It runs in just that (the build tried), and not in less."""
    _, folder = emitted("lite")
    facts = json.loads((folder / "arena.json").read_text("utf-8"))
    assert facts["size"] == facts["activations"] + facts["lasting"]
    micro, _, content = run.read(folder)
    with pytest.raises(RuntimeError, match="allocate"):
        micro.Interpreter.from_bytes(content, arena_size=facts["size"] - 1024)
    found = check.check(folder, properties={})
    assert (found.status, found.counts["arena"]) == ("ok", facts["size"])
    assert found.counts["int8_operators"] == found.counts["operators"] == sum(facts["operators"].values())


@pytest.mark.parametrize("name", ["swish_se", "odd_padding"])
def test_parts_are_exact_and_take_less(examples, name):
    """Each channel's arithmetic is the same, whichever part it is in; and the arena is what was planned."""
    example = examples(name)
    whole = lower(example.hub, name, "int8", example.preprocess)
    lite = lower(examples("lite").hub, "lite", "int8", examples("lite").preprocess)
    assert in_parts(lite) == (lite, {})  # its peak is a depthwise convolution of stride 1: two tensors anyway
    parts, counts = in_parts(whole)
    written = [flatbuffer.write(model, placing.metadata(model)) for model in (whole, parts)]
    arenas = [measure(content, 4 << 20) for content in written]
    assert [arena.activations for arena in arenas] == [peak.peak(whole).size, peak.peak(parts).size]
    assert counts and arenas[1].activations < arenas[0].activations
    outputs = []
    for content in written:
        interpreter = Interpreter(
            model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
        )
        interpreter.allocate_tensors()
        source, target = (
            interpreter.get_input_details()[0]["index"],
            interpreter.get_output_details()[0]["index"],
        )
        found = []
        for image in example.pixels:
            interpreter.set_tensor(source, integers(image[None], "int8"))
            interpreter.invoke()
            found.append(interpreter.get_tensor(target))
        outputs.append(np.concatenate(found))
    np.testing.assert_array_equal(*outputs)


def test_the_interpreter_places_as_it_was_read(examples):
    """Its own order leaves a gap in this network: 48 KB more; ours is written where it takes less."""
    whole = lower(examples("swish_se").hub, "swish_se", "int8", examples("swish_se").preprocess)
    for model in (whole, in_parts(whole)[0]):
        greedy = placing.extent(model, placing.greedy(model))
        assert measure(flatbuffer.write(model, {}), 4 << 20).activations == greedy
        assert (greedy > placing.extent(model, placing.lasting_first(model))) == bool(placing.metadata(model))


def test_shapes_of_another_input_size(examples):
    """As the lowering of the graph at that size has them."""
    small = examples("asymmetric")
    large = onnx.ModelProto()
    large.CopyFrom(small.hub)
    del large.graph.value_info[:]
    for side in large.graph.input[0].type.tensor_type.shape.dim[2:]:
        side.dim_value = 80
    wanted = lower(large, "large", "int8", replace(small.preprocess, size=(80, 80)))
    found = peak.at_size(lower(small.hub, "small", "int8", small.preprocess), 80, 80)
    assert found == {name: tensor.shape for name, tensor in wanted.tensors.items()}


def test_what_does_not_fit_is_refused_with_what_would(examples):
    example = examples("swish_se")
    with pytest.raises(OptionError) as caught:
        emit.emit(example.hub, emission(example, "16K"))
    # Of the block in two parts: its input, and of half of its channels x, its sigmoid and their product.
    says = r"takes an arena of \d+K .*--arena is 16K: 10K .*16×16×16 \+ 16×16×8 \+ 16×16×8 \+ 16×16×8\), and"
    assert re.search(says, caught.value.what)
    allowed = re.search(r"or allow --arena (\d+K)$", caught.value.mend)[1]
    files = emit.emit(example.hub, emission(example, allowed))
    assert json.loads(files["arena.json"])["limit"] == sizes.read(allowed)


@pytest.mark.parametrize(
    ("text", "size"), [("512K", 512 << 10), ("2m", 2 << 20), (" 65536 ", 65536), ("4096M", 4 << 30)]
)
def test_sizes(text, size):
    assert sizes.read(text) == size


@pytest.mark.parametrize(
    "text", ["", "0", "-1K", "1.5M", "512KB", "512 K", "1e6", "999", "5G", "4097M", "٣K"]
)
def test_no_sizes(text):
    with pytest.raises(OptionError, match="an arena of"):
        sizes.read(text)
    with pytest.raises(OptionError):
        resolve_targets(["mcu-int8"], None, text)


def test_only_a_target_with_an_arena_takes_one():
    mobile, mcu = resolve_targets(["mobile-int8", "mcu-int8"], None, "512K")
    assert (dict(mobile.runtime_properties), dict(mcu.runtime_properties)) == ({}, {"arena": "512K"})
    with pytest.raises(OptionError, match="mobile-int8 has no arena"):
        resolve_targets(["mobile-int8"], None, "512K")
    with pytest.raises(OptionError, match="cannot take float32 input"):
        resolve_targets(["mcu-int8"], "float32")


def test_nothing_stays_float(examples):
    targets = resolve_targets(["mobile-int8", "mcu-int8"], None)
    with pytest.raises(OptionError, match="--max-drop leaves layers in float"):
        refuse_float_layers(targets, ["--max-drop"])
    with pytest.raises(OptionError, match="detector's boxes are float"):
        refuse_float_layers(targets, (), detector=True)
    refuse_float_layers(targets[:1], ["--max-drop"], detector=True)
    example = examples("lite")
    graph = onnx.ModelProto()
    graph.CopyFrom(example.hub)
    first = next(node for node in graph.graph.node if node.op_type == "Clip")
    squared = onnx.helper.make_node("Mul", [first.output[0]] * 2, ["squared"], name="squared")
    for node in graph.graph.node:
        node.input[:] = ["squared" if name == first.output[0] else name for name in node.input]
    graph.graph.node.insert(list(graph.graph.node).index(first) + 1, squared)
    graph = onnx.shape_inference.infer_shapes(graph)
    with pytest.raises(GraphError, match=r"MUL .* would compute in float"):
        emit.emit(graph, emission(example))


def test_what_a_firmware_compiles(emitted, tmp_path):
    """The C array holds the model, aligned; the header its facts; and the resolver gets its operators."""
    example, folder = emitted("swish_se", softmax=True)
    content = (folder / "model.tflite").read_bytes()
    source = (folder / firmware.SOURCE).read_text("ascii")
    assert "alignas(16)" in source
    numbers = source.partition("{")[2].partition("}")[0].replace("\n", "").rstrip(",").split(",")
    assert bytes(map(int, numbers)) == content
    header = (folder / firmware.HEADER).read_text("utf-8")
    calls = re.findall(r"resolver\.(Add\w+)\(\)", header)
    facts = json.loads((folder / "arena.json").read_text("utf-8"))
    assert len(calls) == len(set(calls)) == len(facts["operators"])
    assert {"AddLogistic", "AddMul", "AddSoftmax"} <= set(calls)
    if (compiler := shutil.which("g++")) is None:
        pytest.skip("no g++ to compile the header with")
    (tmp_path / "main.cc").write_text(
        '#include "model_data.h"\n#include <cstdint>\n#include <cstdio>\nstruct R { int n = 0;\n'
        + "".join(f"  int {call}() {{ ++n; return 0; }}\n" for call in calls)
        + "};\nint main() {\n  R resolver;\n  bool added = AddOperators(resolver);\n"
        + '  std::printf("%d %d %u %d %d %d", added, resolver.n, kModelSize, kArenaSize, kInputHeight,\n'
        + "              int(reinterpret_cast<std::uintptr_t>(kModelData) % 16));\n}\n"
    )
    files = [tmp_path / "main.cc", folder / firmware.SOURCE]
    options = ["-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{folder / 'firmware'}"]
    subprocess.run([compiler, *options, *files, "-o", tmp_path / "main"], check=True)
    done = subprocess.run([tmp_path / "main"], check=True, capture_output=True, text=True)
    count, size = len(calls), facts["size"]
    assert done.stdout == f"1 {count} {len(content)} {size} {example.preprocess.size[0]} 0"


def test_any_file_is_held_against_the_rules(emitted, examples, tmp_path):
    """Float ends and a detector's operator are named; what an mcu bundle holds keeps all the rules."""
    _, folder = emitted("swish_se", softmax=True)
    assert lint.lint(folder / "model.tflite") == []
    example = examples("lite")
    phone = tflite_emit.emit(example.hub, example.emission("float32"))["model.tflite"]
    (tmp_path / "phone.tflite").write_bytes(phone)
    found = {(finding.node, finding.message) for finding in lint.lint(tmp_path / "phone.tflite")}
    assert ("graph", "input input is float32 and not int8") in found
    assert ("DEQUANTIZE logits", "tflite-micro has no int8 kernel of it") in found
    for damaged, says in ((phone[:3000], "is damaged"), (b"PK" + bytes(60), "is no .tflite file")):
        (tmp_path / "damaged.tflite").write_bytes(damaged)
        with pytest.raises(GraphError, match=says):
            lint.lint(tmp_path / "damaged.tflite")
    assert verb("lint", tmp_path / "phone.tflite", "--json") == verb("lint", tmp_path / "phone.tflite") == 1
    assert verb("lint", folder / "model.tflite") == 0
    assert verb("lint", folder / "model.tflite", "--tensorrt", "10.3") == 2


def verb(*arguments) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


def test_the_same_graph_gives_the_same_bytes(emitted):
    example, folder = emitted("lite")
    again = emit.emit(example.hub, emission(example))
    assert {name: (folder / name).read_bytes() for name in again} == again


def test_damaged_files_are_refused(emitted, tmp_path):
    """What is not int8, or cut off, never reaches an interpreter that it would crash."""
    example, folder = emitted("lite")
    content = (folder / "model.tflite").read_bytes()
    for damaged in (b"", content[:2000], bytes(1000)):
        (tmp_path / "model.tflite").write_bytes(damaged)
        with pytest.raises(BundleError):
            opened(example, tmp_path)
    (tmp_path / "model.tflite").write_bytes(content)
    with pytest.raises(BundleError, match="the bundle says"):
        opened(replace(example, preprocess=replace(example.preprocess, size=(64, 64))), tmp_path)


def test_times_say_nothing(tmp_path):
    from types import SimpleNamespace

    of = [
        SimpleNamespace(name=name, manifest=SimpleNamespace(runtime=runtime))
        for name, runtime in (("a", "tflite"), ("b", "tflite_micro"), ("c", "tflite_micro"), ("d", "gone"))
    ]
    (sentence,) = no_times(of)
    assert sentence.startswith("the times of b say nothing of its device")
    old, new = (
        SimpleNamespace(
            name="b",
            manifest=SimpleNamespace(runtime="tflite_micro", precision="int8", tools={}),
            plugin_warnings=tuple,
            device=None,
        )
        for _ in range(2)
    )
    assert pair._doubts(new, old) == [sentence]  # the gate says it too, once
