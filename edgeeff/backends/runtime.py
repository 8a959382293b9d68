"""What is known of a runtime before it is loaded: one typed record, which stands in its ``__init__.py``.

The record is checked when it is found (:func:`problem`), so that a wrong one disables its own runtime and
nothing else. The parts of a runtime (``emit``, ``run``, …) are modules beside its ``__init__.py``; nothing
of them is imported before it is needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import PurePosixPath
from types import ModuleType
from typing import Any, Literal, get_args, get_type_hints

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from edgeeff import toml
from edgeeff.batch import Batch, BatchKind
from edgeeff.detection import Nms as Settings
from edgeeff.errors import MissingRuntimeError, PluginError, UnknownTargetError
from edgeeff.plugins import Guarded, Plugin
from edgeeff.plugins.installed import entry_points
from edgeeff.target import InputType, Precision

#: Whom a box drops that overlaps it: those of its own class, or of any.
Nms = Literal["per class", "across"]
Part = Literal["emit", "run", "check", "examine", "profile", "tool", "usage", "onboard", "serve"]
#: What each part has to define.
FUNCTIONS: Mapping[Part, tuple[str, ...]] = {
    "emit": ("emit",),
    "run": ("load",),
    "check": ("check",),
    "examine": ("examine",),
    "profile": ("load", "peak"),
    "tool": ("command", "read"),
    "usage": ("channels_first", "text", "lost"),
    "onboard": ("load",),
    "serve": ("backends", "files"),
}


#: What a bundle holds beside the artifact.
_OURS = ("manifest.json", "plan.json", "README.md", "")
_OUR_FOLDERS = ("golden", "measured")


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """The facts of a runtime. All but the first six have a default.

    Args:
        name: What targets and manifests call it.
        package: The package whose modules are its parts: ``__name__`` of the ``__init__.py``.
        requires: The modules that it needs; of a tuple within it any one will do.
        install: The line that brings them.
        inputs: Input types that its artifacts can take.
        precisions: Precisions that its artifacts can have.
        artifact: The files of a bundle that hold the network (one way of running it); of a tuple within it
            the first that is there.
        run: How a bundle is run on the device, for its README.
        tools: Distributions whose version can change the artifact's bytes. A plug-in's own is one anyway.
        on_device: Modules that only a device brings and that running needs there; a bundle is written
            without them, and what is run is built there.
        normalises_input: Whether ``emit`` puts the normalisation before an integer input itself; else the
            hub graph holds it, and its input is float32 pixels of 0…255.
        one_normalisation: Why the artifact's readers know one mean and std for all channels; empty where
            they know one for each. A float input whose channels differ then holds plain pixels, and ``emit``
            puts the normalisation inside.
        float_inputs: Input types of a float artifact; None: all of ``inputs``.
        probabilities: What ``emit`` calls the output where it makes probabilities of logits; empty: as the
            graph calls its logits.
        batches: Which numbers of images in a run its artifacts can have: ``one``, ``fixed`` (any one number),
            ``dynamic`` (1 to a number).
        integer_outputs: Whether an artifact with an integer input gives integers too.
        channels_last: Whether feature maps that it puts out are [N, H, W, C].
        nms: The non-maximum suppressions by which its artifacts can make a detector's boxes; none: they end
            in scores and codes of anchors, and boxes are made behind them.
        no_boxes: Says why its artifacts cannot make boxes with such settings of so many images in a run,
            empty where they can; None: of those of ``nms`` they always can.
        properties: The runtime properties there are, each with its values or a pattern. A bundle's manifest
            is anybody's: none may name a file or a command.
        refuse: Refuses properties whose values the pattern cannot judge, by an ``OptionError``.
        frames: Whether ``emit`` puts what makes the network's pixels of a camera's frames (NV12, BGR, frames
            of another size) before the network.
        devices: Whether it computes on the device that ``--device-name`` names.
        chooses_on_device: Whether a bundle can carry variants of its graph, for the device to choose among.
        tensorrt_rules: Whether the linter's rules of TensorRT hold for its graphs.
        no_profile: Why layers are not timed, where there is no ``profile`` part.
        no_float: Why no layer of its artifacts can stay float; empty: any can.
        no_times: Why times that are taken on this machine say nothing of the device; empty: they do.
    """

    name: str
    package: str
    requires: tuple[str | tuple[str, ...], ...]
    install: str
    inputs: tuple[InputType, ...]
    precisions: tuple[Precision, ...]
    artifact: tuple[str | tuple[str, ...], ...]
    run: str
    tools: tuple[str, ...] = ()
    on_device: tuple[str, ...] = ()
    normalises_input: bool = False
    one_normalisation: str = ""
    float_inputs: tuple[InputType, ...] | None = None
    batches: tuple[BatchKind, ...] = ("one",)
    integer_outputs: bool = False
    probabilities: str = ""
    channels_last: bool = False
    nms: tuple[Nms, ...] = ()
    no_boxes: Callable[[Settings, Batch], str] | None = None
    properties: Mapping[str, tuple[str, ...] | re.Pattern[str]] = field(default_factory=dict)
    refuse: Callable[[Mapping[str, str]], None] | None = None
    frames: bool = False
    devices: bool = False
    chooses_on_device: bool = False
    tensorrt_rules: bool = False
    no_profile: str = ""
    no_float: str = ""
    no_times: str = ""

    @property
    def modules(self) -> frozenset[str]:
        """Every module that it may be run by."""
        return frozenset(self.on_device).union(*map(_choices, self.requires))

    def missing(self) -> list[str]:
        """The modules that it needs and this machine has not, without importing any."""
        return [
            " or ".join(_choices(need)) for need in self.requires if not any(map(_is_here, _choices(need)))
        ]

    def missing_to_run(self) -> list[str]:
        """Those, and what only its device has."""
        return [*self.missing(), *(module for module in self.on_device if not _is_here(module))]

    def inputs_of(self, quantised: bool) -> tuple[InputType, ...]:
        """The input types that a quantised, or a float, artifact can take."""
        return self.inputs if quantised or self.float_inputs is None else self.float_inputs

    def lacks_boxes(self, nms: Settings, batch: Batch) -> str:
        """Why its artifacts cannot make boxes so, half a sentence; empty where they can."""
        if not self.nms:
            return f"artifacts of {self.name} make no boxes"
        if ("across" if nms.across else "per class") not in self.nms:
            only = "of each class on its own" if nms.across else "of all classes together (--nms-across)"
            return f"{self.name} drops boxes {only} alone"
        return self.no_boxes(nms, batch) if self.no_boxes else ""

    def holds_pixels(self, input_type: InputType) -> bool:
        """Whether the hub graph of such an artifact takes raw pixels of 0…255 as float32."""
        return input_type != "float32" and not self.normalises_input

    def unknown_property(self, properties: Mapping[str, str]) -> str | None:
        """What is wrong with properties, one sentence; None: each is known, and may have its value."""
        for key, value in properties.items():
            values = self.properties.get(key, ())
            if not (value in values if isinstance(values, tuple) else values.fullmatch(value)):
                return f"{self.name} has no runtime property {key} = {value!r:.80}"
        return None

    def known_properties(self) -> str:
        """The properties there are, for a person; empty if there are none."""
        values = {
            n: " or ".join(v) if isinstance(v, tuple) else v.pattern for n, v in self.properties.items()
        }
        return "; ".join(f"{name} = {value}" for name, value in values.items())

    def offers(self, part: Part) -> bool:
        """Whether it has such a part; nothing of the part is imported."""
        return find_spec(f"{self.package}.{part}") is not None

    def usage(self) -> ModuleType | None:
        """Its ``usage`` part, which imports no runtime; None where there is none."""
        return self._imported("usage") if self.offers("usage") else None

    def onboard(self) -> ModuleType | None:
        """What of it is sent to a board, which loads no runtime when imported; None: there is none."""
        return self._imported("onboard") if self.offers("onboard") else None

    def require(self, part: Part) -> None:
        """Refuse a part that is not there or whose modules are not installed, without importing either.

        Raises:
            UnknownTargetError: It has no such part.
            MissingRuntimeError: A module that it needs is not installed.
        """
        if not self.offers(part):
            raise UnknownTargetError(
                f"the {self.name} runtime has no {part}: no target can name it",
                mend="name another runtime in the target's file (`edgeeff doctor` lists them)",
            )
        if absent := self.missing():
            raise MissingRuntimeError(
                f"the {self.name} runtime needs {', '.join(absent)}: not installed",
                mend=f"install it: {self.install}",
            )

    def part(self, part: Part) -> Any:
        """Its ``emit``, ``run``, ``check``, ``examine`` or ``profile`` module.

        Functions of a plug-in's raise ``PluginFailedError`` where they fail.

        Raises:
            UnknownTargetError: It has no such part.
            MissingRuntimeError: A module that it needs is not installed.
            PluginError: The part is a plug-in's, and fails to import or lacks a function.
        """
        self.require(part)
        module, plugin = self._imported(part), self.plugin
        return module if plugin is None else Guarded(plugin, module)

    def session(self, loaded: Any, outputs: tuple[str, ...]) -> Any:
        """What a part's ``load`` gave: of a plug-in one whose failures name it and whose outputs are checked.

        Args:
            loaded: The session.
            outputs: Names that it has to give; none: one output, whatever it is called.

        Raises:
            PluginFailedError: It has no ``infer``.
        """
        plugin = self.plugin
        if plugin is None:
            return loaded
        session = Guarded(plugin, loaded)
        infer = vars(session).get("infer")
        if infer is None:
            raise plugin.failed(f"load gives no session but {type(loaded).__name__}, which has no infer")

        def checked(pixels: Any) -> Any:
            found = infer(pixels)
            if wrong := _no_outputs(found, outputs, len(pixels)):
                raise plugin.failed(f"infer gives {wrong}")
            return found

        vars(session)["infer"] = checked
        return session

    @property
    def plugin(self) -> Plugin | None:
        """What adds it; None: it is ours."""
        if self.package.startswith("edgeeff."):
            return None
        return next((p for p in entry_points("runtimes") if p.name == self.name), None)

    def emit(self, graph: Any, emission: Any) -> dict[str, bytes]:
        """What its ``emit`` makes of a hub graph: the artifact's files by their names below the bundle.

        Raises:
            EdgeeffError: As ``emit`` says; of the kinds of :meth:`part`.
            PluginFailedError: A plug-in's fails.
            PluginError: It gives what is no artifact.
        """
        files = self.part("emit").emit(graph, emission)
        if wrong := self._no_artifact(files):
            raise self._broken("emit", wrong)
        return dict(files)

    def _no_artifact(self, files: Any) -> str | None:
        if not isinstance(files, Mapping) or not all(isinstance(b, bytes) for b in files.values()):
            return "gives no files by their names, as bytes"
        for name in files:
            first, *more = parts = PurePosixPath(name).parts or ("",)
            if ".." in parts or first == "/" or (not more and first in _OURS) or first in _OUR_FOLDERS:
                return f"gives a file {name!r}, which is none that an artifact may have"
        if absent := [n for n in map(_choices, self.artifact) if not any(name in files for name in n)]:
            return f"gives no {' or '.join(absent[0])}, which the record says is the artifact"
        return None

    def _imported(self, part: Part) -> ModuleType:
        own = self.package.startswith("edgeeff.")
        try:
            module = import_module(f"{self.package}.{part}")
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith(("edgeeff.", f"{self.package}.")):
                if own:
                    raise
                raise self._broken(part, f"fails to import: {error}") from None
            raise MissingRuntimeError(
                f"to {part} for {self.name} needs {error.name}, which is not installed",
                mend=f"install it: {self.install}",
            ) from None
        except Exception as error:
            if own:
                raise
            raise self._broken(part, f"fails to import: {type(error).__name__}: {error}") from None
        if absent := [name for name in FUNCTIONS[part] if not callable(getattr(module, name, None))]:
            raise self._broken(part, f"has no {' and no '.join(absent)}")
        return module

    def _broken(self, part: Part, why: str) -> PluginError:
        by = f" of {self.plugin.origin}" if self.plugin else ""
        return PluginError(
            f"the runtime {self.name}{by}: {self.package}.{part} {why}",
            mend="correct the plug-in, or install a version of it that fits this edgeeff",
        )


def _no_outputs(found: Any, names: tuple[str, ...], images: int) -> str | None:
    """What is wrong with what ``infer`` gave of so many images; None: nothing."""
    if not isinstance(found, Mapping) or not all(isinstance(x, np.ndarray) for x in found.values()):
        return f"no arrays by their names but {type(found).__name__}"
    if (set(found) != set(names)) if names else len(found) != 1:
        return f"the outputs {', '.join(map(str, found))}, and not {', '.join(names) or 'one'}"
    for name, values in found.items():
        if values.dtype != np.float32 or values.shape[:1] != (images,):
            return f"{name} as {values.dtype} {list(values.shape)} and not float32 [{images}, …]"
    return None


def problem(record: Any, name: str) -> str | None:
    """What is wrong with what a runtime's package holds as its record; None: nothing.

    Args:
        record: What it holds.
        name: What the runtime was found as.
    """
    if not isinstance(record, Runtime):
        return f"it holds no edgeeff.backends.Runtime but {type(record).__name__} {record!r:.60}"
    try:
        _model().model_validate({f.name: getattr(record, f.name) for f in fields(record)})
    except ValidationError as error:
        return toml.first(error)
    if record.name != name:
        return f"its record is named {record.name!r}, and it was found as {name!r}"
    parts = {part for part in get_args(Part) if record.offers(part)}
    if "run" not in parts:
        return f"{record.package} has no run.py"
    if "emit" in parts and "check" not in parts:
        return f"{record.package} has an emit.py and no check.py"
    if ("profile" in parts) == bool(record.no_profile):
        return "no_profile says why there is no profile.py: one of the two is needed, and not both"
    return None


@lru_cache(maxsize=1)
def _model() -> type[BaseModel]:
    hints = get_type_hints(Runtime)
    config = ConfigDict(strict=True, arbitrary_types_allowed=True)
    shape: dict[str, Any] = {f.name: (hints[f.name], ...) for f in fields(Runtime)}
    return create_model("Runtime", __config__=config, **shape)


def _is_here(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # of a package that is not there
        return False


def _choices(need: str | tuple[str, ...]) -> tuple[str, ...]:
    return (need,) if isinstance(need, str) else need
