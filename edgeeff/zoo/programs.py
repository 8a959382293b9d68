"""Networks that are code: TorchScript, torch.export programs, and functions of the user's own.

Loading any of them runs what it carries (torch.export's loader unpickles, TorchScript's and Python's
interpret), so nothing here happens without the user's explicit trust.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from edgeeff import regular
from edgeeff.errors import CheckpointError, EdgeeffError, MissingFileError
from edgeeff.zoo.archives import TORCHSCRIPT, kind

# Operators of a graph that compute otherwise in training, and which of their arguments says so.
_TRAINING_ARGUMENT = {
    **dict.fromkeys(("batch_norm", "native_batch_norm", "_batch_norm_impl_index"), 5),
    **dict.fromkeys(("_native_batch_norm_legit", "_native_batch_norm_legit_functional"), 5),
    **dict.fromkeys(("dropout", "native_dropout", "feature_dropout"), 2),
}
_TRAINED_MODE = "export it in eval mode: call model.eval() before"


def load(source: str | Path, *, trust: bool) -> nn.Module:
    """A network from a program file, or from ``package.module:callable`` or ``file.py:callable``.

    The callable takes no arguments and returns an nn.Module; a module that is already one is taken as it
    is. What the code prints goes to standard error.

    Args:
        source: The file, or where the callable is.
        trust: Whether the user said that the code may run (``--trust-checkpoint``).

    Returns:
        In eval mode, float32, on the CPU, its parameters without gradients.

    Raises:
        CheckpointError: Not trusted, not such a network, in training mode for good, or its code failed.
        MissingFileError: There is no such file.
    """
    path = Path(source)
    # The last colon: a path may hold a drive's before it.
    place, _, name = str(source).rpartition(":")
    called = not regular.is_file(path) and bool(place) and name.isidentifier()
    if not called and not regular.is_file(path):
        raise MissingFileError(f"{source} does not exist", mend="pass a file, or package.module:callable")
    what = "Python code" if called else kind(path)
    if what is None:
        raise CheckpointError(
            f"{source} is neither a TorchScript archive nor a torch.export program",
            mend="pass what torch.jit.save or torch.export.save wrote, or package.module:callable",
        )
    if not trust:
        raise CheckpointError(
            f"{source} is {what}: to load it is to run the code that it carries, and nothing of it was run",
            mend="pass --trust-checkpoint if you trust where it comes from, or bring the state_dict alone",
        )
    with _quiet(str(source)):
        if called:
            return _plain(_called(place, name))
        return _torchscript(path) if what == TORCHSCRIPT else _exported(path)


def held(module: nn.Module, name: str) -> nn.Module:
    """A copy of a network that the program holds: in eval mode, float32, on the CPU.

    Raises:
        CheckpointError: It is in training mode, or cannot be copied.
    """
    if module.training:
        raise CheckpointError(
            f"{name} is in training mode, where batch normalisation and dropout compute something else",
            mend="call network.eval() before",
        )
    module = getattr(module, "_orig_mod", module)  # what torch.compile wraps
    with _quiet(name):
        return _plain(copy.deepcopy(module).eval())


@contextlib.contextmanager
def _quiet(source: str) -> Iterator[None]:
    """Foreign code may print, warn, raise anything or exit; here it only fails, by one clear error."""
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except EdgeeffError:
        raise
    except (Exception, SystemExit) as error:
        lines = str(error).strip().splitlines() or ["without a message"]
        raise CheckpointError(
            f"{source} cannot be loaded: {type(error).__name__}: {lines[0]:.300}",
            mend="mend the code, or bring it whole: it runs in this environment, with this torch "
            f"({torch.__version__})",
        ) from None


def _torchscript(path: Path) -> nn.Module:
    module: Any = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    module.eval()
    for node in _nodes(module.inlined_graph):
        place = _TRAINING_ARGUMENT.get(node.kind().removeprefix("aten::").rstrip("_"))
        # A constant: tracing wrote the mode down, and eval() does not reach it.
        if place is not None and node.inputsAt(place).toIValue() is True:
            raise CheckpointError(
                f"{path} was traced in training mode: {node.kind()} would use each batch's own statistics "
                "or drop at random",
                mend=f"{_TRAINED_MODE} torch.jit.trace",
            )
    return _plain(module)


def _nodes(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)


def _exported(path: Path) -> nn.Module:
    module: Any = torch.export.load(path).module()
    for node in module.graph.nodes:
        operator = getattr(node.target, "__name__", "").partition(".")[0].rstrip("_")
        place = _TRAINING_ARGUMENT.get(operator)
        arguments = node.args
        if place is not None and (len(arguments) > place and arguments[place] is True):
            raise CheckpointError(
                f"{path} was exported in training mode ({node.target}), which cannot be undone",
                mend=f"{_TRAINED_MODE} torch.export.export",
            )
    # Casts are written into the graph, so that its precision cannot be changed from outside.
    other = {t.dtype for t in module.state_dict().values() if t.is_floating_point()} - {torch.float32}
    if other:
        raise CheckpointError(
            f"{path} was exported in {str(other.pop()).removeprefix('torch.')}",
            mend="export it in float32: call model.float() before torch.export.export",
        )
    return module.requires_grad_(False)  # type: ignore[no-any-return]


def _called(place: str, name: str) -> nn.Module:
    """What a callable returns; its folder, or the working folder, is searched as ``python`` would."""
    path = regular.path_of(place).resolve()
    from_file = place.endswith(".py")
    if from_file and not regular.is_file(path):
        raise MissingFileError(f"{place} does not exist", mend="pass the path of a Python file")
    with _searching(path.parent if from_file else Path.cwd()):
        made = getattr(_imported(path) if from_file else importlib.import_module(place), name)
        if not isinstance(made, nn.Module):
            made = made()
    if not isinstance(made, nn.Module):
        raise CheckpointError(
            f"{place}:{name} returned {type(made).__name__}, not a torch.nn.Module",
            mend="let it return the network, with its weights",
        )
    return made.eval()


def _imported(path: Path) -> ModuleType:
    """A Python file as a module; it stays in sys.modules, where dataclasses and the like look it up."""
    name = f"edgeeff_checkpoint_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # for a .py file there always are
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _searching(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))


def _plain(module: nn.Module) -> nn.Module:
    module = module.to("cpu").float()
    for parameter in module.parameters():  # a ScriptModule has no requires_grad_
        parameter.requires_grad_(False)
    return module
