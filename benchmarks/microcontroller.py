"""Bundles of mcu-int8: what their arena takes, and how their codes differ from LiteRT's on the same file.

    python -m benchmarks.microcontroller dist/lite0-mcu-int8 --images photos/ --count 20

tflite-micro's kernels are LiteRT's reference kernels; its optimised kernels and XNNPACK round otherwise.
No time is measured: any machine will do, busy or not.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from edgeeff.bundle import Bundle
from edgeeff.harness.record import record
from edgeeff.recipes import open_source

KERNELS = {
    "reference": OpResolverType.BUILTIN_REF,
    "optimised": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "XNNPACK": OpResolverType.AUTO,
}


def compare(bundle: Bundle, images: Path, count: int) -> dict[str, Any]:
    """Codes of tflite-micro against those of each of LiteRT's kernels."""
    session, preprocess = bundle.session(), bundle.manifest.preprocess
    chosen = open_source(images, count=count)
    path = str(bundle.folder / "model.tflite")
    peers = {name: Interpreter(path, experimental_op_resolver_type=kind) for name, kind in KERNELS.items()}
    for peer in peers.values():
        peer.allocate_tensors()
    found: dict[str, Any] = {name: {"differing": 0, "largest": 0, "photos": 0} for name in KERNELS}
    codes = 0
    for photo in (photo for batch, _ in chosen.batches(preprocess) for photo in batch):
        prepared = session.prepare(photo[None])
        (own, *_) = session.execute(prepared)
        codes += own.size
        for name, peer in peers.items():
            peer.set_tensor(peer.get_input_details()[0]["index"], prepared)
            peer.invoke()
            other = peer.get_tensor(peer.get_output_details()[0]["index"])
            off = np.abs(own.astype(int) - other)
            found[name]["differing"] += int((off > 0).sum())
            found[name]["largest"] = max(found[name]["largest"], int(off.max()))
            found[name]["photos"] += int(off.any())
    return {"bundle": bundle.name, "codes": codes, "against": found}


def main() -> None:
    """Print a table, or write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    loaded, rows = [Bundle.load(path) for path in given.bundles], []
    for bundle in loaded:
        arena = json.loads((bundle.folder / "arena.json").read_text("utf-8"))
        size = (bundle.folder / "model.tflite").stat().st_size
        row = {**compare(bundle, given.images, given.count), "arena": arena, "model": size}
        rows.append(row)
        print(
            f"{bundle.name}: model {size} bytes, arena {arena['size']} ({arena['activations']} for "
            f"activations, {arena['lasting']} stay)"
        )
        for name, one in row["against"].items():
            print(
                f"  LiteRT {name:10} {one['differing']} of {row['codes']} codes differ, by "
                f"{one['largest']} at most, on {one['photos']} of {given.count} photos"
            )
    if given.json is not None:
        written = {"rows": rows, "record": record("microcontroller", loaded).to_json()}
        given.json.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
