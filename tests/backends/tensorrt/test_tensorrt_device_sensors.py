"""Sensors of a Jetson, laid out as its kernel lays them out."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edgeeff.backends.tensorrt.device.onboard import hardware, sensors, verification

ORIN_NANO = {1: ("VDD_IN", 5000, 1400), 2: ("VDD_CPU_GPU_CV", 5000, 500), 3: ("VDD_SOC", 5000, 300)}
AGX_ORIN = {1: ("VDD_GPU_SOC", 19000, 200), 2: ("VDD_CPU_CV", 19000, 50), 3: ("VIN_SYS_5V0", 5000, 800)}


def lay(root: Path, files: dict[str, object]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{content}\n")


def ina3221(root: Path, channels: dict[int, tuple[str, int, int]], chip: int = 0) -> None:
    folder = f"sys/class/hwmon/hwmon{chip}"
    lay(root, {f"{folder}/name": "ina3221", f"{folder}/in7_label": "sum of shunt voltages"})
    for number, (label, millivolts, milliamperes) in channels.items():
        lay(
            root,
            {
                f"{folder}/in{number}_label": label,
                f"{folder}/in{number}_input": millivolts,
                f"{folder}/curr{number}_input": milliamperes,
            },
        )


def test_rails_and_their_watts(tmp_path):
    lay(tmp_path, {"sys/class/hwmon/hwmon0/name": "nvme", "sys/class/hwmon/hwmon0/in1_label": "VDD_IN"})
    ina3221(tmp_path, ORIN_NANO, chip=1)
    found = sensors.rails(tmp_path)
    assert {rail.label: rail.watts() for rail in found} == {
        "VDD_IN": 7.0,
        "VDD_CPU_GPU_CV": 2.5,
        "VDD_SOC": 1.5,
    }
    assert sensors.total(found) == "VDD_IN"


def test_a_board_without_a_rail_for_all_has_no_total(tmp_path):
    ina3221(tmp_path, AGX_ORIN)
    ina3221(tmp_path, {1: ("NC", 0, 0), 2: ("VDDQ_VDD2_1V8AO", 5000, 100)}, chip=1)
    found = sensors.rails(tmp_path)
    assert [rail.label for rail in found] == ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"]
    assert sensors.total(found) is None


class Busy:
    """An engine that takes a millisecond."""

    def execute(self) -> None:
        self.launch()

    def launch(self) -> None:
        time.sleep(1e-3)

    def wait(self) -> None:
        pass


def test_energy_is_of_the_total_rail_alone(tmp_path):
    ina3221(tmp_path, ORIN_NANO)
    found = verification.power({"int8": Busy()}, 0.2, tmp_path)
    assert found["total_rail"] == "VDD_IN"
    assert set(found["phases"]) == {"idle", "int8"} and found["phases"]["idle"]["runs"] == 0
    phase = found["phases"]["int8"]
    assert phase["rails_w"]["VDD_IN"] == {"mean": 7.0, "max": 7.0}
    assert found["millijoules"] == {"int8": pytest.approx(7.0 * phase["milliseconds"], rel=1e-4)}
    assert 1 <= phase["milliseconds"] < 5


def test_without_a_total_rail_there_is_no_energy_and_no_sum(tmp_path):
    assert verification.power({"int8": Busy()}, 0.1, tmp_path) is None
    ina3221(tmp_path, AGX_ORIN)
    found = verification.power({"int8": Busy()}, 0.1, tmp_path)
    assert found["total_rail"] is None and found["millijoules"] is None
    assert found["phases"]["int8"]["rails_w"]["VDD_GPU_SOC"]["mean"] == 3.8


def test_a_rail_that_does_not_answer_is_left_out(tmp_path):
    ina3221(tmp_path, ORIN_NANO)
    (tmp_path / "sys/class/hwmon/hwmon0/curr2_input").write_text("")
    found = verification.power({"int8": Busy()}, 0.1, tmp_path)
    assert set(found["phases"]["int8"]["rails_w"]) == {"VDD_IN", "VDD_SOC"}


@pytest.mark.parametrize("name", ["17000000.gpu", "17000000.ga10b", "17000000.gv11b", "gpu-gpc-0"])
def test_the_gpus_clock_and_whether_it_is_pinned(tmp_path, name):
    folder = f"sys/class/devfreq/{name}"
    lay(tmp_path, {"sys/class/devfreq/15340000.vic/cur_freq": 1, f"{folder}/cur_freq": 306000000})
    lay(tmp_path, {f"{folder}/min_freq": 306000000, f"{folder}/max_freq": 624750000})
    clock = sensors.gpu_clock(tmp_path)
    assert clock == {"cur": 306e6, "min": 306e6, "max": 624.75e6} and sensors.pinned(clock) is False
    lay(tmp_path, {f"{folder}/min_freq": 624750000})
    assert sensors.pinned(sensors.gpu_clock(tmp_path)) is True


def test_what_is_not_there_is_none(tmp_path):
    assert sensors.conditions(tmp_path) == {"gpu_hz": None, "emc_hz": None, "temperatures_c": {}}
    assert sensors.pinned(None) is None and sensors.board(tmp_path) is None
    assert sensors.power_mode(str(tmp_path / "nvpmodel")) is None
    assert hardware.l4t_release(tmp_path / "nv_tegra_release") == ""


def test_temperatures_leave_out_zones_that_are_off(tmp_path):
    zones = [("gpu-thermal", "48500"), ("cv0-thermal", "-256000"), ("tj-thermal", "")]
    for number, (kind, value) in enumerate(zones):
        folder = f"sys/class/thermal/thermal_zone{number}"
        lay(tmp_path, {f"{folder}/type": kind, f"{folder}/temp": value})
    assert sensors.temperatures(tmp_path) == {"gpu-thermal": 48.5}


@pytest.mark.parametrize(("said", "mode"), [("NV Power Mode: MAXN\n0", "MAXN"), ("error", None)])
def test_the_power_mode(tmp_path, said, mode):
    command = tmp_path / "nvpmodel"
    command.write_text(f"#!/bin/sh\necho '{said}'\n")
    command.chmod(0o755)
    assert sensors.power_mode(str(command)) == mode


def test_the_boards_name_and_its_software(tmp_path):
    lay(tmp_path, {"proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA RTX A2000"})
    assert sensors.board(tmp_path) == "NVIDIA RTX A2000"
    lay(tmp_path, {"proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0"})
    assert sensors.board(tmp_path) == "NVIDIA Jetson Orin Nano Developer Kit"
    lay(
        tmp_path, {"release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64"}
    )
    assert hardware.l4t_release(tmp_path / "release") == "36.4.3"
