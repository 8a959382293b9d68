"""What is here: the tensorrt module, the CUDA runtime, and the three things that an engine belongs to."""

from __future__ import annotations

import ctypes
import ctypes.util
import re
from pathlib import Path
from typing import Any, NamedTuple

from .recipes import parse_version
from .sealed import RefusedError


class Identity(NamedTuple):
    """What an engine belongs to; it is built anew where any of the three changes.

    ``l4t`` is the board's release of Jetson Linux, by which JetPack is known: 35.x is JetPack 5, 36.x is 6,
    38.x and later are 7. Empty where there is none, on a GPU that is no Jetson's.
    """

    tensorrt: str
    compute_capability: str
    l4t: str

    def key(self) -> str:
        """As a part of a file's name: ``trt10.3.0-sm87-l4t36.4.3``."""
        l4t = f"-l4t{self.l4t}" if self.l4t else ""
        return f"trt{self.tensorrt}-sm{self.compute_capability.replace('.', '')}{l4t}"

    def changed_from(self, record: dict[str, Any]) -> list[str]:
        """What has changed since an engine with this record was built, in words."""
        words = {
            "tensorrt": "TensorRT",
            "compute_capability": "the compute capability",
            "l4t": "JetPack's L4T",
        }
        return [
            f"{word} was {record.get(field) or 'none'} and is {getattr(self, field) or 'none'}"
            for field, word in words.items()
            if record.get(field) != getattr(self, field)
        ]


def identify(trt: Any, cudart: Any) -> Identity:
    """This TensorRT on this device."""
    return Identity(trt.__version__, compute_capability(cudart), l4t_release())


def import_tensorrt() -> Any:
    """The tensorrt module, of a version that the bundle is for."""
    try:
        import tensorrt
    except (ImportError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise RefusedError(
            f"tensorrt cannot be imported ({reason}); run this where JetPack installed it"
        ) from None
    # A folder of that name, or a wheel without its libraries, imports as a module with nothing in it.
    version = getattr(tensorrt, "__version__", None)
    if not isinstance(version, str):
        raise RefusedError("the tensorrt module here has no version: its installation is not whole")
    parse_version(version)
    return tensorrt


def load_cudart() -> Any:
    """The CUDA runtime library, through ctypes."""
    names = ["libcudart.so", ctypes.util.find_library("cudart"), "/usr/local/cuda/lib64/libcudart.so"]
    names += [f"libcudart.so.{version}" for version in ("13", "12", "11.0")]
    for name in names:
        if name:
            try:
                return ctypes.CDLL(name)
            except OSError:
                continue
    raise RefusedError("no CUDA runtime (libcudart) here; run this on the device")


def compute_capability(cudart: Any) -> str:
    """Of the first device, such as ``8.7`` for Orin."""
    value = ctypes.c_int()
    parts = []
    for attribute in (75, 76):  # cudaDevAttrComputeCapabilityMajor and Minor
        if cudart.cudaDeviceGetAttribute(ctypes.byref(value), attribute, 0) != 0:
            raise RefusedError("no CUDA device answers; run this on the device")
        parts.append(str(value.value))
    return ".".join(parts)


def l4t_release(path: Path = Path("/etc/nv_tegra_release")) -> str:
    """The board's release of Jetson Linux, such as ``36.4.3``, or an empty string elsewhere.

    The file's first line reads ``# R36 (release), REVISION: 4.3, GCID: …``.
    """
    try:
        first = path.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    except OSError:
        return ""
    found = re.match(r"# R(\d+) \(release\), REVISION: ([\d.]+)", first)
    return f"{found.group(1)}.{found.group(2)}" if found else ""
