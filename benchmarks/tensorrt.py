"""How far a bundle of every network climbs without a GPU: the linter for each TensorRT, NVIDIA's compiler.

    python -m benchmarks.tensorrt --calibration PHOTOS [--model NAME …] [--size PIXELS] [--json FILE]

Each network is built for ``jetson-int8`` and for TensorRT-RTX (SM86 and SM89) from random weights whose batch
statistics were fitted to a few photos: what a graph looks like to a linter and to a compiler does not depend
on them. A file is held against the versions that build it. Needs the extra ``tensorrt-rtx``.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import onnx

import edgeeff
from benchmarks.family import save_lively
from benchmarks.table import arguments, show, write_json
from edgeeff.backends.tensorrt.graphs import versions_of
from edgeeff.backends.tensorrt.lint import lint
from edgeeff.memory import give_back
from edgeeff.target import resources
from edgeeff.zoo import catalog

NETWORKS = [f"b{i}" for i in range(8)] + [f"lite{i}" for i in range(5)] + ["v2-s", "v2-m", "v2-l"]
CAPABILITIES = "86, 89"


def measure(name: str, photos: Path, size: int | None, folder: Path) -> dict[str, Any]:
    """Build one network, and say what linter and compiler found."""
    spec = catalog.get(name)
    checkpoint, target = folder / f"{name}.safetensors", folder / "rtx.toml"
    save_lively(spec, photos, (size or spec.size) // 2, checkpoint)
    text = (resources("targets") / "rtx-int8.toml").read_text()
    target.write_text(text.replace('"80, 86, 89, 120"', f'"{CAPABILITIES}"'))
    start = time.monotonic()
    jetson, rtx = edgeeff.build(
        name,
        targets=["jetson-int8", str(target)],
        checkpoint=checkpoint,
        calibration=photos,
        count=10,
        size=size,
        effort="fast",
        golden=0,
        output=folder,
    )
    errors = warnings = 0
    for file in sorted(jetson.bundle.folder.glob("model.*.onnx")):
        found = lint(onnx.load_model(file), versions_of(file.name))
        errors += sum(finding.severity == "error" for finding in found)
        warnings += sum(finding.severity == "warning" for finding in found)
    counts = rtx.bundle.check().counts
    return {
        "model": name,
        "size": size or spec.size,
        "lint_errors": errors,
        "lint_warnings": warnings,
        "rung": counts["rung"],
        "int8_layers": counts["int8_layers"],
        "of": counts["quantised_layers"],
        "wall_s": time.monotonic() - start,
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", action="append", help=f"default: {', '.join(NETWORKS)}")
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--size", type=int, help="default: each network's own")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for name in options.model or NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(name, options.calibration, options.size, Path(folder)))
        give_back()
        show(f"TensorRT without a GPU: compiled for SM{CAPABILITIES}", rows, {"wall_s": ".0f"})
        write_json(options.json, rows, options=vars(options))


if __name__ == "__main__":
    main()
