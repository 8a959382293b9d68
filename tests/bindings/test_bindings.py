"""Rung 4: the names of tensorrt that a bundle's scripts use are there in each version's real bindings."""

from __future__ import annotations

import pytest

VERSIONS = ("10.3.0", "10.13.0.35", "10.16.1.11", "11.0.0.114", "11.4.0.106")

#: Some of what the walk has to come by, at the ends of its longest ways.
FAR = {
    ("tensorrt", "__version__"),
    ("Logger", "VERBOSE"),
    ("Builder", "build_serialized_network"),
    ("OnnxParser", "get_error"),
    ("IBuilderConfig", "profiling_verbosity"),
    ("ITimingCache", "serialize"),
    ("ICudaEngine", "get_tensor_mode"),
    ("IExecutionContext", "execute_async_v3"),
}


@pytest.fixture(params=VERSIONS)
def found(request, bindings):
    return bindings(request.param)


def test_every_name_is_there(found, walk, scripts, tell):
    used = walk.uses(scripts, found)
    assert {(use.owner, use.attribute) for use in used} >= FAR
    gone = walk.absent(used, found)
    assert not [use for use in gone if not use.guarded]
    names = {(use.owner, use.attribute) for use in used} - {(use.owner, use.attribute) for use in gone}
    tell(f"TensorRT {found['version']}: {len(names)} names that the scripts use, none missing")


def test_our_flags_come_to_what_the_version_has(found):
    version = tuple(int(part) for part in found["version"].split(".")[:2])
    assert found["absent_flags"] == []
    # 11 has no EXPLICIT_BATCH, and gives its bit to STRONGLY_TYPED: the enumerators count, not their numbers.
    bits = found["network_bits"]
    assert ("EXPLICIT_BATCH" in bits) == (version < (11, 0))
    wanted = bits.get("EXPLICIT_BATCH", 0) | (bits["STRONGLY_TYPED"] if version >= (10, 12) else 0)
    assert found["network_flags"] == {"int8": wanted, "fp16": wanted}


def test_a_builder_without_a_driver_fails_as_the_scripts_expect(found):
    assert found["builder_without_driver"] in ("TypeError", "RuntimeError")


SNIPPETS = {
    "trt.Builder(trt.Logger()).create_netwrok(0)": ("Builder", "create_netwrok"),
    "c = trt.Builder(None).create_builder_config()\n    c.int8_calibrator = None": (
        "IBuilderConfig",
        "int8_calibrator",
    ),
    "flag = trt.BuilderFlag.INT8": ("BuilderFlag", "INT8"),
    "b = trt.Builder(None)\n    helper(b)": ("Builder", "platform_has_fast_int8"),
    "e = Holder(trt.Runtime(None))": ("ICudaEngine", "get_binding_name"),
    "getattr(trt.BuilderFlag, 'INT8')": ("BuilderFlag", "INT8"),
}
AROUND = """
def helper(builder):
    return [builder.platform_has_fast_int8 for _ in range(2)]

class Holder:
    def __init__(self, runtime):
        self._engine = runtime.deserialize_cuda_engine(b"")

    def names(self):
        return [self._engine.get_binding_name(i) for i in range(2)]

def use(trt):
    {}
"""


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_the_walk_finds_what_is_gone(bindings, walk, snippet):
    found = bindings("11.4.0.106")
    gone = walk.absent(walk.uses({"snippet.py": AROUND.format(snippet)}, found), found)
    assert SNIPPETS[snippet] in {(use.owner, use.attribute) for use in gone if not use.guarded}


@pytest.mark.parametrize(
    "snippet",
    [
        "flag = trt.BuilderFlag.INT8 if hasattr(trt.BuilderFlag, 'INT8') else None",
        "flag = getattr(trt.BuilderFlag, 'INT8', None)",
    ],
)
def test_what_is_asked_for_first_is_no_fault(bindings, walk, snippet):
    found = bindings("11.4.0.106")
    gone = walk.absent(walk.uses({"snippet.py": AROUND.format(snippet)}, found), found)
    assert [use for use in gone if use.attribute == "INT8"]
    assert all(use.guarded for use in gone if use.attribute == "INT8")
