"""Whether an imported graph computes what its original does: both are run on the same images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import torch

from edgeeff.detection.facts import CODES, LOGITS
from edgeeff.errors import GraphError
from edgeeff.graph import execute
from edgeeff.graph.importing import Imported, Original, checks, functions, source
from edgeeff.graph.importing.detector import Heads
from edgeeff.metrics import softmax
from edgeeff.preprocess import Pixels, Preprocess

_Array = npt.NDArray[Any]
_IMAGES = 2
#: Of the largest logit: what float rounding makes of a deep network, and far below any real difference.
TOLERANCE = 1e-3
#: The same for an original that computes in float16 or bfloat16.
HALF_TOLERANCE = 5e-2


def with_file(imported: Imported, path: Path, preprocess: Preprocess) -> float | None:
    """Hold an imported graph against its ONNX file in onnxruntime.

    Args:
        imported: The graph, after its passes.
        path: The file.
        preprocess: How images are normalised for the graph.

    Returns:
        The largest difference of a logit (or probability), relative to the largest; None where the file
        fixes another size than the graph has, so that it cannot be run on the same images.

    Raises:
        GraphError: onnxruntime cannot run the file, or the two differ.
    """
    original = imported.original
    if original.size not in (None, imported.size):
        return None
    ending, running = original.ending, _runs(imported, path)
    half = original.dtype == "float16"
    if original.heads is not None:
        return _heads(imported, original.heads, running, preprocess, str(path), half)
    if original.taps:
        return _features(imported, running, preprocess, str(path), half)
    classes = (imported.classes,)
    difference = with_network(imported, running(ending.logits, classes), preprocess, str(path), half=half)
    if ending.probabilities:
        # The logits are the same; this tells a wrong axis or function, and such ends are often in float16.
        made = running(ending.probabilities, classes)
        with_network(imported, made, preprocess, str(path), ends_in=ending.ends_in, half=True)
    return difference


#: What runs the original to one of its tensors, by the tensor's name and its shape for one image.
_Running = Callable[[str, tuple[int, ...]], Callable[[_Array], _Array]]


def _runs(imported: Imported, path: Path) -> _Running:
    """The file in onnxruntime: runs of it on the graph's images, to each tensor that is held against.

    Raises:
        GraphError: onnxruntime cannot load the file; each run: or cannot run it.
    """
    original = imported.original
    session = _session(original, path)

    def running(name: str, shape: tuple[int, ...]) -> Callable[[_Array], _Array]:
        def run(x: _Array) -> _Array:
            try:
                outputs = [
                    session.run([name], {original.input: batch})[0]
                    for batch in batches(as_original(x, imported), original.batch)
                ]
            except Exception as error:
                raise GraphError(
                    f"onnxruntime cannot run {path}: {_first(error)}", mend="export it again"
                ) from None
            return np.concatenate([o.reshape(-1, *shape) for o in outputs])[: len(x)]

        return run

    return running


def _session(original: Original, path: Path) -> Any:
    """The file in onnxruntime, ended at what is held against where the file itself does not put it out."""
    import onnxruntime

    ending = original.ending
    names = [name for name in (ending.logits, ending.probabilities) if name]
    if original.taps:
        names = [name for tap in original.taps for name in (tap.tensor, tap.unit) if name]
    if original.heads is not None:
        names = [name for head in original.heads.maps for name in head]
        names += [name for name in original.heads.outputs if name]
    whole = names == [ending.output] and not original.taps
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        return onnxruntime.InferenceSession(
            str(path) if whole else _ending_in(path, names),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["Pad_Fusion"],  # it takes zeros before a max-pool for padding of no value
        )
    except GraphError:
        raise
    except Exception as error:  # onnxruntime's errors share no base class
        raise GraphError(
            f"onnxruntime cannot load {path}: {_first(error)}", mend="export the network again"
        ) from None


def _features(
    imported: Imported,
    running: _Running,
    preprocess: Preprocess,
    name: str,
    half: bool,
) -> float:
    """Hold each of an imported graph's features against the file's tensor; returns the largest difference."""
    x = preprocess.normalise(_smooth(imported.size, imported.channels))
    found = execute.outputs_of(execute.prepare(imported.model), torch.from_numpy(x))
    worst = 0.0
    for tap in imported.original.taps:
        ours = found[tap.name].numpy().astype(np.float64)
        _, *shape = ours.shape
        theirs = (*shape[1:], shape[0]) if tap.channels_last else tuple(shape)
        expected = running(tap.tensor, theirs)(x).astype(np.float64)
        if tap.channels_last:
            expected = expected.transpose(0, 3, 1, 2)
        if tap.unit:
            # The file may keep small lengths from dividing by zero in another way.
            _held(_unit(ours), running(tap.unit, theirs)(x).astype(np.float64), name, True)
        worst = max(worst, _held(ours, _unit(expected) if tap.divided else expected, name, half))
    return worst


def _heads(
    imported: Imported,
    heads: Heads,
    running: _Running,
    preprocess: Preprocess,
    name: str,
    half: bool,
) -> float:
    """Hold a detector's logits and codes against the file's maps, and against what it makes of these itself;
    returns the largest difference."""
    x = preprocess.normalise(_smooth(imported.size, imported.channels))
    found = execute.outputs_of(execute.prepare(imported.model), torch.from_numpy(x))
    geometry, worst = heads.geometry, 0.0
    assert geometry is not None
    ends = ("sigmoid" if heads.sigmoid else "", "")
    for output, maps, whole, ends_in in zip((LOGITS, CODES), heads.maps, heads.outputs, ends, strict=True):
        ours = found[output].numpy().astype(np.float64)
        _, count, last = ours.shape
        parts = []
        for tensor, (height, width) in zip(maps, geometry.features, strict=True):
            channels = geometry.at_a_place * last
            if tensor in heads.channels_last:
                part = running(tensor, (height, width, channels))(x)
            else:
                part = running(tensor, (channels, height, width))(x).transpose(0, 2, 3, 1)
            parts.append(part.reshape(len(part), -1, last))
        worst = max(worst, _held(ours, np.concatenate(parts, 1).astype(np.float64), name, half))
        if whole:  # its own order of anchors; this tells an order that we have not
            made = running(whole, (count, last))(x).astype(np.float64)
            _held(ended(ours, ends_in) if ends_in else ours, made, name, half=half or bool(ends_in))
    return worst


def _unit(vectors: _Array) -> _Array:
    """Each divided by its length, over axis 1."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def features_with_network(
    imported: Imported, outputs: Callable[[_Array], Mapping[str, _Array]], preprocess: Preprocess, name: str
) -> float:
    """Hold each feature against what a network gives; as :func:`with_network`.

    Args:
        imported: The graph, after its passes.
        outputs: Computes float32 [N, C, H, W] to each tensor by the name that it has in the export.
        preprocess: How images are normalised for the graph.
        name: Of the network, for messages.

    Raises:
        GraphError: One differs by more than rounding does.
    """
    x = preprocess.normalise(_smooth(imported.size, imported.channels))
    found = execute.outputs_of(execute.prepare(imported.model), torch.from_numpy(x))
    expected, worst = outputs(x), 0.0
    for tap in imported.original.taps:
        ours = found[tap.name].numpy().astype(np.float64)
        theirs = expected[tap.unit or tap.tensor].astype(np.float64)
        if tap.channels_last:
            theirs = theirs.transpose(0, 3, 1, 2)
        if tap.divided:
            theirs = _unit(theirs)
        worst = max(worst, _held(_unit(ours) if tap.unit else ours, theirs, name, False))
    return worst


def _ending_in(path: Path, names: list[str]) -> bytes:
    """The file with these tensors as its outputs, and without what comes after them."""
    model = functions.inlined(source.load(path))
    nodes = checks.needed(model, *names)
    del model.graph.node[:], model.graph.output[:]
    model.graph.node.extend(nodes)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return bytes(model.SerializeToString())


def with_network(
    imported: Imported,
    run: Callable[[_Array], _Array],
    preprocess: Preprocess,
    name: str,
    *,
    ends_in: str = "",
    half: bool = False,
) -> float:
    """Hold an imported graph against ``run``, which computes float32 [N, C, H, W] to [N, classes].

    Args:
        imported: The graph, after its passes.
        run: The original.
        preprocess: How images are normalised for the graph.
        name: Of the original, for messages.
        ends_in: What the original makes of its logits: ``softmax``, ``log_softmax``, ``sigmoid``, or nothing.
        half: Whether it computes in half precision.

    Raises:
        GraphError: The two differ by more than rounding does.
    """
    x = preprocess.normalise(_smooth(imported.size, imported.channels))
    expected, found = run(x).astype(np.float64), _logits(imported.model, x)
    return _held(ended(found, ends_in), expected, name, half)


def _held(found: _Array, expected: _Array, name: str, half: bool) -> float:
    """The largest difference as a share of the largest value, where it is as small as rounding makes it.

    Raises:
        GraphError: It is larger.
    """
    error = float(np.abs(found - expected).max() / max(float(np.abs(expected).max()), 1e-12))
    if not error <= (HALF_TOLERANCE if half else TOLERANCE):
        raise GraphError(
            f"{name} computes something else than the graph made from it: outputs differ by {error:.2g} of "
            "the largest",
            mend="report it with the file; or export the network in another way",
        )
    return error


def ended(logits: _Array, ends_in: str) -> _Array:
    """What an original that ends so gives for these logits [N, classes]."""
    if ends_in == "sigmoid":
        return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)))
    if ends_in == "log_softmax":
        shifted = logits - logits.max(axis=1, keepdims=True)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
    return softmax(logits) if ends_in else logits


def _smooth(size: tuple[int, int], channels: int) -> Pixels:
    """Images that vary slowly, as photos do: white noise makes percents of rounding in a deep network."""
    coarse = np.random.default_rng(0).integers(0, 256, (_IMAGES, channels, 4, 4)).astype(np.float32)
    fine = torch.nn.functional.interpolate(torch.from_numpy(coarse), size, mode="bicubic").clamp(0, 255)
    return fine.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def _logits(model: ir.Model, x: _Array) -> _Array:
    return execute.execute(execute.prepare(model), torch.from_numpy(x)).numpy().astype(np.float64)


def as_original(x: _Array, imported: Imported) -> _Array:
    """What the original reads: see :class:`Original`."""
    original = imported.original
    if imported.mean is not None and imported.std is not None:
        mean, std = (np.asarray(v, np.float32).reshape(1, -1, 1, 1) for v in (imported.mean, imported.std))
        x = (x * std + mean) / original.divisor
    if original.dtype == "uint8":
        x = np.rint(x).clip(0, 255)
    if original.layout == "NHWC":
        x = x.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(x.astype(original.dtype))


def batches(x: _Array, size: int | None) -> list[_Array]:
    """The images in batches of the size that the file fixes, the last filled up with its last image."""
    if size is None:
        return [x]
    filled = np.concatenate([x, *([x[-1:]] * (-len(x) % size))])
    return [filled[start : start + size] for start in range(0, len(filled), size)]


def _first(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
