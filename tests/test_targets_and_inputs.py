"""Every target with every input: what can be made is made, the rest is refused before any work."""

from __future__ import annotations

from dataclasses import replace

import pytest

import edgeeff
from edgeeff import backends
from edgeeff.backends import Emission
from edgeeff.cache import Cache
from edgeeff.errors import OptionError
from edgeeff.graph import expectations
from edgeeff.graph.model import expand_functions
from edgeeff.pipeline.resolve.targets import resolve_targets
from edgeeff.quantization import quantize, recipe
from edgeeff.quantization.rewrites import fold_preprocessing
from edgeeff.target import TARGETS, Target, load_target

INPUTS = ("float32", "uint8", "int8")
IMPOSSIBLE = {
    *(("mobile-fp32", name) for name in ("uint8", "int8")),
    *(("mcu-int8", name) for name in ("float32", "uint8")),
    *((f"{board}-{kind}", "int8") for board in ("jetson", "gpu", "rtx") for kind in ("int8", "fp16")),
}


@pytest.fixture(scope="module")
def graph_for(lite0):
    """The hub graph, or the float graph, that a target is given."""

    kept: dict = {}

    def made(target: Target, raw: bool):
        model, statistics = lite0.graph.clone(), lite0.statistics
        expectations.strip(model)
        if raw:
            model, statistics = fold_preprocessing.rewrite(model, statistics, lite0.preprocess)
        if target.scheme is None:
            return expand_functions(model)
        draft = quantize.begin(model, statistics, lite0.preprocess, target.scheme)
        return quantize.write(recipe.load("fast")(draft))

    def graph(target: Target):
        raw = backends.runtime(target.runtime).holds_pixels(target.input)
        key = (target.scheme and target.scheme.name, raw)
        if key not in kept:
            kept[key] = made(target, raw)
        return kept[key]

    return graph


@pytest.mark.parametrize("io", INPUTS)
@pytest.mark.parametrize("name", TARGETS.ours())
def test_it_is_made_or_refused_before_any_work(name, io, graph_for, lite0):
    if (name, io) in IMPOSSIBLE:
        with pytest.raises(OptionError, match=f"{name} cannot take {io} input") as caught:
            resolve_targets(["cpu-int8" if name != "cpu-int8" else "cpu-fp32", name], io)
        assert " or " in caught.value.mend or "float32" in caught.value.mend
        return
    (target,) = resolve_targets([name], io)
    target = target.served(None)
    emission = Emission(f"lite0-{name}", target, lite0.preprocess, tuple("abcdefghij"), True, None)
    files = backends.runtime(target.runtime).emit(graph_for(target), emission)
    artifact = backends.runtime(target.runtime).artifact
    assert any({*((one,) if isinstance(one, str) else one)} & {*files} for one in artifact)


@pytest.mark.parametrize(("name", "io"), sorted(IMPOSSIBLE)[::3])
def test_a_target_that_itself_asks_for_the_impossible_is_refused_too(name, io):
    with pytest.raises(OptionError, match="cannot take"):
        resolve_targets([replace(load_target(name), input=io)], None)


@pytest.mark.parametrize(
    ("target", "properties", "said"),
    [
        ("mobile-int8", {"delegate": "gpu"}, "delegate = 'gpu'"),
        ("mobile-fp32", {"threads": "4"}, "threads = '4'"),
        ("rtx-int8", {"compute_capabilities": "99"}, "99"),
    ],
)
def test_a_property_that_the_runtime_does_not_have_is_refused(target, properties, said):
    if target.startswith("rtx"):
        pytest.importorskip("tensorrt_rtx", reason="the tensorrt-rtx extra is not installed")
    with pytest.raises(OptionError, match=said):
        resolve_targets([replace(load_target(target), runtime_properties=properties)], None)


def test_nothing_was_built_when_one_of_many_is_refused(tmp_path):
    """Not even the network was read."""
    with pytest.raises(OptionError, match="mobile-fp32 cannot take uint8 input"):
        edgeeff.build(
            checkpoint=tmp_path / "not-read.pt",
            targets=["mobile-int8", "mobile-fp32"],
            io="uint8",
            output=tmp_path / "out",
            cache=Cache(tmp_path / "cache"),
        )
    assert list(tmp_path.iterdir()) == []
