"""One launch on a board: a fresh process that tells the events of ``edgeeff.harness.launch``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def main(arguments: Mapping[str, Any]) -> int:
    """Measure.

    Args:
        arguments: ``kind``, ``bundles``, ``images``, ``threads``, ``seconds``, ``seed`` and ``requests``.

    Returns:
        The exit status: 0, or 2 after an ``error`` event.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)  # runtimes print from C++ too

        def tell(event: str, **content: Any) -> None:
            out.write(json.dumps({"event": event, **content}) + "\n")
            out.flush()

        try:
            return _run(arguments, tell)
        except ImportError as error:
            tell(
                "error",
                kind="MissingRuntimeError",
                what=f"numpy cannot be imported on the board ({error})",
                mend="install it there: pip install numpy",
            )
            return 2


def _run(arguments: Mapping[str, Any], tell: Callable[..., None]) -> int:
    from edgeeff.onboard import bundles, flooding, launching, measuring

    folders = [Path(folder) for folder in arguments["bundles"]]
    threads, requests = int(arguments["threads"]), int(arguments["requests"] or 1)

    def known(number: int) -> Any:
        return bundles.facts(folders[number])

    def pixels(found: Any, number: int) -> Any:
        shape = (*found.preprocess.taken, found.preprocess.channels)
        golden = bundles.golden(found.folder)
        return measuring.golden_or_noise(golden, arguments["images"][number], shape, arguments["seed"])

    def load(number: int) -> Any:
        found = known(number)
        _imported(found.runtime)
        return measuring.loaded(lambda: bundles.session(found, threads), pixels(found, number))

    def flood(number: int) -> Any:
        found = known(number)
        many = getattr(_imported(found.runtime), "load_queue", None)
        return flooding.loaded(
            pixels(found, number),
            threads,
            requests,
            lambda: None if many is None else many(found, threads, requests),
            lambda share: bundles.session(found, share),
        )

    if arguments["kind"] == "launch":
        return launching.run(len(folders), load, seconds=arguments["seconds"], tell=tell)
    return flooding.run(len(folders), flood, seconds=arguments["seconds"], tell=tell)


def _imported(runtime: str) -> Any:
    """A runtime's part, its modules imported: that is no part of what loading a bundle costs.

    Raises:
        Refused: They cannot be imported.
    """
    from edgeeff.onboard import bundles

    part = bundles.part(runtime)
    part.module()
    return part
