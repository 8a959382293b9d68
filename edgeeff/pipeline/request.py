"""Whether a build's options make sense: everything that can be refused before any work is done."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from edgeeff import backends, tasks, text
from edgeeff.bundle import is_ours
from edgeeff.errors import LabelsError, MissingRuntimeError, OptionError, OutputError
from edgeeff.files import refuse_links, refuse_unwritable, sweep
from edgeeff.harness import machine
from edgeeff.installing import install_line
from edgeeff.labels import duplicates, placeholders
from edgeeff.pipeline.steps import GivenPlan, Options, plan_digest
from edgeeff.preprocess import CHANNELS, MODES, Channels, Interpolation, Preprocess
from edgeeff.quantization import estimators, recipe
from edgeeff.target import InputType, Target, load_target
from edgeeff.tasks import CLASSIFICATION, MULTILABEL, THRESHOLD, Meaning
from edgeeff.zoo import catalog, checkpoint_options, conventions
from edgeeff.zoo.sources import Asked, Identity, Order
from edgeeff.zoo.spec import IMAGENET

if TYPE_CHECKING:
    from edgeeff.pipeline.tuning import Tuning

#: What building needs beside the runtimes; a device needs none of it.
BUILD_WING = ("torch", "onnx", "onnx_ir", "onnxsim", "onnxruntime", "safetensors", "h5py", "huggingface_hub")
#: Pixels: as near to each other libraries write ImageNet's mean.
_SAME_MEAN = 1.0
INSTALL_BUILD_WING = install_line("build")


def missing_for_build() -> list[str]:
    """The modules that building needs and this machine has not."""
    return [module for module in BUILD_WING if find_spec(module) is None]


def resolve_targets(targets: Sequence[str | Target], io: str | None) -> list[Target]:
    """All targets, checked before any is built: each exists, and all it needs is installed.

    Raises:
        MissingRuntimeError: A runtime, or a library that building needs, is not installed.
        OptionError: No target, one named twice, or no such input type.
        UnknownTargetError: No such target.
    """
    if not targets:
        raise OptionError("no target was named", mend="pass --target, one of `edgeeff targets`")
    wanted = [t if isinstance(t, Target) else load_target(t) for t in targets]
    twice = {t.name for t in wanted if [o.name for o in wanted].count(t.name) > 1}
    if twice:
        raise OptionError(f"target {', '.join(sorted(twice))} was named twice", mend="name each target once")
    if absent := missing_for_build():
        raise MissingRuntimeError(
            f"building needs {', '.join(absent)}: not installed",
            mend=f"install it: {INSTALL_BUILD_WING}",
        )
    if io is not None and io not in get_args(InputType):
        raise OptionError(f"--io {io!r}", mend=f"choose one of {', '.join(get_args(InputType))}")
    for target in wanted:
        backends.runtime(target.runtime).require("emit")
    if io is not None:
        wanted = [replace(target, input=cast(InputType, io)) for target in wanted]
    for target in wanted:
        _refuse_impossible(target, asked=io is not None)
    return wanted


def _refuse_impossible(target: Target, *, asked: bool) -> None:
    """Refuse what the runtime can make no artifact of: a precision, an input, a property.

    Raises:
        OptionError: The target asks for such a thing, or ``--io`` (``asked``) does.
    """
    runtime = backends.runtime(target.runtime)
    if target.precision not in runtime.precisions:
        raise OptionError(
            f"{target.name}: {target.runtime} bundles cannot be {target.precision}",
            mend=f"say precision = {' or '.join(runtime.precisions)} in the target's file",
        )
    possible = runtime.inputs_of(quantised=target.scheme is not None)
    if target.input not in possible:
        kind = "a float bundle of " if possible != runtime.inputs else ""
        how = "pass another --io, or build this target on its own" if asked else "say so in the target's file"
        raise OptionError(
            f"{target.name} cannot take {target.input} input",
            mend=f"{kind}{target.runtime} takes {' or '.join(possible)}: {how}",
        )
    for properties in (target.runtime_properties, *(v.runtime_properties for v in target.variants)):
        if wrong := runtime.unknown_property(properties):
            known = runtime.known_properties() or "leave runtime_properties out"
            raise OptionError(f"{target.name}: {wrong}", mend=known)
        if runtime.refuse is not None:
            runtime.refuse(properties)


def refuse_output(output: Path, name: str | None) -> None:
    """Refuse a place where nothing can be written, and a name that no folder can have.

    Raises:
        OptionError: The name.
        OutputError: The place.
    """
    if name is not None and (
        not name or Path(name).name != name or name.startswith(".") or not text.is_text(name)
    ):
        raise OptionError(f"--name {name!r} is no folder's name", mend="use letters, digits, - and _")
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file", mend="choose a folder with -o")
    refuse_unwritable(output)


def resolve_output(output: Path, name: str, targets: Sequence[Target]) -> list[Path]:
    """Where the bundles will stand; a folder there that is not ours is refused before anything is built."""
    folders = [output / f"{name}-{target.name}" for target in targets]
    for folder in folders:
        refuse_links(folder.parent, folder.name)
        if folder.exists() and not (folder.is_dir() and is_ours(folder)):
            raise OutputError(
                f"{folder} is there and is not a bundle of ours",
                mend="move it away, or choose another folder with -o",
            )
    if output.is_dir():
        sweep(output)
    return folders


def resolve_source(
    model: str | None,
    checkpoint: Path | str | None,
    weights: str | None,
    size: int | tuple[int, int] | None,
    *,
    padding: str | None = None,
    epsilon: float | None = None,
    prefix: str | None = None,
    head: str | None = None,
    trust: bool = False,
    channels: str | None = None,
) -> Asked:
    """What the user says of the network, as far as it can be judged without reading it.

    Raises:
        UnknownModelError: No such network.
        OptionError: Two sources, or a value that makes no sense.
    """
    if model is not None:
        catalog.get(model)
    if channels is not None and channels not in get_args(Order):
        raise OptionError(f"--channels {channels!r}", mend=f"choose one of {', '.join(get_args(Order))}")
    if checkpoint is not None and weights is not None:
        raise OptionError("both --checkpoint and --weights", mend="pass one of them")
    if padding is not None and not conventions.is_option(padding):
        raise OptionError(
            f"--padding {padding!r}",
            mend=f"choose one of {', '.join(conventions.OPTIONS)}, SIZE being 32 to 4096 pixels",
        )
    if epsilon is not None and not 0 < epsilon < 1:
        raise OptionError(
            f"--bn-epsilon {epsilon:g}", mend="1e-3 and 1e-5 are what networks are trained with"
        )
    checkpoint_options.read(prefix, head)
    return Asked(
        source=str(checkpoint) if checkpoint is not None else None,
        model=model,
        weights=weights,
        size=resolve_size(size) if size is not None else None,
        padding=padding,
        epsilon=epsilon,
        prefix=prefix,
        head=head,
        trust=trust,
        channels=cast("Order | None", channels),
    )


def photos_line(count: int) -> str:
    """What a float build says that no images were passed to."""
    return (
        f"verify   on {count} photos of installed packages, since no images were passed (--validation FILES)"
    )


def resolve_golden(golden: int) -> int:
    """How many golden inputs a bundle carries.

    Raises:
        OptionError: Less than none.
    """
    if golden < 0:
        raise OptionError(f"golden inputs: {golden}", mend="pass 0 or more")
    return golden


def resolve_task(task: str | None) -> str | None:
    """A task's name, if there is one of it."""
    if task is not None:
        tasks.room(task)
    return task


def resolve_meaning(options: Options, identity: Identity) -> Meaning:
    """What the outputs mean: what the user says, else what the source says, else one class an image.

    A network with one logit can only be multilabel: a softmax of one value is always 1.

    Raises:
        OptionError: No such task, or one that cannot be what the network was trained for.
    """
    task, threshold = options.task, options.threshold
    single, competing = identity.classes == 1, identity.ends_in.endswith("softmax")
    if task is None:
        task = MULTILABEL if single or identity.ends_in == "sigmoid" else CLASSIFICATION
    exclusive = tasks.room(task).EXCLUSIVE
    if single and (exclusive or competing):
        raise OptionError(
            f"{identity.model} has one output, and a softmax of one value is always 1",
            mend="one logit is a label that is there or not (--task multilabel): pass the network that ends "
            "in the logit or its sigmoid",
        )
    if competing and not exclusive:
        raise OptionError(
            f"--task {task}, and {identity.source} ends in a softmax: it was trained for one class an image",
            mend="leave out --task; or pass the network that ends in logits",
        )
    if exclusive and threshold is not None:
        raise OptionError(
            f"--threshold has no meaning for {task}, which names the likeliest class",
            mend="leave it out, or say --task multilabel",
        )
    if options.softmax and not exclusive:
        raise OptionError(
            "--softmax would let the labels of a multilabel network compete",
            mend="pass --probabilities: the artifact ends in a sigmoid then",
        )
    if threshold is None:
        threshold = THRESHOLD if exclusive or identity.threshold is None else identity.threshold
    return Meaning(task, threshold, options.softmax or options.probabilities)


def task_warnings(meaning: Meaning, identity: Identity, task: str | None) -> tuple[str, ...]:
    """What an option, or the default where there is none, makes of the outputs that their source does not."""
    if identity.classes == 1 and not identity.ends_in and task is None:
        return (
            "the network has one output, which is taken for a label's logit, and its sigmoid for the label's "
            "probability: an output that is a measure (an age, a score) has no task yet (--task)",
        )
    if meaning.exclusive and identity.ends_in == "sigmoid":
        return (
            "the network's source ends in a sigmoid, and it is built for one class an image: probabilities "
            "are a softmax of its logits, and not those of the source",
        )
    return ()


def task_line(meaning: Meaning, identity: Identity) -> str:
    """What the outputs are taken to mean, and why: shown at every build where it is not one class."""
    why = "by option"
    if identity.classes == 1:
        why = "one logit"
    elif identity.ends_in == "sigmoid":
        why = "its source ends in a sigmoid"
    return (
        f"task     {meaning.task} ({why}): a label is there if its sigmoid is {meaning.threshold:g} or more"
    )


def no_labels_line(classes: int) -> str:
    """What classes are called whose names nobody says: shown at every build."""
    if classes == 1:
        return "labels   none is known: it is 'positive'. Pass --labels: its name, or two, the other first"
    return "labels   none are known: classes are numbers. Pass --labels, a file or imagenet"


def sides(labels: Sequence[str] | None, classes: int) -> tuple[list[str] | None, str]:
    """Labels for the outputs, and the name of what has not the only label, where one logit has two names.

    Of two names for one logit the second is the label: class 1, as torch and Keras number sorted folders.
    """
    if labels is not None and classes == 1 and len(labels) == 2:
        return [labels[1]], labels[0]
    return None if labels is None else list(labels), ""


def resolve_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width of the input, pixels."""
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 32 or max(height, width) > 4096:
        raise OptionError(f"size {height}×{width}", mend="choose 32 to 4096 pixels")
    return height, width


def resolve_preprocess(
    *,
    mean: Channels | None,
    std: Channels | None,
    crop: float | None,
    interpolation: str | None,
    squash: bool | None,
    exif: bool | None = None,
    white: float | None = None,
) -> dict[str, Any]:
    """What the user changes of the preprocessing: fields of :class:`Preprocess`.

    Raises:
        OptionError: A value makes no sense.
    """
    for option, values in (("--mean", mean), ("--std", std)):
        if values is not None and len(values) not in MODES:
            raise OptionError(
                f"{option} has {len(values)} values", mend="give one for all channels, or one for each"
            )
    if std is not None and min(std) <= 0:
        raise OptionError(
            f"a standard deviation of {min(std):g}", mend="give positive values on pixels 0…255"
        )
    if crop is not None and not 0.1 <= crop <= 1:
        raise OptionError(f"--crop {crop:g}", mend="give the share that the centre crop keeps, 0.1 to 1")
    if interpolation is not None and interpolation not in get_args(Interpolation):
        raise OptionError(
            f"--interpolation {interpolation!r}", mend=f"choose one of {', '.join(get_args(Interpolation))}"
        )
    if white is not None and not 0 < white < 2**32:
        raise OptionError(f"--white {white:g}", mend="give the value that is white, such as 4095 or 65535")
    given = {
        **{"mean": mean, "std": std, "crop": crop, "interpolation": interpolation, "squash": squash},
        **{"exif": exif, "white": white},
    }
    return {name: value for name, value in given.items() if value is not None}


def prepared(own: Preprocess, size: tuple[int, int] | None, changed: Mapping[str, Any]) -> Preprocess:
    """The preprocessing as its origin says, at another size, with what the user changes.

    Raises:
        OptionError: A mean or std of another number of channels than the network's.
    """
    fitted = dict(changed)
    for option in ("mean", "std"):
        values = fitted.get(option)
        if values is None:
            continue
        if len(values) not in (1, own.channels):
            raise OptionError(
                f"--{option} has {len(values)} values, and the network takes {own.channels} channels",
                mend=f"give one value for all channels, or {own.channels}",
            )
        fitted[option] = tuple(values) * (own.channels // len(values))
    return replace(own.resized(size), **fitted)


def refuse_second_normalisation(identity: Identity, changed: Mapping[str, Any]) -> None:
    """Refuse a mean or std that would take the place of the one that a graph itself computes with.

    Raises:
        OptionError: The graph normalises its input, and otherwise than the options say.
    """
    if identity.conventions is not None or not {"mean", "std"} <= {*identity.said}:
        return
    own = identity.preprocess
    for option, figures in (("mean", own.mean), ("std", own.std)):
        given = changed.get(option)
        if given is not None and any(
            abs(value - figure) > _SAME_MEAN
            for value, figure in zip(tuple(given) * (len(figures) // len(given)), figures, strict=False)
        ):
            raise OptionError(
                f"--{option} {_channels(given)}, and {identity.source} normalises its input itself: mean "
                f"{_channels(own.mean)}, std {_channels(own.std)} on pixels of 0…255",
                mend="leave out --mean and --std; if the file is fed images that were normalised before, "
                "export the network without its own normalisation, and say both",
            )


def in_rgb(preprocess: Preprocess, order: Order | None) -> tuple[Preprocess, str | None]:
    """The preprocessing of a bundle, which takes RGB whatever its network takes, and a line that says so.

    Args:
        preprocess: Mean and std in the order of the network's channels.
        order: Of these, as the user says it.

    Raises:
        OptionError: An order of channels that the network does not have.
    """
    if order != "bgr":
        return preprocess, None
    if preprocess.channels != 3:
        raise OptionError(
            f"--channels bgr for a network of {preprocess.channels} input channels",
            mend="leave it out: only three colours have an order",
        )
    turned = replace(preprocess, mean=preprocess.mean[::-1], std=preprocess.std[::-1])
    return turned, (
        "channels the network takes BGR: its first convolution, mean and std are turned around, and the "
        "bundle takes RGB"
    )


def unsettled(warnings: Sequence[str], changed: Mapping[str, Any]) -> list[str]:
    """Warnings of a source, without those that the user's own word settles.

    They end in the options that do, as ``(--mean, --std)``, or name ``--mean``.
    """
    normalised = "mean" in changed and "std" in changed

    def settled(warning: str) -> bool:
        named = re.findall(r"--(\w+)", warning) if re.search(r"\(--\w+(?:, --\w+)*\)$", warning) else []
        return (normalised and "--mean" in warning) or (bool(named) and changed.keys() >= {*named})

    return [warning for warning in warnings if not settled(warning)]


def order_warning(preprocess: Preprocess, order: Order | None) -> str | None:
    """What is to be said of a mean that is ImageNet's in the order B, G, R."""
    backwards = IMAGENET[0][::-1]
    alike = preprocess.channels == 3 and all(
        abs(a - b) < _SAME_MEAN for a, b in zip(preprocess.mean, backwards, strict=True)
    )
    if order is not None or not alike:
        return None
    return (
        f"mean {_channels(preprocess.mean)} is ImageNet's in the order B, G, R, and the network is taken to "
        "be fed RGB: if it was trained on BGR images (OpenCV's, Caffe's), pass --channels bgr, else "
        "--channels rgb"
    )


def whose(identity: Identity) -> str:
    """Whose network it is, what was read or left out of it, and what was assumed: for a manifest."""
    return "; ".join([origin(identity), *identity.notes, *(f"assumed: {text}" for text in identity.assumed)])


def network_line(identity: Identity) -> str:
    """Which network it is, whose, and what was assumed: shown at every build."""
    named = " with names" if identity.labels else ""
    outputs = "1 logit" if identity.classes == 1 else f"{identity.classes} classes{named}"
    line = f"network  {identity.model}, {origin(identity)}, {outputs}"
    told = [*identity.notes, *(f"assumed: {text}" for text in identity.assumed)]
    return "".join([line, *(f"\n         {text}" for text in told)])


def origin(identity: Identity) -> str:
    """Whose network it is, and the conventions that follow."""
    if identity.conventions is None:
        return identity.origin
    return f"{identity.origin}: {identity.conventions}"


def preprocess_line(preprocess: Preprocess, changed: Mapping[str, Any], said: Sequence[str] = ()) -> str:
    """How images are prepared: shown at every build, since the wrong way costs up to ten points.

    ``changed`` is what the user says of it, ``said`` what the checkpoint does.
    """
    height, width = preprocess.size
    resize = "squashed to" if preprocess.squash else "resized to cover"
    channels = CHANNELS[preprocess.channels]
    shown = (
        f"images   {resize} {round(height / preprocess.crop)}×{round(width / preprocess.crop)} "
        f"({preprocess.interpolation}), centre {height}×{width}, "
        f"mean {_channels(preprocess.mean)}, std {_channels(preprocess.std)} on {channels} 0…255"
    )
    own = [name for name in said if name not in changed]
    by = {"by the checkpoint": own, "by option": list(changed)}
    told = "; ".join(f"{', '.join(names)} {whose}" for whose, names in by.items() if names)
    return shown + (f" ({told})" if told else "")


def _channels(values: Channels) -> str:
    distinct = values[:1] if len(set(values)) == 1 else values
    return " ".join(f"{value:g}" for value in distinct)


def resolve_effort(effort: str) -> str:
    """A recipe's name, or the absolute path of its file."""
    recipe.load(effort)
    return str(Path(effort).expanduser().resolve()) if effort.endswith(".toml") else effort


def resolve_ranges(method: str | None) -> str | None:
    """How activation ranges are chosen; None: as the recipe says."""
    if method is not None and method not in estimators.names():
        raise OptionError(f"--ranges {method!r}", mend=f"choose one of {', '.join(estimators.names())}")
    return method


def resolve_plan(plan: Path | str | None) -> GivenPlan | None:
    """The ranges that another tool chose, read once so that a bad file is refused now."""
    if plan is None:
        return None
    from edgeeff.quantization import foreign

    path = Path(plan).expanduser()
    foreign.read(path)
    return GivenPlan(path, plan_digest(path))


def resolve_cpu_class(cpu_class: str) -> str:
    """The class of CPU to plan for; ``auto`` is this machine's."""
    known = ("auto", "avx2", "vnni", "bf16", "arm")
    if cpu_class not in known:
        raise OptionError(f"no CPU class {cpu_class!r}", mend=f"choose one of {', '.join(known)}")
    return machine.cpu_class() if cpu_class == "auto" else cpu_class


def resolve_tuning(path: Path | str | None, autotune: bool) -> Tuning | None:
    """What an earlier ``--autotune`` found."""
    from edgeeff.pipeline import tuning

    if path is not None and autotune:
        raise OptionError(
            "--tuning takes an earlier answer, --autotune asks for a new one", mend="pass one of them"
        )
    return None if path is None else tuning.read(Path(path))


def resolve_labels(
    given: Sequence[str] | None, own: Sequence[str] | None, classes: int, origin: object = None
) -> tuple[str, ...]:
    """The classes' names: those that were given, else the checkpoint's, else their numbers.

    ``origin`` is the file that the labels were given by, if they were given by one.

    Raises:
        LabelsError: Their number is not the network's number of classes.
    """
    if given is None:
        return tuple(own) if own else placeholders(classes)
    if len(given) != classes:
        raise LabelsError(
            f"{f'{origin} holds ' if isinstance(origin, (str, Path)) else ''}"
            f"{len(given)} labels for a network of {classes} classes",
            mend="pass one label for each class, in the order of the network's outputs",
        )
    return tuple(given)


def label_warnings(labels: Sequence[str]) -> list[str]:
    """What may be wrong with the labels that a checkpoint brings; the user's own are refused for it."""
    twice = duplicates(labels)
    if not twice:
        return []
    return [
        f"{len(twice)} labels of the checkpoint stand for more than one class ({', '.join(twice[:3])}): "
        "results of these cannot be told apart. Pass labels that differ with --labels"
    ]
