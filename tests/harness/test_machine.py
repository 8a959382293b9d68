"""The machine's description, read from trees of /proc and /sys as other machines have them."""

import json
from importlib import metadata

import pytest

from edgeeff.backends import RUNTIMES, runtime, runtime_names
from edgeeff.harness.machine import cpu_class, describe, runtime_versions


def tree(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("avx2 fma", "avx2"),
        ("avx2 avx512f avx512bw", "avx2"),
        ("avx2 avx_vnni", "vnni"),
        ("avx2 avx512_vnni", "vnni"),
        ("avx2 avx512_vnni avx512_bf16", "bf16"),
        ("avx2 avx_vnni amx_bf16", "bf16"),
        ("avx2 avx512_bf16", "avx2"),
    ],
)
def test_class_of_an_x86(flags, expected):
    assert cpu_class(flags.split(), "x86_64") == expected
    assert cpu_class(flags.split(), "AMD64") == expected


def test_every_arm_is_arm():
    assert cpu_class(["asimd", "asimddp", "bf16"], "aarch64") == "arm"
    assert cpu_class([], "arm64") == "arm"


def test_class_of_this_machine_is_that_of_its_flags():
    assert cpu_class() == describe().cpu_class


def test_a_jetson(tmp_path):
    root = tree(
        tmp_path,
        {
            "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd asimdhp asimddp\n\nprocessor\t: 1\n",
            "proc/loadavg": "0.50 0.25 0.10 1/200 4242\n",
            "proc/device-tree/model": "NVIDIA Jetson Orin Nano\0",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil\n",
        },
    )
    machine = describe(root)
    assert machine.board == "NVIDIA Jetson Orin Nano"
    assert machine.flags == ("asimd", "asimdhp", "asimddp")
    assert machine.governor == "schedutil"
    assert machine.load_average == (0.5, 0.25, 0.1)
    assert machine.turbo is None


@pytest.mark.parametrize(
    ("file", "content", "turbo"),
    [
        ("intel_pstate/no_turbo", "1\n", False),
        ("intel_pstate/no_turbo", "0\n", True),
        ("cpufreq/boost", "1\n", True),
        ("cpufreq/boost", "0\n", False),
    ],
)
def test_turbo_on_intel_and_amd(tmp_path, file, content, turbo):
    assert describe(tree(tmp_path, {f"sys/devices/system/cpu/{file}": content})).turbo is turbo


def test_processor_name_and_only_telling_flags(tmp_path):
    cpuinfo = "model name\t: Some CPU @ 2.00GHz\nflags\t\t: fpu avx2 avx512_vnni clflush\n"
    machine = describe(tree(tmp_path, {"proc/cpuinfo": cpuinfo}))
    assert machine.cpu == "Some CPU @ 2.00GHz"
    assert machine.flags == ("avx2", "avx512_vnni")


def test_nothing_readable_is_none_and_never_fatal(tmp_path):
    machine = describe(tmp_path)
    assert (machine.board, machine.governor, machine.turbo, machine.load_average) == (None,) * 4
    assert machine.flags == ()
    json.dumps(machine.to_json(), allow_nan=False)


def test_versions_name_what_is_installed():
    versions = runtime_versions()
    assert versions["numpy"]
    assert "torch" not in versions


def test_versions_are_of_whoever_brings_a_runtime():
    """The standard library tells the same of each module, after reading all that every distribution says."""
    names = runtime_names()
    modules = {module for name in names for module in runtime(name).modules}
    brought = {
        owner
        for module, owners in metadata.packages_distributions().items()
        if module in modules or module.startswith(tuple(f"{name}_" for name in names))
        for owner in owners
    }
    added = {plugin.distribution for name in names if (plugin := RUNTIMES.plugin(name))}
    assert brought and set(runtime_versions()) == brought | added | {"numpy", "edgeeff"}
