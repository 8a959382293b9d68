"""torch's weights-only unpickler, with what trainers save beside the weights read as nothing.

That unpickler calls no global but those of torch and those it is given by name. It is given stand-ins:
each takes the pickled arguments and keeps none, so that neither the named library nor anything of the
file's choosing is called, and the library need not even be installed.
"""

from __future__ import annotations

import mmap
import pickle
import re
import warnings
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch

from edgeeff import regular
from edgeeff.errors import CheckpointError
from edgeeff.zoo.accounting import other_detectors
from edgeeff.zoo.formats import BRING

SAVE_STATE_DICT = (
    "save the state_dict alone: torch.save(model.state_dict(), FILE), or safetensors.torch.save_file"
)


class Nothing:
    """Stands for an object whose value does not matter: a score, a date, a path, a random state."""

    def __new__(cls, *_arguments: object) -> Nothing:
        return super().__new__(cls)

    def __setstate__(self, _state: object) -> None:
        """Keep nothing of the pickled attributes."""


class _Dictionary:
    """Stands for a kind of dict: what is made is a plain one, and filled by the unpickler as such."""

    def __new__(cls, *_arguments: object) -> Any:
        return {}


# A Namespace is plain data: its attributes are set in its __dict__ and it has no hooks. It is kept, for a
# command line often says which network was trained.
_KEPT = {"argparse.Namespace": Namespace, "types.SimpleNamespace": Namespace}
_DICTIONARIES = (
    "collections.defaultdict",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
)
_NOTHINGS = (
    *(f"builtins.{name}" for name in ("int", "float", "str", "bool", "list", "dict", "tuple", "frozenset")),
    *("builtins.slice", "builtins.range", "decimal.Decimal", "uuid.UUID"),
    *(f"datetime.{name}" for name in ("datetime", "date", "time", "timedelta", "timezone")),
    *(
        f"{module}.{name}"
        for module in ("pathlib", "pathlib._local")
        for name in ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")
    ),
    *(
        f"{module}.multiarray.{name}"
        for module in ("numpy.core", "numpy._core")
        for name in ("scalar", "_reconstruct")
    ),
    *("numpy.dtype", "numpy.ndarray", "numpy._core.numeric._frombuffer", "numpy.core.numeric._frombuffer"),
    *("torch.torch_version.TorchVersion", "numpy.random._pickle.__randomstate_ctor"),
    *("omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig", "typing.Any"),
    *(f"omegaconf.base.{name}" for name in ("ContainerMetadata", "Metadata")),
    *(
        f"omegaconf.nodes.{name}"
        for name in ("AnyNode", "StringNode", "IntegerNode", "FloatNode", "BooleanNode")
    ),
)

# Tensors of libraries that store fewer bits, each a class of its own.
_COMPRESSED = ("torchao.", "bitsandbytes.", "optimum.quanto.", "quanto.", "hqq.", "modelopt.", "nncf.")
# torch lets a pickle build a bytearray of any length, and it is filled with zeros at once.
_GREEDY = (b"c__builtin__\nbytearray\n", b"cbuiltins\nbytearray\n")


def load(path: Path) -> Any:
    """Read a torch file, zipped or bare, without calling anything that it names.

    Raises:
        CheckpointError: It names something that would have to be called, or is damaged.
    """
    if any(_holds(path, name) for name in _GREEDY):
        raise CheckpointError(
            f"{path} is refused: it holds a bytearray, which may claim any amount of memory",
            mend=SAVE_STATE_DICT,
        )
    harmless: list[Any] = [
        *((stand_in, name) for name, stand_in in _KEPT.items()),
        *((_Dictionary, name) for name in _DICTIONARIES),
        *((Nothing, name) for name in _NOTHINGS),
    ]
    try:
        with torch.serialization.safe_globals(harmless), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            with regular.opened(path) as file:  # given a path, torch goes by its suffix
                return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refusal(path, str(error)) from None
    except Exception:  # on damaged bytes torch raises anything from KeyError to struct.error
        raise CheckpointError(f"{path} is truncated or corrupt", mend=BRING) from None


def _holds(path: Path, text: bytes) -> bool:
    with regular.opened(path) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(text) >= 0


def _refusal(path: Path, error: str) -> CheckpointError:
    """What torch's weights-only unpickler declined, from its message."""
    refused = re.search(r"GLOBAL (\S+)|Trying to (?:call|instantiate)[^<\w]*(\S+)", error)
    if refused is not None:
        name = next(filter(None, refused.groups())).rstrip(".,")
        if name.startswith(_COMPRESSED):
            return CheckpointError(
                f"{path} is refused: its weights are {name}, compressed tensors that only their library can "
                "read",
                mend="pass the float checkpoint from before, and let edgeeff quantise it",
            )
        detector = next((what for module, what in other_detectors.MODULES if _holds(path, module)), None)
        if detector is not None:
            return other_detectors.refusal(path, detector, name)
        if _holds(path, b"_parameters") and _holds(path, b"_modules"):
            return CheckpointError(
                f"{path} is refused: it is a whole pickled module, it holds {name}, and loading that would "
                "execute code; nothing of it was run",
                mend=f"{SAVE_STATE_DICT}; or export it to ONNX; or load it in a function of your own "
                "and pass module:callable with --trust-checkpoint",
            )
        return CheckpointError(
            f"{path} is refused: it holds {name}, and loading that would execute code; nothing of it was run",
            mend=SAVE_STATE_DICT,
        )
    if "Unsupported operand" in error:
        return CheckpointError(
            f"{path} is refused: its pickle holds instructions that could execute code, or is damaged; "
            "nothing of it was run",
            mend=SAVE_STATE_DICT,
        )
    return CheckpointError(f"{path} is truncated or corrupt", mend=BRING)
