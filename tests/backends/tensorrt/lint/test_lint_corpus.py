"""Linter, NVIDIA's parser and its compiler, held against each other on each graph of the corpus."""

from __future__ import annotations

import re

import onnx
import pytest

from edgeeff.backends.tensorrt.lint import VERSIONS, lint, rules

#: The parser's age: TensorRT-RTX 1.7.1 knows Swish, as TensorRT does from 11.0 on.
NEWEST = VERSIONS[-1]


def test_the_corpus_is_large_and_breaks_every_rule(corpus, new_net):
    broken = set()
    for write in corpus.values():
        net = new_net()
        write(net)
        broken |= set(net.expected)
    assert len(corpus) >= 40
    assert broken == {rule.identifier for rule in rules()}


def test_the_linter_says_what_is_expected(case):
    found = {}
    for finding in lint(case.model()):
        found.setdefault(finding.rule, set()).update(finding.versions)
    if "TRT108" not in case.expected:  # which every graph with float32 layers breaks
        found.pop("TRT108", None)
    assert found == {rule: set(versions) for rule, versions in case.expected.items()}


def test_nvidias_parser_and_compiler_agree(case):
    trt = pytest.importorskip("tensorrt_rtx", reason="NVIDIA's parser is not installed")
    model = case.model()
    crashes = "crashes" in case.reason
    verdict = judged(trt, model, compile_it=not crashes)
    assert verdict == ("compiles" if crashes else case.verdict)
    # A graph that is not built is an error; one that is built and reads no INT8 deserves at least a warning.
    asked = ("error", "warning") if verdict == "float kernels" else ("error",)
    found = {f.rule for f in lint(model, [NEWEST]) if f.severity in asked} - {"TRT108"}
    agree = bool(found) == (verdict != "compiles")
    assert agree != bool(case.reason), f"linter: {found or 'nothing'}; TensorRT-RTX: {verdict}"


def judged(trt, model, compile_it):
    """What TensorRT-RTX makes of a graph: "refused", "not compiled", "float kernels" or "compiles"."""

    class Log(trt.ILogger):
        def __init__(self):
            trt.ILogger.__init__(self)
            self.lines = []

        def log(self, severity, message):
            self.lines += message.splitlines()

    log, data = Log(), model.SerializeToString()
    builder = trt.Builder(log)
    asked, network = (
        builder.create_network(0),
        builder.create_network(0),
    )  # a parser does not keep its own alive
    asking, parser = trt.OnnxParser(asked, log), trt.OnnxParser(network, log)
    supported, parsed = asking.supports_model_v2(data), parser.parse(data)
    assert parsed == supported
    if not parsed:
        return "refused"
    if not compile_it or not _is_static(model):
        return "compiles"
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    if builder.build_serialized_network(network, config) is None:
        return "not compiled"
    kernels = [
        m.groups() for line in log.lines if (m := re.match(r"Name: .*?, LayerType: (\w+), (.*)", line))
    ]
    products = [inputs for operator, inputs in kernels if operator in ("correlation", "gemm")]
    reads = [re.findall(r"Datatype: (\w+)", inputs.partition("Outputs:")[0])[:2] for inputs in products]
    return "compiles" if ["Int8", "Int8"] in reads else "float kernels"


def _is_static(model: onnx.ModelProto) -> bool:
    return all(d.dim_value for value in model.graph.input for d in value.type.tensor_type.shape.dim)
