"""The samples in Swift parse; no compiler of Swift installs here: NOT RUN."""

from __future__ import annotations

from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[3] / "samples" / "ios"


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.swift")), ids=lambda path: path.name)
def test_it_parses(path):
    tree_sitter = pytest.importorskip("tree_sitter")
    swift = pytest.importorskip("tree_sitter_swift")
    parser = tree_sitter.Parser(tree_sitter.Language(swift.language()))
    broken = []

    def look(node):
        if node.type == "ERROR" or node.is_missing:
            broken.append(f"{path.name}:{node.start_point[0] + 1}")
        for child in node.children:
            look(child)

    look(parser.parse(path.read_bytes()).root_node)
    assert broken == []
