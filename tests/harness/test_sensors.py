"""What is read around a launch, from trees of /sys as other machines have them, and what is doubted then."""

import json
import os
import re
import time
from dataclasses import replace

import pytest

from edgeeff.harness import sensors
from edgeeff.harness.sensors import Around, Busy, Conditions
from edgeeff.onboard import energy

CPU = "sys/devices/system/cpu"


def tree(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


INTEL = {
    f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "1800000\n",
    f"{CPU}/cpu1/cpufreq/scaling_cur_freq": "3600000\n",
    f"{CPU}/cpu0/cpufreq/scaling_max_freq": "3600000\n",
    f"{CPU}/cpu0/thermal_throttle/core_throttle_count": "3\n",
    f"{CPU}/cpu1/thermal_throttle/core_throttle_count": "4\n",
    f"{CPU}/cpu0/thermal_throttle/package_throttle_count": "9\n",
    f"{CPU}/cpu1/thermal_throttle/package_throttle_count": "9\n",
    "sys/class/thermal/thermal_zone0/type": "x86_pkg_temp\n",
    "sys/class/thermal/thermal_zone0/temp": "61000\n",
    "sys/class/thermal/cooling_device0/type": "Processor\n",
    "sys/class/thermal/cooling_device0/cur_state": "0\n",
    "sys/class/thermal/cooling_device1/type": "pwm-fan\n",
    "sys/class/thermal/cooling_device1/cur_state": "3\n",
    "sys/class/hwmon/hwmon0/name": "coretemp\n",
    "sys/class/hwmon/hwmon0/temp1_input": "59000\n",
    "sys/class/hwmon/hwmon0/temp2_input": "64000\n",
}


def test_an_intel(tmp_path):
    seen = sensors.read(tree(tmp_path, INTEL))
    assert seen.cpu_mhz == (1800.0, 3600.0) and seen.limit_mhz == 3600.0
    assert seen.temperatures_c == {"x86_pkg_temp": 61.0, "coretemp": 64.0}
    assert seen.throttled == {"core_throttle_count": 7, "package_throttle_count": 9}
    assert seen.limits == () and seen.unreadable() == []  # a fan takes away no speed
    assert Conditions.from_json(json.loads(json.dumps(seen.to_json()))) == seen
    (tmp_path / "sys/class/thermal/cooling_device0/cur_state").write_text("2\n")
    assert sensors.read(tmp_path).limits == ("Processor (2)",)


def test_a_raspberry_pi_tells_what_is_and_what_was(tmp_path):
    path = "sys/devices/platform/soc/soc:firmware/get_throttled"
    before = sensors.read(tree(tmp_path, {path: "10000\n"}))
    assert before.limits == () and before.measures_throttling
    after = sensors.read(tree(tmp_path, {path: "50005\n"}))
    assert after.limits == ("firmware: under-voltage (1)", "firmware: throttled (1)")
    (doubt,) = sensors.doubts([Around(before, after, None)], 4, 1)
    assert "throttled while it measured" in doubt and "firmware: throttled rose by 1" in doubt
    assert "under-voltage rose" not in doubt  # that had happened before


def test_a_machine_that_shows_nothing(tmp_path):
    seen = sensors.read(tmp_path)
    assert seen == Conditions()
    assert seen.unreadable() == ["CPU frequency", "temperature", "throttling"]
    assert Busy.now(tmp_path).others_since(Busy.now(tmp_path)) is None
    assert sensors.doubts([Around(seen, seen, None)] * 3, 2, 1) == sensors.doubts([], 2, 1) == []
    assert energy.meter(tmp_path) is None and not energy.locked(tmp_path)


def test_files_that_hold_nonsense_are_as_if_they_were_not_there(tmp_path):
    nonsense = dict.fromkeys(INTEL, "\x00<n/a>\n") | {"proc/stat": "cpu 1 2 x\n"}
    nonsense["sys/devices/platform/soc/soc:firmware/get_throttled"] = "oh no"
    seen = sensors.read(tree(tmp_path, nonsense))
    assert seen.unreadable() == ["CPU frequency", "temperature", "throttling"]
    assert Busy.now(tmp_path).all is None


def test_what_others_do_is_what_is_busy_and_not_ours(tmp_path):
    tick = os.sysconf("SC_CLK_TCK")
    # user nice system idle iowait irq softirq steal guest guest_nice: guests are in user already
    tree(tmp_path, {"proc/stat": "cpu  100 0 100 5000 50 0 0 0 7 0\ncpu0 1\n"})
    begin = replace(Busy.now(tmp_path), wall=10.0, own=1.0)
    tree(tmp_path, {"proc/stat": f"cpu  {100 + 3 * tick} 0 100 9000 90 0 0 {1 * tick} 9 0\ncpu0 1\n"})
    end = replace(Busy.now(tmp_path), wall=12.0, own=2.5)
    assert end.others_since(begin) == pytest.approx((3 + 1 - 1.5) / 2)
    assert replace(end, own=9.0).others_since(begin) == 0.0
    assert begin.others_since(begin) is None


def around(others=0.0, clock=2000.0, limit=2000.0, **more):
    seen = Conditions(cpu_mhz=(600.0, clock), limit_mhz=limit, **more)
    return Around(seen, seen, others)


@pytest.mark.parametrize(
    ("launches", "says"),
    [
        ([around(0.1), around(0.2)], None),
        ([around(0.1), around(1.5)], "load changed between launches: .* 0.1 to 1.5 of 2"),
        ([around(1.5), around(1.6)], "other programs kept 1.6 of 2 processors busy"),
        ([around(clock=2000.0), around(clock=1800.0)], None),
        ([around(clock=2000.0), around(clock=1500.0)], "clock changed between launches, from 1500 to 2000"),
        ([around(), around(limit=1600.0)], "highest clock that the kernel allows changed.*1600, 2000 MHz"),
        ([around(throttled={"a": 4}), around(throttled={"a": 4})], None),
        (
            [around(throttled={"a": 4}), around(throttled={"a": 9})],
            r"throttled while it measured \(a rose by 5",
        ),
        ([around(limits=("Processor (2)",)), around()], r"throttled while it measured \(Processor \(2\)\)"),
    ],
)
def test_what_is_doubted(launches, says):
    found = sensors.doubts(launches, 2, 1)
    if says is None:
        assert found == []
    else:
        (doubt,) = found
        assert re.search(says, doubt)
        # A steady load lengthens wall times alone.
        assert (sensors.of_wall_times(launches, 2, 1) == found) == ("1.6 of 2" in doubt)


def test_more_threads_than_processors_are_doubted():
    (doubt,) = sensors.doubts([around()], 2, 3)
    assert "3 threads share 2 processors" in doubt
    assert sensors.doubts([around()], 2, 2) == sensors.doubts([around()], None, 3) == []


RAPL = {
    "sys/class/powercap/intel-rapl:0/name": "package-0\n",
    "sys/class/powercap/intel-rapl:0/energy_uj": "900000\n",
    "sys/class/powercap/intel-rapl:0/max_energy_range_uj": "1000000\n",
    "sys/class/powercap/intel-rapl:1/name": "package-1\n",
    "sys/class/powercap/intel-rapl:1/energy_uj": "0\n",
    "sys/class/powercap/intel-rapl:1/max_energy_range_uj": "1000000\n",
    "sys/class/powercap/intel-rapl:0:0/name": "core\n",
    "sys/class/powercap/intel-rapl:0:0/energy_uj": "77\n",
    "sys/class/powercap/intel-rapl:2/name": "psys\n",
    "sys/class/powercap/intel-rapl:2/energy_uj": "88\n",
    "sys/class/powercap/intel-rapl-mmio:0/name": "package-0\n",
    "sys/class/powercap/intel-rapl-mmio:0/energy_uj": "99\n",
}


def test_rapl_adds_packages_and_goes_round(tmp_path):
    meter = energy.meter(tree(tmp_path, RAPL))
    runs = []

    def inference():
        """Two of 150 mJ on one package, whose counter goes round, and 50 on the other."""
        runs.append(0)
        one = (900_000 + 150_000 * len(runs)) % 1_000_000
        tree(tmp_path, {"sys/class/powercap/intel-rapl:0/energy_uj": f"{one}\n"})
        tree(tmp_path, {"sys/class/powercap/intel-rapl:1/energy_uj": f"{50_000 * len(runs)}\n"})

    found = energy.of_inference(meter, inference, 0.0)
    assert len(runs) == 2 and found.meter == "RAPL package"
    assert found.millijoules == pytest.approx(200.0) and found.watts > 0


def test_rapl_that_cannot_be_read_is_said(tmp_path):
    tree(tmp_path, RAPL)
    (tmp_path / "sys/class/powercap/intel-rapl:1/energy_uj").unlink()
    (tmp_path / "sys/class/powercap/intel-rapl:1/energy_uj").mkdir()  # root may read any file, but no folder
    assert energy.meter(tmp_path) is None and energy.locked(tmp_path)


def test_a_jetson_draws_through_its_supply(tmp_path):
    chip = "sys/class/hwmon/hwmon3"
    rails = {"name": "ina3221\n", "in1_label": "VDD_IN\n", "in1_input": "5000\n", "curr1_input": "2000\n"}
    parts = {"in2_label": "VDD_CPU_GPU_CV\n", "in2_input": "5000\n", "curr2_input": "900\n"}
    meter = energy.meter(tree(tmp_path, {f"{chip}/{name}": text for name, text in (rails | parts).items()}))
    found = energy.of_inference(meter, lambda: time.sleep(0.01), 0.0)
    assert found.meter == "INA VDD_IN" and found.watts == pytest.approx(10.0)
    assert found.millijoules >= 10.0 * 10
    (tmp_path / chip / "in1_label").write_text("VIN_SYS_5V0\n")  # a part of a larger board: no sum of parts
    assert energy.meter(tmp_path) is None
