"""What the gate's comparison with a baseline finds where the old bundle is gone, by simulation.

``python -m benchmarks.absolute`` prints the table of docs/gate.md, ``--write`` puts it there. Logarithms of
times are normal: a run's mean differs from day to day, launches of a run differ by 1 %.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np

from edgeeff.gate.absolute import LAUNCHES, between_runs, compare

DOCUMENT = Path(__file__).parent.parent / "docs" / "gate.md"
#: Standard deviation of launches of one run; of runs; runs of the baseline; true slowdowns, all as fractions.
WITHIN, BETWEEN, RUNS, SLOWDOWNS = 0.01, (0.003, 0.01, 0.02), (5, 10, 20), (0.0, 0.03, 0.06, 0.10)
LIMIT = 3.0
REPEATS = 1000


def rates(slowdown: float, runs: int, between: float, repeats: int, seed: int = 0) -> tuple[float, float]:
    """The fractions of gates that pass and that fail."""
    random = np.random.default_rng(seed)

    def run(mean: float) -> list[float]:
        day = np.log(mean) + random.normal(0, between)
        return np.exp(day + random.normal(0, WITHIN, LAUNCHES)).tolist()

    found = []
    for _ in range(repeats):
        old = [run(5.0) for _ in range(runs)]
        found.append(compare(run(5.0 * (1 + slowdown)), old, between_runs({"old": old}), LIMIT).status)
    return found.count("pass") / repeats, found.count("fail") / repeats


def table(repeats: int = REPEATS) -> str:
    """The table of the document, in Markdown: pass and fail of every hundred gates."""
    heads = ["days differ by", "runs", *(f"+{100 * s:g} %: pass / fail" for s in SLOWDOWNS)]
    lines = [f"| {' | '.join(heads)} |", f"|{'--:|' * len(heads)}"]
    for between in BETWEEN:
        for runs in RUNS:
            cells = [rates(slowdown, runs, between, repeats) for slowdown in SLOWDOWNS]
            shown = [f"{100 * passed:.1f} / {100 * failed:.1f}" for passed, failed in cells]
            lines.append(f"| {100 * between:g} % | {runs} | {' | '.join(shown)} |")
    return "\n".join(lines)


def written(document: str, content: str) -> str:
    """The document with another table between its marks."""
    mark = "<!-- absolute: written by python -m benchmarks.absolute --write -->"
    found = re.search(rf"{re.escape(mark)}\n(.*?)<!-- absolute: end -->", document, re.DOTALL)
    assert found is not None, "the document has no place for the table"
    return f"{document[: found.start(1)]}{content}\n{document[found.end(1) :]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="into docs/gate.md")
    arguments = parser.parse_args()
    content = table()
    print(content)
    if arguments.write:
        DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8"), content), encoding="utf-8")


if __name__ == "__main__":
    main()
