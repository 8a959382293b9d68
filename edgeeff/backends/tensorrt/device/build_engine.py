#!/usr/bin/env python3
"""Build this bundle's TensorRT engines, on the device that will run them.

Needs Python 3.8 or later and the tensorrt module that JetPack installs; nothing else. An engine belongs to
one TensorRT version, one compute capability and one JetPack, so it is built here and never copied to another
board. It lands in measured/, under a name that holds all three, with a timing cache and a record beside it.

Two engines are built: the INT8 one, and an FP16 control of the float network to measure it against.
TensorRT below 10.12 builds model.qdq.onnx and model.float.onnx with the INT8 and FP16 flags; 10.12 and later
build model.qdq.fp16.onnx and model.float.fp16.onnx as strongly typed networks.

Of a bundle of --batch dynamic the engine takes 1 to so many images as profile.json says, and is fastest at
the middle one of its three numbers; --profile MIN,OPT,MAX builds it for others.

--autotune, of a bundle that edgeeff build --autotune wrote: every variant of the INT8 graph is built, held
against its golden outputs and timed in turn beside the FP16 control; the fastest that is faithful becomes the
bundle's INT8 engine here. This needs numpy. What is found goes to measured/autotune.json: carry that file to
where edgeeff is: edgeeff import-result autotune.json --bundle FOLDER.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

# In a bundle this lies beside onboard/; in edgeeff both are of one package.
if __package__:
    from .onboard import engines, hardware, profiles, recipes, repository, sealed
else:
    sys.dont_write_bytecode = True  # a bundle holds what was sealed, and measured/
    from onboard import (  # type: ignore[import-not-found,no-redef]
        engines,
        hardware,
        profiles,
        recipes,
        repository,
        sealed,
    )


def build(
    folder: Path, wanted: str, workspace: int, verbose: bool, asked: str | None, models: Path | None
) -> None:
    """Build the engines of the wanted precisions, saying so; the bundle's own is put into Triton's models."""
    trt = hardware.import_tensorrt()
    here = hardware.identify(trt, hardware.load_cudart())
    manifest = sealed.read_bundle(folder)
    files, version = manifest["files"], recipes.parse_version(here.tensorrt)
    recipes.refuse(manifest, version)
    profile = profiles.read(folder, files, asked)
    if models is not None:
        repository.refuse(folder, manifest, models)
    for precision in recipes.offered(files, version, wanted):
        print(f"building {precision} for {here.key()}; this can take minutes", file=sys.stderr)
        engine = engines.build(
            folder, trt, here, precision, profile=profile, workspace=workspace, verbose=verbose
        )
        print(f"built {engine}")
        if models is not None and precision == manifest["precision"]:
            print(f"wrote {repository.write(folder, manifest, models, engine)}")
    print("verify.py is next")


def tune(folder: Path, options: argparse.Namespace) -> int:
    """Build and time all variants, and keep the fastest; the exit status."""
    trt, cudart = hardware.import_tensorrt(), hardware.load_cudart()
    here, manifest = hardware.identify(trt, cudart), sealed.read_bundle(folder)
    recipes.refuse(manifest, recipes.parse_version(here.tensorrt))
    tuning = _autotuning()
    found = tuning.autotune(
        *(folder, trt, cudart, here, manifest),
        runs=options.runs,
        warm_up=options.warm_up,
        options={
            "profile": profiles.read(folder, manifest["files"], options.profile),
            "workspace": options.workspace,
            "verbose": options.verbose,
        },
    )
    print("\n".join(tuning.lines(found)))
    print(f"wrote {sealed.MEASURED}/{tuning.FILE}; verify.py is next" if found["chosen"] else "FAILED")
    return 0 if found["chosen"] else 1


def _autotuning() -> Any:
    """The module that times variants, which needs numpy as nothing else here does."""
    try:
        if __package__:
            from .onboard import autotune as found
        else:
            from onboard import autotune as found  # type: ignore[no-redef]
    except ImportError as error:
        raise sealed.RefusedError(
            f"numpy cannot be imported ({error}); install it: apt install python3-numpy"
        ) from None
    return found


def print_trtexec(folder: Path, version: str | None, wanted: str, workspace: int, asked: str | None) -> None:
    """Print the lines of one version, or of all."""
    files = sealed.read_bundle(folder)["files"]
    profile = profiles.read(folder, files, asked)
    shapes = profile.shapes() if profile else []
    if version is None:
        precisions = recipes.offered(files, recipes.RANGE[0], wanted)
        print("\n".join(recipes.every_trtexec(precisions, workspace, shapes, files)))
        return
    known = recipes.parse_version(version)
    for precision in recipes.offered(files, known, wanted):
        print(" ".join(recipes.trtexec(known, precision, workspace, shapes, files)))


def parser_of() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--precision", choices=[*recipes.PRECISIONS, "both"], default="both", help="what to build [both]"
    )
    parser.add_argument(
        "--workspace", type=int, default=1024, metavar="MIB", help="memory for tactics [1024]"
    )
    parser.add_argument(
        "--profile",
        metavar="MIN,OPT,MAX",
        help="images in a run, of a bundle of --batch dynamic [profile.json]",
    )
    parser.add_argument(
        "--triton",
        type=Path,
        metavar="FOLDER",
        help="put the bundle's engine into this model repository of Triton, with its configuration",
    )
    parser.add_argument(
        "--autotune",
        action="store_true",
        help="build and time all variants, keep the fastest that is faithful",
    )
    parser.add_argument(
        "--runs", type=int, default=500, metavar="N", help="with --autotune: timed runs of each engine [500]"
    )
    parser.add_argument(
        "--warm-up",
        type=float,
        default=1.0,
        metavar="S",
        help="with --autotune: seconds that each engine runs before it is timed [1]",
    )
    parser.add_argument("--verbose", action="store_true", help="everything that TensorRT says")
    parser.add_argument(
        "--print-trtexec", action="store_true", help="print the trtexec lines of each version, build nothing"
    )
    parser.add_argument("--tensorrt-version", metavar="X.Y", help="with --print-trtexec: of this version")
    return parser


def refuse_options(options: argparse.Namespace) -> None:
    """Refuse options that make no sense, alone or together."""
    if options.workspace < 1:
        raise sealed.RefusedError("--workspace takes a number of MiB, at least 1")
    if not 1 <= options.runs <= 1000000:
        raise sealed.RefusedError("--runs takes a number from 1 to 1000000")
    if not 0 <= options.warm_up <= 3600:
        raise sealed.RefusedError("--warm-up takes 0 to 3600")
    if options.tensorrt_version and not options.print_trtexec:
        raise sealed.RefusedError(
            "--tensorrt-version goes with --print-trtexec; a build uses the version it finds"
        )
    if options.autotune and (options.print_trtexec or options.triton or options.precision != "both"):
        raise sealed.RefusedError(
            "--autotune takes --runs, --warm-up, --profile, --workspace and --verbose alone"
        )


def main() -> int:
    """The command line."""
    options = parser_of().parse_args()
    folder = Path(__file__).resolve().parent
    try:
        refuse_options(options)
        if options.autotune:
            return tune(folder, options)
        if options.print_trtexec:
            print_trtexec(
                folder, options.tensorrt_version, options.precision, options.workspace, options.profile
            )
        else:
            build(
                folder, options.precision, options.workspace, options.verbose, options.profile, options.triton
            )
    except (sealed.RefusedError, OSError) as refusal:
        print(f"build_engine.py: {refusal}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
