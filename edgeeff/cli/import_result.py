"""edgeeff import-result: a device's verify.json among its bundle's results, a tuning of its autotune.json."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeeff.cli import console, recording
from edgeeff.errors import MissingFileError


@recording.stores()
def command(
    result: Annotated[Path, typer.Argument(help="The verify.json or autotune.json that the device wrote.")],
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", "-b", help="Its bundle. Default: looked for beside it, here and in dist/."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Check a device's result against its bundle, and keep it there, beside those of other boards.

    Of what the device chose by build_engine.py --autotune a tuning is made, for build --tuning.
    """
    from edgeeff.backends.tensorrt import results, tuned
    from edgeeff.bundle import Bundle
    from edgeeff.history import device

    if tuned.is_tuned(result):
        return _tuning(result, bundle, json=json)
    found = results.read(result)
    opened = Bundle.load(bundle if bundle is not None else _bundle_of(result, found.manifest_sha256))
    folder = opened.folder
    results.hold(found, folder)
    path, replaced = results.enter(found, folder)
    failed = f"{found.bundle} does not do on {results.board(found)} what its graph says"
    warnings = [] if found.passed else [failed]
    (kept,), _ = recording.keep([device.report(found.model_dump(mode="json"), opened)])
    stored = {key: value for key, value in kept.items() if key == "history"}
    if json:
        console.as_json(
            stored
            | {"bundle": str(folder), "path": str(path), "replaced": replaced, "passed": found.passed}
            | {"warnings": warnings, "result": found.model_dump(mode="json")}
        )
    else:
        console.plain(results.sentence(found))
        console.plain(f"{path}{', in place of an older one' if replaced else ''}")
    for warning in warnings:
        console.warn(warning)
    return 0 if found.passed else 1


def _tuning(result: Path, bundle: Path | None, *, json: bool) -> int:
    """Of an autotune.json; it is no run of the bundle, and not stored in the history."""
    from edgeeff.backends.tensorrt import tuned
    from edgeeff.bundle import Bundle
    from edgeeff.pipeline import brought_home

    found = tuned.read(result)
    opened = Bundle.load(bundle if bundle is not None else _bundle_of(result, found.manifest_sha256))
    tuned.hold(found, opened.folder)
    path = brought_home.enter(brought_home.tuning_of(found, opened.manifest), found, opened.folder)
    warnings = [*brought_home.doubts(found), *brought_home.remarks(found)]
    if json:
        console.as_json(
            {"bundle": str(opened.folder), "tuning": str(path), "chosen": found.chosen, "warnings": warnings}
            | {"result": found.model_dump(mode="json")}
        )
    else:
        console.plain("\n".join(tuned.lines(found)))
        console.plain(f"{path}\n  → edgeeff build … --tuning {path}")
    for warning in warnings:
        console.warn(warning)
    return 0


def _bundle_of(result: Path, seal: str) -> Path:
    """The bundle whose manifest has this SHA-256: around the result, in this folder, or in ``dist``."""
    from edgeeff.backends.tensorrt.device.onboard.sealed import digest

    here = Path()
    candidates = [*result.absolute().parents[:2], here, *sorted(here.glob("*")), *sorted(here.glob("dist/*"))]
    for folder in candidates:
        if (folder / "manifest.json").is_file() and digest(folder / "manifest.json") == seal:
            return folder
    raise MissingFileError(
        f"no bundle with the manifest that {result} is of, SHA-256 {seal[:12]}…, neither here nor in dist/",
        mend="pass its folder with --bundle",
    )
