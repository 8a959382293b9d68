"""Targets and schemes: what a runtime on a device wants, as data.

A target is one file of ``targets/``, a scheme one of ``targets/schemes/``. Adding either is adding a file,
here or in another distribution (entry points ``edgeeff.targets``, ``edgeeff.schemes``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from edgeeff import regular, toml
from edgeeff.errors import UnknownTargetError
from edgeeff.onboard.camera import Camera
from edgeeff.plugins import Files, blamed

InputType = Literal["float32", "uint8", "int8"]
CpuClass = Literal["avx2", "vnni", "bf16", "arm"]
Activation = Literal["bounded", "unbounded"]
#: What a layer is for, as far as a scheme may keep it in float for it.
Role = Literal["stem", "first depthwise", "depthwise", "classifier", "box head", "class head"]
ZeroPoint = Literal["in the bias", "not depthwise", "any", "nowhere"]
Residual = Literal["int8", "float"]
Precision = Literal["int8", "fp16", "bf16", "fp32"]


@dataclass(frozen=True)
class Scheme:
    """How a runtime wants a network quantised (see the comments in ``targets/schemes``).

    ``activation_type`` holds activations that can be negative, ``nonnegative_type`` those that cannot.
    ``zero_point`` says where one other than 0 may stand: anywhere, anywhere but on what a depthwise
    convolution reads, only where the layer's bias can take it over (rewrites/shift.py), or nowhere. With
    ``every_tensor`` no tensor stays float; otherwise only the inputs of convolutions, fully connected layers
    and, where ``residual`` is int8, residual additions are quantised. Without ``swish_factors`` no factor is
    put between a Swish and its quantiser (rewrites/equalise.py). ``swish = "whole"`` forbids Q/DQ inside
    Swish, ``"steps"`` puts it on each step. On the CPU classes of ``saturating_cpus`` the runtime's int8 dot
    products saturate, so weights keep to seven bits.
    ``swish_form = "polynomial"`` writes Swish as arithmetic; layers of the roles ``float_layers`` stay float.
    With ``before_selection`` what MaxPool, Slice and the like choose from is quantised before them, and not
    what they choose.
    """

    name: str
    activation_type: Literal["int8", "uint8"]
    nonnegative_type: Literal["int8", "uint8"]
    zero_point: ZeroPoint
    every_tensor: bool
    swish: Literal["whole", "steps"]
    squeeze_excite: Literal["float", "int8"]
    opset: int
    saturating_cpus: tuple[str, ...] = ()
    swish_form: Literal["exact", "polynomial"] = "exact"
    float_layers: tuple[Role, ...] = ()
    before_selection: bool = False
    residual: Residual = "int8"
    swish_factors: bool = True


@dataclass(frozen=True)
class Variant:
    """How a target is best served on some processors: what it changes of the scheme and the properties.

    Args:
        name: What a tuning calls it.
        cpu: The classes of processor that it is the rule for; on others it may still be tuned for.
        activation: The networks that it is for: those whose activation is bounded (ReLU6), or is not (Swish).
        input: The artifact's input type that it is for; None: any.
        swish_form: Of :class:`Scheme`.
        float_layers: Likewise.
        runtime_properties: Over those of the target.
        zero_point: Of :class:`Scheme`; None: as the scheme says.
        residual: Likewise.
        swish_factors: Likewise.
    """

    name: str
    cpu: tuple[CpuClass, ...]
    activation: Activation | None = None
    input: InputType | None = None
    swish_form: Literal["exact", "polynomial"] = "exact"
    float_layers: tuple[Role, ...] = ()
    runtime_properties: Mapping[str, str] = field(default_factory=dict)
    zero_point: ZeroPoint | None = None
    residual: Residual | None = None
    swish_factors: bool | None = None

    def scheme(self, scheme: Scheme) -> Scheme:
        """A target's scheme as this variant has it."""
        own = {name: getattr(self, name) for name in ("zero_point", "residual", "swish_factors")}
        said = {name: value for name, value in own.items() if value is not None}
        return replace(scheme, swish_form=self.swish_form, float_layers=self.float_layers, **said)


@dataclass(frozen=True)
class Target:
    """One kind of artifact: a runtime, a precision, a scheme where it is quantised, and the input it takes.

    An integer input takes raw pixels (int8: minus 128), a float input normalised ones. Of the ``variants``
    the first that suits processor and network is taken. With a ``camera`` the artifact takes frames as that
    says, uint8, and ``input`` is that of the graph behind them.
    """

    name: str
    summary: str
    runtime: str
    precision: Precision
    input: InputType
    scheme: Scheme | None
    runtime_properties: Mapping[str, str] = field(default_factory=dict)
    variants: tuple[Variant, ...] = ()
    camera: Camera | None = None

    def choices(self, activation: Activation) -> tuple[Variant, ...]:
        """The variants that a network of such an activation can take, with the target's input."""
        return tuple(
            v for v in self.variants if v.activation in (None, activation) and v.input in (None, self.input)
        )

    def variant(self, cpu_class: str, activation: Activation) -> Variant | None:
        """The variant that the rules give; None where the target as it stands is the rule."""
        return next((v for v in self.choices(activation) if cpu_class in v.cpu), None)

    def served(self, variant: Variant | None) -> Target:
        """The target as a variant has it, with no variants left to choose from."""
        if variant is None or self.scheme is None:
            return replace(self, variants=())
        scheme = variant.scheme(self.scheme)
        properties = {**self.runtime_properties, **variant.runtime_properties}
        return replace(self, scheme=scheme, runtime_properties=properties, variants=())


class _SchemeFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)
    activation_type: Literal["int8", "uint8"]
    nonnegative_type: Literal["int8", "uint8"]
    zero_point: ZeroPoint
    every_tensor: bool
    swish: Literal["whole", "steps"]
    squeeze_excite: Literal["float", "int8"]
    opset: int
    saturating_cpus: list[str] = []
    before_selection: bool = False
    residual: Residual = "int8"


class _VariantTable(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)
    name: str
    cpu: list[CpuClass]
    activation: Activation | None = None
    input: InputType | None = None
    swish_form: Literal["exact", "polynomial"] = "exact"
    float_layers: list[Role] = []
    runtime_properties: dict[str, str] = {}
    zero_point: ZeroPoint | None = None
    residual: Residual | None = None
    swish_factors: bool | None = None


class _TargetFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)
    summary: str
    runtime: str
    precision: Precision
    input: InputType
    scheme: str | None = None
    runtime_properties: dict[str, str] = {}
    variant: list[_VariantTable] = []


def resources(folder: str) -> Path:
    """The data folder of that name: inside the package in a wheel, beside it in a checkout."""
    inside = Path(__file__).parent / "resources" / folder
    return inside if inside.is_dir() else Path(__file__).parent.parent / folder


#: Where targets and schemes are found.
TARGETS = Files("targets", lambda: resources("targets"))
SCHEMES = Files("schemes", lambda: resources("targets") / "schemes")


def target_names() -> list[str]:
    """The names of all targets, sorted: ours, and those of plug-ins."""
    return list(TARGETS.paths())


def load_target(name: str) -> Target:
    """Read a target by its name, or from a file of the user's own when the name ends in ``.toml``.

    Raises:
        UnknownTargetError: No such target, or its file cannot be understood.
        PluginError: That is a plug-in's.
    """
    path = Path(name) if name.endswith(".toml") else TARGETS.paths().get(name)
    if path is None or not regular.is_file(path):
        raise TARGETS.refusal(name) or UnknownTargetError(
            f"no target named {name!r}",
            mend=f"choose one of {', '.join(target_names())}, or pass the path of a target's TOML file",
        )
    plugin = None if name.endswith(".toml") else TARGETS.plugin(name)
    with blamed(plugin):
        return _target(path)


def _target(path: Path) -> Target:
    content = toml.read(path, _TargetFile, UnknownTargetError)
    if (content.precision == "int8") != (content.scheme is not None):
        raise UnknownTargetError(
            f"target {path}: precision {content.precision!r} with scheme {content.scheme!r}",
            mend="an int8 target names a scheme, a float target names none",
        )
    return Target(
        name=path.stem,
        summary=content.summary,
        runtime=content.runtime,
        precision=content.precision,
        input=content.input,
        scheme=load_scheme(content.scheme) if content.scheme else None,
        runtime_properties=content.runtime_properties,
        variants=tuple(_variant(table) for table in content.variant),
    )


def _variant(table: _VariantTable) -> Variant:
    fields = table.model_dump()
    return Variant(**{**fields, "cpu": tuple(table.cpu), "float_layers": tuple(table.float_layers)})


def load_scheme(name: str) -> Scheme:
    """Read a scheme by its name.

    Raises:
        UnknownTargetError: No such scheme, or its file cannot be understood.
    """
    known = SCHEMES.paths()
    if name not in known:  # not whether the file exists: a name may hold ../
        raise SCHEMES.refusal(name) or UnknownTargetError(
            f"no scheme named {name!r}", mend=f"the schemes are {', '.join(known)}"
        )
    path = known[name]
    with blamed(SCHEMES.plugin(name)):
        content = toml.read(path, _SchemeFile, UnknownTargetError)
        if content.zero_point != "any" and content.activation_type == "uint8":
            raise UnknownTargetError(
                f"{path}: uint8 activations that can be negative need a zero point",
                mend='say zero_point = "any", or activation_type = "int8"',
            )
    return Scheme(name=name, **{**content.model_dump(), "saturating_cpus": tuple(content.saturating_cpus)})
