"""Which processor a runtime computes on, where it can be told: ``--device-name``, OpenVINO's names.

The choice is the process's and its children's (launches of a benchmark), so it is an environment variable; a
bundle says nothing of it. Of boards (``--device``) nothing here is true.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from edgeeff.errors import OptionError

#: The device, by the runtime's name of it; unset: the CPU.
VARIABLE = "EDGEEFF_DEVICE_NAME"
#: ``1``: compiled models are kept in edgeeff's cache folder.
MODEL_CACHE = "EDGEEFF_MODEL_CACHE"
CPU = "CPU"
#: What an environment calls it, where it is not the CPU.
FACT = "inference_device"
#: Devices that choose one themselves.
CHOOSING = ("AUTO", "MULTI", "BATCH")
#: Bytes of compiled models that are kept.
LIMIT = 1 << 30

_ONE = r"(?:CPU|GPU|NPU)(?:\.\d{1,3})?"
_NAME = re.compile(rf"{_ONE}|HETERO:{_ONE}(?:,{_ONE})*|(?:AUTO|MULTI)(?::{_ONE}(?:,{_ONE})*)?|BATCH:{_ONE}")


def named() -> str:
    """The device that is asked for.

    Raises:
        OptionError: It is none that a runtime could have.
    """
    name = os.environ.get(VARIABLE, CPU).upper() or CPU
    if not _NAME.fullmatch(name):
        raise OptionError(
            f"--device-name {name!r:.80}",
            mend="name it as OpenVINO does: CPU, GPU, GPU.1, NPU, or HETERO:GPU,CPU",
        )
    return name


def choose(name: str | None, *, keep_models: bool = False) -> None:
    """Set the device for this process and those that it starts; None leaves it.

    Raises:
        OptionError: It is none that a runtime could have.
    """
    if name == "":  # a script's variable that was not set: it is not known what was meant
        raise OptionError("--device-name ''", mend="name a device, such as CPU, or leave it out")
    if name is not None:
        os.environ[VARIABLE] = name
    named()
    if keep_models:
        os.environ[MODEL_CACHE] = "1"


def refuse_choosing() -> None:
    """Refuse to measure on a device that chooses one itself.

    Raises:
        OptionError: Such a device is asked for.
    """
    name = named()
    if name.startswith(CHOOSING):
        raise OptionError(
            f"--device-name {name} chooses a device itself, and changes it while it runs (AUTO begins on the "
            "CPU until another one has compiled the model): a figure of it is of no device",
            mend="name the device to measure: CPU, GPU, NPU",
        )


def model_cache() -> Path | None:
    """The folder of compiled models, below edgeeff's cache; None: none are kept."""
    if os.environ.get(MODEL_CACHE) != "1":
        return None
    import platformdirs

    folder = os.environ.get("EDGEEFF_CACHE_DIR") or platformdirs.user_cache_dir("edgeeff")
    return Path(folder) / "openvino"


def bound(folder: Path) -> None:
    """Remove the compiled models that were used longest ago, until what is left is under :data:`LIMIT`."""
    found = []
    for path in folder.glob("*"):
        try:
            status = path.stat()
        except OSError:  # another process removed it
            continue
        found.append((max(status.st_atime_ns, status.st_mtime_ns), path, status.st_size))
    total = sum(size for _, _, size in found)
    for _, path, size in sorted(found):
        if total <= LIMIT:
            break
        path.unlink(missing_ok=True)
        total -= size
