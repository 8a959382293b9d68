"""edgeeff import-result: a device's verify.json into the results of its bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeeff.cli import console, recording
from edgeeff.errors import MissingFileError


@recording.stores()
def command(
    result: Annotated[Path, typer.Argument(help="The verify.json that verify.py wrote on the device.")],
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", "-b", help="Its bundle. Default: looked for beside it, here and in dist/."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Check a device's result against its bundle, and keep it there, beside those of other boards."""
    from edgeeff.backends.tensorrt import results
    from edgeeff.bundle import Bundle
    from edgeeff.history import device

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
