"""Run where one version's bindings can be imported: their names as JSON, and what our flags come to there."""

from __future__ import annotations

import inspect
import json
import re
import sys

import tensorrt_bindings as trt

sys.path.insert(0, sys.argv[1])  # the folder that a bundle's scripts lie in
from onboard import engines, recipes

RETURNS = re.compile(r"^(?:\d+\. )?\w*\(.*\) -> ([\w.:\[\], ]+)$", re.MULTILINE)


def returned(member: object) -> list[str]:
    """The names of the types that a method returns or a property has, as pybind11 wrote them down."""
    getter = member.fget if isinstance(member, property) else member
    found = RETURNS.findall(getattr(getter, "__doc__", None) or "")
    return [name.rpartition(".")[2] for name in found]


def members(kind: type) -> dict[str, list[str]]:
    found = {}
    for name in dir(kind):
        member = inspect.getattr_static(kind, name)
        is_enumerator = isinstance(getattr(kind, name, None), kind)
        found[name] = [kind.__name__] if is_enumerator else returned(member)
    return found


version = recipes.parse_version(trt.__version__)
chosen = {precision: recipes.recipe(version, precision) for precision in recipes.PRECISIONS}
try:
    trt.Builder(trt.Logger())
    builder = ""
except Exception as error:
    builder = type(error).__name__
print(
    json.dumps(
        {
            "version": trt.__version__,
            "names": [name for name in dir(trt) if not inspect.isclass(getattr(trt, name))],
            "classes": {name: members(kind) for name, kind in inspect.getmembers(trt, inspect.isclass)},
            "network_flags": {name: engines.network_flags(trt, recipe) for name, recipe in chosen.items()},
            "network_bits": {
                name: 1 << int(flag) for name, flag in trt.NetworkDefinitionCreationFlag.__members__.items()
            },
            "absent_flags": [
                flag
                for recipe in chosen.values()
                for flag in recipe.flags
                if not hasattr(trt.BuilderFlag, flag)
            ],
            "builder_without_driver": builder,
        }
    )
)
