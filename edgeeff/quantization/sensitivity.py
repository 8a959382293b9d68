"""How much noise on each channel of each tensor moves the outputs: one backward pass of the float graph.

With z what decides in the outputs (:mod:`centring`: logits without their mean; several outputs, each by its
power), noise of variance σ² on channel c of a tensor moves ‖z‖² by σ²·G[c] to first order, G[c] = Σ over
positions and elements of z of (∂z/∂x)². The sum over z is taken as the expectation over random directions v
of (∂(v·z)/∂x)², which one backward pass estimates (Hutchinson 1990).
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgeeff.graph.execute import Program, rows, trace
from edgeeff.graph.side_by_side import MOST, side_by_side
from edgeeff.quantization import detecting
from edgeeff.quantization.centring import Deciding

F64 = npt.NDArray[np.float64]

#: Images that are looked at: gains of channels differ by orders of magnitude, not by percents.
IMAGES = 32
#: Larger images are cut to their centre: a B7 at 600 px would keep 3 GB an image for its backward pass, and
#: how channels of a tensor compare does not hang on the borders.
LARGEST_SIDE = 352
#: Bytes of activations that backward passes side by side would keep at the graph's own size, if more than one
#: is at work; cut images keep less than half of it.
HELD = 3 << 30


@dataclass(frozen=True)
class Sensitivity:
    """What the outputs make of noise.

    Args:
        gain: For each tensor and channel, energy of the change of what decides, for each unit of variance,
            [C].
        signal: Energy of what decides, for each image.
    """

    gain: Mapping[str, F64]
    signal: float


def measure(
    program: Program,
    batches: Iterable[Tensor],
    advance: Callable[[int], None] = lambda _: None,
    seed: int = 0,
    deciding: Deciding | None = None,
) -> Sensitivity:
    """Estimate the gains of all tensors over some images.

    Args:
        program: The float graph.
        batches: Its input, float32 [N, 3, H, W].
        advance: Told how many images were done.
        seed: Of the random directions.
        deciding: What of the outputs decides; None: the differences of logits.
    """
    sums: dict[str, Tensor] = {}
    signal, count = 0.0, 0
    of_outputs = deciding or Deciding()

    def work(part: tuple[int, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        number, image = part
        return _gradients(program, image, torch.Generator().manual_seed(seed + number), of_outputs)

    # A detector's levels are resized to each other: it is cut where memory asks for it, to what all halve.
    whole = detecting.is_detector(program.outputs) and _bytes(program) <= HELD
    smallest = None if whole else _smallest(program)
    images = (image[None] for batch in batches for image in _centre(batch, smallest))
    for vectors, found in side_by_side(work, enumerate(images), abreast(program)):
        for name, energy in found.items():
            sums[name] = sums[name] + energy if name in sums else energy
        signal += float(vectors.double().square().sum())
        count += 1
        advance(1)
    return Sensitivity({name: (total / count).numpy() for name, total in sums.items()}, signal / count)


def abreast(program: Program) -> int:
    """How many images, or small batches, are worked on at once, as memory allows."""
    return max(1, min(MOST, HELD // _bytes(program)))


def _bytes(program: Program) -> int:
    """What a backward pass over one image of the graph's own size keeps."""
    shapes = [node.outputs[0].shape for node, _ in program.steps]
    return 4 * sum(math.prod(shape.numpy()) for shape in shapes if shape is not None)


def _gradients(
    program: Program, images: Tensor, directions: torch.Generator, of_outputs: Deciding
) -> tuple[Tensor, dict[str, Tensor]]:
    """What decides of a batch, and each tensor's energy of gradients, summed over the batch."""
    found: dict[str, Tensor] = {}

    def observe(name: str, value: Tensor) -> None:
        def keep(gradient: Tensor) -> None:
            energy = torch.linalg.vector_norm(rows(gradient.detach()), dim=(0, 2))
            found[name] = energy.double().square()

        value.register_hook(keep)  # type: ignore[no-untyped-call]

    with torch.enable_grad():
        deciding = of_outputs(trace(program, images.clone().requires_grad_(), observe))
        direction = torch.randn(deciding.shape, generator=directions)
        torch.autograd.backward((deciding * direction).sum())
    return deciding.detach(), found


def _centre(images: Tensor, smallest: Sequence[int] | None = ()) -> Tensor:
    """The middle of images.

    Args:
        images: [N, C, H, W].
        smallest: Of :func:`_smallest`; None leaves images whole.
    """
    height, width = images.shape[2:]
    if smallest is None:
        return images
    if smallest:  # a whole number of pixels of the coarsest map is left, so that each is half of another
        sides = []
        for side, places in zip((height, width), smallest, strict=True):
            unit = side // places
            sides.append(min(side, max(LARGEST_SIDE // unit, 1) * unit))
        top, left = ((of - side) // 2 // 32 * 32 for of, side in zip((height, width), sides, strict=True))
        return images[:, :, top : top + sides[0], left : left + sides[1]]
    # An even number of pixels is cut off each side, so that strided windows fall as they did.
    top, left = (max(0, side - LARGEST_SIDE) // 2 // 32 * 32 for side in (height, width))
    return images[:, :, top : height - top, left : width - left]


def _smallest(program: Program) -> Sequence[int] | None:
    """Height and width of the coarsest map that is doubled; none: none is resized.

    None where one is resized otherwise: to a size that holds for the graph's own input alone.
    """
    found: list[list[int]] = []
    for node, _ in program.steps:
        if node.op_type != "Resize" or node.inputs[0] is None:
            continue
        of, to = node.inputs[0].shape, node.outputs[0].shape
        if of is None or to is None or len(of) != 4 or not (of.is_static() and to.is_static()):
            return None
        before, after = list(of.numpy())[2:], list(to.numpy())[2:]
        if after != [2 * side for side in before]:
            return None
        found.append(before)
    return min(found, default=())


def to_bytes(sensitivity: Sensitivity) -> bytes:
    """As an npz file, the same sensitivity giving the same bytes."""
    names = sorted(sensitivity.gain)
    buffer = io.BytesIO()
    arrays = {str(i): sensitivity.gain[name] for i, name in enumerate(names)}
    np.savez(buffer, names=np.array(names), signal=np.array(sensitivity.signal), **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def from_bytes(data: bytes) -> Sensitivity:
    """The reverse of :func:`to_bytes`."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        gain = {str(name): arrays[str(i)] for i, name in enumerate(arrays["names"])}
        return Sensitivity(gain, float(arrays["signal"]))
