"""The floors of the house: which module stands where, what imports what, and the table of the document.

``python scripts/floors.py`` writes the table of ``docs/architecture.md`` from ``docs/floors.toml``.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "edgeeff"
TABLE = ROOT / "docs" / "floors.toml"
DOCUMENT = ROOT / "docs" / "architecture.md"
MARKS = ("<!-- floors: written by make floors from floors.toml -->", "<!-- floors: end -->")
#: They reach the build wing only when a name or a verb is asked for, and stand above everything.
FACADES = ("edgeeff", "edgeeff.cli", "edgeeff.__main__")
#: What a runtime's folder has for a device, and what it copies there; the rest of it is for its ``emit``.
DEVICE_PARTS = r"edgeeff\.backends\.\w+\.(run|check|profile|tool|usage|onboard|device\.onboard\.\w+)"

Wing = Literal["build", "device"]


@dataclass(frozen=True)
class Place:
    """Where a module stands.

    Args:
        name: Its own in the table, or that of the package that it lies in.
        floor: Counted from 1, the lowest.
        wing: What builds, or what a device needs too.
    """

    name: str
    floor: int
    wing: Wing


def modules() -> dict[str, Path]:
    """Every module of the package, by its name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports_of(module: str, *, late: bool = True, types: bool = True) -> set[str]:
    """What a module imports, ours and others'.

    Args:
        module: A name of :data:`MODULES`.
        late: Also what is imported inside its functions.
        types: Also what is imported for type checkers alone.
    """
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            around = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*around, *([node.module] if node.module else [])])
            for alias in node.names:
                found.add(f"{source}.{alias.name}" if f"{source}.{alias.name}" in MODULES else source)
        elif isinstance(node, ast.If) and _is_type_checking(node):
            waiting += [*(node.body if types else []), *node.orelse]
        elif late or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return found


def _is_type_checking(node: ast.If) -> bool:
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def graph() -> dict[str, set[str]]:
    """What each module of ours imports of ours: late imports and those of types too."""
    return {module: {name for name in imports_of(module) if name in MODULES} - {module} for module in MODULES}


def circles(imports: Mapping[str, set[str]]) -> list[list[str]]:
    """The modules that import one another in a circle: strongly connected components (Tarjan 1972)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        order[module] = low[module] = len(order)
        stack.append(module)
        for other in imports[module]:
            if other not in order:
                visit(other)
            if other in stack:
                low[module] = min(low[module], low[other])
        if low[module] == order[module]:
            at = stack.index(module)
            if len(stack) > at + 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for module in imports:
        if module not in order:
            visit(module)
    return found


def floors() -> list[dict[Wing, list[str]]]:
    """The table, the lowest floor first."""
    content: dict[str, Any] = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return list(content["floor"])


def _named() -> dict[str, Place]:
    return {
        name: Place(name, number, wing)
        for number, floor in enumerate(floors(), 1)
        for wing, names in floor.items()
        for name in names
    }


PLACES = _named()


def _device_parts() -> set[str]:
    """What a runtime's parts for devices load of its folder."""
    found: set[str] = set()
    waiting = [m for m in MODULES if re.fullmatch(DEVICE_PARTS, m)]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            folder = ".".join(module.split(".")[:3])
            waiting += [m for m in imports_of(module) if m.startswith(f"{folder}.") and m in MODULES]
    return found | {m.rpartition(".")[0] for m in found}


DEVICE = _device_parts()


def place(module: str) -> Place:
    """Where a module stands.

    Raises:
        KeyError: The table does not say it.
    """
    if re.match(r"edgeeff\.backends\.\w+\.device(\.onboard|$)", module):
        return PLACES["backends.*.device"]
    if re.match(r"edgeeff\.backends\.\w+\.", module) or module in DEVICE:
        return PLACES["backends.*.run" if module in DEVICE else "backends.*.emit"]
    name = module.removeprefix("edgeeff.")
    while name and name not in PLACES:
        name = name.rpartition(".")[0]
    if not name:
        raise KeyError(f"{module} has no floor: give it one in docs/floors.toml, and run make floors")
    return PLACES[name]


def package_of(module: str) -> str:
    """The package within which a module may import whatever is there; runtimes' folders are one together."""
    parts = module.split(".")
    if parts[1:2] == ["backends"] and place(module).name != "backends":
        return "edgeeff.backends.*"
    return ".".join(parts[:2])


def breaches() -> Iterator[str]:
    """Each import that breaks a rule, as a sentence."""
    for module, imports in graph().items():
        if module in FACADES:
            continue
        here = place(module)
        for imported in imports:
            if imported == "edgeeff":
                yield f"{module} imports edgeeff, which stands above everything"
                continue
            there = place(imported)
            if there.floor >= here.floor and package_of(imported) != package_of(module):
                yield f"{module} (floor {here.floor}) imports {imported} (floor {there.floor})"
            if here.wing == "device" and here.name != "cli" and there.wing == "build":
                yield f"{module} is for devices and imports {imported}"


def table() -> str:
    """The table of the document, the highest floor first."""
    lines = ["| floor | build wing | device wing |", "|---|---|---|"]
    for number, floor in reversed([*enumerate(floors(), 1)]):
        cells = [", ".join(f"`{name}`" for name in floor.get(wing, [])) for wing in ("build", "device")]
        lines.append(f"| {number} | {' | '.join(cells)} |".replace("|  |", "| |"))
    return "\n".join(lines)


def written(document: str) -> str:
    """The document with the table as it is now."""
    before, _, rest = document.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return f"{before}{MARKS[0]}\n{table()}\n{MARKS[1]}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
