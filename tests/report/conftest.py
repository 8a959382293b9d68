"""Bundles of a few bytes, reports as the verbs print them, and one browser for all tests."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeeff.bundle import Bundle, Manifest, write_bundle
from edgeeff.preprocess import Preprocess

ENVIRONMENT = {
    "cpu": "Some CPU",
    "architecture": "x86_64",
    "governor": None,
    "turbo": True,
    "cores": 4,
    "flags": ["avx2"],
    "versions": {"openvino": "2026.4", "numpy": "2.0"},
}


def record(kind: str, bundles: dict[str, str], environment: str = "e" * 64, **more: Any) -> dict[str, Any]:
    """What every report says of itself, as :mod:`edgeeff.harness.record` has it."""
    return {
        "schema_version": 1,
        "kind": kind,
        "run_id": "0123456789abcdef" * 2,
        "utc": "2026-03-04T05:06:07Z",
        "bundles": bundles,
        "environment": ENVIRONMENT,
        "environment_sha256": environment,
        **more,
    }


def share(value: float, images: int = 500) -> dict[str, Any]:
    return {
        "successes": round(value * images),
        "total": images,
        "value": value,
        "interval": [value - 0.02, value + 0.02],
    }


def timing(ms: float) -> dict[str, Any]:
    wall = {"mean": ms * 1.05, "p50": ms, "p90": ms * 1.2, "p99": ms * 2}
    return {
        **{"wall_ms": wall, "wall_ms_per_image": wall, "cpu_ms": ms, "cpu_ms_per_image": ms, "images": 1},
        **{"wall_launches_ms": [ms * 0.99, ms, ms * 1.01], "cpu_launches_ms": [ms] * 3, "inferences": 300},
    }


def latency(times: dict[str, float | None], digests: dict[str, str], **more: Any) -> dict[str, Any]:
    """What ``bench --json`` prints; None: NOT RUN."""
    first = next(iter(times))
    entries = [
        {
            **{"name": name, "runtime": "openvino", "precision": "int8", "runtime_properties": {}},
            "status": "NOT RUN" if ms is None else "ok",
            "reason": "no engine is here" if ms is None else None,
            "timing": None if ms is None else timing(ms),
            "cpu_ratio": None
            if ms is None
            else {
                "value": ms / times[first],
                "interval": [ms / times[first] * 0.98, ms / times[first] * 1.02],
            },
            "wall_ratio": None,
        }
        for name, ms in times.items()
    ]
    said = {"baseline": first, "launches": 3, "seconds": 0.5, "threads": 1, "seed": 0, "machine": ENVIRONMENT}
    return {"entries": entries, **said, "record": record("latency", digests, **more)}


def accuracy(name: str, top_1: float, digests: dict[str, str], reference: str) -> dict[str, Any]:
    """A row of what ``eval --json`` prints."""
    scores = {
        "top_1": share(top_1),
        "top_5": share(0.97),
        "precision": 0.8,
        "recall": 0.8,
        "f1": 0.8,
        "classes": 10,
    }
    before = {**scores, "top_1": share(0.9)}
    against = {
        **{"name": reference, "agreement": share(0.98), "outputs": {"logits": {"sqnr_db": 24.0}}},
        **{"sqnr_db": 24.0, "sqnr_centred_db": 24.5, "scores": before, "warnings": []},
    }
    return {
        **{"bundle": name, "images": 500, "labelled": 500, "skipped": {}, "scores": scores},
        **{"reference": against, "metric": "top_1", "drop_points": 100 * (0.9 - top_1), "via": None},
        **{"status": "ok", "reason": None, "notes": [], "warnings": ["only a few images"]},
        "record": record("accuracy", digests),
    }


def compared(name: str, digests: dict[str, str], other: str, images: list[str]) -> dict[str, Any]:
    """The same with classes and a comparison with another bundle, which decides these images otherwise."""
    said = {
        **{"against": other, "labelled": 500, "lost": 3, "won": 1, "loss_points": 0.4, "margin_points": 0.5},
        **{"loss_bound_points": 1.1, "p_worse": 0.31, "images_needed": 4200, "conclusion": "not settled"},
        "disagreements": [{"image": one, "truth": "cat", "old": "cat", "new": "dog"} for one in images],
    }
    counts = {"images": 250, "decided": 250, "right": 230, "precision": 0.92, "recall": 0.92, "f1": 0.92}
    classes = [{"number": n, "label": label, **counts} for n, label in enumerate(("cat", "dog"))]
    cells = [{"truth": a, "decided": b, "images": 230 if a == b else 20} for a in (0, 1) for b in (0, 1)]
    bins = [
        {"upto": 0.5 + n / 10, "images": 9, "accuracy": 0.5, "probability": 0.5 + n / 10} for n in range(4)
    ]
    data = accuracy(name, 0.92, digests, other)
    data["scores"]["calibration"] = {"error": 0.031, "mean_probability": 0.9, "bins": bins}
    return {**data, "per_class": classes, "confusion": cells, "comparison": said}


def profile(name: str, digests: dict[str, str]) -> dict[str, Any]:
    """What ``bench --profile --json`` prints."""
    layers = [
        {
            **{"name": f"blocks.{n}.conv", "kind": "convolution", "operator": "Conv", "precision": "int8"},
            **{"kernel": "brgemm", "microseconds": 10.0 * n + 1, "multiply_adds": 1000000, "fused": []},
        }
        for n in range(30)
    ]
    kinds = [
        {"kind": "convolution", "precision": "int8", "microseconds": 4380.0, "fraction": 1.0, "layers": 30}
    ]
    entry = {
        **{"name": name, "status": "ok", "reason": None, "runtime": "openvino", "precision": "int8"},
        **{
            "inference_us": 5000.0,
            "layers_us": 4380.0,
            "inferences": 30,
            "images": 1,
            "multiply_adds": 30000000,
        },
        **{"gmacs_per_s": 6.8, "int8_peak_fraction": 0.4, "kinds": kinds, "kernels": [], "layers": layers},
    }
    return {
        "entries": [entry],
        "peaks": {},
        "launches": 2,
        "seconds": 0.5,
        "record": record("profile", digests),
    }


def gate(case: str) -> dict[str, Any]:
    """What ``gate --json`` prints."""
    verdicts = [
        {
            **{
                "case": case,
                "metric": metric,
                "status": status,
                "value": value,
                "unit": "%",
                "low": value - 1,
            },
            **{
                "high": value + 1,
                "limit": 3.0,
                "better": "lower",
                "why": f"because {status}",
                "seconds": 12.0,
            },
            **{"settle": settle, "measured": {}},
        }
        for metric, status, value, settle in (
            ("latency", "fail", 4.0, None),
            ("size", "pass", 0.0, None),
            ("top_1", "inconclusive", 1.0, {"launches": None, "images": 21000, "seconds": 90.0}),
        )
    ]
    return {
        "status": "fail",
        "exit_status": 1,
        "verdicts": verdicts,
        "warnings": [],
        "record": record("gate", {}),
    }


def diagnosis() -> dict[str, Any]:
    """What ``diagnose --json`` prints."""
    findings = [
        {
            **{"kind": kind, "name": f"blocks.{n}.{kind}", "what": "an activation", "share": 0.3 - 0.1 * n},
            **{"doubt": 0.01, "alone": 0.2, "codes": [-1.0, 1.0], "seen": [-2.0, 2.0], "outside": 0.01},
            **{"kernel": None, "advice": "widen it" if n == 0 else ""},
            "histogram": {"low": -2.0, "high": 2.0, "counts": [1, 5, 9, 2]} if kind == "tensor" else None,
        }
        for kind in ("tensor", "weights")
        for n in range(5)
    ]
    return {
        **{"model": "b0", "target": "cpu-int8", "effort": "fast", "notes": ["weights: nearest"], "images": 4},
        **{
            "agreeing": 4,
            "findings": findings,
            "reliefs": [],
            "advice": ["keep the stem"],
            "kernels": "NOT RUN",
        },
        **{"groups": [{"name": "weights", "members": 5, "share": 0.5, "doubt": 0.1, "alone": 0.2}]},
        **{"warnings": [], "definitions": {"share": "of the error"}, "sqnr_db": 23.5},
    }


@pytest.fixture
def make_bundle(tmp_path) -> Callable[..., Bundle]:
    """``make_bundle(name, precision="int8", **verification)``: a bundle whose artifact is a few bytes."""

    def make(name: str, precision: str = "int8", weights: bytes = b"12", **verification: Any) -> Bundle:
        facts = {
            **{"name": name, "model": "b0", "target": f"cpu-{precision}", "runtime": "openvino"},
            **{"precision": precision, "input": "uint8", "softmax": False, "cpu_class": "vnni"},
            **{"preprocess": Preprocess((224, 224), (127.0,) * 3, (128.0,) * 3), "labels": ("cat", "dog")},
            **{"classes": 2, "runtime_properties": {}, "digests": {}, "tools": {}, "files": {}},
        }
        folder = tmp_path / f"bundle-{len(list(tmp_path.glob('bundle-*')))}"
        files = {"model.xml": b"<net/>", "model.bin": weights}
        report = {"check": "ok", "warnings": [], **verification}
        return write_bundle(folder, Manifest(**facts), files, lambda _: {"verification.json": report})

    return make


@pytest.fixture
def saved(tmp_path) -> Callable[[str, Any], Path]:
    """``saved(name, data)``: a JSON file."""

    def save(name: str, data: Any) -> Path:
        path = tmp_path / name
        path.write_text(json.dumps(data), encoding="utf-8")
        return path

    return save


@pytest.fixture
def everything(make_bundle, saved) -> list[Path]:
    """Three bundles, one of which is not run, and a report of each kind."""
    fidelity = {
        "images": 100,
        "agreement": share(0.97),
        "sqnr_db": 22.0,
        "sqnr_centred_db": 22.5,
        "warnings": [],
    }
    made = [
        make_bundle("b0-cpu-fp32", "fp32", artifact=fidelity),
        make_bundle("b0-cpu-int8", artifact=fidelity, warnings=["few images calibrated"]),
        make_bundle("b0-jetson-int8", not_run="no engine is here", weights=b"3"),
    ]
    digests = {bundle.name: bundle.digest() for bundle in made}
    base, int8, jetson = digests
    return [
        *(bundle.folder for bundle in made),
        saved("bench.json", latency({base: 20.0, int8: 9.0, jetson: None}, digests)),
        saved("eval.json", [accuracy(int8, 0.89, {n: digests[n] for n in (int8, base)}, base)]),
        saved("profile.json", profile(int8, {int8: digests[int8]})),
        saved("gate.json", gate(int8)),
        saved("diagnosis.json", diagnosis()),
    ]


@pytest.fixture
def mutated() -> Callable[[Any, int], Any]:
    """``mutated(data, number)``: the same with one value, the one of that number, replaced by what is odd."""
    odd = (
        None,
        "x",
        -1,
        1e400,
        [],
        {},
        True,
        [None],
        {"a": {}},
        "<b>",
        10**400,
        -(10**9),
        [[1, 2]],
        "\ud800",
    )

    def mutate(data: Any, number: int) -> Any:
        changed = copy.deepcopy(data)
        places = list(_places(changed))
        holder, key = places[number % len(places)]
        holder[key] = odd[number // len(places) % len(odd)]
        return changed

    return mutate


def _places(data: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(data) if isinstance(data, dict) else range(len(data)):
        yield data, key
        if isinstance(data[key], (dict, list)):
            yield from _places(data[key])


@pytest.fixture(scope="session")
def browser(start_chromium: Callable[..., Any]) -> Iterator[Any]:
    """Debian's Chromium, without a network."""
    opened = start_chromium()
    yield opened
    opened.close()
