"""Checkpoints: named tensors, in any naming, that fill a network of the zoo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgeeff import digests, regular
from edgeeff.detection.facts import CODES, LOGITS
from edgeeff.tasks import MASK_LOGITS
from edgeeff.zoo import catalog, checkpoint_options, namings, taps
from edgeeff.zoo.conventions import Conventions, Size
from edgeeff.zoo.detection.conventions import DetectorConventions
from edgeeff.zoo.origin import Doubt, Origin
from edgeeff.zoo.segmentation.conventions import SegmenterConventions
from edgeeff.zoo.sources import Asked, Identity
from edgeeff.zoo.taps import Tapped

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgeeff.zoo.checkpoints import Checkpoint
    from edgeeff.zoo.detection.checkpoints import DetectorCheckpoint
    from edgeeff.zoo.detection.efficientdet import EfficientDet
    from edgeeff.zoo.efficientnet import EfficientNet
    from edgeeff.zoo.segmentation.checkpoints import SegmenterCheckpoint
    from edgeeff.zoo.segmentation.segmenter import Segmenter
    from edgeeff.zoo.spec import ModelSpec

PRECEDENCE = 9  # whatever exists and is nothing else
_WEIGHTS = (".json", ".safetensors", ".bin", ".pt", ".pth", ".h5", ".txt")  # what counts of a folder

_WITH_CONFIG = ("model.safetensors", "pytorch_model.bin")  # a repository's, which its config.json describes


def claims(source: str) -> bool:
    """Any file or folder that exists."""
    return regular.exists(regular.path_of(source))


def files(source: str) -> list[Path]:
    """The file; of a folder or an index of shards, all in the folder that weights can be in."""
    path = regular.path_of(source)
    if regular.is_file(path) and not path.name.endswith(".index.json"):
        config = path.with_name("config.json")
        return [path, config] if path.name in _WITH_CONFIG and config.is_file() else [path]
    folder = path if regular.is_folder(path) else path.parent
    return sorted(file for file in folder.iterdir() if file.is_file() and file.suffix in _WEIGHTS)


def digest(asked: Asked, source: str) -> str:
    """SHA-256 over the content of the file, or of all files of the folder with their names.

    Where plug-ins add namings, also over what they are: what is read depends on them.
    """
    found, facts = digests.of_files(files(source)), namings.facts()
    return digests.of_bytes(repr((found, facts)).encode()) if facts else found


def identify(asked: Asked, source: str) -> Identity:
    """Read a checkpoint and find which network it is of, and whose.

    Raises:
        CheckpointError: It is damaged, unsafe to load, or of no network or another one.
    """
    from edgeeff.graph.side_by_side import one_thread
    from edgeeff.zoo import checkpoints
    from edgeeff.zoo.detection.checkpoints import DetectorCheckpoint
    from edgeeff.zoo.segmentation.checkpoints import SegmenterCheckpoint

    with one_thread():
        checkpoint = checkpoints.read(regular.path_of(source), asked.model, _chosen(asked))
    if isinstance(checkpoint, DetectorCheckpoint):
        return _detector(asked, checkpoint, source)
    if isinstance(checkpoint, SegmenterCheckpoint):
        return _segmenter(asked, checkpoint, source)
    origin = checkpoint.origin
    size = asked.size or origin.preprocess.size
    whole = _conventions(asked, checkpoint.spec, origin)
    conventions = _plain(whole, checkpoint.spec, size)
    return Identity(
        kind=__name__.rpartition(".")[2],
        source=source,
        model=checkpoint.spec.name,
        origin=origin.source,
        preprocess=origin.preprocess,
        classes=checkpoint.classes,
        labels=checkpoint.labels,
        conventions=conventions,
        assumed=origin.assumed,
        warnings=origin.warnings,
        said=origin.said,
        notes=origin.notes,
        doubt=_doubt(asked, checkpoint, conventions, size),
        ends_in=checkpoint.ends_in,
        outputs=tuple(Tapped.of(tap) for tap in checkpoint.taps),
        naming=checkpoint.naming,
        at_any_size=whole if whole != conventions else None,
        unsettled=_unsettled(asked, checkpoint),
    )


def _unsettled(asked: Asked, checkpoint: Checkpoint) -> tuple[str, ...]:
    """Other paddings that its origin leaves open, whether or not they differ at this size."""
    doubt = checkpoint.origin.doubt
    if doubt is None or asked.padding is not None:
        return ()
    return tuple(one.padding for one in doubt.alternatives if one.padding is not None and one.model is None)


def _detector(asked: Asked, checkpoint: DetectorCheckpoint, source: str) -> Identity:
    """What is known of a detector before it is built."""
    origin, spec = checkpoint.origin, checkpoint.spec
    spec.refuse_size(asked.size or origin.preprocess.size)
    conventions = origin.conventions
    if asked.padding is not None:
        conventions = conventions.padded(asked.padding, spec.size)
    if asked.epsilon is not None:
        conventions = conventions.with_epsilon(asked.epsilon)
    return Identity(
        kind=__name__.rpartition(".")[2],
        source=source,
        model=spec.name,
        origin=origin.source,
        preprocess=origin.preprocess,
        classes=checkpoint.classes,
        labels=checkpoint.labels,
        conventions=conventions,
        assumed=origin.assumed,
        warnings=origin.warnings,
        said=origin.said,
        notes=origin.notes,
        naming=checkpoint.naming,
        geometry=origin.geometry,
        offset=origin.offset,
    )


def _segmenter(asked: Asked, checkpoint: SegmenterCheckpoint, source: str) -> Identity:
    """What is known of a segmenter before it is built."""
    origin, spec = checkpoint.origin, checkpoint.spec
    spec.refuse_size(asked.size or origin.preprocess.size)
    conventions = origin.conventions
    if asked.padding is not None:
        conventions = conventions.padded(asked.padding, spec.backbone.size)
    if asked.epsilon is not None:
        conventions = conventions.with_epsilon(asked.epsilon)
    settled = asked.padding is not None and asked.epsilon is not None
    return Identity(
        kind=__name__.rpartition(".")[2],
        source=source,
        model=spec.name,
        origin=origin.source,
        preprocess=origin.preprocess,
        classes=checkpoint.classes,
        labels=checkpoint.labels,
        conventions=conventions,
        assumed=origin.assumed,
        warnings=tuple(text for text in origin.warnings if not (settled and "--bn-epsilon" in text)),
        said=origin.said,
        notes=origin.notes,
        ends_in=checkpoint.ends_in,
        naming=checkpoint.naming,
        by_pixel=True,
    )


def graph(asked: Asked, identity: Identity, size: tuple[int, int]) -> ir.Model:
    """The float base graph of the network that the checkpoint fills, for images of ``size``."""
    from edgeeff.graph.export import OUTPUT, base_graph

    outputs = [output.name for output in identity.outputs] or [OUTPUT]
    if identity.geometry is not None:
        outputs = [LOGITS, CODES]
    divided = [output.name for output in identity.outputs if output.divided]
    if identity.by_pixel:
        outputs = [MASK_LOGITS]
    coarsest = 0 if identity.geometry is None else 2 ** identity.geometry.levels[1]
    # A pyramid pools the whole image and resizes the one value to the size that its features have.
    traced = size if identity.by_pixel else None
    found = network(asked, identity, size)
    return base_graph(found, size, outputs, divided, coarsest=coarsest, traced=traced)


def network(
    asked: Asked, identity: Identity, size: tuple[int, int]
) -> EfficientNet | EfficientDet | Segmenter:
    """The network that the checkpoint fills, as a torch module, for images of ``size``."""
    from edgeeff.graph.side_by_side import one_thread
    from edgeeff.zoo import checkpoints
    from edgeeff.zoo.detection.checkpoints import DetectorCheckpoint
    from edgeeff.zoo.segmentation.checkpoints import SegmenterCheckpoint

    with one_thread():
        checkpoint = checkpoints.read(regular.path_of(identity.source), asked.model, _chosen(asked))
    own = identity.conventions
    if isinstance(checkpoint, DetectorCheckpoint):
        return checkpoint.network(size, own if isinstance(own, DetectorConventions) else None)
    if isinstance(checkpoint, SegmenterCheckpoint):
        return checkpoint.network(size, own if isinstance(own, SegmenterConventions) else None)
    return checkpoint.network(size, own if isinstance(own, Conventions) else None)


def _chosen(asked: Asked) -> checkpoint_options.Chosen:
    """Which part of a checkpoint is meant.

    Raises:
        OptionError: Features without a tap that an EfficientNet has.
    """
    if asked.taps is not None:
        taps.refuse_unknown(asked.taps, catalog.classifier(asked.model) if asked.model else None)
    return replace(checkpoint_options.read(asked.prefix, asked.head, asked.taps), origin=asked.origin)


def _conventions(asked: Asked, spec: ModelSpec, origin: Origin) -> Conventions:
    """The origin's, with what the user says."""
    own = origin.conventions
    if asked.padding is not None:
        own = own.padded(asked.padding, spec.size)
    return replace(own, epsilon=asked.epsilon or own.epsilon)


def _plain(conventions: Conventions, spec: ModelSpec, size: Size) -> Conventions:
    """The same without ``static`` where its zeros are those of SAME at ``size``: one network, one key."""
    if conventions.static is None:
        return conventions
    pads = spec.architecture.same_pads
    return replace(conventions, static=None) if pads(conventions.static) == pads(size) else conventions


def _doubt(asked: Asked, checkpoint: Checkpoint, present: Conventions, size: Size) -> Doubt | None:
    """The origin's doubt, as far as the user's options and this size of images leave one."""
    doubt = checkpoint.origin.doubt
    if doubt is None:
        return None
    left = []
    for other in doubt.alternatives:
        if asked.padding is not None and other.padding is not None:
            continue  # the user has said it
        origin = checkpoint.taken_for(other.model)
        read = _conventions(replace(asked, padding=other.padding or asked.padding), checkpoint.spec, origin)
        colours = [(o.preprocess.mean, o.preprocess.std) for o in (origin, checkpoint.origin)]
        if _plain(read, checkpoint.spec, size) != present or colours[0] != colours[1]:
            left.append(other)
    return replace(doubt, alternatives=tuple(left)) if left else None
