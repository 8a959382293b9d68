"""Figures as small files of JSON (``--json FILE``), and docs/performance.md, which is written from them.

    python -m benchmarks.results

writes the page from benchmarks/results/*.json, each the section of one run, in the order of their names. A
script that measures gives :func:`write` its rows and says what its columns are; a file has no paths of the
machine on which it was made, and a figure without an interval was taken once, or is exact.
"""

from __future__ import annotations

import datetime
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgeeff.harness import machine

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- figures: written by `make bench` -->", "<!-- end of figures -->"

#: Whose versions a figure may depend on: ours, the runtimes, and the peers.
PACKAGES = (
    *("edgeeff", "numpy", "torch", "onnx", "onnxruntime", "openvino", "ai-edge-litert", "nncf"),
    *("ai-edge-quantizer", "litert-torch", "onnx2tf", "tensorflow", "tensorrt-rtx-cu12", "nvidia-modelopt"),
)
#: What is said of the machine; a name of its owner is not.
FACTS = ("cpu", "board", "architecture", "cpu_class", "usable_cores", "governor", "turbo", "system", "python")


@dataclass(frozen=True)
class Measure:
    """A column of a table, from a key of the rows that a script prints.

    Args:
        key: Of the row. A row without it, or with None there, has no such figure.
        unit: ``""`` for a number that has none, such as a ratio.
        digits: Behind the point.
        title: Above the column; None: the key.
        low: The key with the lower end of the 95 % interval; None: there is none.
        high: The same of the upper end.
    """

    key: str
    unit: str = ""
    digits: int = 1
    title: str | None = None
    low: str | None = None
    high: str | None = None

    def figure(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """The figure of a row: its value and unit, and where it has one its interval."""
        value = row.get(self.key)
        if value is None:
            return None
        found: dict[str, Any] = {
            "name": self.title or self.key,
            "value": self._short(value),
            "unit": self.unit,
        }
        if not isinstance(value, str):
            found["digits"] = self.digits
        low, high = (row.get(key) if key else None for key in (self.low, self.high))
        if low is not None and high is not None:
            found["interval"] = [self._short(low), self._short(high)]
        return found

    def _short(self, value: Any) -> Any:
        return value if isinstance(value, str) else round(float(value), self.digits)


def write(
    path: Path | None,
    title: str,
    about: str,
    rows: Sequence[Mapping[str, Any]],
    measures: Sequence[Measure],
    remarks: Sequence[str] = (),
) -> None:
    """Write the figures of a run, and what they hold for; nothing where no path is given.

    Args:
        path: The file.
        title: Of the section.
        about: What was measured on what, and how: a paragraph.
        rows: As they are printed; the first key's value is the row's name.
        measures: The columns.
        remarks: Lines below the table, such as of a row that was NOT RUN and why.
    """
    if path is None:
        return
    content = {
        "title": title,
        "about": " ".join(about.split()),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "command": command(),
        "machine": facts(),
        "versions": versions(),
        "rows": [
            {
                "name": str(next(iter(row.values()))),
                "figures": [figure for measure in measures if (figure := measure.figure(row))],
            }
            for row in rows
        ],
        "remarks": list(remarks),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def command() -> str:
    """The command line of this process, without the folders of files, and without ``--json``."""
    main = sys.modules["__main__"]
    module = getattr(getattr(main, "__spec__", None), "name", None) or Path(sys.argv[0]).name
    given, found = iter(sys.argv[1:]), []
    for argument in given:
        if argument == "--json":
            next(given, None)
            continue
        name, _, value = argument.rpartition("=") if argument.startswith("--") else ("", "", argument)
        short = Path(value).name if "/" in value else value
        found.append(f"{name}={short}" if name else short)
    return shlex.join(["python", "-m", module, *found])


def facts() -> dict[str, Any]:
    """What can be read of this machine."""
    known = machine.describe().to_json()
    return {name: known[name] for name in FACTS if known.get(name) is not None}


def versions() -> dict[str, str]:
    """The versions of the packages that a figure may depend on, of those that are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def page(document: str, folder: Path = FOLDER) -> str:
    """The document with the sections of a folder of results between its marks."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no {BEGIN!r} … {END!r}")
    paths = sorted(folder.glob("*.json"))
    sections = [section(json.loads(path.read_text(encoding="utf-8"))) for path in paths]
    body = "\n".join(sections) or "No result has been taken yet: every figure is `NOT RUN`.\n"
    return f"{before}{BEGIN}\n\n{body}\n{END}{after}"


def section(result: Mapping[str, Any]) -> str:
    """One result in Markdown: what it is, the table, and what it holds for."""
    parts = [f"## {result['title']}", result["about"], _table(result["rows"])]
    parts += result.get("remarks", [])
    known = result["machine"]
    where = [known.get("board") or known.get("cpu") or known["architecture"]]
    where += [f"{known['usable_cores']} cores"] if "usable_cores" in known else []
    where += [f"class {known['cpu_class']}"] if "cpu_class" in known else []
    where += [known["system"]] if "system" in known else []
    where += [f"Python {known['python']}"] if "python" in known else []
    tools = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    parts.append(f"{result['date']}; {', '.join(where)}; {tools}.")
    parts.append(f"```sh\n{result['command']}\n```")
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A row for each name, a column for each figure that any of them has."""
    fullest = sorted(rows, key=lambda row: -len(row["figures"]))  # which has the columns in their order
    columns = list(dict.fromkeys(figure["name"] for row in fullest for figure in row["figures"]))
    lines = [f"| | {' | '.join(map(_cell, columns))} |", f"|---|{'---|' * len(columns)}"]
    for row in rows:
        found = {figure["name"]: _shown(figure) for figure in row["figures"]}
        cells = (found.get(column, "") for column in columns)
        lines.append(f"| {_cell(row['name'])} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(figure: Mapping[str, Any]) -> str:
    def number(value: Any) -> str:
        return value if isinstance(value, str) else f"{value:.{figure['digits']}f}"

    unit = f" {figure['unit']}" if figure["unit"] else ""
    interval = f" ({'…'.join(map(number, figure['interval']))})" if "interval" in figure else ""
    return _cell(f"{number(figure['value'])}{unit}{interval}")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


def main() -> None:
    """Write the page of this checkout."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
