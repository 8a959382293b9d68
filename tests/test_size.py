"""Functions that fit on a page, signatures that fit on a line or two, without an exception."""

from __future__ import annotations

import ast
from pathlib import Path

import edgeeff

ROOT = Path(edgeeff.__file__).parent
#: Lines of a function, and parameters of a signature, at most.
LINES, PARAMETERS = 59, 11


def functions():
    """Every function, by file and name: its lines, and its parameters but ``self``."""
    for path in sorted(ROOT.rglob("*.py")):
        waiting = [(node, "") for node in ast.parse(path.read_text(encoding="utf-8")).body]
        while waiting:
            node, within = waiting.pop()
            name = f"{within}.{node.name}".lstrip(".") if hasattr(node, "name") else within
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                count = len([one for one in given if one.arg not in ("self", "cls")])
                place = f"{path.relative_to(ROOT).as_posix()} {name}"
                yield place, node.end_lineno - node.lineno + 1, count
            waiting += [(child, name) for child in ast.iter_child_nodes(node)]


def test_functions_are_short_and_take_few_parameters():
    found = list(functions())
    assert len(found) > 1000
    assert {place: lines for place, lines, _ in found if lines > LINES} == {}
    assert {place: count for place, _, count in found if count > PARAMETERS} == {}


def test_the_story_of_a_build_is_short():
    assert len((ROOT / "pipeline" / "build.py").read_text(encoding="utf-8").splitlines()) < 150
