"""The device class of a figure: figures of one class may be compared over time, those of two may not.

It is made of what a machine is and how it is set, never of a reading such as its load or its temperature,
which would make a class of its own of every run.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache
from importlib import metadata
from typing import Any

from edgeeff import digests, inference_device
from edgeeff.backends import Runtime

#: Facts of an environment, as :func:`edgeeff.harness.record.environment` has them, that a class is made of.
FACTS = ("architecture", "board", "cores", "cpu", "flags", "governor", "gpu", "turbo", "usable_cores")
#: The same of a GPU, where a report names it.
GPU = ("compute_capability",)
#: The same of what OpenVINO was told to compute on, where that is not the CPU.
INFERENCE = (inference_device.FACT,)
#: Distributions that compute nothing in an inference: another version of them makes no other class.
_NO_RUNTIMES = frozenset({"edgeeff", "numpy"})


def facts(environment: Mapping[str, Any], runtimes: Collection[str] | None = None) -> dict[str, Any]:
    """What of an environment makes its class.

    Args:
        environment: Of a report's record.
        runtimes: Distributions whose versions count; None: all that bring a runtime.
    """
    found = {name: environment.get(name) for name in FACTS}
    found |= {name: environment[name] for name in (*GPU, *INFERENCE) if name in environment}
    said = environment.get("versions")
    versions = said if isinstance(said, Mapping) else {}
    wanted = set(versions) - _NO_RUNTIMES if runtimes is None else runtimes
    found["runtimes"] = {name: versions[name] for name in sorted(wanted) if name in versions}
    return found


def digest(facts: Mapping[str, Any]) -> str:
    """SHA-256 of :func:`facts`: the name of a class."""
    return digests.of_json(facts)


def distributions(runtime: Runtime, environment: Mapping[str, Any] | None = None) -> set[str]:
    """The distributions that bring a runtime: another version of another runtime makes no other class.

    Args:
        runtime: Whose.
        environment: Of a record. A board may have another distribution of a runtime than this machine (the
            old tflite-runtime), or the only one: those are taken whose name is that of the runtime's module.
    """
    found = {name for module in runtime.modules for name in _installed().get(module, ())}
    said = (environment or {}).get("versions")
    return found | {name for name in (said or ()) if re.sub("[-.]", "_", name).lower() in runtime.modules}


@cache
def _installed() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()
