"""What of a build other distributions bring: its provenance, what keys depend on, and what is disabled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edgeeff import backends, tasks
from edgeeff.board import BOARDS, load_board
from edgeeff.plugins import Plugin, Trouble
from edgeeff.quantization import recipe
from edgeeff.quantization.recipe import Recipe
from edgeeff.target import SCHEMES, TARGETS, Target, load_scheme, load_target
from edgeeff.zoo import namings


@dataclass(frozen=True)
class Used:
    """By what names a bundle's bytes are decided, beside its network and images.

    Args:
        target: What it is built for.
        task: What the outputs mean.
        recipe: How it is quantised; None: it is not.
        naming: Of the checkpoint; empty: there is none.
    """

    target: Target
    task: str
    recipe: Recipe | None = None
    naming: str = ""

    def plugins(self) -> dict[str, Plugin]:
        """What plug-ins bring of it, by what it is, such as ``runtime`` or ``step shuffle``."""
        target, scheme = self.target.name, self.target.scheme
        found = {
            "target": TARGETS.plugin(target),
            "scheme": SCHEMES.plugin(scheme.name) if scheme else None,
            "runtime": backends.RUNTIMES.plugin(self.target.runtime),
            "task": tasks.TASKS.plugin(self.task),
            "naming": namings.NAMINGS.plugin(self.naming),
            **{f"step {use}": recipe.STEPS.plugin(use) for use in self._steps},
        }
        return {what: plugin for what, plugin in found.items() if plugin is not None}

    def tools(self) -> dict[str, str]:
        """Distributions and versions, for a manifest's ``tools``."""
        return {plugin.distribution: plugin.version for plugin in self.plugins().values()}

    def facts(self) -> list[list[str]]:
        """What a key depends on of what is code and no step (a recipe's own facts have its steps)."""
        return [*backends.RUNTIMES.facts([self.target.runtime]), *tasks.TASKS.facts([self.task])]

    @property
    def _steps(self) -> list[str]:
        return [s.use for s in self.recipe.steps] if self.recipe and self.target.scheme else []


def warnings(used: Iterable[Used]) -> list[str]:
    """A sentence for each thing of a plug-in that is disabled and bears a name that is used, each once."""
    found: list[Trouble] = []
    for one in used:
        found += TARGETS.refused([one.target.name])
        found += SCHEMES.refused([one.target.scheme.name] if one.target.scheme else [])
        found += backends.RUNTIMES.refused([one.target.runtime])
        found += tasks.TASKS.refused([one.task])
        found += recipe.STEPS.refused(one._steps)
    return list(dict.fromkeys(trouble.text for trouble in found))


def everything(with_steps: bool) -> list[tuple[Plugin, str | None]]:
    """All that plug-ins add, sorted, each with the reason why it is disabled, or None.

    Args:
        with_steps: Whether steps are imported too, which takes torch.
    """
    found = [*backends.RUNTIMES.everything(), *tasks.TASKS.everything(), *namings.NAMINGS.everything()]
    found += recipe.STEPS.everything() if with_steps else []
    found += [*TARGETS.everything(load_target), *SCHEMES.everything(load_scheme)]
    found += BOARDS.everything(load_board)
    return sorted(found, key=lambda one: (one[0].kind, one[0].name, one[0].distribution))
