"""The gate's operating characteristic: how often it is right, in real gates on this machine.

    python -m benchmarks.gate prepare WORK dist/lite0-cpu-int8 dist/lite0-mobile-int8 --padding 205 270
    python -m benchmarks.gate run WORK
    python -m benchmarks.gate table WORK
    python -m benchmarks.gate simulate

``prepare`` copies each bundle twice: as a twin, which is the same under another digest, and padded with
operators that make it slower by about 3 %. ``run`` gates twins and padded bundles in turn, both cores kept
busy, and appends each finished gate to WORK/results.jsonl: it may be interrupted at any time and goes on
where it was. An inconclusive is run again with the launches that it names. ``table`` counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.padding import pad, twin
from edgeeff.bundle import Bundle
from edgeeff.gate.pair import Method, decide
from edgeeff.gate.sequential import RULE, Plan, conclude
from edgeeff.gate.sequential import decide as decide_series
from edgeeff.progress import Silent

RESULTS = "results.jsonl"
SCENARIOS = ("twin", "padded")
_BURN = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(10**6))\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    making = verbs.add_parser("prepare")
    making.add_argument("work", type=Path)
    making.add_argument("bundles", type=Path, nargs="+")
    making.add_argument(
        "--padding", type=int, nargs="+", default=[200], help="width for each bundle, or one for all"
    )
    running = verbs.add_parser("run")
    running.add_argument("work", type=Path)
    running.add_argument("--twins", type=int, default=150, help="gates of twins of each bundle")
    running.add_argument("--padded", type=int, default=100, help="gates of each padded bundle")
    running.add_argument("--minutes", type=float, default=float("inf"))
    running.add_argument("--burners", type=int, default=os.cpu_count(), help="processes that keep cores busy")
    running.add_argument("--seconds", type=float, default=Method.seconds)
    verbs.add_parser("table").add_argument("work", type=Path)
    simulating = verbs.add_parser("simulate")
    simulating.add_argument("--gates", type=int, default=4000)
    said = parser.parse_args(arguments)
    if said.verb == "prepare":
        prepare(said.work, said.bundles, said.padding)
    elif said.verb == "run":
        until = {"twin": said.twins, "padded": said.padded}
        run(said.work, until, 60 * said.minutes, said.burners, said.seconds)
        table(said.work)
    elif said.verb == "table":
        table(said.work)
    else:
        simulate(said.gates)


def prepare(work: Path, bundles: Sequence[Path], widths: Sequence[int]) -> None:
    for number, path in enumerate(bundles):
        bundle, width = Bundle.load(path), widths[min(number, len(widths) - 1)]
        folder = work / bundle.name
        folder.mkdir(parents=True)
        twin(bundle, folder / "twin")
        pad(bundle, folder / "padded", width)
        (folder / "old").symlink_to(path.resolve())
        print(f"{folder}: twin, and padded by {width}")


def run(work: Path, until: Mapping[str, int], seconds: float, burners: int, each: float) -> None:
    """Gate in turn what has the smallest share of its gates so far."""
    deadline = time.monotonic() + seconds
    folders = [folder.name for folder in sorted(work.iterdir()) if folder.is_dir()]
    cases = [(name, scenario) for name in folders for scenario in SCENARIOS if until[scenario]]
    with burning(burners):
        while time.monotonic() < deadline:
            counts = dict.fromkeys(cases, 0)
            for one in results(work):
                if not one["rerun"]:
                    counts[one["bundle"], one["scenario"]] += 1
            case = min(counts, key=lambda key: counts[key] / until[key[1]])
            if counts[case] >= until[case[1]]:
                return
            found = gate(work, *case, Method(seconds=each), burners)
            if found["status"] == "inconclusive" and found["settle_launches"]:
                method = Method(seconds=each, launches=found["settle_launches"])
                gate(work, *case, method, burners, rerun=True)


def gate(
    work: Path, name: str, scenario: str, method: Method, burners: int, *, rerun: bool = False
) -> dict[str, Any]:
    """One gate, appended to the results."""
    begin, load = time.monotonic(), os.getloadavg()[0]
    folder = work / name
    report = decide(folder / scenario, folder / "old", {"latency": 3.0}, method=method, progress=Silent())
    (verdict,) = report.verdicts
    found = {
        "bundle": name,
        "scenario": scenario,
        "rerun": rerun,
        "rule": RULE,
        "status": verdict.status,
        "value": verdict.value,
        "low": verdict.low,
        "high": verdict.high,
        "why": verdict.why,
        "settle_launches": verdict.settle.launches if verdict.settle else None,
        "most_launches": method.launches,
        "seconds_per_launch": method.seconds,
        "launches": verdict.measured["launches"],
        "log_ratios": verdict.measured["log_ratios"],
        "repeat_log_ratios": verdict.measured["repeat_log_ratios"],
        "seconds": round(time.monotonic() - begin, 2),
        "load": [load, os.getloadavg()[0]],
        "burners": burners,
        "utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    with (work / RESULTS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(found) + "\n")  # one write of a whole line, so that two may append
    return found


def results(work: Path) -> list[dict[str, Any]]:
    """Those of this rule of decision; a last line that was not written whole is left out."""
    path = work / RESULTS
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = [json.loads(line) for line in lines if line.endswith("}")]
    if others := {one["rule"] for one in found} - {RULE}:
        sys.exit(f"{path} holds results of rule {others}, this is rule {RULE}: move it away")
    return found


@contextmanager
def burning(count: int) -> Iterator[None]:
    """Keep so many cores busy; the processes end with this one, however it ends."""
    burners = [subprocess.Popen([sys.executable, "-c", _BURN]) for _ in range(count)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def table(work: Path) -> None:
    """Counts, with one-sided 95 % bounds of Clopper and Pearson."""
    found = results(work)
    print(
        f"{'bundle':18} {'pair':9} {'gates':>5} {'pass':>5} {'fail':>5} {'unsure':>6} {'error':>5} "
        f"{'launches':>8} {'seconds':>7} {'load':>5}"
    )
    keys = dict.fromkeys((one["bundle"], one["scenario"], one["rerun"]) for one in found)
    for name, scenario, rerun in sorted(keys):
        those = [
            one for one in found if (one["bundle"], one["scenario"], one["rerun"]) == (name, scenario, rerun)
        ]
        count = {
            s: sum(one["status"] == s for one in those) for s in ("pass", "fail", "inconclusive", "error")
        }
        print(
            f"{name:18} {scenario + (' again' if rerun else ''):9} {len(those):5} {count['pass']:5} "
            f"{count['fail']:5} {count['inconclusive']:6} {count['error']:5} "
            f"{_mean(those, 'launches'):8.1f} {_mean(those, 'seconds'):7.1f} "
            f"{np.mean([one['load'][1] for one in those]):5.1f}"
        )
    for scenario in SCENARIOS:
        for name in (*dict.fromkeys(one["bundle"] for one in found), None):
            those = [
                one
                for one in found
                if not one["rerun"] and one["scenario"] == scenario and name in (None, one["bundle"])
            ]
            if those:
                print(f"{name or 'all'}, {scenario}: {_bounds(those)}")
    again = [one for one in found if one["rerun"]]
    if again:
        decided = sum(one["status"] in ("pass", "fail") for one in again)
        print(f"inconclusive, rerun with the launches that were named: {decided} of {len(again)} decided")


def _mean(those: Sequence[dict[str, Any]], name: str) -> float:
    return float(np.mean([one[name] for one in those]))


def _bounds(those: Sequence[dict[str, Any]]) -> str:
    count = len(those)
    failed, passed = (sum(one["status"] == status for one in those) for status in ("fail", "pass"))
    # A launch of each series in turn: the true ratio, as far as these launches know it.
    launches = np.array([x for one in those for x in (*one["log_ratios"], *one["repeat_log_ratios"])])
    means = np.array([np.mean(one["log_ratios"]) for one in those])
    error = float(means.std(ddof=1) / np.sqrt(count)) if count > 1 else float("nan")
    measured = f"slower by {100 * np.expm1(launches.mean()):+.2f} ± {196 * error:.2f} %"
    if those[0]["scenario"] == "twin":
        text = f"false alarms {failed} of {count}, at most {upper(failed, count):.2%}"
    else:
        text = (
            f"found {failed} of {count}, at least {1 - upper(count - failed, count):.1%}; "
            f"passed {passed}, at most {upper(passed, count):.1%}"
        )
    return f"{text}; {measured}, launches differ by {100 * launches.std(ddof=1):.2f} %"


def upper(events: int, of: int) -> float:
    """The one-sided 95 % upper bound of a rate (Clopper and Pearson 1934)."""
    return 1.0 if events == of else float(stats.beta.ppf(0.95, events + 1, of - events))


def simulate(gates: int) -> None:
    """The same of simulated launches: the bundle that is loaded second is slower by 0.3 %."""
    random = np.random.default_rng(0)
    noises: dict[str, Callable[[float, int], np.ndarray]] = {
        "normal": lambda sd, n: random.normal(0, sd, n),
        "heavy tails (t4)": lambda sd, n: random.standard_t(4, n) / np.sqrt(2) * sd,
        "8 % outliers of 6 %": lambda sd, n: (
            random.normal(0, sd, n) + (random.random(n) < 0.08) * random.normal(0, 0.06, n)
        ),
    }
    print(
        f"{'noise of launches':20} {'sd %':>5} {'true %':>6} {'pass':>6} {'fail':>6} {'unsure':>6} "
        f"{'launches':>8} {'settled':>8}"
    )
    for name, noise in noises.items():
        for deviation in (0.8, 1.6, 2.5):
            for slowdown in (0.0, 1.0, 1.5, 3.0):

                def draw(count: int) -> np.ndarray:
                    second = 0.0015 * np.where(np.arange(count) % 2, 1, -1)
                    return np.log1p(slowdown / 100) + second + noise(deviation / 100, count)  # noqa: B023

                print(f"{name:20} {deviation:5.1f} {slowdown:6.1f} {_simulated(draw, gates)}", flush=True)


def _simulated(draw: Callable[[int], np.ndarray], gates: int) -> str:
    count, launches, settled, again = {"pass": 0, "fail": 0, "inconclusive": 0}, 0, 0, 0
    for _ in range(gates):
        status, used, needed = _one(draw, Plan())
        count[status] += 1
        launches += used
        if needed is not None and again < 200:
            again += 1
            settled += _one(draw, Plan(launches=needed))[0] != "inconclusive"
    shares = " ".join(f"{100 * count[s] / gates:6.2f}" for s in ("pass", "fail", "inconclusive"))
    return f"{shares} {launches / gates:8.1f} {f'{settled}/{again}' if again else '':>8}"


def _one(draw: Callable[[int], np.ndarray], plan: Plan) -> tuple[str, int, int | None]:
    """One gate's status, its launches, and those that it says it needs."""
    first, second = draw(plan.launches), draw(plan.launches)
    for made in plan.looks:
        once = decide_series(first[:made], plan)
        if once is not None:
            break
    assert once is not None
    if once.status != "fail":
        return once.status, made, once.needed
    for more in plan.looks:
        both = conclude(first[:made], second[:more], plan)
        if both is not None:
            break
    assert both is not None
    return both.status, made + more, both.needed


if __name__ == "__main__":
    main()
