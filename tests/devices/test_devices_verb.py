"""``edgeeff devices``: what is said of boards that answer, and of those that do not."""

from __future__ import annotations

import json
import re
import sys

import pytest

from edgeeff import cli
from edgeeff.cli.devices import lines
from edgeeff.devices import looking
from edgeeff.devices.file import Named
from edgeeff.devices.kinds import ssh
from edgeeff.devices.looking import Seen, lacks, look
from edgeeff.errors import DeviceError
from edgeeff.onboard import describing
from tests.devices.boards import free_port

JETSON = {
    "machine": {
        "board": "NVIDIA Jetson Orin Nano Developer Kit",
        "cpu": None,
        "architecture": "aarch64",
        "cpu_class": "arm",
        "cores": 6,
        "usable_cores": 6,
        "governor": "schedutil",
        "system": "Linux 5.15.148-tegra",
        "python": "3.10.12",
        "versions": {"tensorrt": "10.3.0", "numpy": "1.26.4"},
    },
    "now": {
        "l4t": "36.4.3",
        "power_mode": "15W",
        "temperatures_c": {"cpu-thermal": 48.2, "gpu-thermal": 91.5},
        "disk_free_bytes": 12_300_000_000,
    },
    "clock_offset_s": -3.25,
}


@pytest.fixture
def run(capsys, monkeypatch):
    """``run(*arguments)``: exit status, standard output and error of the verb."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["edgeeff"])
        with pytest.raises(SystemExit) as end:
            cli.main(["devices", *map(str, arguments)])
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


def test_a_jetson_in_a_few_lines():
    seen = Seen("orin1", "ssh://nvidia@b", "the one on the desk", ("orin",), True, seconds=1.23, facts=JETSON)
    assert lines(seen) == [
        "orin1  ssh://nvidia@b  can be reached (1.2 s)",
        "  the one on the desk; tags orin",
        "  NVIDIA Jetson Orin Nano Developer Kit (aarch64, class arm, 6 cores)",
        "  JetPack 6 (L4T 36.4.3)",
        "  Linux 5.15.148-tegra, Python 3.10.12",
        "  runs tensorrt 10.3.0, numpy 1.26.4",
        "  governor schedutil, power mode 15W, 92 °C (gpu-thermal), 12.3 GB free, clock -3.25 s",
        "",
    ]
    assert all(len(line) <= 80 for line in lines(seen)[1:4])


def test_what_it_lacks_and_the_line_that_brings_it():
    found = {lack.what: (lack.mend, lack.needed) for lack in lacks(JETSON)}
    assert found == {
        "its clock is 3.2 s behind": ("sudo timedatectl set-ntp true", False),
        "the governor schedutil changes the clock while it is measured": ("sudo jetson_clocks", False),
        "gpu-thermal is at 92 °C": ("cool it, or measure with --cool 60C", False),
    }
    bare = {
        "machine": {**JETSON["machine"], "versions": {}, "governor": "performance"},
        "now": {"l4t": None, "disk_free_bytes": 150e6},
        "clock_offset_s": 0.1,
    }
    assert [(lack.what.partition(",")[0], lack.mend, lack.needed) for lack in lacks(bare)] == [
        ("numpy is not installed", "python3 -m pip install numpy", True),
        ("no runtime is installed", "python3 -m pip install ai-edge-litert", True),
        ("150 MB of disk are free", "rm -r ~/.cache/edgeeff/boards, or set EDGEEFF_STORE_LIMIT there", False),
    ]
    assert not Seen("a", "b", reachable=True, facts=bare, lacks=tuple(lacks(bare))).well
    assert Seen("a", "b", reachable=True, facts=JETSON, lacks=tuple(lacks(JETSON))).well
    bare["now"]["l4t"] = "36.4.3"
    assert "sudo apt install nvidia-jetpack" in {lack.mend for lack in lacks(bare)}


def test_a_made_board_is_described(tmp_path):
    """From a tree as a Jetson's kernel lays it out to the line that is printed."""
    for path, content in {
        "etc/nv_tegra_release": "# R35 (release), REVISION: 4.1, GCID: 1",
        "sys/class/thermal/thermal_zone0/type": "CPU-therm",
        "sys/class/thermal/thermal_zone0/temp": "51500",
        "sys/class/thermal/thermal_zone1/type": "PMIC-Die",
        "sys/class/thermal/thermal_zone1/temp": "-256000",
        "proc/meminfo": "MemTotal: 1000 kB\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    now = describing.now(tmp_path, tmp_path)
    said = "\n".join(lines(Seen("a", "a", reachable=True, facts={**JETSON, "now": now})))
    assert "JetPack 5 (L4T 35.4.1)" in said and "52 °C (CPU-therm)" in said


def test_real_ones_side_by_side(run, loopback, tmp_path, monkeypatch):
    monkeypatch.setenv(ssh.CONFIGURATION, str(loopback.config))
    monkeypatch.delenv("LG_COORDINATOR", raising=False)
    file = tmp_path / "devices.toml"
    file.write_text(
        f'schema = 1\n[device.desk]\naddress = "ssh://board"\ntags = ["a"]\npython = "{sys.executable}"\n'
        f'[device.off]\naddress = "ssh://nobody@127.0.0.1:{free_port()}"\n'
        '[device.lab]\naddress = "labgrid:p"\n[device.odd]\naddress = "smoke:signals"\n'
    )
    status, out, err = run("--devices-file", file, "--json", "--timeout", "60")
    desk, off, lab, odd = json.loads(out)
    assert status == 0 and f"devices of {file}" in err
    assert (desk["reachable"], off["reachable"], lab["reachable"], odd["reachable"]) == (
        True,
        False,
        False,
        False,
    )
    assert desk["facts"]["machine"]["versions"]["numpy"] and abs(desk["facts"]["clock_offset_s"]) < 5
    assert "connection refused" in off["state"] and "start sshd" in off["mend"]
    assert "without a coordinator" in lab["state"]
    assert "no kind of device is called 'smoke'" in odd["state"]
    status, out, _ = run("desk", "--tag", "a", "--devices-file", file, "--strict")
    assert status == 0 and re.search(r"desk  ssh://board  can be reached \(.* s\)\n  tags a\n", out)
    assert run("off", "--devices-file", file, "--strict")[0] == 1


def test_one_that_hangs_delays_no_other(monkeypatch):
    ended = []

    def slowly(device):
        if device.name == "slow":
            ended.append(looking.threading.Event())
            ended[0].wait(30)
        return {**JETSON}, ""

    monkeypatch.setattr(looking, "_facts", slowly)
    seen = look([Named("slow", "ssh://a", None), Named("quick", "ssh://b", None)], timeout=0.3)
    ended[0].set()
    assert [one.reachable for one in seen] == [False, True]
    assert "no answer within 0.3 s" in seen[0].state and "--timeout" in seen[0].mend


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "there is no devices.toml here"),
        (["orin"], "no device is called 'orin': there is no devices.toml"),
        (["ssh://a b"], "holds a space"),
        (["--devices-file", "none.toml"], "there is no devices file none.toml"),
        (["local", "--tag", "x"], "no device has the tags x"),
        (["local", "--timeout", "0"], "--timeout 0"),
        (["local", "--timeout", "nan"], "--timeout nan"),
    ],
)
def test_what_makes_no_sense(run, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    status, out, err = run(*arguments)
    assert (status, out) == (2, "") and message in err and "→" in err


def test_a_plug_in_that_breaks_takes_no_other_along(monkeypatch):
    def broken(device):
        if device.name == "a":
            raise RuntimeError("no luck")
        raise DeviceError("off", mend="switch it on")

    monkeypatch.setattr(looking, "_facts", broken)
    seen = look([Named("a", "x:y", None), Named("b", "x:y", None)])
    assert [(one.state, one.mend) for one in seen] == [
        ("RuntimeError: no luck", "report this"),
        ("off", "switch it on"),
    ]
