"""edgeeff lint: a Q/DQ graph against the rules of TensorRT's versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeeff import regular
from edgeeff.cli import console
from edgeeff.errors import OptionError

if TYPE_CHECKING:
    from edgeeff.backends.tensorrt.lint import Finding, Version

#: Nodes shown of one rule; ``--json`` has all.
_SHOWN = 8

Linted = Mapping[Path, "tuple[Sequence[Version], list[Finding]]"]


def command(
    graph: Annotated[
        Path,
        typer.Argument(
            help="An ONNX file with Q/DQ, or a TensorRT bundle; a .tflite file, or a bundle with one, is "
            "held against what tflite-micro has for microcontrollers."
        ),
    ],
    tensorrt: Annotated[
        list[str] | None,
        typer.Option(help="A version such as 10.3; repeatable. Default: all that are known."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with status 1 on warnings too.")] = False,
    sarif: Annotated[
        Path | None, typer.Option(help="Write the findings to this file as SARIF 2.1.0.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Hold an ONNX graph against the rules of TensorRT's versions, on any machine.

    A bundle's graphs are held each against the versions that build it. A .tflite file is held against what
    tflite-micro has for microcontrollers: int8 throughout.
    """
    if (file := _tflite(graph)) is not None:
        if tensorrt or sarif:
            raise OptionError(
                f"--{'tensorrt' if tensorrt else 'sarif'} with {file}",
                mend="leave it out: a .tflite file is held against tflite-micro's operators alone",
            )
        return _micro(file, json)
    from edgeeff.backends.tensorrt.lint import VERSIONS, lint, parse_version
    from edgeeff.backends.tensorrt.lint import sarif as format
    from edgeeff.backends.tensorrt.lint.reading import load
    from edgeeff.files import write_file

    asked = tuple(dict.fromkeys(map(parse_version, tensorrt))) if tensorrt else VERSIONS
    linted = {path: (versions, lint(load(path), versions)) for path, versions in _graphs(graph, asked)}
    found = [finding for _, findings in linted.values() for finding in findings]
    errors = sum(finding.severity == "error" for finding in found)
    if sarif is not None:
        write_file(sarif, format.text({path: findings for path, (_, findings) in linted.items()}).encode())
    if json:
        console.as_json(_data(linted, errors, len(found) - errors))
    else:
        for path, (versions, findings) in linted.items():
            _show(path, versions, findings)
        console.plain(f"{_count(errors, 'error')}, {_count(len(found) - errors, 'warning')}")
    return 1 if errors or (strict and found) else 0


def _tflite(path: Path) -> Path | None:
    """The .tflite file that is meant: itself, or that of a bundle; None: something else is."""
    if path.suffix.lower() == ".tflite" and not regular.is_folder(path):
        return path
    if not regular.is_folder(path):
        return None
    from edgeeff.bundle import Bundle

    return path / "model.tflite" if "model.tflite" in Bundle.load(path).manifest.files else None


def _micro(path: Path, json: bool) -> int:
    """Whether tflite-micro runs a file, said; the exit status."""
    from edgeeff.backends.tflite_micro.lint import lint

    findings = lint(path)
    if json:
        graphs = [{"graph": str(path), "findings": [vars(finding) for finding in findings]}]
        console.as_json({"errors": len(findings), "warnings": 0, "graphs": graphs})
        return 1 if findings else 0
    console.plain(f"{path}: tflite-micro, int8 throughout")
    for finding in findings[:_SHOWN]:
        console.plain(f"  · {finding.node}: {finding.message}")
    if len(findings) > _SHOWN:
        console.plain(f"  · … and {len(findings) - _SHOWN} more (--json lists all)")
    console.plain("" if findings else "  keeps all the rules\n")
    console.plain(_count(len(findings), "error"))
    return 1 if findings else 0


def _graphs(path: Path, asked: Sequence[Version]) -> Iterator[tuple[Path, Sequence[Version]]]:
    """The files to lint, each with the versions to hold it against.

    Raises:
        OptionError: A bundle of another runtime, or one that none of these versions builds.
    """
    if not regular.is_folder(path):
        yield path, asked
        return
    from edgeeff.backends.tensorrt.device.onboard.recipes import STRONGLY_TYPED_FROM
    from edgeeff.bundle import Bundle

    names = [name for name in Bundle.load(path).manifest.files if name.endswith(".onnx")]
    if not names:
        raise OptionError(f"{path} holds no ONNX graph", mend="pass a bundle of a TensorRT target, or a file")
    built = {
        name: [v for v in asked if (v >= STRONGLY_TYPED_FROM) == name.endswith(".fp16.onnx")]
        for name in names
    }
    if not any(built.values()):
        raise OptionError(
            f"{path}: none of its graphs is built by TensorRT {', '.join(map(str, asked))}",
            mend="ask about another version, or pass the graph's own path",
        )
    yield from ((path / name, versions) for name, versions in sorted(built.items()) if versions)


def _show(path: Path, versions: Sequence[Version], findings: Sequence[Finding]) -> None:
    from edgeeff.backends.tensorrt.lint import rules

    known = {rule.identifier: rule for rule in rules()}
    console.plain(f"{path}: TensorRT {', '.join(map(str, versions))}")
    worst = sorted(findings, key=lambda finding: (finding.severity, finding.rule))
    for identifier, group in groupby(worst, key=lambda finding: finding.rule):
        of_rule, rule = list(group), known[identifier]
        console.plain(f"\n{rule.severity} {identifier} {rule.name}: {rule.title}")
        console.plain(f"  why:  {rule.why}")
        console.plain(f"  mend: {rule.mend}")
        for finding in of_rule[:_SHOWN]:
            held = (
                "" if finding.versions == tuple(versions) else f"  [{', '.join(map(str, finding.versions))}]"
            )
            console.plain(f"  · {finding.node}: {finding.message}{held}")
        if len(of_rule) > _SHOWN:
            console.plain(f"  · … and {len(of_rule) - _SHOWN} more (--json lists all)")
    console.plain("" if findings else "  keeps all the rules\n")


def _data(linted: Linted, errors: int, warnings: int) -> dict[str, Any]:
    return {
        "errors": errors,
        "warnings": warnings,
        "graphs": [
            {
                "graph": str(path),
                "versions": [str(version) for version in versions],
                "findings": [
                    {**vars(finding), "versions": [str(version) for version in finding.versions]}
                    for finding in findings
                ],
            }
            for path, (versions, findings) in linted.items()
        ],
    }


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
