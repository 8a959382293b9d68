"""A bundle's artifact in OpenVINO or LiteRT: from prepared input to outputs by name. No edgeeff."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Facts = dict[str, Any]
Run = Callable[[Any], dict[str, Any]]


def opened(folder: Any, facts: Facts, threads: int = 1) -> tuple[Run, bool]:
    """``(run, channels_first)``: ``run(input)`` gives float32 arrays by the manifest's names."""
    detection = facts.get("detection")
    if detection is not None and detection["where"] != "runtime":
        raise SystemExit(
            f"{folder} leaves the boxes to the host: build it with --nms runtime for this sample"
        )
    made = {"openvino": _openvino, "tflite": _litert}.get(facts["runtime"])
    if made is None:
        raise SystemExit(f"{folder} is a bundle of {facts['runtime']}; this sample runs openvino and tflite")
    try:
        return made(Path(folder), facts, threads)
    except ImportError as error:
        raise SystemExit(f"{error.name} is not installed, which runs bundles of {facts['runtime']}") from None


def _openvino(folder: Path, facts: Facts, threads: int) -> tuple[Run, bool]:
    import openvino

    # Without the bundle's own properties what is not INT8 runs in bf16 where the CPU has it.
    properties = {**facts["runtime_properties"], "INFERENCE_NUM_THREADS": str(threads)}
    model = openvino.Core().compile_model(str(folder / "model.xml"), "CPU", properties)

    def run(image: Any) -> dict[str, Any]:
        found = model(image)
        names = [output["name"] for output in facts["outputs"]]
        if facts.get("detection") is None:
            return {name: found[name] for name in names}
        rows = found["detections"].reshape(-1, 7)  # image, class, score, and sides as shares of the input
        ended = np.flatnonzero(rows[:, 0] < 0)
        rows = rows[: ended[0] if len(ended) else None]
        height, width = facts["preprocess"]["size"]
        sides = rows[:, 3:] * np.float32([width, height, width, height])
        return {"detections": np.hstack([sides, rows[:, 2:3], rows[:, 1:2]])[None]}

    return run, facts["input"] == "float32"


def _litert(folder: Path, facts: Facts, threads: int) -> tuple[Run, bool]:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        from tflite_runtime.interpreter import Interpreter

    interpreter = Interpreter(str(folder / "model.tflite"), num_threads=threads)
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner()
    (source,) = runner.get_input_details()
    places = runner.get_output_details()

    def run(image: Any) -> dict[str, Any]:
        found = runner(**{source: image})
        if facts.get("detection") is None:
            return {name: _as_floats(found[name], places[name]) for name in places}
        height, width = facts["preprocess"]["size"]
        sides = found["detection_boxes"][0][:, [1, 0, 3, 2]] * np.float32([width, height, width, height])
        parts = [sides, found["detection_scores"][0][:, None], found["detection_classes"][0][:, None]]
        return {"detections": np.hstack(parts)[None, : int(found["num_detections"][0])]}

    return run, False


def _as_floats(values: Any, details: Any) -> Any:
    scale, zero = details["quantization"]
    return values if values.dtype == np.float32 else (values.astype(np.float32) - zero) * np.float32(scale)
