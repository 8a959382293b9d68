"""Recipes: how a plan is made, as data. A recipe is one TOML file of ``recipes/``: its steps, in order.

summary = "…"

[[step]]
use = "ranges"                   # a module of steps/, or a step of a plug-in
activation = "unbounded"         # only for networks whose activation is (Swish); "bounded": ReLU6
swish = "whole"                  # only for schemes that quantise nothing inside Swish; else "steps"
method = "weighted"              # the step's own arguments
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from edgeeff import regular, toml
from edgeeff.errors import OptionError
from edgeeff.plugins import Finder, guarded
from edgeeff.quantization import steps

if TYPE_CHECKING:  # torch stays unloaded until a step is taken
    from edgeeff.quantization.draft import Draft

FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Step:
    """One step of a recipe.

    Args:
        use: The module of ``steps`` that does it.
        activation: The kind of network that it is for; None: any.
        swish: The kind of scheme that it is for; None: any.
        arguments: What the step is told.
    """

    use: str
    activation: Literal["bounded", "unbounded"] | None
    swish: Literal["whole", "steps"] | None
    arguments: Mapping[str, Any]

    def concerns(self, bounded: bool, swish: str) -> bool:
        """Whether the step is for a network of such an activation, under such a scheme."""
        kind = "bounded" if bounded else "unbounded"
        return self.activation in (None, kind) and self.swish in (None, swish)

    def __call__(self, draft: Draft) -> Draft:
        """Do it."""
        from edgeeff.quantization.draft import Draft

        plugin = STEPS.plugin(self.use)
        with guarded(plugin, "apply"):
            result = _module(self.use).apply(draft, **self.arguments)
        if plugin is not None and not isinstance(result, Draft):
            raise plugin.failed(f"apply gives no Draft but {type(result).__name__}")
        made: Draft = result
        return made

    def asks_gain(self) -> bool:
        """Whether it will ask what the logits make of noise: its module's ``asks_gain``, if it has one."""
        asks = getattr(_module(self.use), "asks_gain", None)
        with guarded(STEPS.plugin(self.use), "asks_gain"):
            return asks is not None and bool(asks(**self.arguments))


@dataclass(frozen=True)
class Recipe:
    """Named steps, in order; and those that were taken out of it (:meth:`without`)."""

    name: str
    summary: str
    steps: tuple[Step, ...]
    left_out: tuple[Step, ...] = ()

    def __call__(self, draft: Draft) -> Draft:
        """Take every step that concerns the draft's network and scheme."""
        for step in self.steps:
            if step.concerns(draft.bounded, draft.scheme.swish):
                draft = step(draft)
        return draft

    def asks_gain(self, bounded: bool, swish: str) -> bool:
        """Whether a step will ask what the logits make of noise."""
        return any(step.asks_gain() for step in self.steps if step.concerns(bounded, swish))

    def does(self, use: str, bounded: bool, swish: str) -> bool:
        """Whether it takes the steps that a module does, with such a network and scheme."""
        return any(step.use == use and step.concerns(bounded, swish) for step in self.steps)

    def to_json(self) -> list[dict[str, Any]]:
        """What a key depends on."""
        named = [{**vars(step), "arguments": dict(step.arguments)} for step in self.steps]
        facts = STEPS.facts(step.use for step in self.steps)
        return [*named, {"plugins": facts}] if facts else named

    def with_ranges(self, method: str) -> Recipe:
        """The same recipe with another estimator of ranges."""
        changed = tuple(
            Step(s.use, s.activation, s.swish, {**s.arguments, "method": method}) if s.use == "ranges" else s
            for s in self.steps
        )
        return replace(self, steps=changed)

    def without(self, use: str) -> Recipe:
        """The same recipe but for the steps that a module does."""
        kept, out = (tuple(s for s in self.steps if (s.use == use) is away) for away in (False, True))
        return replace(self, steps=kept, left_out=(*self.left_out, *out))


class _StepTable(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)
    use: str
    activation: Literal["bounded", "unbounded"] | None = None
    swish: Literal["whole", "steps"] | None = None


class _RecipeFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    summary: str
    step: list[_StepTable]


def names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def step_names() -> list[str]:
    """All steps, sorted: the modules of ``steps``, and those of plug-ins."""
    return STEPS.names()


def load(name: str) -> Recipe:
    """Read a recipe by its name, or from a file of the user's own when the name ends in ``.toml``.

    Raises:
        OptionError: There is no such recipe, or its file cannot be understood.
    """
    path = regular.path_of(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not regular.is_file(path):
        raise OptionError(
            f"no recipe named {name!r}", mend=f"choose one of {', '.join(names())}, or pass a TOML file"
        )
    content = toml.read(path, _RecipeFile, OptionError, fields="see edgeeff's own recipes for the form")
    # Our own recipes are checked by the tests: checking a step's arguments loads it, and torch with it.
    checked = name.endswith(".toml")
    return Recipe(path.stem, content.summary, tuple(_step_of(table, path, checked) for table in content.step))


def _step_of(table: _StepTable, path: Path, checked: bool) -> Step:
    if table.use not in step_names():
        raise STEPS.refusal(table.use) or OptionError(
            f"{path}: no step named {table.use!r}", mend=f"choose from {', '.join(step_names())}"
        )
    given = table.model_extra or {}
    if checked:
        try:
            _arguments(table.use).model_validate(given)
        except ValidationError as error:
            known = ", ".join(_arguments(table.use).model_fields) or "none"
            raise OptionError(
                f"{path}: step {table.use}: {toml.first(error)}", mend=f"its arguments are: {known}"
            ) from None
    return Step(table.use, table.activation, table.swish, given)


def _checked(module: Any, name: str) -> Any:
    if not callable(getattr(module, "apply", None)):
        raise ValueError(f"{module.__name__} has no function apply")
    return module


#: Where steps are found. Their modules load torch, so none is imported before it is taken.
STEPS = Finder("steps", steps.__name__, _checked)


def _module(use: str) -> Any:
    """A step's module.

    Raises:
        PluginError: It is a plug-in's, and cannot be used.
    """
    return STEPS.get(use)


def _arguments(use: str) -> type[BaseModel]:
    """A step's keyword arguments as a model that checks them: its signature says names and types."""
    with guarded(STEPS.plugin(use), "the signature of apply"):
        signature = inspect.signature(_module(use).apply, eval_str=True)
    fields = {
        p.name: (p.annotation, p.default) for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY
    }
    model: type[BaseModel] = create_model(use, __config__=ConfigDict(extra="forbid", strict=True), **fields)  # type: ignore[call-overload]
    return model
