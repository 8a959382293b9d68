#!/usr/bin/env python3
"""Run this bundle's golden inputs through its INT8 engine and its FP16 control, and measure both.

Needs Python 3.8 or later, numpy and the tensorrt module that JetPack installs; nothing else. Engines that
are not there, or stale, are built first. What is found goes to measured/verify.json and to the screen; carry
that file to where edgeeff is: edgeeff import-result verify.json --bundle FOLDER.

Exit status 0: the engine does what the bundle promises; 1: it does not; 2: it could not be run, and one line
says why. For latencies that can be compared, pin the power mode (nvpmodel -m) and run jetson_clocks first.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

# In a bundle this lies beside onboard/; in edgeeff both are of one package.
if __package__:
    from .onboard import engines, hardware, recipes, sealed
else:
    sys.dont_write_bytecode = True  # a bundle holds what was sealed, and measured/
    from onboard import engines, hardware, recipes, sealed  # type: ignore[import-not-found,no-redef]


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Build what is missing, and find everything of measured/verify.json."""
    trt, cudart = hardware.import_tensorrt(), hardware.load_cudart()
    here = hardware.identify(trt, cudart)
    verification = _verification()
    manifest = sealed.read_bundle(folder)
    version = recipes.parse_version(here.tensorrt)
    recipes.refuse(manifest, version)
    found = {}
    for precision in recipes.offered(manifest["files"], version, options.precision):
        try:
            found[precision] = engines.find_engine(folder, here, precision)
        except engines.NoEngineError as reason:
            if options.no_build:
                raise
            print(
                f"{reason.args[0].partition('; run ')[0]}: building, which can take minutes", file=sys.stderr
            )
            engines.build(folder, trt, here, precision)
            found[precision] = engines.find_engine(folder, here, precision)
    return dict(
        verification.verify(
            *(folder, trt, cudart, here, manifest, found),
            runs=options.runs,
            seconds=options.power_seconds,
            cuda_graph=not options.no_cuda_graph,
        )
    )


def _verification() -> Any:
    """The module that measures: the only one here that needs numpy, so that its absence is said last."""
    try:
        if __package__:
            from .onboard import verification
        else:
            from onboard import verification  # type: ignore[no-redef]
    except ImportError as error:
        raise sealed.RefusedError(
            f"numpy cannot be imported ({error}); install it: apt install python3-numpy"
        ) from None
    return verification


def tell(found: dict[str, Any]) -> None:
    """What was found, for a person."""
    images = found["latency"]["images"]
    print(f"{found['board'] or 'unknown board'}, TensorRT {found['tensorrt']}")
    for precision, golden in found["golden"].items():
        verdict = "passed" if golden["passed"] else f"FAILED, below {golden['tolerance_db']} dB"
        variant = found["engines"][precision].get("variant")
        called = f"{precision} ({variant})" if variant else precision
        print(
            f"{called}: {golden['images']} golden images, {golden['sqnr_hub_db']} dB to the hub, "
            f"{golden['sqnr_float_db']} dB to float: {verdict}"
        )
        each = golden.get("outputs", {})
        for name, figures in each.items() if len(each) > 1 else ():
            judged = "passed" if figures["passed"] else f"FAILED, below {figures['tolerance_db']} dB"
            print(
                f"  output {name}: {figures['sqnr_hub_db']} dB to the hub, {figures['sqnr_float_db']} dB to "
                f"float: {judged}"
            )
        for clock, name in (("host_ms", "latency"), ("gpu_ms", "GPU alone")):
            times = found["latency"][precision][clock]
            of = "" if images == 1 else f" of a run of {images} images"
            print(f"  {name}{of} p50 {times['p50']} ms, p90 {times['p90']} ms, p99 {times['p99']} ms")
            if images > 1:
                print(f"  {name} of an image p50 {times['p50'] / images:.4f} ms")
        reason = found["latency"]["no_cuda_graph"][precision]
        if reason:
            print(f"  without a CUDA graph: {reason}")
    if found["latency"]["ratio"]:
        ratio = found["latency"]["ratio"]["gpu_ms"]
        print(f"INT8 takes {ratio['value']} of FP16's time on the GPU [{ratio['low']}, {ratio['high']}]")
    power = found["power"]
    if power and power["millijoules"]:
        each = ", ".join(f"{name} {value} mJ" for name, value in power["millijoules"].items())
        of = "a run" if images == 1 else f"a run of {images} images"
        print(f"energy of {of} by {power['total_rail']}: {each}")
    elif power:
        print("power: no rail of this board is its whole input; the rails are in verify.json, one by one")
    if found["clocks"]["pinned"] is False:
        print("the GPU's clock is not pinned: run jetson_clocks for latencies that can be compared")
    print("PASSED" if found["passed"] else "FAILED")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--precision", choices=[*recipes.PRECISIONS, "both"], default="both", help="what to run [both]"
    )
    parser.add_argument("--runs", type=int, default=500, metavar="N", help="timed runs of each engine [500]")
    parser.add_argument(
        "--power-seconds", type=float, default=3.0, metavar="S", help="to read power for, 0 for not [3]"
    )
    parser.add_argument("--no-cuda-graph", action="store_true", help="launch each kernel by itself")
    parser.add_argument("--no-build", action="store_true", help="refuse a missing or stale engine")
    options = parser.parse_args()
    folder = Path(__file__).resolve().parent
    try:
        if not 1 <= options.runs <= 1000000:
            raise sealed.RefusedError("--runs takes a number from 1 to 1000000")
        if not 0 <= options.power_seconds <= 3600:
            raise sealed.RefusedError("--power-seconds takes 0 to 3600")
        found = measure(folder, options)
        sealed.write_json(folder / sealed.MEASURED / "verify.json", found)
    except (sealed.RefusedError, OSError) as refusal:
        print(f"verify.py: {refusal}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    tell(found)
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
