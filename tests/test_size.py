"""Functions that fit on a page, signatures that fit on a line or two. The lists of exceptions only shrink."""

from __future__ import annotations

import ast
from pathlib import Path

import edgeeff

ROOT = Path(edgeeff.__file__).parent
#: Lines of a function, and parameters of a signature, at most.
LINES, PARAMETERS = 59, 11

LONG = {
    "backends/tensorrt/device/onboard/engines.py build",
    "backends/tensorrt/device/onboard/verification.py verify",
    "cli/eval.py command",
    "cli/inspect.py command",
    "graph/importing/comparing.py with_file",
    "harness/accuracy.py evaluate",
    "quantization/learning.py learn",
    "quantization/steps/learn.py apply",
    "zoo/checkpoints.py read",
}
WIDE = {"quantization/learning.py learn"}


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
    """Who shortens one of the list takes it out of it."""
    found = list(functions())
    assert {place for place, lines, _ in found if lines > LINES} == LONG
    assert {place for place, _, count in found if count > PARAMETERS} == WIDE


def test_the_story_of_a_build_is_short():
    assert len((ROOT / "pipeline" / "build.py").read_text(encoding="utf-8").splitlines()) < 150
